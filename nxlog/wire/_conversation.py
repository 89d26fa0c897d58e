"""What the formats with content blocks share: turns, arguments of calls, images in data: URLs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nxlog.request import Message, Part, ToolCall

Block = dict[str, Any]


class Image(NamedTuple):
    """An image in a data: URL."""

    media_type: str
    data: str
    """Base64, as it was given."""


def turns_of(
    messages: Iterable[Message], blocks_of: Callable[[Message, str], list[Block]]
) -> tuple[list[Block], list[tuple[str, list[Block]]]]:
    """System blocks, and the turns of the two speakers; the result of a tool is the user's."""
    system: list[Block] = []
    turns: list[tuple[str, list[Block]]] = []
    for i, message in enumerate(messages):
        blocks = blocks_of(message, f"messages.{i}")
        if message.role in {"system", "developer"}:
            system += blocks
        else:
            turns.append(("assistant" if message.role == "assistant" else "user", blocks))
    return system, merge_turns(turns)


def merge_turns(turns: Iterable[tuple[str, list[Block]]]) -> list[tuple[str, list[Block]]]:
    """The turns with those of the same speaker in a row made one."""
    merged: list[tuple[str, list[Block]]] = []
    for role, blocks in turns:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(blocks)
        else:
            merged.append((role, list(blocks)))
    return merged


def call_arguments(call: ToolCall, where: str) -> dict[str, Any]:
    """The arguments of a call as the object that they must be.

    Raises:
        InvalidRequestError: they are no JSON object.
    """
    try:
        value = json.loads(call.function.arguments or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequestError(
            f"{where}: the arguments of the call to {call.function.name!r} must be a JSON object on this wire",
            param="messages",
        )
    return cast("dict[str, Any]", value)


def data_image(url: str, where: str) -> Image | None:
    """The image that the URL itself holds; None for a URL that points elsewhere.

    Raises:
        InvalidRequestError: a data: URL that is not base64.
    """
    if not url.startswith("data:"):
        return None
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidRequestError(f"{where}: an image in a data: URL must be base64", param="messages")
    return Image(head.removeprefix("data:").split(";")[0], data)


def native_block(part: Part) -> Block:
    """A part nxlog does not know, for a wire whose blocks are told by their only key: without the ``type``.

    ``{"type": "document", "document": {...}}`` is the block ``{"document": {...}}``.
    """
    return {key: value for key, value in part.model_dump().items() if key != "type"}
