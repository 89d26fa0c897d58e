"""Taking keys, cookies and accounts out of what is recorded.

Headers pass by name: those on a list are kept, the others may hold anything and are left out. From URLs, kept headers
and bodies go the values that are known to be secret, the values under names that say so, and what has the shape of a
key. In place of each stands ``__hidden__``, which matches anything when the recording is played.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from nxlog.registry import AuthScheme, Registry
from nxlog.testing.leaks import spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nxlog.http.intercept import Asked, Headers

HIDDEN = "__hidden__"

SHORTEST = 8
"""Shorter values are placeholders such as ``none`` or ``EMPTY``, and would be found in every other word."""

REQUEST_HEADERS = {"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"}
RESPONSE_HEADERS = {
    "content-type",
    "location",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-amzn-errortype",
    "x-should-retry",
}
"""What is kept. Of a reply, what a client acts on."""

_HEAD = 12
"""So much of a long secret gives it away."""

_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:key|keys|apikey|token|secret|password|passwd|auth|authorization|credential|credentials|signature"
    r"|sig|cookie|session|org|organization|project|account|tenant|subscription|user)(?:$|[-_.](?:id|key|token|value)$)"
    r"|api[-_]?key|access[-_]?token|(?:org|organization|account|project|tenant)id$",
    re.IGNORECASE,
)
"""Names of query parameters and headers whose values nobody else needs to know."""

_BODY_NAMES = (
    "api_key|apikey|api-key|authorization|access_token|refresh_token|id_token|client_secret|password|secret|session_token"
    "|organization|organization_id|org_id|account_id|project_id|tenant_id|user_id|safety_identifier"
)
_BODY_FIELD = re.compile(rf'("(?:{_BODY_NAMES})"\s*:\s*")((?:[^"\\]|\\.)+)(?=")', re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_*-]{16,}|(?:gsk|hf|xai|r8|nvapi|pplx|fw|tgp|csk)[-_][A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|ya29\.[A-Za-z0-9._-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
    r"|(?:org|proj|user)[-_][A-Za-z0-9]{16,})"
)
"""Keys, tokens and organizations as providers write them."""

_ENVIRONMENT = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|ORG|ORGANIZATION|PROJECT|ACCOUNT|TENANT|SUBSCRIPTION)(?:_ID)?$"
)
"""Names of environment variables whose values are not for a file; ``AWS_SECRET_ACCESS_KEY`` is one."""


class Scrubber:
    """Knows secrets and takes them out. More can be learned at any time before something is written."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._key_headers = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}
        for provider in Registry.default():
            if provider.auth.scheme is AuthScheme.HEADER and provider.auth.header:
                self._key_headers.add(provider.auth.header.lower())
        self.learn(*secrets)

    def learn(self, *secrets: str | None) -> None:
        """Hide these from now on; short ones are no secrets."""
        self._secrets |= {secret for secret in secrets if secret is not None and len(secret) >= SHORTEST}

    def learn_environment(self, environment: Mapping[str, str] = os.environ) -> None:
        """Hide the keys and accounts that the environment holds at this moment."""
        self.learn(*(value.strip() for name, value in environment.items() if _ENVIRONMENT.search(name)))

    def learn_request(self, asked: Asked) -> None:
        """Hide the keys that this request carries in its headers and its address."""
        for name, value in asked.headers:
            if name in self._key_headers or _SECRET_NAME.search(name):
                self.learn(*_values(name, value))
        parts = urlsplit(asked.url)
        self.learn(parts.password)
        self.learn(*(unquote(value or "") for name, value in _pairs(parts.query) if _SECRET_NAME.search(name)))

    def headers(self, headers: Headers, kept: set[str]) -> dict[str, list[str]]:
        """The headers that may be written, by name."""
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if name in kept:
                found.setdefault(name, []).append(self.url(value) if name == "location" else self.text(value))
        return found

    def url(self, url: str) -> str:
        """The address without user and password, and with the values of its query as far as they are not secret."""
        parts = urlsplit(url)
        query = "&".join(
            name if value is None else f"{name}={HIDDEN if _SECRET_NAME.search(name) else value}"
            for name, value in _pairs(parts.query)
        )
        bare = parts.netloc.rpartition("@")[2]
        return self.text(urlunsplit((parts.scheme, bare, parts.path, query, "")))

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self.cut(text.encode(), ())[0].decode()

    def cut(self, body: bytes, sizes: Sequence[int]) -> tuple[bytes, list[int]]:
        """The body without secrets, and how long the pieces of it are now.

        A secret that was spread over several pieces is hidden in the first of them.

        Raises:
            ValueError: there is a secret of which nothing can be taken out: in a body that is no text, or spread over
                the tokens of an answer.
        """
        for parts in spelled(body):
            if any(_is_spread(secret, parts) for secret in self._secrets):
                raise ValueError("a secret is spread over the tokens of the answer, where it cannot be hidden")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            # Binary formats have lengths and checksums. Each byte is a character here.
            if self._spans(body.decode("latin-1"), shapes=False):
                raise ValueError("a secret is in a body that is no text") from None
            return body, list(sizes)
        spans = self._spans(text)
        if not spans:
            return body, list(sizes)
        pieces: list[bytes] = []
        ends: list[int] = []
        end = 0
        shifts: list[tuple[int, int, int]] = []  # where the old span was, in bytes, and what became longer or shorter
        offset = 0
        for start, stop in spans:
            kept, gone = text[end:start].encode(), text[start:stop].encode()
            stand_in = _stand_in(gone)
            pieces += (kept, stand_in)
            offset += len(kept)
            shifts.append((offset, offset + len(gone), len(stand_in) - len(gone)))
            offset += len(gone)
            end = stop
        pieces.append(text[end:].encode())
        position = 0
        for size in sizes:
            position += size
            ends.append(_moved(position, shifts))
        return b"".join(pieces), [high - low for low, high in zip([0, *ends], ends, strict=False)]

    def _spans(self, text: str, *, shapes: bool = True) -> list[tuple[int, int]]:
        found = [match.span(2) for match in _BODY_FIELD.finditer(text)] if shapes else []
        found += [match.span() for match in _SHAPES.finditer(text)] if shapes else []
        for secret in self._secrets:
            for spelling in _spellings(secret):
                found += _occurrences(text, spelling)
            for octets in _octets(secret):
                found += [match.span() for match in re.finditer(rf"\b{octets}\b", text)]
        return _merged([span for span in found if text[slice(*span)] != HIDDEN])


def _spellings(secret: str) -> set[str]:
    """A secret as it is, in JSON, in a URL."""
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    return {secret, escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe="")}


def _octets(secret: str) -> set[str]:
    """A secret as the bytes of a token."""
    return {comma.join(map(str, secret.encode())) for comma in (",", ", ")}


def _is_spread(secret: str, parts: Sequence[str]) -> bool:
    """Whether parts that follow each other spell the secret, or its start, and none of them does so alone."""
    ends = set(accumulate(map(len, parts)))
    found = _occurrences("".join(parts), secret)
    return any(not ends.isdisjoint(range(start + 1, stop)) for start, stop in found)


def _stand_in(gone: bytes) -> bytes:
    """What is written in place of a secret; numbers in place of numbers."""
    if b"," in gone and re.fullmatch(rb"[\d, ]+", gone):
        return ", ".join(map(str, HIDDEN.encode())).encode()
    return HIDDEN.encode()


def _occurrences(text: str, secret: str) -> list[tuple[int, int]]:
    """Where the secret is, whole or cut off: servers quote the start of a key."""
    head = secret if len(secret) < 2 * _HEAD else secret[:_HEAD]
    found: list[tuple[int, int]] = []
    for match in re.finditer(re.escape(head), text, re.IGNORECASE):
        rest = text[match.end() : match.start() + len(secret)]
        more = takewhile(lambda pair: pair[0].lower() == pair[1].lower(), zip(rest, secret[len(head) :], strict=False))
        found.append((match.start(), match.end() + sum(1 for _ in more)))
    return found


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _moved(position: int, shifts: Sequence[tuple[int, int, int]]) -> int:
    """Where a boundary is after the replacements; one inside a secret goes to its end."""
    moved = position
    for start, stop, growth in shifts:
        if position <= start:
            break
        moved += growth + max(0, stop - position)
    return moved


def _pairs(query: str) -> list[tuple[str, str | None]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(name, value if equals else None) for name, equals, value in parts]


def _values(name: str, value: str) -> list[str]:
    """What of a header's value is secret by itself."""
    if name == "cookie":
        return [part.partition("=")[2].strip() for part in value.split(";")]
    scheme, space, rest = value.partition(" ")
    if not space:
        return [value]
    if scheme.startswith("AWS4"):
        return re.findall(r"(?:Credential|Signature)=([^/,\s]+)", rest)
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            return [rest, base64.b64decode(rest).decode("latin-1").partition(":")[2]]
    return [rest]
