"""How models write tool calls: five formats, each a function from text to pieces.

A piece is text that is no call, or a ``Block``. Nothing is repaired: a block that cannot be read says so and keeps its
text. Markers come from a table, so that those which were sampled as special tokens can be told from the same letters
in an argument.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from nxlog._json import BROKEN
from nxlog.turn import ToolCallStatus

Schemas = Mapping[str, Mapping[str, Any]]
"""The JSON schema of the arguments of each tool, by its name."""
Marks = Mapping[str, str]
"""How each marker is written in the text."""


class ToolFormat(enum.StrEnum):
    """How a family of models writes tool calls."""

    HERMES = "hermes"
    """``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``: Hermes, Qwen 2.5, Qwen 3."""
    QWEN_XML = "qwen-xml"
    """``<tool_call><function=name><parameter=key>value</parameter></function></tool_call>``: Qwen3-Coder."""
    GLM = "glm"
    """``<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>``: GLM 4.5."""
    KIMI = "kimi"
    """``<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{...}<|tool_call_end|>``: Kimi K2."""
    LLAMA3_JSON = "llama3-json"
    """``{"name": ..., "parameters": {...}}`` as the whole answer, several with ``;`` between: Llama 3."""


@dataclass(frozen=True, slots=True)
class Block:
    """A tool call as it was written."""

    raw: str
    status: ToolCallStatus
    name: str = ""
    arguments: str = ""
    id: str | None = None
    """The model's own, where its format has one."""


Piece = str | Block
Reader = Callable[[str, Marks, Schemas], Iterator[Piece]]


class _Cut(NamedTuple):
    """What is between two markers; ``closed`` is false where the second is missing."""

    raw: str
    inner: str
    closed: bool

    def failed(self, name: str = "") -> Block:
        status = ToolCallStatus.INVALID_JSON if self.closed else ToolCallStatus.UNCLOSED_BLOCK
        return Block(self.raw, status, name)

    def read(self, name: str, arguments: str, *, id_: str | None = None) -> Block:
        status = ToolCallStatus.OK if self.closed else ToolCallStatus.UNCLOSED_BLOCK
        return Block(self.raw, status, name, arguments, id_)


def _cuts(text: str, opening: str, closing: str) -> Iterator[str | _Cut]:
    """The text cut at its blocks. A marker inside a JSON text at the start of a block closes nothing."""
    at = 0
    while (start := text.find(opening, at)) >= 0:
        yield text[at:start]
        inner = start + len(opening)
        found = _end_of_json(text, inner)
        again = text.find(opening, found)
        limit = again if again >= 0 else len(text)
        end = text.find(closing, found, limit)
        closed = end >= 0
        stop = end if closed else limit
        at = stop + len(closing) if closed else stop
        yield _Cut(text[start:at], text[inner:stop], closed)
    yield text[at:]


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Behind what the pattern, which matches also nothing, matches there."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _end_of_json(text: str, at: int) -> int:
    """Behind the JSON object that begins there; the place itself where there is none."""
    start = _skip(_SPACE, text, at)
    if not text.startswith("{", start):
        return at
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return at


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()


_call = msgspec.json.Decoder(_Call).decode


def _json_call(text: str) -> tuple[str, str] | None:
    """Name and arguments of a call written as a JSON object; None when it is none."""
    try:
        call = _call(text)
    except BROKEN:
        return None
    arguments = bytes(call.arguments or call.parameters).decode()
    text_in_text = _json_value(arguments)
    if isinstance(text_in_text, str):
        arguments = text_in_text
    return (call.name, arguments.strip()) if isinstance(_json_value(arguments), dict) else None


def _json_value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except BROKEN:
        return None


def hermes(text: str, marks: Marks, schemas: Schemas) -> Iterator[Piece]:  # noqa: ARG001 - one shape for all
    """JSON objects between ``<tool_call>`` and ``</tool_call>``."""
    for cut in _cuts(text, marks["<tool_call>"], marks["</tool_call>"]):
        if isinstance(cut, str):
            yield cut
        else:
            call = _json_call(cut.inner)
            yield cut.failed() if call is None else cut.read(*call)


_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>(.*)</function>\s*", re.DOTALL)
_BARE = re.compile(r"<function=[^>\n]+>.*?(?:(?P<end></function>)|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


def qwen_xml(text: str, marks: Marks, schemas: Schemas) -> Iterator[Piece]:
    """Tags for the function and each of its parameters; values are text, or JSON where the schema says so."""
    for cut in _cuts(text, marks["<tool_call>"], marks["</tool_call>"]):
        if isinstance(cut, _Cut):
            yield _function(cut, schemas)
        else:
            yield from _bare(cut, marks["</tool_call>"], schemas)


def _bare(text: str, closing: str, schemas: Schemas) -> Iterator[Piece]:
    """The model forgets the first marker more often than anything else."""
    at = 0
    for found in _BARE.finditer(text):
        yield text[at : found.start()]
        yield _function(_Cut(found[0], found[0], closed=found["end"] is not None), schemas)
        at = found.end()
    yield text[at:].lstrip().removeprefix(closing) if at else text


def _function(cut: _Cut, schemas: Schemas) -> Block:
    function = _FUNCTION.fullmatch(cut.inner)
    if function is None:
        named = re.match(r"\s*<function=([^>\n]+)>", cut.inner)
        return cut.failed(named[1].strip() if named else "")
    return _tagged(cut, function[1].strip(), function[2], _PARAMETER, schemas)


def glm(text: str, marks: Marks, schemas: Schemas) -> Iterator[Piece]:
    """The name, then tags for each key and value."""
    key, value = (_tag(marks[f"<{tag}>"], marks[f"</{tag}>"]) for tag in ("arg_key", "arg_value"))
    pair = re.compile(rf"\s*{key}\s*{value}", re.DOTALL)
    for cut in _cuts(text, marks["<tool_call>"], marks["</tool_call>"]):
        if isinstance(cut, str):
            yield cut
            continue
        name, opening, _ = cut.inner.partition(marks["<arg_key>"])
        yield _tagged(cut, name.strip(), cut.inner[len(name) :] if opening else "", pair, schemas)


def _tag(opening: str, closing: str) -> str:
    return f"{re.escape(opening)}(.*?){re.escape(closing)}"


def _tagged(cut: _Cut, name: str, inside: str, pair: re.Pattern[str], schemas: Schemas) -> Block:
    """A call whose arguments are pairs of a key and a text."""
    if not re.fullmatch(r"[\w.:/-]+", name):
        return cut.failed()
    properties: Any = schemas.get(name, {}).get("properties")
    types = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
    arguments: dict[str, Any] = {}
    at = 0
    while found := pair.match(inside, at):
        key = found[1].strip()
        try:
            arguments[key] = _typed(found[2], types.get(key))
        except ValueError:
            return cut.failed(name)
        at = found.end()
    return cut.failed(name) if inside[at:].strip() else cut.read(name, json.dumps(arguments, ensure_ascii=False))


def _typed(text: str, schema: object) -> object:
    """The value that a text stands for: itself, unless its schema has types and no text among them.

    Raises:
        ValueError: it is nothing that the schema has.
    """
    given = cast("dict[str, Any]", schema).get("type") if isinstance(schema, dict) else None
    listed = cast("list[Any]", given) if isinstance(given, list) else [given]
    types = {name for name in listed if isinstance(name, str)}
    text_fits = not types or "string" in types
    if text_fits and not (text.strip() == "null" and "null" in types):
        return text
    word = text.strip()
    if "boolean" in types and word.lower() in {"true", "false"}:  # Python's spelling says the same
        return word.lower() == "true"
    return json.loads(word)


def kimi(text: str, marks: Marks, schemas: Schemas) -> Iterator[Piece]:  # noqa: ARG001 - one shape for all
    """The id, which has the name in it, and a JSON object."""
    for cut in _cuts(text, marks["<|tool_call_begin|>"], marks["<|tool_call_end|>"]):
        if isinstance(cut, str):
            for section in ("begin", "end"):
                cut = cut.replace(marks[f"<|tool_calls_section_{section}|>"], "")  # noqa: PLW2901 - less of the same
            yield cut
            continue
        id_, _, arguments = (part.strip() for part in cut.inner.partition(marks["<|tool_call_argument_begin|>"]))
        name = id_.rpartition(":")[0] or id_
        name = name.removeprefix("functions.")
        valid = bool(name) and isinstance(_json_value(arguments), dict)
        yield cut.read(name, arguments, id_=id_) if valid else cut.failed(name)


_LIKE_A_CALL = re.compile(r'\{\s*"(?:name|type|function|parameters|arguments)"')


def llama3_json(text: str, marks: Marks, schemas: Schemas) -> Iterator[Piece]:  # noqa: ARG001 - one shape for all
    """The whole answer is JSON objects; an answer in JSON that is no call stays text."""
    tag = marks["<|python_tag|>"]
    before, tagged, body = text.partition(tag)
    if tagged:
        yield before
        yield from _objects(body, tag)
        return
    blocks = list(_objects(text, tag)) if _LIKE_A_CALL.match(text.lstrip()) else []
    # Without the tag, sound JSON is an answer unless it has a call.
    if any(block.name or _json_value(block.raw) is None for block in blocks):
        yield from blocks
    else:
        yield text


def _objects(body: str, tag: str) -> Iterator[Block]:
    """The objects of an answer, with ``;``, the tag or nothing between them."""
    between = re.compile(rf"\s*;?\s*(?:{re.escape(tag)})?\s*")
    body = body.rstrip()
    at = _skip(_SPACE, body, 0)
    while at < len(body):
        end = _end_of_json(body, at)
        if end == at:
            rest = body[at:]
            yield _Cut(rest, rest, closed=not _is_cut(rest)).failed()
            return
        cut = _Cut(body[at:end], body[at:end], closed=True)
        call = _json_call(cut.inner)
        yield cut.failed() if call is None else cut.read(*call)
        at = _skip(between, body, end)


def _is_cut(text: str) -> bool:
    """Whether a JSON text is broken because it ends too early."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    except (ValueError, RecursionError):
        return False
    return False


READERS: Mapping[ToolFormat, Reader] = {
    ToolFormat.HERMES: hermes,
    ToolFormat.QWEN_XML: qwen_xml,
    ToolFormat.GLM: glm,
    ToolFormat.KIMI: kimi,
    ToolFormat.LLAMA3_JSON: llama3_json,
}
MARKERS: Mapping[ToolFormat, tuple[str, ...]] = {
    ToolFormat.HERMES: ("<tool_call>", "</tool_call>"),
    ToolFormat.QWEN_XML: ("<tool_call>", "</tool_call>"),
    ToolFormat.GLM: ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    ToolFormat.KIMI: (
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
    ),
    ToolFormat.LLAMA3_JSON: ("<|python_tag|>",),
}
"""What may be a token of its own."""
