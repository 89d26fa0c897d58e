"""A turn from a choice of a reply: columns, what is known about them, and the checks."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import msgspec

from nxlog._columns import columns_of
from nxlog._json import EMPTY, NULL, placeholder_id
from nxlog.distribution import Distribution, DistributionSource
from nxlog.errors import TurnError
from nxlog.turn import Evidence, Sampling, ToolCallStatus, TopColumns, TurnTokenData, TurnToolCall
from nxlog.turn_check import check_turn, ends_with_stop_token, ids_of_records, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from msgspec import Raw

    from nxlog._records import TokenLogprob
    from nxlog.request import ChatRequest, ToolCall
    from nxlog.response import ChatResponse, Choice
    from nxlog.turn_check import Decode

_FINISH = {
    **dict.fromkeys(("eos", "eos_token", "end_turn", "stop_sequence", "completed"), "stop"),
    **dict.fromkeys(("max_tokens", "max_new_tokens", "max_length"), "length"),
    **dict.fromkeys(("tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("aborted", "cancelled", "canceled"), "abort"),
}
"""Words that reach a reply as the server wrote them."""


def turn_of(
    response: ChatResponse, choice: Choice, sent: ChatRequest | None, endpoint: str | None, decode: Decode | None = None
) -> TurnTokenData:
    """The turn that a choice is, checked."""
    records = records_of(choice)
    ids, native = _ids(choice, records)
    finish = _FINISH.get((choice.finish_reason or "").lower(), choice.finish_reason)
    included = ends_with_stop_token(
        finish,
        choice.stop_reason,
        ids or (),
        records,
        text=choice.text,
        stop=(sent and sent.stop) or (),
        stop_ids=(sent and sent.stop_token_ids) or (),
    )
    data, alone = choice.logprobs, len(response.choices) == 1
    turn = TurnTokenData(
        role="assistant",
        prompt_ids=_column(response.prompt_token_ids or (sent and sent.input_ids)),
        output_ids=ids,
        output_logprobs=_logprobs(records) if records else None,
        top=_top(records),
        finish_reason=finish,
        stop_reason=choice.stop_reason,
        stop_token_included=included,
        content=choice.text,
        reasoning=choice.reasoning,
        tool_calls=tuple(_call(call, sent) for call in choice.tool_calls),
        sampling=Sampling() if sent is None else _sampling(sent),
        distribution=Distribution.UNKNOWN if data is None else data.distribution,
        distribution_source=DistributionSource.NOBODY if data is None else data.distribution_source,
        weight_versions=choice.weight_versions,
        usage=response.usage if alone else None,
        request_id=response.id,
        provider=response.provider,
        model=response.model,
        endpoint=endpoint,
        evidence=Evidence.NATIVE_IDS if native else Evidence.WIRE_TEXT,
    )
    return replace(turn, checks=check_turn(turn, choice, decode=decode))


def require_trainable(turn: TurnTokenData) -> TurnTokenData:
    """The turn itself.

    Raises:
        TurnError: it was sampled and is not trainable.
    """
    if turn.role == "assistant" and turn.reason is not None:
        raise TurnError(f"not trainable: {turn.reason}", provider=turn.provider or None, model=turn.model or None)
    return turn


def with_token_ids(response: ChatResponse, sent: ChatRequest) -> ChatResponse:
    """The reply with the ids of its records, where ids were asked for and have no list of their own."""
    if not sent.return_token_ids or all(choice.token_ids for choice in response.choices):
        return response
    usage = response.usage if len(response.choices) == 1 else None
    generated = None if usage is None else usage.completion_tokens
    choices = [choice.model_copy(update={"token_ids": _known_ids(choice, generated)}) for choice in response.choices]
    return response.model_copy(update={"choices": choices})


def _known_ids(choice: Choice, generated: int | None) -> list[int] | None:
    if choice.token_ids is not None:
        return choice.token_ids
    records = records_of(choice)
    ids = [token for token in ids_of_records(records) if token is not None]
    short = generated is not None and generated > len(ids)  # a record may stand for several tokens
    return None if len(ids) != len(records) or not ids or short else ids


def _ids(choice: Choice, records: Sequence[TokenLogprob]) -> tuple[array[int] | None, bool]:
    listed = choice.token_ids or ids_of_records(records)
    column = None if None in listed else _column(listed)
    return column, column is not None


def _column(ids: Any) -> array[int] | None:
    if not ids:
        return None
    try:
        return array("i", ids)
    except (OverflowError, TypeError):
        # No vocabulary is that large; -1 is no id either, and the checks say so.
        return array("i", [token if isinstance(token, int) and 0 <= token < 2**31 else -1 for token in ids])


def _logprobs(records: Sequence[TokenLogprob]) -> array[float]:
    values = [record.logprob for record in records]
    try:
        return array("d", values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except TypeError:
        return array("d", [math.nan if value is None else value for value in values])


class _Top(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float | None = None
    id: int | None = None
    token_id: int | None = None


_decode_tops: Callable[[Raw], list[_Top] | None] = msgspec.json.Decoder(list[_Top] | None).decode
_NONE = (EMPTY, NULL)


def _top(records: Sequence[TokenLogprob]) -> TopColumns | None:
    """The alternatives, of which nothing but ids and values is decoded."""
    if all(record.raw_top_logprobs in _NONE for record in records):
        return None  # as of most turns for training
    try:
        lists = [_decode_tops(record.raw_top_logprobs) or [] for record in records]
    except msgspec.DecodeError:
        columns = columns_of(records)
        ids = columns.top_token_ids or array("q", [-1]) * len(columns.top_logprobs)
        return TopColumns(array("i", columns.offsets), _column(ids) or array("i"), columns.top_logprobs)
    flat = [*chain.from_iterable(lists)]
    return TopColumns(
        array("i", accumulate(map(len, lists), initial=0)),
        _column([_id(top) for top in flat]) or array("i"),
        array("d", [math.nan if top.logprob is None else top.logprob for top in flat]),
    )


def _id(top: _Top) -> int:
    known = top.id if top.id is not None else top.token_id
    if known is None:
        known = placeholder_id(top.token)
    return -1 if known is None else known


def _call(call: ToolCall, sent: ChatRequest | None) -> TurnToolCall:
    name, arguments = call.function.name, call.function.arguments
    known = {tool.function.name for tool in (sent and sent.tools) or ()}
    status = ToolCallStatus.OK
    if known and name not in known:
        status = ToolCallStatus.UNKNOWN_TOOL
    elif arguments and not _is_json(arguments):
        status = ToolCallStatus.INVALID_JSON
    return TurnToolCall(call.id, name, arguments, status)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return True


_OPTIONS = ("top_k", "min_p", "repetition_penalty")


def _sampling(sent: ChatRequest) -> Sampling:
    options = sent.provider_options or {}
    # SGLang and vLLM's native routes have a table of them.
    table: dict[str, Any] = {**options, **(options.get("sampling_params") or {})}
    known: dict[str, Any] = {name: value for name in _OPTIONS if isinstance(value := table.get(name), int | float)}
    return Sampling(
        temperature=sent.temperature,
        top_p=sent.top_p,
        seed=sent.seed,
        max_tokens=sent.max_tokens,
        presence_penalty=sent.presence_penalty,
        frequency_penalty=sent.frequency_penalty,
        **known,
    )
