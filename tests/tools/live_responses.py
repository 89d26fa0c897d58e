"""Use a live vLLM's Responses API with the finished client, and print what happens.

    python tests/tools/live_responses.py http://127.0.0.1:8000/v1 smollm2-135m

The server is started with ``VLLM_ENABLE_RESPONSES_API_STORE=1``. To lose a connection in the middle, the client talks
through a relay on the loopback interface that cuts the first stream after some of its events.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nxlog
from nxlog.responses import ResponseSession, ResponsesReply, Watchdog

if TYPE_CHECKING:
    from collections.abc import Generator

CAPITAL = "Name the capital of France in one word."
LONG = "Write a long story about a lighthouse."


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def shown(reply: ResponsesReply) -> str:
    """One line of a reply."""
    records = [] if reply.logprobs is None else reply.logprobs.content
    numbers = " ".join(f"{record.logprob:.3f}" for record in records[:3] if record.logprob is not None)
    text = reply.text if len(reply.text) <= 50 else reply.text[:49] + "…"
    return f"{reply.status} {text!r}, {len(records)} records: {numbers}{' ...' if len(records) > 3 else ''}"


@contextlib.contextmanager
def relay(url: str, *, cut_after: int) -> Generator[str]:
    """An address that leads to the server's; the first stream through it is cut behind so many events."""
    parts = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    left = [1]

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection((parts.hostname or "", parts.port or 80)) as server:
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            seen = b""
            while data := server.recv(65536):
                client.sendall(data)
                seen += data
                if left and b"text/event-stream" in seen and seen.count(b"\ndata:") >= cut_after:
                    left.clear()
                    return

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{parts.path}"
    finally:
        listener.close()


def main() -> int:
    """Everything once, in the order of the issue."""
    parser = argparse.ArgumentParser(description="Use a live vLLM's Responses API.")
    parser.add_argument("base_url")
    parser.add_argument("model")
    options = parser.parse_args()
    warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)  # those on the replies are printed
    fields: dict[str, Any] = {"model": options.model, "temperature": 0, "top_logprobs": 2}
    with nxlog.Client(provider="vllm", base_url=options.base_url) as client:
        say("== create")
        reply = client.responses.create(input=CAPITAL, max_output_tokens=12, **fields)
        say(f"{reply.id} {shown(reply)}")
        say("== retrieve")
        again = client.responses.retrieve(reply.id or "")
        say(f"{again.id} {shown(again)}; the same numbers: {again.logprobs == reply.logprobs}")

        say("== stream")
        with client.responses.stream(input=CAPITAL, max_output_tokens=12, **fields) as stream:
            say(" ".join(f"{event.sequence_number}:{event.type.removeprefix('response.')}" for event in stream))
        say(shown(stream.response))

        say("== a stream whose connection is cut behind event 5")
        background = {**fields, "background": True}
        with (
            relay(options.base_url, cut_after=6) as address,
            nxlog.Client(provider="vllm", base_url=address) as other,
            other.responses.stream(input=CAPITAL, max_output_tokens=12, **background) as broken,
        ):
            say("events " + " ".join(str(event.sequence_number) for event in broken))
        say(shown(broken.response))
        whole, deltas = stream.response.logprobs, broken.response.logprobs
        same = [r.logprob for r in whole.content] == [r.logprob for r in deltas.content] if whole and deltas else False
        say(f"the numbers of the stream that was not cut: {same}")
        for warning in broken.response.warnings:
            say(f"warning: {warning}")

        say("== background, polled")
        job = client.responses.create(input=CAPITAL, max_output_tokens=24, **background)
        say(f"{job.id} {job.status}")
        say(shown(client.responses.wait(job)))

        say("== cancel")
        job = client.responses.create(input=LONG, max_output_tokens=400, **background)
        say(f"created: {job.status}")
        say(f"cancelled: {client.responses.cancel(job).status}")
        say(f"cancelled again: {client.responses.cancel(job).status}")
        say(f"retrieved: {client.responses.retrieve(job.id or '').status}")
        try:
            client.responses.retrieve("resp_0000000000000000")
        except nxlog.ResponseNotFoundError as error:
            say(f"another id: {type(error).__name__}: {error}")

        for state in ("server", "client"):
            say(f"== three turns, kept by the {state}")
            session = ResponseSession(client, state=state, max_output_tokens=16, **fields)  # type: ignore[arg-type]
            for text in ("My name is Ada. Say hello to me.", "What is my name?", "Spell it backwards."):
                answer = session.create(text)
                say(f"prompt of {answer.usage and answer.usage.prompt_tokens} tokens: {shown(answer)}")

        say("== a stream that is cancelled by somebody else while it is read")
        start = time.monotonic()
        watchdog = Watchdog(idle=3.0)
        with client.responses.stream(input=LONG, max_output_tokens=400, watchdog=watchdog, **background) as hanging:
            for event in hanging:
                if event.sequence_number == 8:
                    say(f"at event 8: {client.responses.cancel(hanging.response.id or '').status}")
        say(f"ended after {time.monotonic() - start:.0f} s: {shown(hanging.response)}")
        for warning in hanging.response.warnings:
            say(f"warning [{warning.code}]: {warning}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
