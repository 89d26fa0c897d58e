"""The items of ``openai-responses`` from JSON of any quality: what has a wrong type is left out, nothing raises.

Objects are cut into their keys only. Token records are decoded from their own slice, everything that nxlog has no field
for is kept as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from msgspec import Raw

from nxlog._json import BROKEN, EMPTY, NULL, json_safe, loads_anything, raw_of, split, well_formed
from nxlog._records import decode_tokens
from nxlog.responses.items import (
    CodeInterpreterCall,
    FunctionCall,
    FunctionCallOutput,
    Message,
    OtherItem,
    OtherPart,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    WebSearchCall,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog._records import TokenLogprob
    from nxlog.responses.items import OutputItem, OutputPart

_NO_RECORDS = (NULL, EMPTY, Raw(b"{}"))
_cut = msgspec.json.Decoder(dict[str, Raw]).decode
_cut_all = msgspec.json.Decoder(list[dict[str, Raw]]).decode

Fields = dict[str, Raw]


def fields_of(raw: Raw) -> Fields:
    """The keys of an object, none of what is no object."""
    try:
        return _cut(raw)
    except BROKEN:
        value = loads_anything(raw)
    return {key: raw_of(item) for key, item in cast("dict[str, Any]", value).items()} if isinstance(value, dict) else {}


def _starts(raw: Raw, with_: bytes) -> bool:
    # What is long is not parsed to find out that it is something else.
    return bytes(memoryview(raw)[:1]) == with_


def list_of(raw: Raw) -> list[Raw] | None:
    """The elements of a list; an object counts as a list of it, None is what is neither."""
    if _starts(raw, b"{"):
        return [raw]
    if not _starts(raw, b"["):
        return None
    try:
        return split(raw)
    except BROKEN:
        value = loads_anything(raw)
    return [raw_of(item) for item in cast("list[Any]", value)] if isinstance(value, list) else None


def fields_of_all(raw: Raw) -> list[Fields] | None:
    """The objects of a list, cut into their keys; None for what is no list.

    In one go, because each reads all that is in them, and that may be megabytes of records.
    """
    if _starts(raw, b"["):
        try:
            return _cut_all(raw)
        except BROKEN:
            pass
    items = list_of(raw)
    return None if items is None else [fields_of(item) for item in items]


def records_of(raw: Raw) -> list[TokenLogprob]:
    """The records of a ``logprobs`` key: a list here, not an object of channels."""
    return [] if raw in _NO_RECORDS else decode_tokens(raw)


def text_of(raw: Raw) -> str | None:
    """A text, None for anything else."""
    value = loads_anything(raw) if _starts(raw, b'"') else None
    return well_formed(value) if isinstance(value, str) else None


def object_of(raw: Raw) -> dict[str, Any] | None:
    """An object as it is, None for anything else."""
    value = loads_anything(raw) if _starts(raw, b"{") else None
    return cast("dict[str, Any]", json_safe(value)) if isinstance(value, dict) else None


def objects_of(raw: Raw) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [found for item in list_of(raw) or () if (found := object_of(item)) is not None]


class _Rest:
    """What nobody has asked for yet of the keys of an object."""

    def __init__(self, fields: Fields) -> None:
        self._fields: Final = fields

    def raw(self, key: str) -> Raw:
        return self._fields.pop(key, NULL)

    def text(self, key: str) -> str | None:
        return text_of(self.raw(key))

    def records(self) -> list[TokenLogprob] | None:
        raw = self.raw("logprobs")
        return None if raw == NULL else records_of(raw)

    def others(self) -> dict[str, Any]:
        return {key: json_safe(loads_anything(raw)) for key, raw in self._fields.items()}


def item_of(fields: Fields) -> OutputItem:
    """One item."""
    rest = _Rest(dict(fields))
    kind = rest.text("type") or ""
    return _ITEMS.get(kind, _other_item)(kind, rest)


def part_of(fields: Fields) -> OutputPart:
    """One part of a message."""
    rest = _Rest(dict(fields))
    kind = rest.text("type") or ""
    if kind in {"output_text", "text"}:
        return OutputText(
            text=rest.text("text") or "",
            annotations=objects_of(rest.raw("annotations")),
            logprobs=rest.records(),
            **rest.others(),
        )
    if kind == "refusal":
        return Refusal(refusal=rest.text("refusal") or "", logprobs=rest.records(), **rest.others())
    return OtherPart(type=kind, **rest.others())


def _message(_: str, rest: _Rest) -> Message:
    content = rest.raw("content")
    plain = text_of(content)
    return Message(
        id=rest.text("id"),
        role=rest.text("role") or "assistant",
        status=rest.text("status"),
        content=[OutputText(text=plain)]
        if plain is not None
        else [part_of(part) for part in fields_of_all(content) or ()],
        **rest.others(),
    )


def _reasoning(_: str, rest: _Rest) -> Reasoning:
    content = rest.raw("content")
    plain = text_of(content)
    parts = [plain] if plain is not None else fields_of_all(content)
    return Reasoning(
        id=rest.text("id"),
        summary=[reasoning_text(part, "summary_text") for part in fields_of_all(rest.raw("summary")) or ()],
        content=None if parts is None else [reasoning_text(part, "reasoning_text") for part in parts],
        encrypted_content=rest.text("encrypted_content"),
        status=rest.text("status"),
        **rest.others(),
    )


def reasoning_text(part: Fields | str, kind: Any) -> ReasoningText:
    """One part of a reasoning, whatever the server calls its type."""
    if isinstance(part, str):
        return ReasoningText(type=kind, text=part)
    rest = _Rest(dict(part))
    rest.raw("type")
    return ReasoningText(type=kind, text=rest.text("text") or "", **rest.others())


def _function_call(_: str, rest: _Rest) -> FunctionCall:
    arguments = rest.raw("arguments")
    # Some servers send the object itself.
    found = bytes(arguments).decode("utf-8", "replace") if object_of(arguments) is not None else text_of(arguments)
    return FunctionCall(
        id=rest.text("id"),
        call_id=rest.text("call_id") or "",
        name=rest.text("name") or "",
        arguments=found or "",
        status=rest.text("status"),
        **rest.others(),
    )


def _function_call_output(_: str, rest: _Rest) -> FunctionCallOutput:
    output = rest.raw("output")
    plain = text_of(output)
    return FunctionCallOutput(
        id=rest.text("id"),
        call_id=rest.text("call_id") or "",
        output=objects_of(output) if plain is None else plain,
        status=rest.text("status"),
        **rest.others(),
    )


def _code_interpreter_call(_: str, rest: _Rest) -> CodeInterpreterCall:
    outputs = rest.raw("outputs")
    return CodeInterpreterCall(
        id=rest.text("id"),
        code=rest.text("code"),
        container_id=rest.text("container_id"),
        outputs=None if list_of(outputs) is None else objects_of(outputs),
        status=rest.text("status"),
        **rest.others(),
    )


def _web_search_call(_: str, rest: _Rest) -> WebSearchCall:
    return WebSearchCall(
        id=rest.text("id"), action=object_of(rest.raw("action")), status=rest.text("status"), **rest.others()
    )


def _other_item(kind: str, rest: _Rest) -> OtherItem:
    return OtherItem(type=kind, **rest.others())


_ITEMS: dict[str, Callable[[str, _Rest], OutputItem]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "code_interpreter_call": _code_interpreter_call,
    "web_search_call": _web_search_call,
}
