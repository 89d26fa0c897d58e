"""``turns``: a whole conversation, replies and tool results, as turns in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.request import Message
from nxlog.response import ChatResponse
from nxlog.turn import TurnTokenData
from nxlog.turn_build import require_trainable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nxlog.turn import TurnRole
    from nxlog.turn_check import Decode

    Part = ChatResponse | TurnTokenData | Message | Mapping[str, Any]


def turns(parts: Iterable[Part], *, strict: bool = False, decode: Decode | None = None) -> list[TurnTokenData]:
    """The turns of a conversation.

    Args:
        parts: replies (their first choice), messages (tool results, users' and system messages; dicts or ``Message``),
            and turns, which stay as they are. A tool result without a ``name`` has that of the call it answers.
        strict: whether an assistant turn that is not trainable is an error.
        decode: see ``nxlog.turn_check.check_turn``.

    Raises:
        TurnError: with ``strict``, an assistant turn is not trainable.
        pydantic.ValidationError: a message is none.
    """
    return [*_turns(parts, strict=strict, decode=decode)]


def _turns(parts: Iterable[Part], *, strict: bool, decode: Decode | None) -> Iterator[TurnTokenData]:
    names: dict[str, str] = {}
    for part in parts:
        turn = part if isinstance(part, TurnTokenData) else _turn(part, names, decode)
        names |= {call.id: call.name for call in turn.tool_calls}
        yield require_trainable(turn) if strict else turn


def _turn(
    part: ChatResponse | Message | Mapping[str, Any], names: dict[str, str], decode: Decode | None
) -> TurnTokenData:
    if isinstance(part, ChatResponse):
        return part.turn_of(decode=decode)
    message = part if isinstance(part, Message) else Message.model_validate(dict(part))
    role: TurnRole = "system" if message.role == "developer" else message.role
    return TurnTokenData(
        role=role,
        content=message.text,
        tool_name=(message.name or names.get(message.tool_call_id or "")) if role == "tool" else None,
        tool_call_id=message.tool_call_id,
    )
