"""The fake provider. What is real: everything of the client, the gate, the wire, delivery; only no socket is opened."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog import (
    AsyncClient,
    BadRequestError,
    ChatResponse,
    Client,
    DecodeError,
    IncompleteStreamError,
    NetworkError,
    ParameterWarningCategory,
    RateLimitError,
    Registry,
    ServerError,
    TokenLogprob,
    UnknownProviderError,
    WarningCode,
)
from nxlog.testing import FakeProvider, FakeReply

if TYPE_CHECKING:
    from collections.abc import Iterator

HI: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "Is ice water?"}]}
MODES = ["sync", "asyncio", "trio"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        yield


def chat(fake: FakeProvider, mode: str = "sync", **fields: Any) -> ChatResponse:
    if mode == "sync":
        with fake.client() as client:
            return client.chat(**HI | fields)

    async def main() -> ChatResponse:
        async with fake.async_client() as client:
            return await client.chat(**HI | fields)

    return anyio.run(main, backend=mode)


def stream(fake: FakeProvider, mode: str = "sync", **fields: Any) -> tuple[list[Any], ChatResponse]:
    if mode == "sync":
        with fake.client() as client, client.stream(**HI | fields) as streamed:
            return list(streamed), streamed.response

    async def main() -> tuple[list[Any], ChatResponse]:
        async with fake.async_client() as client, client.stream(**HI | fields) as streamed:
            return [chunk async for chunk in streamed], streamed.response

    return anyio.run(main, backend=mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_text_comes_with_numbers(mode: str) -> None:
    fake = FakeProvider()
    for _ in range(2):
        fake.reply("Ice is frozen water.")
    whole = chat(fake, mode, top_logprobs=3)
    chunks, streamed = stream(fake, mode, top_logprobs=3)
    assert whole.text == streamed.text == "Ice is frozen water."
    assert whole.choices == streamed.choices
    assert whole.warnings == streamed.warnings == []
    assert [chunk.delta for chunk in chunks if chunk.delta] == ["Ice", " is", " frozen", " water."]
    assert whole.logprobs is not None
    for token in whole.logprobs:
        tops = token.top_logprobs
        assert len(tops) == 3
        assert tops[0].token == token.token
        assert sum(math.exp(top.logprob or 0) for top in tops) < 1
    assert (whole.provider, whole.model, fake.left) == ("mock", "any", 0)
    assert [request.body.get("stream", False) for request in fake.requests] == [False, True]


def test_tokens_are_what_was_scripted() -> None:
    fake = FakeProvider()
    whole_record = TokenLogprob.build("Yes", -0.1, bytes=b"Yes", token_id=7)
    script = [whole_record, (" or", None, {" or": -0.5, " no": -9999.0}), ("\ud83c"[:0], -math.inf)]
    fake.reply(script)
    reply = chat(fake, top_logprobs=1)
    records = reply.logprobs
    assert records is not None
    assert records[0] == whole_record
    assert (records[1].logprob, [top.token for top in records[1].top_logprobs]) == (None, [" or"])
    assert records[2].logprob == -math.inf
    codes = {warning.code for warning in reply.warnings}
    assert codes >= {WarningCode.MASKED, WarningCode.MISSING_VALUE, WarningCode.FEWER_ALTERNATIVES}


def test_chunks_carry_as_many_tokens_as_wanted() -> None:
    """Also none, and the halves of a character."""
    fake = FakeProvider()
    halves = [TokenLogprob.build("", -0.5, bytes=half) for half in ("é".encode()[:1], "é".encode()[1:])]
    fake.reply([("a", -0.1), *halves, ("b", -0.2), ("c", -0.3)], chunks=[2, 0, 1, 1])
    chunks, reply = stream(fake, logprobs=True)
    assert reply.text == "aébc"
    carried = [(chunk.delta, len(chunk.logprobs or ())) for chunk in chunks[:4]]
    assert carried == [("a", 2), ("", 0), ("é", 1), ("bc", 2)]
    assert len(reply.logprobs or ()) == 5


def test_channels_and_choices() -> None:
    fake = FakeProvider()
    thinking = FakeReply(reasoning=[("hm", -0.7)], tokens=[("Yes", -0.1)])
    refusing = FakeReply(refusal=[("No", -0.2), (".", -0.1)])
    calling = FakeReply(tool_calls=[("look", {"at": "é"})])
    for _ in range(2):
        fake.reply(thinking, refusing, calling)
    for reply in (chat(fake, n=3, logprobs=True), stream(fake, n=3, logprobs=True)[1]):
        first, second, third = reply.choices
        assert (first.reasoning, first.text, second.refusal) == ("hm", "Yes", "No.")
        assert first.logprobs is not None
        assert [token.token for token in first.logprobs.reasoning or ()] == ["hm"]
        assert second.logprobs is not None
        assert [token.logprob for token in second.logprobs.refusal or ()] == [-0.2, -0.1]
        assert (third.tool_calls[0].function.name, third.finish_reason) == ("look", "tool_calls")


@pytest.mark.parametrize(
    ("script", "fields", "code"),
    [
        ({"logprobs": False}, {"logprobs": True}, WarningCode.NOT_DELIVERED),
        ({"completion_tokens": 9}, {"logprobs": True}, WarningCode.FEWER_RECORDS),
        ({}, {"n": 2}, WarningCode.FEWER_CHOICES),
    ],
)
def test_what_a_server_loses_is_a_warning(script: dict[str, Any], fields: dict[str, Any], code: WarningCode) -> None:
    fake = FakeProvider()
    for _ in range(2):
        fake.reply("Yes it is", **script)
    assert [warning.code for warning in chat(fake, **fields).warnings] == [code]
    assert [warning.code for warning in stream(fake, **fields)[1].warnings] == [code]


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"logprobs": "no"}, WarningCode.UNSUPPORTED),
        ({"top_logprobs": {"value": "yes", "max": 5}}, WarningCode.CLAMPED),
    ],
)
def test_claims_make_the_gate_work(claims: dict[str, Any], code: WarningCode) -> None:
    fake = FakeProvider(claims=claims)
    fake.reply("Yes")
    reply = chat(fake, top_logprobs=9)
    assert [warning.code for warning in reply.warnings] == [code]
    assert fake.requests[0].body.get("top_logprobs") == (5 if code is WarningCode.CLAMPED else None)


def test_a_server_may_refuse_logprobs() -> None:
    fake = FakeProvider(claims={"logprobs": "unknown"})
    fake.fail(400, "logprobs are not supported with reasoning models", param="logprobs")
    fake.reply("Yes")
    reply = chat(fake, logprobs=True)
    assert (reply.text, [warning.code for warning in reply.warnings]) == ("Yes", [WarningCode.REFUSED])
    assert ["logprobs" in request.body for request in fake.requests] == [True, False]


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_those_of_production(mode: str) -> None:
    fake = FakeProvider()
    fake.fail(429, "slow down", code="rate_limited", retry_after=3)
    with pytest.raises(RateLimitError, match="slow down") as caught:
        chat(fake, mode)
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 3)
    fake.fail(400, "what?")
    with pytest.raises(BadRequestError):
        stream(fake, mode)
    ends: list[tuple[Any, type[Exception], type[Exception] | None]] = [
        ("cut", IncompleteStreamError, DecodeError),
        ("broken", NetworkError, NetworkError),
        ("error", ServerError, None),
    ]
    for end, streamed, whole in ends:
        fake.reply("one two three four", ends=end)
        with pytest.raises(streamed):
            stream(fake, mode)
        if whole is not None:
            fake.reply("one two three four", ends=end)
            with pytest.raises(whole):
                chat(fake, mode)


def test_a_retry_takes_the_next_of_the_script() -> None:
    fake = FakeProvider()
    fake.fail(503, "busy", retry_after=0)
    fake.reply("Yes")
    with fake.client(retries=1) as client:
        assert client.chat(**HI).text == "Yes"


def test_a_script_that_is_over_says_so() -> None:
    fake = FakeProvider()
    with pytest.raises(AssertionError, match="0 replies of the fake provider were scripted"):
        chat(fake)


def test_another_model_than_asked_may_answer() -> None:
    fake = FakeProvider()
    fake.reply("Yes", model="any-2026-11-01")
    assert chat(fake).model == "any-2026-11-01"


@pytest.mark.parametrize("mode", MODES)
def test_installed_every_client_knows_it(mode: str) -> None:
    fake = FakeProvider()
    fake.reply("Yes")
    with fake.installed():
        if mode == "sync":
            with Client() as client:
                replies = [client.chat(**HI | {"model": f"{name}/x"}, logprobs=True) for name in ("mock", "loopback")]
        else:

            async def main() -> list[ChatResponse]:
                async with AsyncClient() as client:
                    return [
                        await client.chat(**HI | {"model": f"{name}/x"}, logprobs=True) for name in ("mock", "loopback")
                    ]

            replies = anyio.run(main, backend=mode)
    assert [reply.text for reply in replies] == ["Yes", "Is ice water?"]
    assert [reply.provider for reply in replies] == ["mock", "loopback"]
    assert len(replies[1].logprobs or ()) == 3
    with Client() as client, pytest.raises(UnknownProviderError):
        client.chat(**HI | {"model": "mock/x"})
    assert "mock" not in Registry.default()


def test_loopback_says_what_it_is_told() -> None:
    fake = FakeProvider()
    with fake.client(provider="loopback") as client:
        parts = [{"type": "text", "text": "one two"}, {"type": "text", "text": " three"}]
        reply = client.chat(model="m", messages=[{"role": "user", "content": parts}], max_tokens=2, n=2)
    assert [choice.text for choice in reply.choices] == ["one two"] * 2
    assert reply.finish_reason == "length"
