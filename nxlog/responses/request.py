"""``ResponsesRequest``, and what of it the gate has to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from nxlog.request import (
    INCLUDE_LOGPROBS,
    Alternatives,
    ChatRequest,
    Count,
    Flag,
    Model,
    Options,
    Penalty,
    ReasoningEffort,
    Request,
    Temperature,
    ToolChoice,
    TopP,
)
from nxlog.responses.items import (
    FunctionCall,
    FunctionCallOutput,
    InputItem,
    InputMessage,
    InputText,
    Message,
    OutputText,
    Refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nxlog.responses.items import InputPart, OutputItem

Input = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[InputItem], Field(min_length=1), Tag("(items)")],
    Discriminator(lambda value: "(items)" if isinstance(value, list) else "(text)"),
]
_EFFORTS = get_args(ReasoningEffort)


class _Options(BaseModel):
    # Servers know further keys, which go along.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class ReasoningOptions(_Options):
    """How much the model reasons, and what is shown of it."""

    effort: str | None = None
    summary: str | None = None


class TextOptions(_Options):
    """The form of the answer."""

    format: dict[str, Any] | None = None
    """``{"type": "text" | "json_object"}`` or ``{"type": "json_schema", "name": ..., "schema": ...}``."""
    verbosity: str | None = None


class ResponsesRequest(Request):
    """One request of the Responses API.

    What is left out is not sent. Fields a provider, model or mode cannot deliver are dropped with a
    ``ParameterWarning`` when the call is made.

    Raises:
        pydantic.ValidationError: a field is unknown or breaks its rule; the error names both.
    """

    model: Model
    """``"provider/model"``, or a bare model name with ``Client(provider=...)``."""
    input: Input
    """The user's text, or items: dicts, typed ones, and what an earlier reply put out (``*reply.output``)."""
    instructions: str | None = None
    """Stands before everything else, as a system message; not kept for the next turn."""
    previous_response_id: str | None = None
    """The reply whose conversation this goes on with, where the server stores it."""
    store: Flag = None
    """Whether the server keeps the response; without a word it does as it likes, which is mostly yes."""
    background: Flag = None
    """Whether to answer at once and generate later; needs a server that stores."""
    include: list[str] | None = None
    """What more to include. What asks for logprobs is added by ``logprobs=True``; given here, it means just that."""
    tools: list[dict[str, Any]] | None = None
    """What the model may call: ``{"type": "function", "name": ..., "parameters": ...}``, or the server's own tools."""
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag = None
    max_tool_calls: Count = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    max_output_tokens: Count = None
    """Upper limit of generated tokens, reasoning included."""
    temperature: Temperature = None
    top_p: TopP = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    logprobs: Flag = None
    """Whether to return the logprob of every generated token."""
    top_logprobs: Alternatives = None
    """How many alternatives to return for each token; turns ``logprobs`` on. Its upper limit is the provider's."""
    provider_options: Options = None
    """Keys passed on as they are (``cache_salt``, ``priority``, ...). Never logprobs."""

    if TYPE_CHECKING:
        # What the fields take, which is more than what they hold.
        def __init__(  # noqa: PLR0913 - one for each field
            self,
            *,
            model: str,
            input: str | Sequence[InputItem | OutputItem | Mapping[str, Any]],  # noqa: A002 - the API's name
            instructions: str | None = None,
            previous_response_id: str | None = None,
            store: bool | None = None,
            background: bool | None = None,
            include: Sequence[str] | None = None,
            tools: Sequence[Mapping[str, Any]] | None = None,
            tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None,
            parallel_tool_calls: bool | None = None,
            max_tool_calls: int | None = None,
            reasoning: ReasoningOptions | Mapping[str, Any] | None = None,
            text: TextOptions | Mapping[str, Any] | None = None,
            max_output_tokens: int | None = None,
            temperature: float | None = None,
            top_p: float | None = None,
            presence_penalty: float | None = None,
            frequency_penalty: float | None = None,
            truncation: Literal["auto", "disabled"] | None = None,
            metadata: Mapping[str, str] | None = None,
            logprobs: bool | None = None,
            top_logprobs: int | None = None,
            provider_options: dict[str, Any] | None = None,
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _one_word_for_logprobs(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, Any]", value)
        include = given.get("include")
        if not isinstance(include, list | tuple) or INCLUDE_LOGPROBS not in include:
            return given
        names = cast("list[object]", include)
        if given.get("logprobs") is False:
            raise ValueError(f"include has {INCLUDE_LOGPROBS!r}, and logprobs is False; leave one of the two out")
        return {**given, "include": [name for name in names if name != INCLUDE_LOGPROBS] or None, "logprobs": True}

    def as_chat(self) -> ChatRequest:
        """The same as far as a chat request can say it, which is what the gate judges and observers see."""
        reasoning, text = self.reasoning, self.text
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": [*_messages(self)] or [{"role": "user", "content": ""}],
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_output_tokens,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "tools": [_chat_tool(tool) for tool in self.tools or () if _is_function(tool)] or None,
            "tool_choice": self.tool_choice,
            "response_format": None if text is None else _response_format(text.format or {}),
            "reasoning_effort": reasoning.effort if reasoning is not None and reasoning.effort in _EFFORTS else None,
            "logprobs": self.logprobs,
            "top_logprobs": self.top_logprobs,
            "provider_options": self.provider_options,
        }
        return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})


# -- as a chat request -----------------------------------------------------------------------------------------------


def _is_function(tool: dict[str, Any]) -> bool:
    return tool.get("type") == "function" and isinstance(tool.get("name"), str)


def _chat_tool(tool: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "description", "parameters", "strict")
    return {"function": {name: tool[name] for name in names if tool.get(name) is not None}}


def _response_format(given: dict[str, Any]) -> dict[str, Any] | None:
    if given.get("type") == "json_schema":
        names = ("name", "description", "schema", "strict")
        return {"type": "json_schema", "json_schema": {name: given[name] for name in names if name in given}}
    return {"type": given["type"]} if given.get("type") in {"text", "json_object"} else None


def _messages(request: ResponsesRequest) -> Iterator[dict[str, Any]]:
    if request.instructions is not None:
        yield {"role": "system", "content": request.instructions}
    if isinstance(request.input, str):
        yield {"role": "user", "content": request.input}
    else:
        for item in request.input:
            yield from _message(item)


def _message(item: InputItem) -> Iterator[dict[str, Any]]:
    if isinstance(item, FunctionCall):
        call = {"id": item.call_id or item.id or "", "function": {"name": item.name, "arguments": item.arguments}}
        yield {"role": "assistant", "tool_calls": [call]}
    elif isinstance(item, FunctionCallOutput):
        yield {"role": "tool", "tool_call_id": item.call_id, "content": item.output}
    elif isinstance(item, Message):
        yield {"role": "assistant", "content": item.text, "refusal": item.refusal or None}
    elif isinstance(item, InputMessage):
        parts = item.content if isinstance(item.content, list) else [InputText(text=item.content)]
        yield {"role": item.role, "content": [_part(part) for part in parts]}


def _part(part: InputPart) -> dict[str, Any]:
    if isinstance(part, InputText | OutputText):
        return {"type": "text", "text": part.text}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.refusal}
    return part.model_dump()
