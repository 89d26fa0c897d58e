"""Client and AsyncClient: where a request goes, with what, and what comes back.

The HTTP layer is httpx's own mock transport; what it answers are real captures of vLLM where a reply matters.
"""

from __future__ import annotations

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

import nxlog
from nxlog import AsyncClient, ChatRequest, Client, ParameterWarningCategory, Registry
from nxlog.warnings import WarningCode, WarningSeverity

FIXTURES = Path(__file__).parent.parent / "fixtures"
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "..."}]
SEED = ChatRequest(model="gpt-5.4", messages=MESSAGES, logprobs=True, top_logprobs=5)  # type: ignore[arg-type]


def recorded(name: str) -> bytes:
    cassette = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"))
    return cassette["interactions"][0]["response"]["body"]["string"].encode()


class Wire:
    """A mock transport that remembers requests and answers with recorded replies of the right wire."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        anthropic = request.url.path.endswith("/messages")
        name = "anthropic/messages" if anthropic else "openai/chat_logprobs"
        if self.body.get("stream"):
            content = recorded(name + "_stream")
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content)
        return httpx.Response(200, headers={"content-type": "application/json"}, content=recorded(name))

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.requests[-1].content)

    def client(self, **options: Any) -> Client:
        return Client(http_client=httpx.Client(transport=httpx.MockTransport(self)), **options)

    def async_client(self, **options: Any) -> AsyncClient:
        return AsyncClient(http_client=httpx.AsyncClient(transport=httpx.MockTransport(self)), **options)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-from-the-environment")


# -- the seed usage -------------------------------------------------------------------------------------------------


def test_seed_usage_sends_first_class_fields(wire: Wire) -> None:
    """B-02: the fields of the request are the fields on the wire, and the reply is typed."""
    with wire.client(provider="openai") as client:
        reply = client.chat(SEED.with_top_logprobs(2).model_copy(update={"model": "gpt-4o"}))
    assert (wire.body["logprobs"], wire.body["top_logprobs"]) == (True, 2)
    assert not reply.warnings
    assert str(wire.requests[0].url) == "https://api.openai.com/v1/chat/completions"
    assert wire.requests[0].headers["authorization"] == "Bearer sk-from-the-environment"
    assert reply.provider == "openai"
    assert reply.logprobs is not None
    assert all(isinstance(token, nxlog.TokenLogprob) for token in reply.logprobs.content)
    assert isinstance(reply.logprobs.content[0].top_logprobs[0], nxlog.TopLogprob)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_seed_usage_is_clamped_by_the_rule_for_the_model(wire: Wire, stream: bool) -> None:
    request = SEED.with_top_logprobs(9)
    with wire.client(provider="openai") as client, pytest.warns(ParameterWarningCategory):
        if stream:
            with client.stream(request) as events:
                early = events.warnings
        else:
            early = client.chat(request).warnings
    assert wire.body["top_logprobs"] == 5
    clamped = [(w.parameter, w.requested, w.applied) for w in early if w.code is WarningCode.CLAMPED]
    assert clamped == [("top_logprobs", 9, 5)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_seed_usage_is_dropped_while_the_model_reasons(wire: Wire, stream: bool) -> None:
    request = SEED.model_copy(update={"reasoning_effort": "high"})
    with wire.client(provider="openai") as client, pytest.warns(ParameterWarningCategory):
        if stream:
            with client.stream(request) as events:
                found = events.warnings
        else:
            found = client.chat(request).warnings
    assert {"logprobs", "top_logprobs"}.isdisjoint(wire.body)
    assert [(w.parameter, w.code) for w in found] == [("logprobs", WarningCode.REASONING_CONFLICT)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_anthropic_gets_nothing_about_logprobs(wire: Wire, stream: bool) -> None:
    """B-05: dropped with one structured info warning, for a stream before its first chunk; the answer comes."""
    request = SEED.model_copy(update={"model": "claude-sonnet-4-5"})
    with wire.client(provider="anthropic") as client, pytest.warns(ParameterWarningCategory, match="logprobs"):
        if stream:
            with client.stream(request) as events:
                (found,) = events.warnings
                list(events)
                reply = events.response
        else:
            reply = client.chat(request)
            (found,) = reply.warnings
    assert (found.parameter, found.severity) == ("logprobs", WarningSeverity.INFO)
    assert b"logprob" not in wire.requests[0].content
    assert reply.logprobs is None
    assert reply.text
    assert reply.warnings == [found]


def test_raise_sends_nothing(wire: Wire) -> None:
    with wire.client(provider="anthropic", on_unsupported="raise") as client:
        with pytest.raises(nxlog.UnsupportedParameterError) as caught:
            client.chat(SEED)
        with pytest.raises(nxlog.UnsupportedParameterError):
            client.stream(SEED)
    assert caught.value.param == "logprobs"
    assert not wire.requests


def test_a_request_without_logprobs_looks_as_if_they_did_not_exist(wire: Wire) -> None:
    """B-20: byte identity, absent fields omitted, nothing null."""
    plain = ChatRequest(model="gpt-4o", messages=MESSAGES, temperature=0)  # type: ignore[arg-type]
    with wire.client(provider="openai") as client:
        client.chat(plain)
        client.chat(plain.model_copy(update={"logprobs": None, "top_logprobs": None}))
    first, second = (request.content for request in wire.requests)
    assert first == second
    assert first == b'{"model":"gpt-4o","messages":[{"role":"user","content":"..."}],"temperature":0.0}'


def test_legacy_options_are_taken_out_and_the_new_spelling_is_shown(wire: Wire) -> None:
    """B-07."""
    with wire.client(provider="openai") as client, pytest.warns(ParameterWarningCategory, match="logprobs=True"):
        reply = client.chat(
            model="gpt-4o", messages=MESSAGES, provider_options={"logprobs": True, "top_logprobs": 5, "user": "u1"}
        )
    assert wire.body["user"] == "u1"
    assert {"logprobs", "top_logprobs"}.isdisjoint(wire.body)
    assert [w.code for w in reply.warnings] == ["migration"]


# -- where a request goes -------------------------------------------------------------------------------------------


def test_the_model_name_says_the_provider(wire: Wire) -> None:
    with wire.client() as client:
        client.chat(model="openai/gpt-4o-mini", messages=MESSAGES)
        client.chat(model="anthropic/claude-sonnet-4-5", messages=MESSAGES)
    hosts = [request.url.host for request in wire.requests]
    assert hosts == ["api.openai.com", "api.anthropic.com"]
    assert wire.requests[1].headers["x-api-key"] == "sk-ant-from-the-environment"
    assert "authorization" not in wire.requests[1].headers
    assert wire.body["model"] == "claude-sonnet-4-5"


def test_a_server_of_ones_own_needs_no_provider(wire: Wire) -> None:
    with wire.client(base_url="http://127.0.0.1:9/v1/") as client:
        reply = client.chat(model="org/some-model", messages=MESSAGES, logprobs=True)
    assert str(wire.requests[0].url) == "http://127.0.0.1:9/v1/chat/completions"
    assert wire.body["model"] == "org/some-model"
    assert wire.body["logprobs"] is True, "nothing is known of it, so it is tried"
    assert reply.logprobs is not None


def test_on_unknown_drop_is_the_strict_reading(wire: Wire) -> None:
    with (
        wire.client(base_url="http://127.0.0.1:9/v1", on_unknown="drop") as client,
        pytest.warns(ParameterWarningCategory),
    ):
        reply = client.chat(model="m", messages=MESSAGES, logprobs=True)
    assert "logprobs" not in wire.body
    assert [w.code for w in reply.warnings if w.parameter == "logprobs"] == ["unknown_support"]


def test_a_registry_of_ones_own(wire: Wire) -> None:
    registry = Registry.builtin().with_(
        providers={
            "acme": {
                "display_name": "Acme",
                "kind": "hosted",
                "docs": "https://acme.example",
                "base_url": "https://api.acme.example/v9",
                "auth": {"required": False},
                "wires": {"openai-chat": {"path": "/talk"}},
            }
        },
        capabilities={"acme": {"claims": {"logprobs": {"value": "no"}}}},
    )
    with wire.client(registry=registry) as client, pytest.warns(ParameterWarningCategory):
        reply = client.chat(model="acme/one", messages=MESSAGES, logprobs=True)
    assert str(wire.requests[0].url) == "https://api.acme.example/v9/talk"
    assert reply.warnings[0].parameter == "logprobs"


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"on_unsupported": "ignore"}, "on_unsupported"),
        ({"on_unknown": "guess"}, "on_unknown"),
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": 8000}, "base_url"),
        ({"api_key": 5, "provider": "openai"}, "api_key"),
        ({"api_key": "sk-\u00e9", "provider": "openai"}, "api_key"),
        ({"api_key": "sk-whose"}, "api_key"),
        ({"timeout": -1}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"wire": "telepathy"}, "wire"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], param: str) -> None:
    with pytest.raises(nxlog.InvalidRequestError) as caught:
        Client(**options)
    assert caught.value.param == param
    assert "sk-" not in str(caught.value)


def test_unknown_provider_has_a_hint() -> None:
    with pytest.raises(nxlog.UnknownProviderError, match="'openai'"):
        Client(provider="opnai")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "gpt-4o"}, "messages"),
        ({"model": "gpt-4o", "messages": MESSAGES, "logprob": True}, "logprob"),
        ({"model": "gpt-4o", "messages": MESSAGES, "logprobs": "yes"}, "got str"),
        ({"model": "gpt-4o", "messages": MESSAGES, "logprobs": False, "top_logprobs": 2}, "logprobs=False"),
        ({"model": "gpt-4o", "messages": []}, "messages"),
    ],
)
def test_wrong_fields_are_named(wire: Wire, fields: dict[str, Any], says: str) -> None:
    with wire.client(provider="openai") as client, pytest.raises(nxlog.InvalidRequestError, match=says):
        client.chat(**fields)
    assert not wire.requests


def test_a_request_and_fields_do_not_mix(wire: Wire) -> None:
    with wire.client(provider="openai") as client:
        with pytest.raises(nxlog.InvalidRequestError, match="not both"):
            client.chat(SEED, temperature=1)
        with pytest.raises(nxlog.InvalidRequestError, match="got dict"):
            client.chat({"model": "gpt-4o"})  # type: ignore[arg-type]


def test_a_stream_is_used_inside_with(wire: Wire) -> None:
    with wire.client(provider="openai") as client:
        stream = client.stream(SEED)
        with pytest.raises(nxlog.InvalidRequestError, match=r"with client\.stream"):
            next(stream)
        with pytest.raises(nxlog.InvalidRequestError, match=r"with client\.stream"):
            _ = stream.response


# -- warnings, threads, async ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_python_warnings_point_at_the_caller(wire: Wire, stream: bool) -> None:
    with wire.client(provider="openai") as client, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if stream:
            with client.stream(SEED.with_top_logprobs(9)):
                pass
        else:
            client.chat(SEED.with_top_logprobs(9))
    assert {Path(warning.filename).name for warning in caught} == {"test_client.py"}
    assert caught[0].category is ParameterWarningCategory


@pytest.mark.anyio
async def test_async_warnings_point_at_the_caller(wire: Wire, anyio_backend: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with wire.async_client(provider="openai") as client:
            await client.chat(SEED.with_top_logprobs(9))
            async with client.stream(SEED.with_top_logprobs(9)):
                pass
    assert len(caught) >= 2
    assert {Path(warning.filename).name for warning in caught} == {"test_client.py"}


def test_warnings_made_errors_close_the_stream(wire: Wire) -> None:
    with wire.client(provider="openai") as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = client.stream(SEED.with_top_logprobs(9))
        with pytest.raises(ParameterWarningCategory):
            stream.__enter__()
    assert stream.response.text == ""


def test_one_client_in_many_threads(wire: Wire) -> None:
    results: list[str] = []
    with wire.client(provider="openai") as client:

        def ask() -> None:
            results.append(client.chat(model="gpt-4o", messages=MESSAGES).text)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


@pytest.mark.anyio
async def test_sync_and_async_give_the_same(wire: Wire, anyio_backend: str) -> None:
    """Promise 5: one implementation."""
    request = ChatRequest(model="gpt-4o", messages=MESSAGES, top_logprobs=2)  # type: ignore[arg-type]
    with wire.client(provider="openai") as client:
        whole = client.chat(request)
        with client.stream(request) as events:
            chunks = list(events)
    async with wire.async_client(provider="openai") as client:
        assert await client.chat(request) == whole
        async with client.stream(request) as stream:
            assert [chunk async for chunk in stream] == chunks
            assert stream.response.choices == whole.choices


@pytest.mark.anyio
async def test_many_calls_at_once(wire: Wire, anyio_backend: str) -> None:
    texts: list[str] = []
    async with wire.async_client(provider="openai") as client, anyio.create_task_group() as tasks:

        async def ask() -> None:
            texts.append((await client.chat(model="gpt-4o", messages=MESSAGES)).text)

        for _ in range(20):
            tasks.start_soon(ask)
    assert len(texts) == 20


def test_capabilities_and_manifest_are_public() -> None:
    assert nxlog.capabilities("openai/gpt-4o").max_top_logprobs == 20
    assert nxlog.capabilities("anthropic/claude-sonnet-4-5").supports_logprobs is False
    assert "evidence" not in nxlog.capability_manifest().model_dump_json()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_wire_has_no_field_for_is_said(wire: Wire, stream: bool) -> None:
    """Nothing is claimed about a server of one's own, and its wire still cannot carry everything."""
    asked = {"seed": 7, "n": 2, "frequency_penalty": 0.5, "logprobs": True}
    request = ChatRequest(model="m", messages=MESSAGES, **asked)  # type: ignore[arg-type]
    with (
        wire.client(base_url="http://127.0.0.1:9/v1", wire="anthropic-messages") as client,
        pytest.warns(ParameterWarningCategory),
    ):
        if stream:
            with client.stream(request) as events:
                found = events.warnings
        else:
            found = client.chat(request).warnings
    assert {warning.parameter for warning in found} == set(asked)
    assert asked.keys().isdisjoint(wire.body)
