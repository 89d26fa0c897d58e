"""Every provider x whole reply and stream x sync, asyncio, trio, replayed through the real client.

What is real: the bytes of the replies (captured from engines, or written in the documented shape, as each cassette
says), the client, its transport up to the socket. A provider is tested because its files exist.
"""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import vcr

from nxlog import (
    AsyncClient,
    ChatRequest,
    ChatResponse,
    Client,
    ParameterWarningCategory,
    Registry,
    ToolCall,
    accumulate,
)
from nxlog.registry import CLAIM_NAMES, TRAIT_NAMES, CapabilityStatus, Requirement
from nxlog.warnings import WarningCode, WarningSource
from tests.conformance.cassettes import CASES, FIXTURES, PROVIDERS, Case
from tests.conformance.readers import reader

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERED = [case for case in CASES if case.status == 200 and "err_" not in case.name]
DRIVERS = ["sync", "asyncio", "trio"]
KEY = "test-key-that-must-not-leak"


@contextmanager
def replaying(case: Case) -> Iterator[list[dict[str, Any]]]:
    """The cassette in place of the network; gives the bodies that the client sends."""
    sent: list[dict[str, Any]] = []

    def same_place(actual: Any, recorded: Any) -> None:
        if actual is not recorded:
            sent.append(json.loads(actual.body))
            assert actual.uri == recorded.uri

    tape = vcr.VCR(record_mode="none")
    tape.register_matcher("place", same_place)
    with tape.use_cassette(str(case.path), match_on=["method", "place"]) as cassette:
        yield sent
        assert cassette.all_played, "the recording was only partly played"


def options(case: Case) -> dict[str, Any]:
    return {
        "provider": case.provider,
        "wire": case.wire,
        "base_url": case.place.base_url,
        "variables": case.place.variables,
        "api_key": KEY,
        "retries": 0,
    }


def run(case: Case, driver: str, request: ChatRequest, **more: Any) -> tuple[ChatResponse, list[dict[str, Any]]]:
    """The reply as the driver gets it, and what was sent."""
    arguments = {**options(case), **more}
    with replaying(case) as sent, warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        if driver == "sync":
            reply = run_sync(case, request, arguments)
        else:
            reply = anyio.run(run_async, case, request, arguments, backend=driver)
    return reply, sent


def run_sync(case: Case, request: ChatRequest, arguments: dict[str, Any]) -> ChatResponse:
    with Client(**arguments) as client:
        if not case.stream:
            return client.chat(request)
        with client.stream(request) as stream:
            known_early = stream.warnings
            chunks = list(stream)
        return same_twice(chunks, stream.response, known_early)


async def run_async(case: Case, request: ChatRequest, arguments: dict[str, Any]) -> ChatResponse:
    async with AsyncClient(**arguments) as client:
        if not case.stream:
            return await client.chat(request)
        async with client.stream(request) as stream:
            known_early = stream.warnings
            chunks = [chunk async for chunk in stream]
        return same_twice(chunks, stream.response, known_early)


def same_twice(chunks: list[Any], response: ChatResponse, known_early: list[Any]) -> ChatResponse:
    assert accumulate(chunks).choices == response.choices
    assert response.warnings[: len(known_early)] == known_early
    return response


def texts(case: Case) -> dict[int, str]:
    """The answers by choice, as a naive reader finds them."""
    found: dict[int, str] = {}
    for event in case.events():
        for part in reader(case.wire).parts(event):
            before = "" if reader(case.wire).cumulative else found.get(part.index, "")
            found[part.index] = before + (part.said.get("content") or "")
    return found


def test_every_provider_has_a_reply_and_a_stream() -> None:
    """Fixtures are evidence, so nobody goes without."""
    assert {provider.id for provider in Registry.builtin()} == {provider.id for provider in PROVIDERS}
    for provider in PROVIDERS:
        kinds = {case.stream for case in ANSWERED if case.provider == provider.id}
        streams = Registry.builtin().claims(provider.id).claims.streaming.value is not CapabilityStatus.NO
        assert kinds == ({False, True} if streams else {False}), provider.id


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: f"{case.provider}-{case.name}")
def test_replayed(case: Case, driver: str) -> None:
    """Nothing asked for disappears in silence, no record is lost, nothing is sent against a claim."""
    request = case.request()
    reply, (sent, *_) = run(case, driver, request)
    understood = reader(case.wire).request(sent)
    found, naive = {choice.index: choice.text for choice in reply.choices}, texts(case)
    assert {index: found.get(index) for index in naive} == naive
    assert all(choice.finish_reason for choice in reply.choices)

    changed = {warning.parameter for warning in reply.warnings if warning.source is not WarningSource.RESPONSE}
    asked = understood.get("logprobs")
    said = Registry.builtin().capabilities(case.provider, request.model, wire=case.wire)
    claim = said.claim("streaming_logprobs" if case.stream else "logprobs")
    if not changed:
        expected = reader(case.wire).request(case.body)
        if asked and Requirement.TOP_LOGPROBS in said.claim("logprobs").requires:
            expected.setdefault("top_logprobs", 1)
        assert understood == expected
    if claim.value is CapabilityStatus.NO:
        assert not asked
    if request.logprobs and not asked:
        assert "logprobs" in changed
    if not request.logprobs:
        assert not asked
        assert "logprobs" not in changed

    received = sum(
        len(part)
        for choice in reply.choices
        if choice.logprobs
        for part in (choice.logprobs.content, choice.logprobs.refusal, choice.logprobs.reasoning)
        if part
    )
    assert received == case.record_count()
    if asked and not received and reply.text:
        assert WarningCode.NOT_DELIVERED in {warning.code for warning in reply.warnings}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["chat_logprobs", "chat_logprobs_stream"])
def test_a_silent_dropper_is_noticed(name: str, driver: str) -> None:
    """Real transformers serve: it answers 200 and ignores logprobs. Without its claims the reply still says so."""
    (case,) = [case for case in CASES if (case.provider, case.name) == ("transformers-serve", name)]
    registry = Registry.builtin().with_(
        capabilities={
            case.provider: {"claims": {"logprobs": {"value": "unknown"}, "streaming_logprobs": {"value": "unknown"}}}
        }
    )
    reply, (sent, *_) = run(case, driver, case.request(), registry=registry)
    assert sent["logprobs"] is True
    assert [w.code for w in reply.warnings if w.parameter == "logprobs"] == [WarningCode.NOT_DELIVERED]
    assert reply.logprobs is None


LOSSLESS = {
    "vllm": ("chat_logprobs", "emoji_chat", "chat_tools_required", "emoji_completions"),
    "llamacpp": ("emoji_completions", "native_completion_nprobs", "native_completion_emoji"),
    "llama-cpp-python": ("chat_logprobs", "chat_eos", "chat_tools_required", "emoji"),
    "ollama": ("native_chat", "chat_logprobs"),
    "tgi": ("generate", "chat_logprobs"),
    "sglang-jax": ("generate",),
    "lmstudio": ("responses_logprobs",),
    "koboldcpp": ("chat_logprobs",),
    "tabbyapi": ("chat_logprobs",),
    "lmdeploy": ("chat_logprobs",),
    "mlc": ("chat_logprobs",),
    "openai": ("chat_logprobs", "chat_n2", "chat_refusal", "chat_tools"),
    "deepseek": ("chat_reasoning_logprobs",),
    "anthropic": ("messages", "messages_thinking", "messages_tools"),
}
"""Servers that send the same answer whole and in a stream, by cassette name."""

LOSSY_IDS = {("llamacpp", "native_completion_emoji")}
"""Of a character of several tokens a stream has the id of the last one."""


@pytest.mark.parametrize(("provider", "name"), [(p, name) for p, names in LOSSLESS.items() for name in names])
def test_accumulated_stream_equals_the_whole_reply(provider: str, name: str) -> None:
    """Promise 3, on real captures of vLLM and both llama.cpp servers, and on documented pairs."""
    by_name = {case.name: case for case in CASES if case.provider == provider}
    whole, _ = run(by_name[name], "sync", by_name[name].request())
    streamed, _ = run(by_name[f"{name}_stream"], "sync", by_name[f"{name}_stream"].request())

    def comparable(reply: ChatResponse) -> list[Any]:
        # Ids of tool calls are random in the captures; Anthropic sends arguments whole as an object, not as text.
        changes: dict[str, Any] = {"token_ids": None} if (provider, name) in LOSSY_IDS else {}
        return [
            choice.model_copy(update=changes | {"tool_calls": [comparable_call(call) for call in choice.tool_calls]})
            for choice in reply.choices
        ]

    def comparable_call(call: ToolCall) -> tuple[str, Any]:
        arguments = call.function.arguments
        return call.function.name, json.loads(arguments) if provider == "anthropic" else arguments

    assert comparable(streamed) == comparable(whole)


LOSSY = {
    ("sglang", "emoji_chat_stream"): (3, 10),
    ("sglang", "chat_logprobs_stream"): (7, 8),
    ("llamacpp", "emoji_chat_stream"): (3, 10),
    ("llamacpp", "native_completion_emoji_stream"): (12, 16),
    ("vllm", "responses_logprobs_stream"): (6, 7),
    ("vllm", "emoji_responses_stream"): (3, 10),
    ("vllm", "think_11_reasoning_responses_stream"): (14, 20),
}
"""(provider, cassette) -> (token records, generated tokens) of servers that lose some."""


@pytest.mark.parametrize("place", LOSSY, ids="-".join)
def test_a_loss_of_the_server_is_reported(place: tuple[str, str]) -> None:
    (case,) = [case for case in CASES if (case.provider, case.name) == place]
    reply, _ = run(case, "sync", case.request())
    (found,) = [warning for warning in reply.warnings if warning.code is WarningCode.FEWER_RECORDS]
    assert (found.applied, found.requested) == LOSSY[place]


def test_claims_rest_on_fixtures_that_exist() -> None:
    """Every ``captured`` claim names a cassette."""
    registry = Registry.builtin()
    missing = {
        evidence.ref
        for provider in registry
        for name in (*CLAIM_NAMES, *TRAIT_NAMES)
        for evidence in getattr(registry.claims(provider.id).claims, name).evidence
        if evidence.ref and not (FIXTURES.parent / evidence.ref).is_file()
    }
    assert not missing
