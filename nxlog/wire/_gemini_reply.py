"""What nxlog reads of a ``gemini`` reply or chunk; the rest stays reachable through ``ChatResponse.raw``."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import BROKEN, EMPTY, NULL, as_list, loads, loads_anything, raw_of, well_formed
from nxlog._records import TokenLogprob, decode_tokens
from nxlog.request import FunctionCall, ToolCall
from nxlog.response import Usage
from nxlog.wire._lenient import decode_leniently
from nxlog.wire.errors import event_error

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "gemini"


class Call(Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: Raw = NULL


class Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: Call | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    index: int = 0
    content: Content | None = None
    finish_reason: str | None = None
    # Its neighbor avgLogprobs is not read: on models that think it is not the mean of these, and it also comes unasked.
    logprobs_result: Raw = NULL

    @property
    def parts(self) -> list[Part]:
        return (self.content.parts if self.content else None) or []


class _Usage(Struct, gc=False, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None


class _Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class Reply(Struct, gc=False, rename="camel"):
    candidates: list[Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: Raw = NULL

    @property
    def blocked(self) -> bool:
        """Whether the prompt was refused, so that there are no candidates."""
        return not self.candidates and self.prompt_feedback is not None and bool(self.prompt_feedback.block_reason)


_decoder = msgspec.json.Decoder(Reply)


def decode_reply(data: bytes) -> Reply:
    """The reply or chunk.

    Raises:
        StatusError: it is an error object.
        DecodeError: not a JSON object.
    """
    reply = decode_leniently(data, _decoder, wire=NAME)
    if reply.error != NULL and (error := loads(reply.error)):
        raise event_error({"error": error}, data.decode("utf-8", "replace"))
    return reply


# -- token records ---------------------------------------------------------------------------------------------------


class _Top(Struct, gc=False):
    candidates: Raw = EMPTY


class _Result(Struct, gc=False, rename="camel"):
    chosen_candidates: Raw = EMPTY
    top_candidates: Raw = EMPTY


_decode_result = msgspec.json.Decoder(_Result).decode
_decode_tops = msgspec.json.Decoder(list[_Top]).decode

# Keys only: inside a string the quotes would be escaped, and no value stands before a colon.
_KEY = re.compile(rb'"(logProbability|tokenId)"(?=\s*:)')
_OUR_KEYS = {b"logProbability": b'"logprob"', b"tokenId": b'"token_id"'}


def records_of(result: Raw) -> list[TokenLogprob]:
    """One record for each chosen token, with the alternatives of the same step.

    The keys are renamed in the text, so that the alternatives can stay text until somebody looks.
    """
    if result == NULL:
        return []
    renamed = Raw(_KEY.sub(lambda match: _OUR_KEYS[match[1]], bytes(result)))
    try:
        read = _decode_result(renamed)
    except BROKEN:
        read = _read_anything(renamed)
    chosen, tops = decode_tokens(read.chosen_candidates), _alternatives(read.top_candidates)
    # A step whose chosen token is not said has a record all the same: its alternatives are real.
    chosen += [TokenLogprob() for _ in tops[len(chosen) :]]
    for i, top in enumerate(tops):
        if top not in (EMPTY, NULL):
            chosen[i] = msgspec.structs.replace(chosen[i], raw_top_logprobs=top)
    return chosen


def _read_anything(result: Raw) -> _Result:
    value = loads_anything(result)
    if not isinstance(value, dict):
        return _Result()
    members = cast("dict[str, Any]", value)
    return _Result(raw_of(members.get("chosenCandidates")), raw_of(members.get("topCandidates")))


def _alternatives(tops: Raw) -> list[Raw]:
    if tops == NULL:
        return []
    try:
        return [top.candidates for top in _decode_tops(tops)]
    except BROKEN:
        steps: list[object] = as_list(loads_anything(tops))
    return [
        raw_of(cast("dict[str, Any]", step).get("candidates")) if isinstance(step, dict) else EMPTY for step in steps
    ]


# -- the rest --------------------------------------------------------------------------------------------------------

_BLOCKED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR")
_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_BLOCKED, "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}


def finish_reason(reason: str | None, *, called: bool) -> str | None:
    """OpenAI's word. The wire says STOP for calls too."""
    if reason == "STOP" and called:
        return "tool_calls"
    return None if reason is None else _FINISH_REASONS.get(reason, reason)


def text_of(parts: Iterable[Part], *, thought: bool = False) -> str:
    """The text of the answer, or of the thoughts."""
    return "".join(part.text or "" for part in parts if bool(part.thought) is thought)


def calls_of(parts: Iterable[Part]) -> list[Call]:
    """The function calls, in order."""
    return [part.function_call for part in parts if part.function_call is not None]


def arguments_of(call: Call) -> str:
    """The arguments as the server wrote them."""
    return "{}" if call.args == NULL else bytes(call.args).decode("utf-8", "replace")


def tool_call(position: int, call: Call) -> ToolCall:
    """A call; the wire's ids are newer than the wire."""
    return ToolCall(
        id=well_formed(call.id or f"call_{position}"),
        function=FunctionCall(name=well_formed(call.name or ""), arguments=well_formed(arguments_of(call))),
    )


def usage_of(reply: Reply) -> Usage | None:
    """Counts in OpenAI's sense: what was thought is a part of what was generated, which the wire counts apart."""
    usage = reply.usage_metadata
    if usage is None:
        return None
    generated = [count for count in (usage.candidates_token_count, usage.thoughts_token_count) if count is not None]
    return Usage(
        prompt_tokens=usage.prompt_token_count,
        completion_tokens=sum(generated) if generated else None,
        total_tokens=usage.total_token_count,
        reasoning_tokens=usage.thoughts_token_count,
        cached_tokens=usage.cached_content_token_count,
    )


def created_of(reply: Reply) -> int | None:
    """When, which only Vertex says."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return int(dt.datetime.fromisoformat(cast("str", reply.create_time)).timestamp())
    return None
