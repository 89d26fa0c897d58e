"""Body bytes to a typed reply, without any network; and reading all of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import payloads
from harness import OURS, Scenario, Target, optional, timed

from nxlog import ChatRequest
from nxlog._config import Config
from nxlog.call import chat
from nxlog.exchange import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nxlog import ChatResponse

HEADERS = {"content-type": "application/json"}


def decoders(size: str) -> dict[str, Callable[[bytes], Any]]:
    """Who can read a body, each by the way its users have."""
    found: dict[str, Callable[[bytes], Any]] = {OURS: nxlog_decoder(size), "json.loads": json.loads}
    if orjson := optional("orjson"):
        found["orjson.loads"] = orjson.loads
    if types := optional("openai.types.chat"):
        found["openai"] = lambda body: types.ChatCompletion.construct(**json.loads(body))
    return found


def nxlog_decoder(size: str) -> Callable[[bytes], ChatResponse]:
    """All that ``Client.chat`` does once the body is here: decode, check what was delivered, add the warnings."""
    config = Config(
        provider="openai",
        base_url="http://127.0.0.1/v1",
        api_key="sk-benchmark",
        wire=None,
        on_unsupported="warn",
        on_unknown="try",
        registry=None,
        variables=None,
    )
    request = ChatRequest(
        model="gpt-4.1",
        messages=[{"role": "user", "content": "Say something."}],
        top_logprobs=payloads.SIZES[size].alternatives,
    )

    def decode(body: bytes) -> ChatResponse:
        flow = chat(config.call(request, stream=False))
        next(flow)
        try:
            flow.send(HttpResponse(200, HEADERS, body))
        except StopIteration as stop:
            return stop.value
        raise AssertionError("one response is all that a call needs")

    return decode


def walk(reply: Any) -> float:
    """Look at every record and every alternative of an object."""
    total = 0.0
    for token in reply.choices[0].logprobs.content:
        total += token.logprob + len(token.token)
        for top in token.top_logprobs:
            total += top.logprob + len(top.token)
    return total


def walk_dicts(reply: Any) -> float:
    """The same of parsed JSON."""
    total = 0.0
    for token in reply["choices"][0]["logprobs"]["content"]:
        total += token["logprob"] + len(token["token"])
        for top in token["top_logprobs"]:
            total += top["logprob"] + len(top["token"])
    return total


def columns(reply: ChatResponse) -> object:
    """What bulk work reads instead."""
    assert reply.logprobs is not None
    return reply.logprobs.columns()


def scenarios(*, repeat_small: int) -> Iterator[Scenario]:
    """Decoding, and decoding followed by a walk."""
    for size, repeat in (("500x5", repeat_small), ("4000x20", 1)):
        body = payloads.body(size)
        known = decoders(size)
        yield Scenario(
            f"decode {size}",
            "ms",
            {name: timed(_repeated(decode, body, repeat), per=repeat) for name, decode in known.items()},
            reference="orjson.loads",
            target=Target("ratio", 1.0, "at most 1.0x"),
        )
        readers: dict[str, Callable[[bytes], Any]] = {
            name: _then(decode, walk_dicts if "loads" in name else walk) for name, decode in known.items()
        }
        readers["nxlog, columns()"] = _then(known[OURS], columns)
        yield Scenario(
            f"decode and walk {size}",
            "ms",
            {name: timed(_repeated(read, body, repeat), per=repeat) for name, read in readers.items()},
            reference="orjson.loads",
        )


def _repeated(run: Callable[[bytes], Any], body: bytes, times: int) -> Callable[[], object]:
    def turn() -> object:
        result = None
        for _ in range(times):
            result = run(body)
        return result

    return turn


def _then(decode: Callable[[bytes], Any], read: Callable[[Any], object]) -> Callable[[bytes], object]:
    def run(body: bytes) -> object:
        reply = decode(body)
        read(reply)
        return reply

    return run
