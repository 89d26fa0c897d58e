"""Tool calls out of what a model wrote, with its reasoning taken off first. What cannot be read stays, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nxlog.rendering.messages import template_tools
from nxlog.rendering.tool_formats import MARKERS, READERS, Block, ToolFormat
from nxlog.turn import ToolCallStatus, TurnToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog.rendering.renderer import Renderer
    from nxlog.rendering.tool_formats import Marks
    from nxlog.turn import TurnTokenData

_THINK = ("<think>", "</think>")
_FIRST_STAND_IN = 0xFDD0
"""Unicode keeps 32 code points from here for use inside of programs."""


@dataclass(frozen=True, slots=True)
class ParsedOutput:
    """What a model wrote, taken apart.

    Attributes:
        content: the text without reasoning and calls.
        reasoning: what it thought; None where it did not.
        tool_calls: every call, in order, also those that could not be read: ``status`` says so, ``raw`` is the text.
    """

    content: str
    reasoning: str | None
    tool_calls: tuple[TurnToolCall, ...]

    @property
    def ok_calls(self) -> tuple[TurnToolCall, ...]:
        """The calls that can be made."""
        return tuple(call for call in self.tool_calls if call.status is ToolCallStatus.OK)

    def finish_reason(self, given: str | None) -> str | None:
        """The finish reason: ``stop`` becomes ``tool_calls`` where there is a call that can be made."""
        return "tool_calls" if given == "stop" and self.ok_calls else given


def parse_tool_calls(
    text: str,
    tool_format: ToolFormat | str,
    *,
    tools: Iterable[object] | None = None,
    id_prefix: str = "call_",
) -> ParsedOutput:
    """Take apart the text of an answer.

    Args:
        text: as the model wrote it, reasoning included.
        tool_format: how the model writes calls.
        tools: what it may call. A call of another is ``UNKNOWN_TOOL``; without tools every name is taken. In the
            formats with tags their schemas decide which values are text.
        id_prefix: of the ids of calls; the number behind it has leading zeros, so that ids sort as the calls came.

    Raises:
        ValueError: there is no such format.
    """
    form = ToolFormat(tool_format)
    return _parse(text, form, {mark: mark for mark in (*_THINK, *MARKERS[form])}, tools, id_prefix)


def parse_tool_call_ids(
    output_ids: Sequence[int],
    renderer: Renderer,
    tool_format: ToolFormat | str,
    *,
    tools: Iterable[object] | None = None,
    id_prefix: str = "call_",
) -> ParsedOutput:
    """The same from the ids that were sampled.

    Where a marker is a token, only that token marks anything: the same letters inside an argument do not. Tokens
    that end the turn are left out.

    Args:
        output_ids: what was sampled.
        renderer: whose tokenizer the ids are of.
        tool_format: how the model writes calls.
        tools: what it may call.
        id_prefix: of the ids of calls.

    Raises:
        ValueError: there is no such format.
    """
    form = ToolFormat(tool_format)
    known = {text: id_ for id_, text in renderer.added_tokens.items()}
    marks = {
        mark: chr(_FIRST_STAND_IN + i) if mark in known else mark for i, mark in enumerate((*_THINK, *MARKERS[form]))
    }
    stand_ins = {known[mark]: marks[mark] for mark in marks if mark in known}
    return _parse(_marked(output_ids, renderer, stand_ins), form, marks, tools, id_prefix)


def parse_turn(
    turn: TurnTokenData,
    tool_format: ToolFormat | str,
    *,
    renderer: Renderer | None = None,
    tools: Iterable[object] | None = None,
    id_prefix: str = "call_",
) -> TurnTokenData:
    """The turn with its content taken apart, for a server that leaves that to its clients.

    Args:
        turn: one that was sampled, with the whole text as its content or with its output ids.
        tool_format: how the model writes calls.
        renderer: reads the output ids in place of the content, where the turn has them.
        tools: what the model may call.
        id_prefix: of the ids of calls; those of one conversation must differ.

    Raises:
        ValueError: there is no such format.
    """
    if renderer is not None and turn.output_ids is not None:
        found = parse_tool_call_ids(turn.output_ids, renderer, tool_format, tools=tools, id_prefix=id_prefix)
    else:
        found = parse_tool_calls(turn.content or "", tool_format, tools=tools, id_prefix=id_prefix)
    return replace(
        turn,
        content=found.content,
        reasoning=turn.reasoning if found.reasoning is None else found.reasoning,
        tool_calls=found.tool_calls,
        finish_reason=found.finish_reason(turn.finish_reason),
    )


def _marked(ids: Sequence[int], renderer: Renderer, stand_ins: dict[int, str]) -> str:
    """The text, with stand-ins for the tokens that mark something."""
    special = renderer.special_ids | renderer.stop_ids
    kept = [token for token in ids if token in stand_ins or token not in special]
    pieces: list[str] = []
    start = 0
    for at, token in enumerate((*kept, None)):
        if token is None or token in stand_ins:
            pieces.append(_run(kept[start:at], renderer, after_mark=start > 0))
            pieces.append("" if token is None else stand_ins[token])
            start = at + (token is not None)
    return "".join(pieces)


def _run(ids: list[int], renderer: Renderer, *, after_mark: bool) -> str:
    # Some decoders drop the space before the first word of what they get, which it is not here.
    anchor = next(iter(renderer.added_tokens), None) if after_mark else None
    if not ids or anchor is None:
        return renderer.decode(ids)
    return renderer.decode([anchor, *ids]).removeprefix(renderer.decode([anchor]))


def _parse(text: str, form: ToolFormat, marks: Marks, tools: Iterable[object] | None, id_prefix: str) -> ParsedOutput:
    described = None if tools is None else [tool.get("function", tool) for tool in template_tools(tools) or ()]
    schemas: dict[str, Any] = {str(tool.get("name")): tool.get("parameters") or {} for tool in described or ()}
    reasoning, rest = _without_reasoning(text, marks, marks[MARKERS[form][0]])
    pieces = list(READERS[form](rest, marks, schemas))
    content = "".join(piece for piece in pieces if isinstance(piece, str))
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    spell = str.maketrans({mark: letters for letters, mark in marks.items() if mark != letters})
    calls: list[TurnToolCall] = []
    taken: set[str] = set()
    for i, block in enumerate(blocks):
        status = block.status
        if status is ToolCallStatus.OK and described is not None and block.name not in schemas:
            status = ToolCallStatus.UNKNOWN_TOOL
        id_ = block.id if block.id and block.id not in taken else f"{id_prefix}{i:04d}"
        taken.add(id_)
        arguments = block.arguments.translate(spell)
        calls.append(TurnToolCall(id_, block.name.translate(spell), arguments, status, block.raw.translate(spell)))
    content = (content.strip() if blocks else content).translate(spell)
    return ParsedOutput(content, None if reasoning is None else reasoning.translate(spell), tuple(calls))


def _without_reasoning(text: str, marks: Marks, call: str) -> tuple[str | None, str]:
    """The reasoning and the rest. The prompt may have opened the reasoning, and the end may be missing."""
    opening, closing = (marks[mark] for mark in _THINK)
    opened = text.lstrip().startswith(opening)
    thought, closed, rest = text.partition(closing)
    if not closed and not opened:
        return None, text
    if not opened and call in thought:
        return None, text  # the letters are in an argument
    return thought.lstrip().removeprefix(opening).strip("\n"), rest.lstrip("\n")
