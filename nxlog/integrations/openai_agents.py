"""Agents of openai-agents on any provider that nxlog knows, with log-probabilities on their output text.

::

    from agents import Agent, ModelSettings, Runner
    from nxlog.integrations.openai_agents import AgentsModel

    agent = Agent("Guide", model=AgentsModel("vllm/Qwen3-8B"), model_settings=ModelSettings(top_logprobs=5))
    result = await Runner.run(agent, "Is the sky blue?")
    for record in from_agents(result.raw_responses[-1]).logprobs:
        print(record.token, record.logprob)

The package openai-agents knows asyncio only, so this module does too.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from agents import (
    Model,
    ModelBehaviorError,
    ModelProvider,
    ModelResponse,
    SpanError,
    UserError,
    generation_span,
)
from agents import Usage as AgentsUsage
from openai.types.responses import ResponseCompletedEvent, ResponseUsage

from nxlog.client import AsyncClient
from nxlog.convert import ChunkConverter, Converted, chat_to_responses
from nxlog.convert import _openai_shapes as shapes
from nxlog.convert.items import warnings_of
from nxlog.convert.openai import Records, from_openai, to_openai
from nxlog.integrations._agents_request import Asked, chat_request
from nxlog.response import Usage
from nxlog.responses import FunctionCall, Message, Reasoning, Refusal, ResponsesReply
from nxlog.warnings import WarningCode, emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from agents import (
        AgentOutputSchemaBase,
        Handoff,
        ModelSettings,
        ModelTracing,
        Tool,
        TResponseInputItem,
    )
    from agents.items import TResponseStreamEvent
    from agents.tracing import GenerationSpanData, Span
    from openai.types.responses import ResponseOutputItem, ResponsePromptParam

    from nxlog.logprobs import Channel
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse


class AgentsModel(Model):
    """One model of any provider, for ``Agent(model=...)``.

    Logprobs are asked for with ``ModelSettings(top_logprobs=5)``; without alternatives with
    ``ModelSettings(extra_args={"logprobs": True})``. They are on the text of the answer, and in streams on its deltas.

    Args:
        model: ``"provider/model"``, or a bare name where the client has a provider.
        client: the client to call with, which stays open; by default one of its own, closed with the model.
        on_reply: called with every whole reply: all its token records by channel and choice, its warnings, and what
            came back against what was asked (``reply.delivery``).
    """

    def __init__(
        self,
        model: str,
        *,
        client: AsyncClient | None = None,
        on_reply: Callable[[ChatResponse], object] | None = None,
    ) -> None:
        self.model: str = model
        self._client = AsyncClient() if client is None else client
        self._owns_client = client is None
        self._on_reply = on_reply

    async def close(self) -> None:
        """Close the connections of the model's own client."""
        if self._owns_client:
            await self._client.aclose()

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the name of the base class
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        """One turn as a whole. ``response_id`` is None: no server could continue from it.

        Raises:
            NxlogError: see ``nxlog.errors``.
            UserError: a chat model cannot be asked for some of it.
            ModelBehaviorError: the reply has no text, no refusal and no call.
        """
        asked = Asked(system_instructions, input, model_settings, tools, output_schema, handoffs)
        request = self._request(asked, previous_response_id, conversation_id, prompt)
        with self._span(asked, request, tracing) as span:
            reply = await self._client.chat(request)
            converted = self._take(chat_to_responses(reply), reply)
            response = to_agents(converted.reply)
            _report(span, response.output, converted.reply, tracing)
            _check(converted.reply)
        return response

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the name of the base class
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """One turn as the events of a Responses stream.

        Raises:
            NxlogError: see ``nxlog.errors``.
            UserError: a chat model cannot be asked for some of it.
            ModelBehaviorError: the reply has no text, no refusal and no call.
        """
        asked = Asked(system_instructions, input, model_settings, tools, output_schema, handoffs)
        request = self._request(asked, previous_response_id, conversation_id, prompt)
        with self._span(asked, request, tracing) as span:
            async with self._client.stream(request) as stream:
                converter, records = ChunkConverter(), Records()
                async for chunk in stream:
                    for event in converter.feed(chunk):
                        yield to_openai(event, records=records)
                *events, last = converter.close()
                converted = self._take(converter.converted, stream.response)
                for event in events:
                    yield to_openai(event, records=records)
                response = to_openai(converted.reply, records=records)
                _report(span, response.output, converted.reply, tracing)
                _check(converted.reply)
                # Also where it is incomplete, which the Runner takes for a failure in streams, and only there.
                yield ResponseCompletedEvent(
                    type="response.completed", response=response, sequence_number=last.sequence_number or 0
                )

    def _request(
        self, asked: Asked, previous_response_id: str | None, conversation_id: str | None, prompt: object
    ) -> ChatRequest:
        states = {"previous_response_id": previous_response_id, "conversation_id": conversation_id, "prompt": prompt}
        if given := [name for name, value in states.items() if value is not None]:
            raise UserError(f"{', '.join(given)}: a chat model is sent the whole conversation; leave it out")
        return chat_request(self.model, asked)

    def _take(self, converted: Converted, reply: ChatResponse) -> Converted:
        """Say what the items of the Agents SDK have no place for, and hand the whole reply over."""
        lost = [warning for warning in converted.reply.warnings if warning.code is WarningCode.NO_PLACE]
        lost += warnings_of(_beyond_openai(converted.reply), [], provider=reply.provider, model=reply.model)
        emit(lost, stacklevel=3)
        if self._on_reply is not None:
            self._on_reply(reply.model_copy(update={"warnings": [*reply.warnings, *lost]}))
        return converted

    @contextlib.contextmanager
    def _span(self, asked: Asked, request: ChatRequest, tracing: ModelTracing) -> Generator[Span[GenerationSpanData]]:
        """What the tracing of the Agents SDK is told of the call, which is nothing of its texts unless it may be."""
        settings = asked.settings.to_traceable_dict()
        with generation_span(model=self.model, model_config=settings, disabled=tracing.is_disabled()) as span:
            if tracing.include_data():
                span.span_data.input = [message.model_dump(exclude_none=True) for message in request.messages]
            else:
                settings.pop("metadata", None)
            try:
                yield span
            except Exception as error:
                detail = str(error) if tracing.include_data() else type(error).__name__
                span.set_error(SpanError(message="the model did not answer", data={"error": detail}))
                raise


class AgentsProvider(ModelProvider):
    """Models by name, for ``RunConfig(model_provider=AgentsProvider())`` and ``Agent(model="vllm/Qwen3-8B")``.

    Args:
        client: the client that all models call with, which stays open; by default one of its own.
        on_reply: as of ``AgentsModel``.
    """

    def __init__(
        self, *, client: AsyncClient | None = None, on_reply: Callable[[ChatResponse], object] | None = None
    ) -> None:
        self._client = AsyncClient() if client is None else client
        self._owns_client = client is None
        self._on_reply = on_reply

    def get_model(self, model_name: str | None) -> AgentsModel:
        """The model of that name.

        Raises:
            UserError: there is no name; nxlog has no default model.
        """
        if not model_name:
            raise UserError("name the model: Agent(model='provider/model')")
        return AgentsModel(model_name, client=self._client, on_reply=self._on_reply)

    async def aclose(self) -> None:
        """Close the connections of the provider's own client."""
        if self._owns_client:
            await self._client.aclose()


def to_agents(reply: ResponsesReply) -> ModelResponse:
    """A response as the Agents SDK's; its ``response_id`` is None."""
    usage = AgentsUsage(requests=1)
    if reply.usage is not None:
        usage = AgentsUsage(requests=1, **dict(ResponseUsage.model_validate(shapes.usage(reply.usage))))
    return ModelResponse(output=[to_openai(item) for item in reply.output], usage=usage, response_id=None)


def from_agents(response: ModelResponse) -> ResponsesReply:
    """One of ``result.raw_responses`` as nxlog's: its text, its token records by channel, its usage."""
    usage = response.usage
    return ResponsesReply(
        id=response.response_id,
        status="completed",
        output=[from_openai(item) for item in response.output],
        usage=Usage(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            reasoning_tokens=usage.output_tokens_details.reasoning_tokens,
            cached_tokens=usage.input_tokens_details.cached_tokens,
        ),
    )


def _beyond_openai(reply: ResponsesReply) -> dict[Channel, int]:
    """How many records nxlog's items have and OpenAI's have no place for."""
    found: dict[Channel, int] = {}
    for item in reply.output:
        if isinstance(item, Reasoning) and item.logprobs:
            found["reasoning"] = found.get("reasoning", 0) + len(item.logprobs)
        for part in item.content if isinstance(item, Message) else ():
            if isinstance(part, Refusal) and part.logprobs:
                found["refusal"] = len(part.logprobs)
    return found


def _report(
    span: Span[GenerationSpanData], output: list[ResponseOutputItem], reply: ResponsesReply, tracing: ModelTracing
) -> None:
    if tracing.include_data():
        span.span_data.output = [item.model_dump(mode="json") for item in output]
    span.span_data.usage = {"requests": 1, **(shapes.usage(reply.usage) or {})}


def _check(reply: ResponsesReply) -> None:
    """The Runner would ask again and again for an answer that never is one."""
    if not any(isinstance(item, Message | FunctionCall) for item in reply.output):
        raise ModelBehaviorError(
            f"the reply has no text, no refusal and no call; its finish reason is {reply.finish_reason!r}"
        )
