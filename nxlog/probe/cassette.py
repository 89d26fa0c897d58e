"""Cassettes of a probe: one exchange a file, as vcrpy writes them, without the key and without the user's address.

The text is JSON as far as YAML can read that: YAML has no pairs of surrogates, wants a control character escaped that
JSON does not, and has a word for bytes that are no text. So no YAML library is needed to write it. It is ASCII, because
vcrpy opens cassettes in the encoding of the locale.
"""

from __future__ import annotations

import base64
import hashlib
import http
import json
import re
from typing import TYPE_CHECKING, Any

from nxlog._secret import hider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nxlog.probe.answer import Answer, Exchange
    from nxlog.probe.run import Probe

REQUEST_HEADERS = {"content-type", "accept", "anthropic-version"}
RESPONSE_HEADERS = {"content-type", "server", "vary", "cache-control", "retry-after", "openai-version"}
"""Headers that are kept. Others may hold a key, a cookie, an account or the id of a request."""

LICENSE = "Apache-2.0, as nxlog, where its recorder gives it to the project; the text of the reply is the model's"

_BINARY = "!!binary:"


def record(found: Probe, directory: Path) -> dict[str, Path]:
    """Write a cassette for every answer that came, and say which.

    Raises:
        OSError: a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    for answer in found.answers:
        if answer.exchange is not None and answer.exchange.complete:
            written[answer.name] = directory / file_name(answer.name)
            written[answer.name].write_bytes(render(found, answer, answer.exchange).encode("ascii"))
    return written


def file_name(question: str) -> str:
    """The file of a question's cassette."""
    return f"probe_{question}.yaml"


def render(found: Probe, answer: Answer, exchange: Exchange) -> str:
    """The text of one cassette."""
    body = _text_of(exchange.body, found.secrets)
    document = {
        "version": 1,
        "metadata": {
            **_metadata(found, answer),
            "body_sha256": hashlib.sha256(body if isinstance(body, bytes) else body.encode()).hexdigest(),
        },
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": found.stream_url if answer.question.stream else found.url,
                    "headers": _kept(exchange.request.headers, REQUEST_HEADERS),
                    "body": _hidden(exchange.request.content.decode("utf-8", "replace"), found.secrets),
                },
                "response": {
                    "status": {"code": exchange.status, "message": _phrase(exchange.status)},
                    "headers": _kept(exchange.headers, RESPONSE_HEADERS),
                    "body": {"string": body},
                },
            }
        ],
    }
    return _yaml(json.dumps(document, indent=1, default=_binary))


def _metadata(found: Probe, answer: Answer) -> dict[str, Any]:
    return {
        "evidence": "captured",
        "provider": found.provider.id,
        "wire": found.wire,
        **_engine(found.engine),
        "recorded": found.date[:7],
        "case": answer.name,
        "note": "written by nxlog probe; the address is the provider's own, headers are left out",
        "license": LICENSE,
    }


def _engine(told: str | None) -> dict[str, str]:
    """Name and version, where the last word is one."""
    if told is None:
        return {}
    name, _, version = told.rpartition(" ")
    return {"engine": name, "engine_version": version} if name and re.match(r"v?\d", version) else {"engine": told}


def _kept(headers: Mapping[str, str], wanted: Iterable[str]) -> dict[str, list[str]]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: [lower[name]] for name in sorted(wanted) if name in lower}


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _text_of(body: bytes, secrets: Iterable[str]) -> str | bytes:
    """The body as text, or as bytes where it is none; a binary body does not quote a key."""
    try:
        return _hidden(body.decode("utf-8"), secrets)
    except UnicodeDecodeError:
        return body


def _hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        known = hider(secret)
        text = text if known is None else known.hide(text)
    return text


def _binary(value: object) -> str:
    if isinstance(value, bytes):
        return _BINARY + base64.b64encode(value).decode()
    raise TypeError(f"no JSON for {type(value).__name__}")


_UNREADABLE = re.compile(rf'\\\\|\\u(d[89ab]..)\\u(d[c-f]..)|(\x7f)|"{_BINARY}([A-Za-z0-9+/=]*)"')


def _yaml(text: str) -> str:
    return _UNREADABLE.sub(_readable, text)


def _readable(found: re.Match[str]) -> str:
    high, low, delete, encoded = found.groups()
    if high:
        return f"\\U{0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00):08X}"
    if delete:
        return "\\u007F"
    return found[0] if encoded is None else f'!!binary "{encoded}"'
