"""The wire formats, by name. Each module has the same shape (``Wire``) and does no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog.errors import InvalidRequestError
from nxlog.wire.anthropic_messages import AnthropicMessages
from nxlog.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from nxlog.wire.base import Wire

WIRES: dict[str, Wire] = {wire.name: wire for wire in (OpenAIChat(), AnthropicMessages())}


def get_wire(name: str) -> Wire:
    """The wire of that name.

    Raises:
        InvalidRequestError: nxlog does not speak it.
    """
    try:
        return WIRES[name]
    except KeyError:
        raise InvalidRequestError(f"wire: unknown name {name!r}; one of {', '.join(WIRES)}", param="wire") from None
