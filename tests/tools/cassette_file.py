"""Write one HTTP exchange as a VCR cassette, the way vcrpy itself writes an httpx call.

The files are ASCII: vcrpy opens cassettes in the encoding of the locale, so a character outside
ASCII would read differently from machine to machine. YAML escapes stand in for such characters.
``metadata`` is vcrpy's own key for what belongs to a cassette but not to an exchange.
"""

from __future__ import annotations

import http
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nxlog.testing import cassette

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer.

    ``metadata`` says where the exchange is from; the sha256 of the body is added to it.
    """

    uri: str
    request_headers: Mapping[str, Sequence[str]]
    request_body: str
    status: int
    response_headers: Mapping[str, Sequence[str]]
    response_body: bytes
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


def render(exchange: Exchange) -> str:
    """The text of the cassette.

    Raises:
        ValueError: reading the text back does not give the same bytes.
    """
    interaction = {
        "request": {
            "method": "POST",
            "uri": exchange.uri,
            "headers": _header_lists(exchange.request_headers),
            "body": exchange.request_body,
        },
        "response": {
            "status": {
                "code": exchange.status,
                "message": http.HTTPStatus(exchange.status).phrase,
            },
            "headers": _header_lists(exchange.response_headers),
            "body": {"string": cassette.text_or_bytes(exchange.response_body)},
        },
    }
    return cassette.render([interaction], exchange.metadata)


def write(path: Path, exchange: Exchange) -> None:
    """Write the cassette, with the same bytes on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render(exchange).encode("ascii"))


def _header_lists(headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name.lower(): list(values) for name, values in headers.items()}
