"""Record what a live vLLM makes of stored, background, cancelled and continued responses.

    python tests/tools/record_responses.py http://127.0.0.1:8000 [STORY ...]

The server is started with ``VLLM_ENABLE_RESPONSES_API_STORE=1``, except for the story ``no_store``, which is only told
when it is named. A story is a row of requests in which later ones use the ids of earlier answers; it becomes one
cassette with several interactions, ``fixtures/vllm/responses/<story>.yaml``. The exact bytes are kept, in the pieces in
which they came; only the address is replaced. Beside vcrpy's keys, a response says how it ended where that was not the
end of its body: ``cut: true``, the story closed the connection there; ``ended: hung``, nothing came for as long as the
story waits; ``ended: broken``, the server closed the connection in the middle.

httpx does the talking, not nxlog: what is recorded is the server.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from nxlog.testing.cassette import Row, render, text_or_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = Path(__file__).parent.parent.parent / "fixtures" / "vllm" / "responses"
RECORDED = "2026-11"
LICENSE = (
    "Apache-2.0, as the project: recorded by its authors; the text of the replies is by "
    "SmolLM2-135M-Instruct (Apache-2.0)"
)
PATIENCE = 12.0
"""A stream that says nothing for so many seconds hangs; the model needs 0.1 for a token."""
DROPPED = {"date", "connection", "content-length", "transfer-encoding"}
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
CAPITAL = "Name the capital of France in one word."
LONG = "Write a long story about a lighthouse."
NAME = ("My name is Ada. Say hello to me.", "What is my name?", "Spell it backwards.")


@dataclass
class Teller:
    """Sends the requests of one story and keeps what came."""

    client: httpx.Client
    model: str
    interactions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def create(self, text: object, *, stop_after: int | None = None, **fields: Any) -> Any:
        """POST /responses; of a stream, the last event that came, or the one it was stopped after."""
        body = {"model": self.model, "input": text, "temperature": 0, **fields}
        return self.send("POST", "/v1/responses", body, stop_after=stop_after)

    def get(self, id_: str, query: str = "") -> Any:
        """GET /responses/{id}."""
        return self.send("GET", f"/v1/responses/{id_}{query}")

    def cancel(self, id_: str) -> Any:
        """POST /responses/{id}/cancel."""
        return self.send("POST", f"/v1/responses/{id_}/cancel")

    def wait(self, id_: str) -> Any:
        """Poll until the response is over."""
        while (reply := self.get(id_))["status"] in {"queued", "in_progress"}:
            time.sleep(0.4)
        return reply

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, *, stop_after: int | None = None) -> Any:
        """One exchange."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"content-type": "application/json"}
        pieces: list[bytes] = []
        seconds: list[float] = []
        ended: dict[str, Any] = {}
        with self.client.stream(method, path, content=content, headers=headers) as reply:
            last = time.monotonic()
            try:
                for piece in reply.iter_raw():
                    now = time.monotonic()
                    seconds.append(round(now - last, 3))
                    pieces.append(piece)
                    last = now
                    if stop_after is not None and b"".join(pieces).count(b"\n\n") >= stop_after:
                        ended = {"cut": True}
                        break
            except httpx.ReadTimeout:
                ended = {"ended": "hung"}
            except httpx.RemoteProtocolError:
                ended = {"ended": "broken"}
        whole = b"".join(pieces)
        kept: dict[str, list[str]] = {}
        for name, value in reply.headers.multi_items():
            if name not in DROPPED:
                kept.setdefault(name, []).append(value)
        self.interactions.append(
            {
                "request": {
                    "method": method,
                    "uri": f"http://localhost:8000{path}",
                    "headers": {name: [value] for name, value in headers.items()},
                    "body": (content or b"").decode(),
                },
                "response": {
                    "status": {"code": reply.status_code, "message": reply.reason_phrase},
                    "headers": kept,
                    "body": {"string": text_or_bytes(whole)},
                    "pieces": {"sizes": Row(map(len, pieces)), "seconds": Row(seconds)},
                    **ended,
                },
            }
        )
        return _value(whole)


def _value(body: bytes) -> Any:
    """The reply, or the response object of a stream's first event, as far as there is one."""
    line = next((line[5:] for line in body.split(b"\n") if line.startswith(b"data:")), body)
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value.get("response", value)


def create_retrieve(tell: Teller) -> None:
    """A stored response, fetched again by its id."""
    tell.get(tell.create(CAPITAL, max_output_tokens=12, **LOGPROBS)["id"])


def stream_resume(tell: Teller) -> None:
    """A background stream whose connection is closed after the events 0 to 5; the rest is fetched, then all of it."""
    options: Any = {"max_output_tokens": 16, "background": True, "stream": True, "store": True, **LOGPROBS}
    id_ = tell.create(CAPITAL, stop_after=6, **options)["id"]
    tell.get(id_, "?stream=true&starting_after=5")
    tell.get(id_)
    tell.get(id_, "?stream=true")
    tell.get(id_, "?stream=true&starting_after=999")


def stream_lost(tell: Teller) -> None:
    """A stream that is not in the background is over when its connection is: nothing is stored."""
    id_ = tell.create(CAPITAL, stop_after=6, max_output_tokens=16, stream=True, store=True, **LOGPROBS)["id"]
    time.sleep(2)
    tell.get(id_, "?stream=true&starting_after=5")
    tell.get(id_)


def stream_stored(tell: Teller) -> None:
    """A stream that came to its end in the foreground: the response is stored, its events are not."""
    id_ = tell.create(CAPITAL, max_output_tokens=8, stream=True, store=True, **LOGPROBS)["id"]
    tell.get(id_)
    tell.get(id_, "?stream=true&starting_after=3")


def background(tell: Teller) -> None:
    """A background response, polled until it is completed; then a cancel that comes too late."""
    id_ = tell.create(CAPITAL, max_output_tokens=24, background=True, **LOGPROBS)["id"]
    tell.wait(id_)
    tell.cancel(id_)


def background_incomplete(tell: Teller) -> None:
    """A background response that reaches max_output_tokens."""
    tell.wait(tell.create(LONG, max_output_tokens=4, background=True, **LOGPROBS)["id"])


def cancel(tell: Teller) -> None:
    """A background response cancelled at once, and again; what it is afterwards; a turn that continues it."""
    id_ = tell.create(LONG, max_output_tokens=400, background=True, **LOGPROBS)["id"]
    tell.cancel(id_)
    tell.cancel(id_)
    time.sleep(2)
    tell.get(id_)
    tell.create("Go on.", max_output_tokens=4, previous_response_id=id_)
    tell.get(id_, "?stream=true")


def cancel_stream(tell: Teller) -> None:
    """A background stream, cancelled after 8 events; its stream, fetched again, never ends."""
    options: Any = {"max_output_tokens": 400, "background": True, "stream": True, **LOGPROBS}
    id_ = tell.create(LONG, stop_after=8, **options)["id"]
    tell.get(id_)
    tell.cancel(id_)
    tell.get(id_, "?stream=true&starting_after=7")
    tell.get(id_)
    tell.cancel(id_)


def chain(tell: Teller) -> None:
    """Three turns by previous_response_id; then the second and the third with the conversation as input."""
    first, second, third = NAME
    brief = {"instructions": "You are a concise assistant.", "max_output_tokens": 16, **LOGPROBS}
    one = tell.create(first, **brief)
    two = tell.create(second, previous_response_id=one["id"], **brief)
    tell.create(third, previous_response_id=two["id"], **brief)
    history = [_user(first), _assistant(one), _user(second)]
    two = tell.create(history, **brief)
    tell.create([*history, _assistant(two), _user(third)], **brief)


def errors(tell: Teller) -> None:
    """Ids that are unknown or none at all, and what the server does not have or take."""
    for id_ in ("resp_0000000000000000", "abc"):
        tell.get(id_)
        tell.cancel(id_)
        tell.get(id_, "?stream=true&starting_after=0")
        tell.create(CAPITAL, max_output_tokens=4, previous_response_id=id_)
    tell.send("DELETE", "/v1/responses/resp_0000000000000000")
    tell.get("resp_0000000000000000", "/input_items")
    tell.create(CAPITAL, max_output_tokens=4, background=True, store=False)
    tell.create(CAPITAL, max_output_tokens=4, stream=True, **{**LOGPROBS, "top_logprobs": 21})


def store_false(tell: Teller) -> None:
    """A response that is not to be stored: its id is unknown afterwards, also as previous_response_id."""
    id_ = tell.create(CAPITAL, max_output_tokens=8, store=False, **LOGPROBS)["id"]
    tell.get(id_)
    tell.create("And of Italy?", max_output_tokens=8, previous_response_id=id_)


def no_store(tell: Teller) -> None:
    """A server without a store: store is accepted and nothing kept, background refused, the history as input works."""
    first, second, _ = NAME
    one = tell.create(first, store=True, max_output_tokens=16, **LOGPROBS)
    tell.get(one["id"])
    tell.create(second, previous_response_id=one["id"], store=True, max_output_tokens=16, **LOGPROBS)
    tell.create([_user(first), _assistant(one), _user(second)], store=True, max_output_tokens=16, **LOGPROBS)
    tell.create(first, background=True, max_output_tokens=16, **LOGPROBS)
    tell.create(first, background=True, stream=True, store=True, max_output_tokens=16, **LOGPROBS)


def _user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def _assistant(reply: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": reply["output"][0]["content"][0]["text"]}


STORIES: tuple[Callable[[Teller], None], ...] = (
    create_retrieve,
    stream_resume,
    stream_lost,
    stream_stored,
    background,
    background_incomplete,
    cancel,
    cancel_stream,
    chain,
    errors,
    store_false,
    no_store,
)


def main() -> int:
    """Record the stories named on the command line, or all that a server with a store can tell."""
    parser = argparse.ArgumentParser(description="Record stories of the Responses API.")
    parser.add_argument("url")
    parser.add_argument("stories", nargs="*")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    options = parser.parse_args()
    timeout = httpx.Timeout(60.0, read=PATIENCE)
    with httpx.Client(base_url=options.url, timeout=timeout, headers={"connection": "close"}) as client:
        model = client.get("/v1/models").json()["data"][0]["id"]
        version = client.get("/version").json()["version"]
        for story in STORIES:
            if story.__name__ in options.stories or (not options.stories and story is not no_store):
                tell = Teller(client, model)
                story(tell)
                metadata = {
                    "evidence": "captured",
                    "provider": "vllm",
                    "engine": "vllm",
                    "engine_version": f"{version} (CPU)",
                    "recorded": RECORDED,
                    "case": story.__name__,
                    "note": (story.__doc__ or "").rstrip("."),
                    "license": LICENSE,
                }
                path = options.directory / f"{story.__name__}.yaml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(render(tell.interactions, metadata).encode("ascii"))
                sys.stdout.write(f"{story.__name__}: {len(tell.interactions)} interactions\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
