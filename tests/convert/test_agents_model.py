"""A ``Runner`` of openai-agents on nxlog: A-01, A-09 to A-11, A-13, A-16 to A-18 and A-21 of the checklist.

Real here: the Runner and all of openai-agents and openai, nxlog up to the socket. Scripted: what the model says. The
package knows asyncio only, so these tests do not run on trio.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    ModelRefusalError,
    ModelSettings,
    RunConfig,
    Runner,
    UserError,
    function_tool,
    handoff,
    set_tracing_disabled,
    trace,
)
from agents.tracing import TracingProcessor, set_trace_processors
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
)
from openai.types.responses.response_output_text import Logprob
from openai.types.shared import Reasoning
from pydantic import BaseModel

from nxlog import BadRequestError, ChatResponse, IncompleteStreamError, ParameterWarningCategory, WarningCode
from nxlog.integrations.openai_agents import AgentsModel, AgentsProvider, from_agents
from nxlog.testing import FakeProvider, FakeReply

if TYPE_CHECKING:
    from agents import ModelResponse

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider()


@pytest.fixture(params=["unary", "stream"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


class Run:
    """A finished run: what the Runner gives, the events of its streams, and the replies that nxlog handed over."""

    def __init__(self) -> None:
        self.result: Any = None
        self.events: list[Any] = []
        self.replies: list[ChatResponse] = []

    @property
    def last(self) -> ModelResponse:
        return self.result.raw_responses[-1]

    @property
    def text(self) -> ResponseOutputText:
        message = next(item for item in self.last.output if isinstance(item, ResponseOutputMessage))
        part = message.content[0]
        assert isinstance(part, ResponseOutputText)
        return part


async def run(
    fake: FakeProvider,
    mode: str,
    settings: ModelSettings | None = None,
    say: Any = "Hello",
    made: Run | None = None,
    **options: Any,
) -> Run:
    made = made or Run()
    async with fake.async_client() as client:
        model = AgentsModel("m", client=client, on_reply=made.replies.append)
        agent = Agent("Guide", model=model, model_settings=settings or ModelSettings(top_logprobs=2), **options)
        if mode == "unary":
            made.result = await Runner.run(agent, say)
        else:
            made.result = Runner.run_streamed(agent, say)
            async for event in made.result.stream_events():
                if event.type == "raw_response_event":
                    made.events.append(event.data)
    return made


# -- logprobs on the text ----------------------------------------------------------------------------------------------


async def test_top_logprobs_surface_on_the_text(fake: FakeProvider, mode: str) -> None:
    """A-01, A-11, A-13."""
    fake.reply("Hi there")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = await run(fake, mode)
    assert made.result.final_output == "Hi there"
    body = fake.requests[0].body
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    found = made.text.logprobs
    assert found is not None
    assert all(isinstance(entry, Logprob) for entry in found)
    assert [(entry.token, entry.logprob, len(entry.top_logprobs)) for entry in found] == [
        ("Hi", -0.05, 2),
        (" there", -0.1, 2),
    ]
    assert found[0].bytes == [72, 105]
    assert json.loads(json.dumps([entry.model_dump() for entry in found]))[1]["token"] == " there"
    if mode == "unary":
        assert made.last.response_id is None
    assert not hasattr(made.last, "logprobs")


async def test_events_have_the_logprobs_of_their_chunk(fake: FakeProvider) -> None:
    """A-06, A-08, A-15: as the Runner passes them on."""
    fake.reply([("Hi", -0.5), (" there", -0.25)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        made = await run(fake, "stream")
    assert [event.type for event in made.events] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in made.events] == list(range(9))
    deltas = [event.logprobs for event in made.events if event.type == "response.output_text.delta"]
    assert [[(entry.token, entry.logprob) for entry in delta] for delta in deltas] == [
        [("Hi", -0.5)],
        [(" there", -0.25)],
    ]
    (done,) = [event for event in made.events if event.type == "response.output_text.done"]
    assert [entry.token for entry in done.logprobs] == ["Hi", " there"]
    ids = {event.item_id for event in made.events if hasattr(event, "item_id")}
    assert len(ids) == 1
    assert not any("fake" in item_id for item_id in ids)


async def test_nobody_asked(fake: FakeProvider, mode: str) -> None:
    """A-09."""
    fake.reply("Hi there")
    made = await run(fake, mode, ModelSettings())
    assert "logprobs" not in fake.requests[0].body
    assert not made.text.logprobs
    assert from_agents(made.last).logprobs is None


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        (ModelSettings(top_logprobs=3), {"logprobs": True, "top_logprobs": 3}),
        (ModelSettings(top_logprobs=3, extra_args={"logprobs": True}), {"logprobs": True, "top_logprobs": 3}),
        (ModelSettings(extra_args={"logprobs": True}), {"logprobs": True}),
        (ModelSettings(extra_body={"logprobs": True, "top_logprobs": 3}), {"logprobs": True, "top_logprobs": 3}),
        (ModelSettings(response_include=["message.output_text.logprobs"]), {"logprobs": True}),
    ],
    ids=["setting", "both", "args", "body", "include"],
)
async def test_every_way_to_ask(fake: FakeProvider, settings: ModelSettings, body: dict[str, Any]) -> None:
    """A-17: first-class fields, whichever way they come, and nothing twice."""
    fake.reply("Hi there")
    made = await run(fake, "unary", settings)
    sent = fake.requests[0].body
    assert {key: sent[key] for key in sent.keys() & {"logprobs", "top_logprobs", "include"}} == body
    assert len(made.text.logprobs or ()) == 2


async def test_a_provider_that_cannot_is_said(mode: str) -> None:
    """What is dropped is a warning, on the reply that is handed over and through ``warnings``."""
    fake = FakeProvider(claims={"logprobs": "no"})
    fake.reply("Hi there")
    with pytest.warns(ParameterWarningCategory, match="logprobs"):
        made = await run(fake, mode)
    assert not made.text.logprobs
    assert [warning.code for warning in made.replies[0].warnings] == [WarningCode.UNSUPPORTED]


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
async def test_a_missing_logprob_does_not_end_the_run(fake: FakeProvider, mode: str) -> None:
    """A-23: it is NaN in OpenAI's types, null as JSON, and None again in nxlog's."""
    fake.reply([("Hi", None), (" there", -0.25)])
    made = await run(fake, mode)
    assert json.loads(made.text.model_dump_json())["logprobs"][0]["logprob"] is None
    assert [token.logprob for token in from_agents(made.last).logprobs or ()] == [None, -0.25]


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
async def test_the_whole_reply_is_handed_over(fake: FakeProvider, mode: str) -> None:
    """A-16: further choices, and the records of other channels."""
    first = FakeReply(tokens=[("Hi", -0.5)], reasoning=[("so", -1.0)])
    fake.reply(first, FakeReply(tokens=[("Yo", -2.0)]))
    made = await run(fake, mode, ModelSettings(top_logprobs=1, extra_args={"n": 2}))
    (reply,) = made.replies
    assert [choice.text for choice in reply.choices] == ["Hi", "Yo"]
    assert [token.logprob for token in reply.choices[1].logprobs or ()] == [-2.0]
    assert reply.logprobs is not None
    assert [token.logprob for token in reply.logprobs.reasoning or ()] == [-1.0]
    lost = [(w.parameter, w.requested) for w in reply.warnings if w.code is WarningCode.NO_PLACE]
    assert lost == [("n", 1), ("logprobs", 1)]


# -- the rest of a turn ------------------------------------------------------------------------------------------------


async def test_usage(fake: FakeProvider, mode: str) -> None:
    """A-18: in the same stream."""
    fake.reply(FakeReply.of_text("Hi there", completion_tokens=5))
    made = await run(fake, mode, ModelSettings())
    usage = made.last.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.total_tokens) == (1, 1, 5, 6)


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
async def test_tools(fake: FakeProvider, mode: str) -> None:
    """A-21: the call, its result in the next request, and logprobs on the answer."""
    fake.reply(FakeReply(tokens=[("<tool>", -0.7)], text="", tool_calls=[("weather", {"city": "Oslo"})]))
    fake.reply("Sunny there")
    made = await run(fake, mode, tools=[weather])
    assert made.result.final_output == "Sunny there"
    first, second = (request.body for request in fake.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["weather"]
    assert second["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_0",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                }
            ],
        },
        {"role": "tool", "content": "sunny in Oslo", "tool_call_id": "call_0"},
    ]
    assert [entry.token for entry in made.text.logprobs or ()] == ["Sunny", " there"]
    call = made.result.raw_responses[0].output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    assert str(call.id).startswith("fc_")
    # The record of the call has no text to be on, and is on the reply that was handed over.
    assert [token.token for token in made.replies[0].logprobs or ()] == ["<tool>"]
    assert [w.code for w in made.replies[0].warnings][-1:] == [WarningCode.NO_PLACE]


async def test_history_is_sent_without_logprobs(fake: FakeProvider, mode: str) -> None:
    fake.reply("Hi there")
    fake.reply("And you")
    settings = ModelSettings(extra_args={"logprobs": True})
    made = await run(fake, mode, settings, instructions="Be kind.")
    await run(fake, mode, settings, say=[*made.result.to_input_list(), {"role": "user", "content": "Well?"}])
    assert fake.requests[0].body["messages"][0] == {"role": "system", "content": "Be kind."}
    assert fake.requests[1].body["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi there"},
        {"role": "user", "content": "Well?"},
    ]


async def test_handoffs(fake: FakeProvider, mode: str) -> None:
    fake.reply(tool_calls=[("transfer_to_expert", {})], logprobs=False)
    fake.reply("Forty two")
    async with fake.async_client() as client:
        expert = Agent("Expert", model=AgentsModel("e", client=client))
        guide = Agent("Guide", model=AgentsModel("m", client=client), handoffs=[handoff(expert)])
        if mode == "unary":
            result: Any = await Runner.run(guide, "Why?")
        else:
            result = Runner.run_streamed(guide, "Why?")
            async for _ in result.stream_events():
                pass
    assert result.last_agent is expert
    assert result.final_output == "Forty two"
    assert [request.body["model"] for request in fake.requests] == ["m", "e"]
    assert fake.requests[0].body["tools"][0]["function"]["name"] == "transfer_to_expert"


class City(BaseModel):
    name: str
    people: int


async def test_structured_output(fake: FakeProvider, mode: str) -> None:
    fake.reply('{"name": "Oslo", "people": 7}')
    made = await run(fake, mode, ModelSettings(), output_type=City)
    assert made.result.final_output == City(name="Oslo", people=7)
    form = fake.requests[0].body["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert set(form["json_schema"]["schema"]["properties"]) == {"name", "people"}


async def test_reasoning(fake: FakeProvider, mode: str) -> None:
    """A-21: an item of its own before the message, and not sent again."""
    fake.reply(FakeReply(tokens=[("Hi", -0.5)], reasoning=[("so", -1.0)]))
    made = await run(fake, mode, ModelSettings(reasoning=Reasoning(effort="low")))
    reasoning, message = made.last.output
    assert isinstance(reasoning, ResponseReasoningItem)
    assert [part.text for part in reasoning.content or ()] == ["so"]
    assert isinstance(message, ResponseOutputMessage)
    assert fake.requests[0].body["reasoning_effort"] == "low"
    fake.reply("Well")
    await run(fake, mode, ModelSettings(), say=made.result.to_input_list())
    assert fake.requests[1].body["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
    ]


@pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
async def test_a_refusal(fake: FakeProvider, mode: str) -> None:
    """A-10, A-21: it is a part of its own, without logprobs, which are on the reply."""
    fake.reply(FakeReply(refusal=[("No", -0.5)]))
    made = Run()
    with pytest.raises(ModelRefusalError) as caught:
        await run(fake, mode, made=made)
    assert caught.value.refusal == "No"
    (reply,) = made.replies
    assert reply.logprobs is not None
    assert [token.token for token in reply.logprobs.refusal or ()] == ["No"]
    assert WarningCode.NO_PLACE in {warning.code for warning in reply.warnings}


async def test_an_answer_that_was_cut_is_an_answer(fake: FakeProvider, mode: str) -> None:
    """The Runner would take ``response.incomplete`` for a failure, in streams only."""
    fake.reply("Hi there", finish_reason="length")
    made = await run(fake, mode, ModelSettings(max_tokens=2))
    assert made.result.final_output == "Hi there"
    assert fake.requests[0].body["max_tokens"] == 2
    message = made.last.output[0]
    assert isinstance(message, ResponseOutputMessage)
    assert message.status == "incomplete"


async def test_an_answer_without_anything_is_an_error(fake: FakeProvider, mode: str) -> None:
    fake.reply(FakeReply(finish_reason="length"))
    with pytest.raises(ModelBehaviorError, match="finish reason is 'length'"):
        await run(fake, mode, ModelSettings())


async def test_errors_are_those_of_nxlog(fake: FakeProvider, mode: str) -> None:
    fake.fail(400, "no such thing")
    with pytest.raises(BadRequestError, match="no such thing"):
        await run(fake, mode, ModelSettings())


async def test_a_stream_that_is_left_closes_its_connection(fake: FakeProvider) -> None:
    fake.reply("one two three four")
    handed: list[ChatResponse] = []
    async with fake.async_client() as client:
        agent = Agent("Guide", model=AgentsModel("m", client=client, on_reply=handed.append))
        running = Runner.run_streamed(agent, "Hello")
        async for event in running.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                running.cancel()
        assert handed == []
        fake.reply("Hi there")
        assert (await Runner.run(agent, "Hello")).final_output == "Hi there"


async def test_a_stream_that_breaks_is_an_error(fake: FakeProvider) -> None:
    fake.reply("one two three four", ends="cut")
    made = Run()
    with pytest.raises(IncompleteStreamError):
        await run(fake, "stream", ModelSettings(), made=made)
    assert "response.output_text.delta" in {event.type for event in made.events}
    assert made.replies == []


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_settings_reach_the_body(fake: FakeProvider) -> None:
    fake.reply("Hi")
    settings = ModelSettings(
        temperature=0.5,
        top_p=0.25,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        tool_choice="weather",
        parallel_tool_calls=False,
        metadata={"a": "b"},
        store=False,
        verbosity="low",
        extra_body={"top_k": 7},
        extra_args={"seed": 3},
    )
    async with fake.async_client() as client:
        agent = Agent("Guide", model=AgentsModel("m", client=client), model_settings=settings, tools=[weather])
        await Runner.run(agent, "Hello")
    body = fake.requests[0].body
    for key, value in {
        "temperature": 0.5,
        "top_p": 0.25,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "metadata": {"a": "b"},
        "store": False,
        "verbosity": "low",
        "top_k": 7,
        "seed": 3,
    }.items():
        assert body[key] == value, key


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (ModelSettings(extra_headers={"x": "y"}), "extra_headers"),
        (ModelSettings(extra_query={"x": "y"}), "extra_query"),
        (ModelSettings(reasoning=Reasoning(summary="auto")), "summary"),
        (ModelSettings(response_include=["reasoning.encrypted_content"]), "encrypted_content"),
    ],
    ids=["headers", "query", "summary", "include"],
)
async def test_what_has_no_place_in_a_chat_request_is_refused(
    fake: FakeProvider, settings: ModelSettings, named: str
) -> None:
    with pytest.raises(UserError, match=named):
        await run(fake, "unary", settings)
    assert fake.requests == []


async def test_a_conversation_kept_by_a_server_is_refused(fake: FakeProvider) -> None:
    async with fake.async_client() as client:
        agent = Agent("Guide", model=AgentsModel("m", client=client))
        with pytest.raises(UserError, match="previous_response_id"):
            await Runner.run(agent, "Hello", previous_response_id="resp_1")


async def test_models_by_name(fake: FakeProvider) -> None:
    fake.reply("Hi there")
    async with fake.async_client() as client:
        config = RunConfig(model_provider=AgentsProvider(client=client))
        result = await Runner.run(Agent("Guide", model="mock/some-model"), "Hello", run_config=config)
        assert result.final_output == "Hi there"
        assert fake.requests[0].body["model"] == "some-model"
        with pytest.raises(UserError, match="name the model"):
            AgentsProvider(client=client).get_model(None)


async def test_only_its_own_client_is_closed(fake: FakeProvider) -> None:
    fake.reply("Hi there")
    async with fake.async_client() as client:
        await AgentsModel("m", client=client).close()
        await AgentsProvider(client=client).aclose()
        assert (await client.chat(model="m", messages=[{"role": "user", "content": "Hi"}])).text == "Hi there"
    await AgentsModel("openai/gpt-4o").close()
    await AgentsProvider().aclose()


# -- tracing -----------------------------------------------------------------------------------------------------------


class Spans(TracingProcessor):
    """Keeps what the SDK would send."""

    def __init__(self) -> None:
        self.data: list[Any] = []
        self.errors: list[Any] = []

    def on_span_end(self, span: Any) -> None:
        if span.span_data.type == "generation":
            self.data.append(span.span_data.export())
            self.errors.append(span.error)

    def on_span_start(self, span: Any) -> None: ...
    def on_trace_start(self, trace: Any) -> None: ...
    def on_trace_end(self, trace: Any) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


@pytest.mark.parametrize("sensitive", [True, False])
async def test_the_span_of_a_call(fake: FakeProvider, mode: str, sensitive: bool) -> None:
    spans = Spans()
    set_trace_processors([spans])
    set_tracing_disabled(False)
    fake.reply("Hi there")
    fake.fail(400, "the secret of the server")
    async with fake.async_client() as client:
        agent = Agent("Guide", model=AgentsModel("m", client=client), model_settings=ModelSettings(temperature=0))
        config = RunConfig(trace_include_sensitive_data=sensitive)
        with trace("test"):
            for _ in range(2):
                try:
                    if mode == "unary":
                        await Runner.run(agent, "Hello", run_config=config)
                    else:
                        streamed = Runner.run_streamed(agent, "Hello", run_config=config)
                        async for _event in streamed.stream_events():
                            pass
                except BadRequestError:
                    pass
    good, bad = spans.data
    assert (good["model"], good["model_config"]["temperature"]) == ("m", 0)
    assert good["usage"]["output_tokens"] == 2
    assert ("Hi there" in json.dumps(good)) == sensitive
    assert ("Hello" in json.dumps(bad)) == sensitive
    assert spans.errors[0] is None
    assert ("the secret" in json.dumps(spans.errors[1])) == sensitive
