"""``openai-chat``: POST /chat/completions, spoken by OpenAI, most gateways and nearly every engine.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nxlog._json import NULL, loads, raw_of, well_formed
from nxlog.logprobs import LogprobsData, StreamLogprobsDelta
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage, with_body
from nxlog.wire._decoder import ChoicesDecoder
from nxlog.wire._openai_chat_reply import (
    NAME,
    Function,
    Message,
    Reply,
    ReplyChoice,
    ReplyUsage,
    ToolCallPart,
    decode_reply,
)
from nxlog.wire._token_ids import as_tuple, prompt_logprobs_of_maps, sglext_of, versions_of
from nxlog.wire.base import encode_body, not_the_shape, spelled
from nxlog.wire.errors import event_error
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nxlog.request import ChatRequest
    from nxlog.turn import WeightVersion
    from nxlog.wire._logprobs_value import Channels
    from nxlog.wire.base import StreamDecoder

_PLAIN_FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "tool_choice",
    "reasoning_effort",
)
_TOKEN_FIELDS = ("return_token_ids", "prompt_logprobs", "logprob_token_ids", "stop_token_ids")


class OpenAIChat:
    """The wire; it has no state. Two others differ from it in how they ask for logprobs."""

    name: str = NAME
    lacks: frozenset[str] = frozenset({"token_ids_in"})

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body. A field that is None is left out, so that it looks like one never heard of."""
        body: dict[str, Any] = {
            spelling.get("model", "model"): model,
            "messages": [message.model_dump(exclude_none=True) for message in request.messages],
        }
        body |= spelled(request, _PLAIN_FIELDS, spelling) | self._logprobs(request, spelling)
        body |= self._tokens(request, spelling)
        if request.tools is not None:
            body["tools"] = [tool.model_dump(exclude_none=True) for tool in request.tools]
        if request.response_format is not None:
            body["response_format"] = request.response_format.model_dump(exclude_none=True, by_alias=True)
        if stream:
            body |= stream_fields(spelling)
        return encode_body(body, request.provider_options)

    def _logprobs(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        """How the request asks for them."""
        return spelled(request, ("logprobs", "top_logprobs"), spelling)

    def _tokens(self, request: ChatRequest, spelling: Mapping[str, str]) -> dict[str, Any]:
        """What is asked about token ids, in vLLM's words unless the provider has others."""
        found = spelled(request, _TOKEN_FIELDS, spelling)
        # SGLang has a switch of its own for those of the prompt.
        key = spelling.get("return_prompt_token_ids")
        return found | {key: True} if key and request.return_token_ids else found

    def decode(self, body: bytes) -> ChatResponse:
        """The reply."""
        reply = self._read(body)
        _raise_error_object(reply, body)
        if not reply.choices:
            raise not_the_shape(self.name, body, "it has no choices")
        prompt_ids, extension = sglext_of(reply.sglext)
        prompt_ids = _prompt_ids(reply) or prompt_ids
        maps = [reply.prompt_logprobs, *(choice.prompt_logprobs for choice in reply.choices)]
        return with_body(
            ChatResponse(
                id=reply.id,
                model=reply.model or "",
                created=reply.created,
                choices=[
                    _choice(choice, reply, ids)
                    for choice, ids in zip_longest(reply.choices, extension[: len(reply.choices)])
                ],
                usage=_usage(reply.usage),
                prompt_token_ids=prompt_ids,
                prompt_logprobs=prompt_logprobs_of_maps(next((one for one in maps if one != NULL), NULL), prompt_ids),
            ),
            body,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        return _Decoder(self._read)

    def _read(self, data: bytes) -> Reply:
        """A reply or chunk."""
        return decode_reply(data)


def stream_fields(spelling: Mapping[str, str]) -> dict[str, Any]:
    """How a request asks for a stream, unless the address says so."""
    # Without the options most servers count nothing in a stream, and lost records could not be noticed.
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    return {key: value for key, value in asked.items() if spelling.get(key, key)}


_T = TypeVar("_T", LogprobsData, StreamLogprobsDelta)

# -- from what was read to nxlog's types -----------------------------------------------------------------------------


def _raise_error_object(reply: Reply, data: bytes) -> None:
    if reply.error != NULL and (error := loads(reply.error)):  # {}, "" and false are no errors
        raise event_error({"error": error}, data.decode("utf-8", "replace"))
    if not reply.choices and b'"message"' in data:
        # The flat form of SGLang and Mistral: {"object": "error", "message": ..., "code": ...}
        value = loads(data)
        if value.get("object") == "error" or "code" in value:
            raise event_error(value, data.decode("utf-8", "replace"))


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content or ""


def _prompt_ids(reply: Reply) -> list[int] | None:
    return reply.prompt_token_ids or next((one.prompt_token_ids for one in reply.choices or ()), None)


def _versions(choice: ReplyChoice, reply: Reply) -> tuple[WeightVersion, ...]:
    if choice.weight_versions != NULL:
        return versions_of(choice.weight_versions)
    if reply.metadata == NULL or len(reply.choices or ()) != 1 or not isinstance(told := loads(reply.metadata), dict):
        return ()
    known = {name: raw_of(value) for name, value in cast("dict[str, Any]", told).items()}
    generated = None if reply.usage is None else reply.usage.completion_tokens
    return versions_of(known.get("weight_versions", NULL), known.get("weight_version", NULL), generated=generated)


def _choice(choice: ReplyChoice, reply: Reply, ids: list[int] | None) -> Choice:
    message = choice.message or Message()
    return Choice(
        index=choice.index,
        text=_text(message.content) or choice.text or "",
        refusal=message.refusal,
        reasoning=message.reasoning_content or message.reasoning or None,
        tool_calls=[_tool_call(i, call) for i, call in enumerate(message.tool_calls or ())],
        finish_reason=_finish_reason(choice),
        logprobs=_channels(choice.logprobs, LogprobsData),
        token_ids=choice.token_ids or choice.response_token_ids or ids,
        stop_reason=choice.matched_stop if choice.stop_reason is None else choice.stop_reason,
        weight_versions=_versions(choice, reply),
    )


def _finish_reason(choice: ReplyChoice) -> str | None:
    # Together's word and that of older TGI for a token that ends the turn.
    return "stop" if choice.finish_reason in {"eos", "eos_token"} else choice.finish_reason


def _tool_call(position: int, call: ToolCallPart) -> ToolCall:
    function = call.function or Function()
    return ToolCall(
        id=well_formed(call.id or f"call_{position}"),
        function=FunctionCall(name=well_formed(function.name or ""), arguments=well_formed(_arguments(function))),
    )


def _arguments(function: Function) -> str:
    # Some servers send the object instead of its text.
    value = function.arguments
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value or ""


def _channels(wire: Channels | None, cls: type[_T]) -> _T | None:
    if wire is None:
        return None
    reasoning = wire.reasoning_content or wire.reasoning
    if not (wire.content or wire.refusal or reasoning):
        return None
    # An empty list beside a filled one says no more than null does.
    return cls(wire.content or None, refusal=wire.refusal or None, reasoning=reasoning or None)


def _usage(usage: ReplyUsage | None) -> Usage | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=None if completion is None else completion.reasoning_tokens,
        cached_tokens=None if prompt is None else prompt.cached_tokens,
    )


class _Decoder(ChoicesDecoder):
    """Chunks from events. The stream is whole when ``[DONE]`` came or every choice has ended."""

    def __init__(self, read: Callable[[bytes], Reply]) -> None:
        super().__init__(EventSplitter())
        self._read = read

    def _chunks(self, payload: bytes) -> Iterator[StreamChunk]:
        if self._done:
            return
        if payload.strip() == b"[DONE]":
            self._done = True
            return
        reply = self._read(payload)
        if not reply.choices:
            _raise_error_object(reply, payload)
            if reply.usage is not None:
                yield StreamChunk(usage=_usage(reply.usage), id=reply.id, model=reply.model, created=reply.created)
            prompt_ids, extension = sglext_of(reply.sglext)
            for index, ids in enumerate(extension):
                yield StreamChunk(
                    index=index, token_ids=as_tuple(ids), prompt_token_ids=as_tuple(prompt_ids), id=reply.id
                )
            return
        usage, prompt_ids = _usage(reply.usage), _prompt_ids(reply)
        for choice in reply.choices:
            yield self._chunk(choice, reply, usage, prompt_ids)
            usage = prompt_ids = None
        _raise_error_object(reply, payload)

    def _chunk(
        self, choice: ReplyChoice, reply: Reply, usage: Usage | None, prompt_ids: list[int] | None
    ) -> StreamChunk:
        delta = choice.delta or choice.message or Message()
        self._see(choice.index, ends=choice.finish_reason is not None)
        return StreamChunk(
            delta=_text(delta.content) or choice.text or "",
            index=choice.index,
            logprobs=_channels(choice.logprobs, StreamLogprobsDelta),
            finish_reason=_finish_reason(choice),
            usage=usage,
            reasoning_delta=delta.reasoning_content or delta.reasoning or None,
            refusal_delta=delta.refusal or None,
            tool_call_deltas=tuple(_tool_call_delta(i, call) for i, call in enumerate(delta.tool_calls or ())),
            id=reply.id,
            model=reply.model,
            created=reply.created,
            token_ids=as_tuple(choice.token_ids or choice.response_token_ids),
            prompt_token_ids=as_tuple(prompt_ids),
            stop_reason=choice.matched_stop if choice.stop_reason is None else choice.stop_reason,
            weight_versions=_versions(choice, reply) if choice.finish_reason else (),
        )


def _tool_call_delta(position: int, call: ToolCallPart) -> ToolCallDelta:
    function = call.function or Function()
    return ToolCallDelta(
        index=position if call.index is None else call.index,
        id=call.id,
        name=function.name,
        arguments=_arguments(function),
    )


WIRE = OpenAIChat()
