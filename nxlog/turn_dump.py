"""Turns as plain dicts, for files: ``TurnTokenData.dump`` and ``load``."""

from __future__ import annotations

import math
from array import array
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import msgspec
from pydantic import ValidationError

from nxlog import _json
from nxlog.distribution import Distribution, DistributionSource
from nxlog.turn import (
    Evidence,
    Sampling,
    TopColumns,
    TurnCheck,
    TurnFinding,
    TurnPart,
    TurnRole,
    TurnTokenData,
    TurnToolCall,
    WeightVersion,
)
from nxlog.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T", bound=TurnTokenData)


def dump_turn(turn: TurnTokenData) -> dict[str, Any]:
    """What ``TurnTokenData.dump`` gives. Missing values are null, infinite ones the strings that JSON lacks."""
    return {
        field.name: _plain(value)
        for field in fields(turn)
        if (value := getattr(turn, field.name)) is not None and value != field.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, array):
        column = cast("array[float]", value)
        return plain_values(column) if column.typecode == "d" else column.tolist()
    if isinstance(value, TopColumns):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, TurnCheck):
        return [msgspec.to_builtins(finding) for finding in value.findings]
    if isinstance(value, Usage):
        return value.model_dump(exclude_none=True)
    if isinstance(value, Sampling):
        return {name: item for name, item in msgspec.to_builtins(value).items() if item is not None}
    return msgspec.to_builtins(value)


def plain_values(values: array[float]) -> list[float | str | None]:
    """A float column as JSON values: NaN as None, infinities as strings."""
    if math.isfinite(sum(values)):  # as nearly always; a sum of one that is not finite is not either
        return [*values]
    return [None if math.isnan(value) else _json.json_safe(value) for value in values]


def float_column(values: Iterable[float | str | None]) -> array[float]:
    """A float column from JSON values: NaN for None, and for what is no number."""
    listed = list(values)
    try:
        return array("d", cast("list[float]", listed))
    except TypeError:
        return array("d", [math.nan if (number := _json.number(value)) is None else number for value in listed])


def load_turn(cls: type[_T], value: dict[str, Any]) -> _T:
    """What ``TurnTokenData.load`` gives.

    Raises:
        ValueError: the value is not that of a turn; the message names the field.
    """
    if not isinstance(value, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"a turn is a dict, got {type(value).__name__}")
    if odd := sorted(value.keys() - {field.name for field in fields(cls)}):
        raise ValueError(f"{odd[0]}: a turn has no such field")
    if value.get("role") not in get_args(TurnRole):
        raise ValueError(f"role: {value.get('role')!r} is not one of {', '.join(get_args(TurnRole))}")
    loaded: dict[str, Any] = {}
    for name, item in value.items():
        try:
            loaded[name] = _READ[name](item) if name in _READ and item is not None else item
        except (TypeError, ValueError, OverflowError, KeyError, msgspec.ValidationError, ValidationError) as error:
            raise ValueError(f"{name}: {error}") from None
    return cls(**loaded)


def _ids(value: Iterable[int]) -> array[int]:
    return array("i", value)


def _top(value: dict[str, Any]) -> TopColumns:
    return TopColumns(_ids(value["offsets"]), _ids(value["ids"]), float_column(value["logprobs"]))


def _check(value: list[Any]) -> TurnCheck:
    return TurnCheck(msgspec.convert(value, tuple[TurnFinding, ...]))


def _converted(kind: Any) -> Callable[[Any], Any]:
    return lambda value: msgspec.convert(value, kind)


_TEXTS = (
    *("finish_reason", "content", "reasoning", "tool_name", "tool_call_id"),
    *("request_id", "provider", "model", "endpoint"),
)
_READ: dict[str, Callable[[Any], Any]] = {
    "prompt_ids": _ids,
    "output_ids": _ids,
    "output_logprobs": float_column,
    "top": _top,
    "tool_calls": _converted(tuple[TurnToolCall, ...]),
    "sampling": _converted(Sampling),
    "distribution": Distribution,
    "distribution_source": DistributionSource,
    "weight_versions": _converted(tuple[WeightVersion, ...]),
    "parts": _converted(tuple[TurnPart, ...]),
    "usage": Usage.model_validate,
    "evidence": Evidence,
    "checks": _check,
    **dict.fromkeys(_TEXTS, _converted(str)),
    "stop_reason": _converted(str | int),
    "stop_token_included": _converted(bool),
}
