"""The shape that all wire formats share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from nxlog.errors import DecodeError, InvalidRequestError
from nxlog.request import TextPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse, StreamChunk
    from nxlog.warnings import ParameterWarning


NO_IDS = frozenset({"token_ids", "token_ids_in", "prompt_logprobs", "logprob_token_ids", "stop_token_ids"})
"""What a format lacks that knows texts only."""


class StreamDecoder(Protocol):
    """Turns the bytes of a streamed reply, cut anywhere, into chunks."""

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the stream so far: events that were lost, or contradict each other."""
        ...

    def feed(self, data: bytes) -> Iterator[StreamChunk]:
        """The chunks that these bytes complete; errors are raised after the chunks that came before them.

        Raises:
            StatusError: the server sent an error event.
            DecodeError: an event is not JSON or not the wire's shape.
            ResponseTooLargeError: an event exceeds its bound.
        """
        ...

    def close(self) -> Iterator[StreamChunk]:
        """The chunks that were still waiting when the bytes ended.

        Raises:
            IncompleteStreamError: the end mark never came.
        """
        ...


class Wire(Protocol):
    """One wire format: pure functions between nxlog's types and bytes."""

    @property
    def name(self) -> str:
        """Its name in the registry."""
        ...

    @property
    def lacks(self) -> frozenset[str]:
        """What the format has no place for.

        Names of registry claims (``seed``, ``json_mode``, ...), or single values of fields: ``tool_choice=none``,
        ``tool_choice=function`` for a named one, ``reasoning_effort=none``.
        """
        ...

    def encode(self, request: ChatRequest, *, model: str, stream: bool, spelling: Mapping[str, str]) -> bytes:
        """The request body; ``spelling`` maps nxlog's field names to the provider's, ``""`` leaves one out."""
        ...

    def decode(self, body: bytes) -> ChatResponse:
        """The reply, without provider and warnings.

        Raises:
            StatusError: the body is an error object under a success status.
            DecodeError: not JSON, or not the wire's shape.
        """
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed reply."""
        ...


_encoder = msgspec.json.Encoder()


def encode_body(body: dict[str, Any], options: Mapping[str, Any] | None, *, tables: Collection[str] = ()) -> bytes:
    """The body with the provider options over it, as JSON.

    Args:
        body: what was encoded.
        options: keys that win over those of the body.
        tables: keys whose values hold fields of the request; an option merges into them instead of replacing them.

    Raises:
        InvalidRequestError: an option cannot be written as JSON, or would change how the reply is read.
    """
    if options:
        if "stream" in options:
            raise InvalidRequestError(
                "provider_options: 'stream' is chosen by calling stream() or chat(); leave it out",
                param="provider_options",
            )
        both = {key: _merged(body[key], options[key]) for key in tables if key in body and key in options}
        body = {**body, **options, **both}
    try:
        return _encoder.encode(body)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from None


def spelled(
    request: ChatRequest, names: Mapping[str, str] | Iterable[str], spelling: Mapping[str, str]
) -> dict[str, Any]:
    """Those of the fields that are given, under the provider's names for them.

    Args:
        request: where the values are.
        names: the fields and the wire's names for them, or the fields alone where the names are the same.
        spelling: what the provider calls them otherwise; ``""`` leaves one out.
    """
    owns = cast("Mapping[str, str]", names) if isinstance(names, Mapping) else {name: name for name in names}
    given = ((spelling.get(name, own), getattr(request, name)) for name, own in owns.items())
    return {key: value for key, value in given if key and value is not None}


def _merged(encoded: Any, given: Any) -> Any:
    if not isinstance(encoded, dict) or not isinstance(given, dict):
        return given
    return cast("dict[str, Any]", encoded) | cast("dict[str, Any]", given)


def prompt_of(request: ChatRequest, wire: str) -> str:
    """The prompt of a format that completes text: the one user message, as it is.

    Raises:
        InvalidRequestError: the conversation is anything else; nxlog makes up no chat template.
    """
    if len(request.messages) == 1 and request.messages[0].role == "user":
        message = request.messages[0]
        for i, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if not isinstance(part, TextPart):
                raise InvalidRequestError(
                    f"messages.0.content.{i}: {wire} has no place for a part of type {part.type!r}", param="messages"
                )
        return message.text
    roles = ", ".join(message.role for message in request.messages)
    raise InvalidRequestError(
        f"messages: {wire} completes one text, so give exactly one user message (got {roles}); "
        "for a conversation use a chat wire, whose server applies the model's chat template",
        param="messages",
    )


def preview(data: bytes, limit: int = 80) -> str:
    """The start of a body, for an error message."""
    text = data[: limit * 4].decode("utf-8", "replace").strip()
    return repr(text[:limit] + ("…" if len(text) > limit else ""))


def not_the_shape(wire: str, data: bytes, why: str) -> DecodeError:
    """The error for a body that is not what the wire says."""
    if not data.strip():
        return DecodeError(f"the server sent an empty body where {wire} has a JSON object", body="")
    return DecodeError(
        f"the reply is not {wire}: {why}; it starts with {preview(data)}", body=data.decode("utf-8", "replace")
    )
