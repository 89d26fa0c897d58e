"""Calls as spans and metrics of OpenTelemetry.

What is real: the client, OpenTelemetry's SDK with its exporters in memory, and httpx or the server on the loopback
interface. The replies are made up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from nxlog import (
    AsyncClient,
    ChatRequest,
    Client,
    ConnectError,
    InvalidRequestError,
    RateLimitError,
    Registry,
    RetryPolicy,
    ServerError,
    telemetry,
)
from nxlog._watch import UNWATCHED, watch
from nxlog.telemetry.attributes import OPERATIONS, PROVIDERS
from nxlog.testing import FakeProvider, FakeReply
from nxlog.wire import NAMES
from tests.fault_server import SILENCE, FaultServer, chunk, chunked_head, refused_url, response
from tests.telemetry_sdk import Exported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fault_server import Step

PROMPT = "What of the purple zeppelin?"
ANSWER = "It floats quietly."
REQUEST = ChatRequest(
    model="some-model",
    messages=[{"role": "user", "content": PROMPT}],
    logprobs=True,
    top_logprobs=2,
    temperature=0.5,
    max_tokens=7,
    stop=["zzz-stop"],
)
ENDPOINT = {"server.address": "mock.invalid", "server.port": 80}
IDENTITY = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "mock",
    "gen_ai.request.model": "some-model",
    **ENDPOINT,
}
FAST = RetryPolicy(attempts=3, first_delay=0.0)


@pytest.fixture
def exported() -> Iterator[Exported]:
    made = Exported()
    yield made
    telemetry.uninstrument()
    made.close()


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider()


def ask(client: Client) -> None:
    with client:
        client.chat(REQUEST)


# -- whole replies ---------------------------------------------------------------------------------------------------


def assert_whole(exported: Exported) -> None:
    assert (exported.span.name, exported.span.kind) == ("chat some-model", SpanKind.CLIENT)
    assert exported.span.status.status_code is StatusCode.UNSET
    attributes = exported.attributes
    assert attributes.pop("gen_ai.response.id")
    assert attributes.pop("nxlog.logprobs.mean") == pytest.approx((-0.05 - 0.1 - 0.15) / 3)
    assert attributes == {
        **IDENTITY,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.response.model": "some-model",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": attributes["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": 3,
        "http.response.status_code": 200,
        "nxlog.attempts": 1,
        "nxlog.provider": "mock",
        "nxlog.wire": "openai-chat",
        "nxlog.request.logprobs": True,
        "nxlog.request.top_logprobs": 2,
        "nxlog.logprobs.records": 3,
        "nxlog.warnings": 0,
    }
    labels = {**IDENTITY, "gen_ai.response.model": "some-model"}
    ((said, seconds),) = exported.points("gen_ai.client.operation.duration")
    assert (said, seconds > 0) == (labels, True)
    assert ({**labels, "gen_ai.token.type": "output"}, 3) in exported.points("gen_ai.client.token.usage")
    assert len(exported.points("gen_ai.client.token.usage")) == 2
    assert exported.points("gen_ai.client.operation.time_to_first_chunk") == []


def test_a_whole_reply(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    ask(fake.client(telemetry=exported.telemetry()))
    assert_whole(exported)


@pytest.mark.anyio
async def test_a_whole_reply_async(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    async with fake.async_client(telemetry=exported.telemetry()) as client:
        await client.chat(REQUEST)
    assert_whole(exported)


def test_the_mean_is_of_what_is_a_number(fake: FakeProvider, exported: Exported) -> None:
    fake.reply([("a", -1.0), ("b", None), ("c", -9999.0), ("d", -3.0)])
    with pytest.warns(), fake.client(telemetry=exported.telemetry()) as client:
        client.chat(model="m", messages=REQUEST.messages, logprobs=True)
    found = {
        name.rpartition(".")[2]: value
        for name, value in exported.attributes.items()
        if name.startswith("nxlog.logprobs.")
    }
    assert found.pop("mean") == pytest.approx(-2.0)
    assert found == {"records": 4, "missing": 1, "masked": 1}


def test_no_record_has_no_mean(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    with fake.client(telemetry=exported.telemetry()) as client:
        client.chat(model="m", messages=REQUEST.messages)
    assert exported.attributes["nxlog.logprobs.records"] == 0
    assert not {"nxlog.logprobs.mean", "nxlog.request.logprobs"} & exported.attributes.keys()


# -- streams ---------------------------------------------------------------------------------------------------------


def assert_streamed(exported: Exported) -> None:
    attributes = exported.attributes
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["nxlog.stream.complete"] is True
    assert attributes["nxlog.logprobs.records"] == 3
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    first = attributes["gen_ai.response.time_to_first_chunk"]
    labels = {**IDENTITY, "gen_ai.response.model": "some-model"}
    assert exported.points("gen_ai.client.operation.time_to_first_chunk") == [(labels, first)]
    ((_, seconds),) = exported.points("gen_ai.client.operation.duration")
    assert 0 < first <= seconds
    assert exported.span.status.status_code is StatusCode.UNSET


def test_a_stream(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    with fake.client(telemetry=exported.telemetry()) as client, client.stream(REQUEST) as stream:
        assert "".join(part.delta for part in stream) == ANSWER
        assert len(exported.spans) == 1, "the span ends with the stream, not with the block"
    assert_streamed(exported)


@pytest.mark.anyio
async def test_a_stream_async(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    async with fake.async_client(telemetry=exported.telemetry()) as client, client.stream(REQUEST) as stream:
        assert "".join([part.delta async for part in stream]) == ANSWER
        assert len(exported.spans) == 1
    assert_streamed(exported)


def assert_closed_early(exported: Exported) -> None:
    attributes = exported.attributes
    assert attributes["nxlog.stream.complete"] is False
    assert attributes["nxlog.logprobs.records"] == 1
    assert "error.type" not in attributes
    assert exported.span.status.status_code is StatusCode.UNSET
    assert len(exported.points("gen_ai.client.operation.duration")) == 1
    # No usage came, so none is made up.
    assert exported.points("gen_ai.client.token.usage") == []


def test_a_stream_that_is_left_early(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    with fake.client(telemetry=exported.telemetry()) as client, client.stream(REQUEST) as stream:
        assert next(part.delta for part in stream if part.delta) == "It"
    assert_closed_early(exported)


@pytest.mark.anyio
async def test_a_stream_that_is_left_early_async(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(ANSWER)
    async with fake.async_client(telemetry=exported.telemetry()) as client, client.stream(REQUEST) as stream:
        async for part in stream:
            if part.delta:
                break
    assert_closed_early(exported)


def test_an_error_inside_a_stream(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(FakeReply.of_text(ANSWER, ends="error"))
    client = fake.client(telemetry=exported.telemetry())
    with client, client.stream(REQUEST) as stream, pytest.raises(ServerError):
        list(stream)
    assert exported.attributes["error.type"] == "ServerError"
    assert exported.attributes["nxlog.stream.complete"] is False
    assert exported.attributes["nxlog.logprobs.records"] == 1, "what had arrived"
    assert exported.span.status.status_code is StatusCode.ERROR


@pytest.mark.anyio
async def test_an_error_inside_a_stream_async(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(FakeReply.of_text(ANSWER, ends="error"))
    async with fake.async_client(telemetry=exported.telemetry()) as client, client.stream(REQUEST) as stream:
        with pytest.raises(ServerError):
            [part async for part in stream]
    assert exported.attributes["error.type"] == "ServerError"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


@pytest.mark.network
@pytest.mark.anyio
@pytest.mark.parametrize("after_head", [False, True])
async def test_a_cancelled_call(exported: Exported, after_head: bool) -> None:
    """Whatever asyncio and trio call it."""
    script: list[Step] = [chunked_head(), chunk(event("a")), SILENCE] if after_head else [SILENCE]
    with FaultServer(script) as server:
        async with (
            AsyncClient(base_url=server.url, retries=0, telemetry=exported.telemetry()) as client,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                async with client.stream(model="m", messages=REQUEST.messages) as stream:
                    async for _ in stream:
                        tasks.cancel_scope.cancel()

            tasks.start_soon(call)
            if not after_head:
                await anyio.to_thread.run_sync(server.wait_for_requests, 1)
                tasks.cancel_scope.cancel()
    assert exported.attributes["error.type"] == "cancelled"
    assert exported.span.status.status_code is StatusCode.ERROR


# -- errors ----------------------------------------------------------------------------------------------------------


def test_an_error_and_its_attempts(fake: FakeProvider, exported: Exported) -> None:
    for _ in range(3):
        fake.fail(429, f"too many, and {PROMPT}")
    with pytest.raises(RateLimitError):
        ask(fake.client(telemetry=exported.telemetry(), retries=FAST))
    attributes = exported.attributes
    assert attributes["error.type"] == "RateLimitError"
    assert (attributes["nxlog.attempts"], attributes["http.response.status_code"]) == (3, 429)
    assert (exported.span.status.status_code, exported.span.status.description) == (StatusCode.ERROR, None)
    ((labels, _),) = exported.points("gen_ai.client.operation.duration")
    assert labels == {**IDENTITY, "error.type": "RateLimitError"}
    # The server's words quote the request.
    assert PROMPT not in exported.text()


def test_a_success_after_attempts_is_a_success(fake: FakeProvider, exported: Exported) -> None:
    fake.fail(503, "busy")
    fake.reply(ANSWER)
    ask(fake.client(telemetry=exported.telemetry(), retries=FAST))
    assert (exported.attributes["nxlog.attempts"], exported.attributes["http.response.status_code"]) == (2, 200)
    assert "error.type" not in exported.attributes


@pytest.mark.network
def test_an_error_without_a_response(exported: Exported) -> None:
    with pytest.raises(ConnectError):
        ask(Client(base_url=refused_url(), retries=0, telemetry=exported.telemetry()))
    assert exported.attributes["error.type"] == "ConnectError"
    assert "http.response.status_code" not in exported.attributes


# -- warnings --------------------------------------------------------------------------------------------------------


def test_warnings_are_events_without_words(exported: Exported) -> None:
    fake = FakeProvider(claims={"logprobs": "no", "seed": "no", "stop": {"value": "yes", "max": 1}})
    fake.reply(ANSWER)
    asked = REQUEST.model_copy(update={"stop": ["kept", "zzz-stop"], "seed": 424242})
    with pytest.warns(), fake.client(telemetry=exported.telemetry()) as client:
        reply = client.chat(asked)
    assert [found["nxlog.warning.parameter"] for found in exported.events] == [w.parameter for w in reply.warnings]
    assert {
        "nxlog.warning.parameter": "logprobs",
        "nxlog.warning.code": "unsupported",
        "nxlog.warning.severity": "info",
        "nxlog.warning.source": "manifest",
    } in exported.events
    assert exported.attributes["nxlog.warnings"] == len(reply.warnings) > 1
    assert "gen_ai.request.seed" not in exported.attributes, "what was not sent"
    assert "zzz-stop" not in exported.text()
    counted = exported.points("nxlog.client.warnings")
    assert len(counted) == len(reply.warnings)
    assert all(count == 1 and labels["gen_ai.provider.name"] == "mock" for labels, count in counted)


def test_a_refusal_is_an_event(exported: Exported) -> None:
    fake = FakeProvider(claims={"logprobs": "unknown"})
    fake.fail(400, "logprobs is not supported with this model")
    fake.reply(ANSWER)
    with pytest.warns(), fake.client(telemetry=exported.telemetry()) as client:
        client.chat(REQUEST)
    assert ("refused", "server") in [(e["nxlog.warning.code"], e["nxlog.warning.source"]) for e in exported.events]
    assert exported.attributes["nxlog.attempts"] == 2


def test_warnings_of_a_stream_are_told_once(exported: Exported) -> None:
    fake = FakeProvider(claims={"seed": "no"})
    fake.reply(FakeReply.of_text(ANSWER, logprobs=False))
    client = fake.client(telemetry=exported.telemetry())
    with pytest.warns(), client, client.stream(REQUEST.model_copy(update={"seed": 1})) as stream:
        list(stream)
    codes = [(found["nxlog.warning.parameter"], found["nxlog.warning.code"]) for found in exported.events]
    assert codes == [("seed", "unsupported"), ("logprobs", "not_delivered")]


# -- context ---------------------------------------------------------------------------------------------------------


def body() -> dict[str, Any]:
    return {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}


def test_the_span_is_current_while_the_request_runs(exported: Exported) -> None:
    current: list[trace.Span] = []

    def answer(request: httpx.Request) -> httpx.Response:
        current.append(trace.get_current_span())
        return httpx.Response(200, json=body())

    own = exported.tracer_provider.get_tracer("program")
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as http_client,
        Client(base_url="http://x.invalid", http_client=http_client, telemetry=exported.telemetry()) as client,
        own.start_as_current_span("outer") as outer,
    ):
        client.chat(model="m", messages=REQUEST.messages)
        assert trace.get_current_span() is outer
    call = next(span for span in exported.spans if span.name == "chat m")
    assert [span.get_span_context() for span in current] == [call.get_span_context()]
    assert call.parent == outer.get_span_context()


@pytest.mark.anyio
async def test_calls_side_by_side_do_not_mix(exported: Exported) -> None:
    """Each request runs in the span of its own call, and each call is a child of its own task's span."""
    sent: dict[str, int] = {}

    async def answer(request: httpx.Request) -> httpx.Response:
        model = json.loads(request.content)["model"]
        sent[model] = trace.get_current_span().get_span_context().span_id
        await anyio.lowlevel.checkpoint()
        lines = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in "ab"]
        lines[1]["choices"][0]["finish_reason"] = "stop"
        events = b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
        return httpx.Response(200, content=events, headers={"content-type": "text/event-stream"})

    own = exported.tracer_provider.get_tracer("program")
    parents: dict[str, int] = {}
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client,
        AsyncClient(base_url="http://x.invalid", http_client=http_client, telemetry=exported.telemetry()) as client,
        anyio.create_task_group() as tasks,
    ):

        async def call(model: str) -> None:
            with own.start_as_current_span(f"outer {model}") as outer:
                parents[model] = outer.get_span_context().span_id
                async with client.stream(model=model, messages=REQUEST.messages) as stream:
                    async for _ in stream:
                        assert trace.get_current_span() is outer, "what the loop does is the program's own"

        for number in range(5):
            tasks.start_soon(call, f"m{number}")
    spans = {span.name.removeprefix("chat "): span for span in exported.spans if span.name.startswith("chat ")}
    assert len(spans) == 5
    assert {model: span.context.span_id for model, span in spans.items() if span.context} == sent
    assert {model: span.parent.span_id for model, span in spans.items() if span.parent} == parents


# -- content ---------------------------------------------------------------------------------------------------------

SECRETS_OF_THE_REQUEST = ("zeppelin", "floats", "zzz-stop", "lookup_weather")


@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_said_is_recorded_unless_asked_for(fake: FakeProvider, exported: Exported, streamed: bool) -> None:
    fake.reply(FakeReply.of_text(ANSWER, completion_tokens=3, tool_calls=[("lookup_weather", {"city": "zeppelin"})]))
    tool = {"type": "function", "function": {"name": "lookup_weather", "description": "zeppelin"}}
    asked = ChatRequest.model_validate({**REQUEST.model_dump(exclude_none=True), "tools": [tool]})
    with fake.client(telemetry=exported.telemetry()) as client:
        if streamed:
            with client.stream(asked) as stream:
                list(stream)
        else:
            client.chat(asked)
    assert exported.attributes["nxlog.logprobs.records"] == 3
    assert not [word for word in SECRETS_OF_THE_REQUEST if word in exported.text()]


def test_content_is_recorded_when_asked_for(fake: FakeProvider, exported: Exported) -> None:
    fake.reply(
        FakeReply.of_text(ANSWER, reasoning=[("Hm", -0.5)], tool_calls=[("lookup", {"city": "Rome"})]),
    )
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"city": "Bonn"}'}}
    images = [
        {"type": "image_url", "image_url": {"url": url}}
        for url in ("https://x.invalid/a.png", "data:image/png;base64,AAAA")
    ]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}, *images]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
    with fake.client(telemetry=exported.telemetry(capture_content=True)) as client:
        client.chat(model="m", messages=messages, tools=[tool], stop=["zzz-stop"])
    attributes = exported.attributes
    assert json.loads(attributes["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": PROMPT},
                {"type": "uri", "modality": "image", "uri": "https://x.invalid/a.png"},
                {"type": "image_url"},
            ],
        },
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"city": "Bonn"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rain"}]},
    ]
    (answer,) = json.loads(attributes["gen_ai.output.messages"])
    assert [part["type"] for part in answer["parts"]] == ["reasoning", "text", "tool_call"]
    assert (answer["role"], answer["parts"][1]["content"], answer["parts"][2]["arguments"]) == (
        "assistant",
        ANSWER,
        {"city": "Rome"},
    )
    assert json.loads(attributes["gen_ai.tool.definitions"])[0]["name"] == "lookup"
    assert attributes["gen_ai.request.stop_sequences"] == ("zzz-stop",)


# -- who observes ----------------------------------------------------------------------------------------------------


def test_instrument_is_for_every_client(fake: FakeProvider, exported: Exported) -> None:
    with fake.client() as client:
        for _ in range(3):
            fake.reply(ANSWER)
        client.chat(REQUEST)
        telemetry.instrument(tracer_provider=exported.tracer_provider, meter_provider=exported.meter_provider)
        client.chat(REQUEST)
        telemetry.uninstrument()
        client.chat(REQUEST)
    assert len(exported.spans) == 1


def test_a_client_with_its_own_telemetry_is_not_observed_twice(fake: FakeProvider, exported: Exported) -> None:
    everywhere = Exported()
    telemetry.instrument(tracer_provider=everywhere.tracer_provider, meter_provider=everywhere.meter_provider)
    fake.reply(ANSWER)
    ask(fake.client(telemetry=exported.telemetry()))
    assert (len(exported.spans), everywhere.spans) == (1, [])
    everywhere.close()


def test_without_an_sdk_nothing_is_recorded_and_all_works(fake: FakeProvider) -> None:
    fake.reply(ANSWER)
    ask(fake.client(telemetry=telemetry.Telemetry(capture_content=True)))


def test_off_is_off(fake: FakeProvider) -> None:
    with fake.client() as client:
        call = client._config.call(REQUEST, stream=False)
    assert watch(call, None) is UNWATCHED


@pytest.mark.parametrize("value", [True, "otel", object()])
def test_what_cannot_observe_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="telemetry"):
        Client(telemetry=value)


class Broken:
    """Fails at the first or at every later report."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once

    def started(self, call: object) -> Any:
        if self._at_once:
            raise RuntimeError("broken")
        span = telemetry.Telemetry().started(call)  # type: ignore[arg-type]
        span.warned = span.began = span.ended = None  # type: ignore[method-assign,assignment]
        return span


@pytest.mark.parametrize("at_once", [True, False])
def test_an_observer_that_fails_does_not_take_the_call_with_it(
    fake: FakeProvider, at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fake.reply(ANSWER)
    fake.reply(ANSWER)
    with fake.client(telemetry=Broken(at_once=at_once)) as client:
        assert client.chat(REQUEST).text == ANSWER
        with client.stream(REQUEST) as stream:
            assert "".join(part.delta for part in stream) == ANSWER
    assert "the observer of a call failed" in caplog.text


# -- names -----------------------------------------------------------------------------------------------------------


def test_the_names_are_those_of_the_conventions(fake: FakeProvider, exported: Exported) -> None:
    """Against the constants that OpenTelemetry generates from its registry."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    fake.reply(ANSWER)
    full = REQUEST.model_copy(
        update={"seed": 1, "top_p": 0.5, "n": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1}
    )
    with fake.client(telemetry=exported.telemetry(capture_content=True)) as client, client.stream(full) as stream:
        list(stream)
    ours = {name for name in exported.attributes if name.startswith("gen_ai.")}
    assert len(ours) > 15
    assert ours <= known


def test_the_provider_names_are_those_of_the_conventions() -> None:
    # The last came after the conventions had left the package for a repository of their own.
    known = {member.value for member in gen_ai_attributes.GenAiProviderNameValues} | {"moonshot_ai"}
    ids = {provider.id for provider in Registry.builtin()}
    assert PROVIDERS.keys() <= ids
    assert set(PROVIDERS.values()) <= known
    # Every other well-known name is nxlog's id already, or none of its providers.
    assert known - ids - set(PROVIDERS.values()) <= {"gcp.gen_ai"}


def test_the_operations_are_those_of_the_conventions() -> None:
    assert OPERATIONS.keys() <= set(NAMES)
    assert set(OPERATIONS.values()) <= {member.value for member in gen_ai_attributes.GenAiOperationNameValues}


# -- the extra -------------------------------------------------------------------------------------------------------


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import nxlog\n"
        "try:\n    import nxlog.telemetry\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == 'nxlog.telemetry needs an extra: pip install "nxlog[otel]"'


def test_a_call_imports_no_opentelemetry() -> None:
    code = (
        "import sys\n"
        "from nxlog.testing import FakeProvider\n"
        "fake = FakeProvider(); fake.reply('x')\n"
        "fake.client().chat(model='m', messages=[{'role': 'user', 'content': 'x'}])\n"
        "print('opentelemetry' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("False", "")


@pytest.mark.network
def test_a_whole_reply_over_a_socket(exported: Exported) -> None:
    with FaultServer(response(200, json.dumps(body()).encode())) as server:
        with Client(base_url=f"{server.url}/v1?secret=1", retries=0, telemetry=exported.telemetry()) as client:
            client.chat(model="m", messages=REQUEST.messages)
        attributes = exported.attributes
        assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", server.port)
