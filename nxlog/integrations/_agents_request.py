"""What a ``Runner`` of openai-agents asks a model for, as a ``ChatRequest``.

Messages, tools and formats are made by the SDK's own converter, which its other adapters for chat models use too: what
it refuses there is refused here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from agents import UserError
from agents.models.chatcmpl_converter import Converter
from openai import Omit

from nxlog.request import ChatRequest

if TYPE_CHECKING:
    from agents import AgentOutputSchemaBase, Handoff, ModelSettings, Tool, TResponseInputItem

_OWN = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens", "top_logprobs"})
"""Settings with a field of ``ChatRequest``, of the same name."""

_CONVERTED = frozenset({"tool_choice", "reasoning", "response_include", "extra_body", "extra_args"})
_OF_THE_RUNNER = frozenset({"retry", "timeout", "preserve_raw_usage", "include_usage"})
"""What the Runner does by itself; usage is always asked for."""

_OF_THE_CLIENT = {
    "extra_headers": "headers belong to the client: AsyncClient(http_client=httpx.AsyncClient(headers=...))",
    "extra_query": "queries belong to the client: AsyncClient(http_client=httpx.AsyncClient(params=...))",
}
_INCLUDE_LOGPROBS = "message.output_text.logprobs"
_FIELDS = frozenset(ChatRequest.model_fields) - {"model", "messages", "provider_options"}


class Asked(NamedTuple):
    """All that a ``Runner`` says about one call."""

    instructions: str | None
    input: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None
    handoffs: list[Handoff[Any, Any]]


def chat_request(model: str, asked: Asked) -> ChatRequest:
    """The request.

    Raises:
        UserError: a chat model cannot be asked for some of it.
        pydantic.ValidationError: a value is out of range.
    """
    tools = [Converter.tool_to_openai(tool) for tool in asked.tools]
    tools += [Converter.convert_handoff_tool(handoff) for handoff in asked.handoffs]
    fields = _settings(asked.settings, has_tools=bool(tools))
    schema = Converter.convert_response_format(asked.output_schema)
    if not isinstance(schema, Omit):
        fields.setdefault("response_format", schema)
    return ChatRequest(model=model, messages=_messages(asked), **{"tools": cast("Any", tools), **fields})


def _messages(asked: Asked) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [] if not asked.instructions else [{"role": "system", "content": asked.instructions}]
    return said + cast("list[dict[str, Any]]", Converter.items_to_messages(asked.input))


def _settings(settings: ModelSettings, *, has_tools: bool) -> dict[str, Any]:
    """The fields of the request that the settings are."""
    given = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    given = {name: value for name, value in given.items() if value is not None and name not in _OF_THE_RUNNER}
    for name, reason in _OF_THE_CLIENT.items():
        if given.get(name):
            raise UserError(f"ModelSettings.{name}: {reason}")
    fields = {name: value for name, value in given.items() if name in _OWN}
    choice = Converter.convert_tool_choice(settings.tool_choice)
    if not isinstance(choice, Omit):
        fields["tool_choice"] = choice
    fields |= _reasoning(settings) | _included(settings)
    # The rest is named as in the body of OpenAI's request.
    options = {name: value for name, value in given.items() if name not in _OWN | _CONVERTED | _OF_THE_CLIENT.keys()}
    if not has_tools:
        options.pop("parallel_tool_calls", None)  # refused where there are none
    for extra in (settings.extra_body, settings.extra_args):
        options |= cast("dict[str, Any]", extra or {})
    fields |= {name: options.pop(name) for name in options.keys() & _FIELDS}
    return fields | ({"provider_options": options} if options else {})


def _reasoning(settings: ModelSettings) -> dict[str, Any]:
    reasoning = settings.reasoning
    if reasoning is None:
        return {}
    others = reasoning.model_dump(exclude_none=True).keys() - {"effort"}
    if others:
        raise UserError(f"ModelSettings.reasoning: a chat model has no {', '.join(sorted(others))}, only effort")
    return {} if reasoning.effort is None else {"reasoning_effort": reasoning.effort}


def _included(settings: ModelSettings) -> dict[str, Any]:
    included = set(settings.response_include or ())
    if others := included - {_INCLUDE_LOGPROBS}:
        raise UserError(f"ModelSettings.response_include: a chat model includes no {', '.join(sorted(others))}")
    return {"logprobs": True} if included else {}
