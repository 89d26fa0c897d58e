"""What servers say when they refuse: error bodies of every shape, and which of them are about logprobs."""

from __future__ import annotations

import enum
import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import ServerError, StatusError, error_class

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "cf-ray")


class RefusalKind(enum.StrEnum):
    """Why a server refuses a request for logprobs, in the order of the tests."""

    RANGE = "range"
    """Too many alternatives asked; the message may name the limit."""
    PRECONDITION = "precondition"
    """Another field has to change first."""
    UNSUPPORTED = "unsupported"
    """This model, mode or server gives none."""
    TRANSIENT = "transient"
    """Later it may."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's no to logprobs; ``limit`` is the number it named."""

    kind: RefusalKind
    limit: int | None = None


# The messages of real servers (2023 to 2026), one alternative each, tested in this order.
_PATTERNS: dict[RefusalKind, tuple[str, ...]] = {
    RefusalKind.RANGE: (
        r"top_logprobs.*must be less than or equal to (?P<n1>\d+)",
        r"range of top_logprobs (?:should be|is) \[0, ?(?P<n2>\d+)\]",
        r"top_logprobs must be between 0 and (?P<n3>\d+)",
        r"logprobs.*between 0 and (?P<n4>\d+)",
        r"top_logprobs must be at most (?P<n5>\d+)",
        r"logprobs.*greater than max allowed: (?P<n6>\d+)",
        r"greater than the maximum of (?P<n7>\d+) - 'logprobs'",
        r"top_logprobs\"? (?:\d+ )?must be in (?:range )?\[0, ?(?P<n8>\d+)\]",
        r"top_n_tokens. must be >= 0 and <= (?P<n9>\d+)",
        r"logprobs.*integer below minimum value",
        r"logprobs.*input should be greater than or equal to",
        r"logprob_start_len=.* is higher than",
    ),
    RefusalKind.PRECONDITION: (
        r"only allowed when 'logprobs' is enabled",
        r"logprobs.? must be set to true",
        r"top_logprobs requires logprobs",
        r"can only be used when .?logprobs.? is true",
        r"logprobs. must be true to support",
        r"prompt_logprobs. are not available when .?stream=true",
        r"not supported when streaming tokens",
        r"logprobs.*must be a boolean",
        r"logprobs.*type must be number, but is",
        r"logprobs must be of type bool",
        r"response_logprobs is true",
        r"setting response_logprobs",
        r"generation_config\.response_logprobs",
        r"gather_generation_logits",
        r"return_prompt_token_ids is not supported with streaming",
    ),
    RefusalKind.UNSUPPORTED: (
        r"you are not allowed to request logprobs",
        r"[`']logprobs[`'] is not supported (?:with|for) this model",
        r"logprobs (?:are|is) not supported with (?:reasoning|gpt-oss)",
        r"logprobs are not supported in streaming mode",
        r"logprobs is not supported with tools \+ stream",
        r"does not support the 'logprobs' parameter",
        r"unrecognized request argument supplied: (?:top_)?logprobs",
        r"'include' is not supported with this model",
        r"logprobs is not enabled for",
        r"logprobs (?:is|are) not (?:supported|enabled) for (?:the current|this) model",
        r"\"?code\"?\W{1,4}\"?3051",
        r"logprobs: extra inputs are not permitted",
        r"unknown name \"(?:top_)?logprobs\"",
        r"does not support return_logprob",
        r"available only for the vllm backend",
        r"logprobs field not supported yet",
        r"logits_all=false",
        r"not enabled logprobs_mode",
        r"logprobs is removed",
        r"does not support parameters: \['logprobs'\]",
    ),
    RefusalKind.TRANSIENT: (
        r"maximum number of requests with logprobs",
        r"missing logprobs results",
    ),
}


@functools.cache  # most processes never meet a refusal
def _compiled() -> dict[RefusalKind, re.Pattern[str]]:
    return {kind: re.compile("|".join(some), re.IGNORECASE | re.DOTALL) for kind, some in _PATTERNS.items()}


def classify_refusal(text: str) -> Refusal | None:
    """What an error message (or a whole error body) says about logprobs; None when it is about something else.

    >>> classify_refusal("Invalid value for 'top_logprobs': must be less than or equal to 5.")
    Refusal(kind=<RefusalKind.RANGE: 'range'>, limit=5)
    """
    text = text.replace('\\"', '"')  # a whole body is JSON, in which the message has its quotes escaped
    for kind, pattern in _compiled().items():
        if match := pattern.search(text):
            number = next((value for value in match.groupdict().values() if value is not None), None)
            return Refusal(kind, None if number is None else int(number))
    return None


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the error bodies of all servers have in common."""

    message: str
    code: str | None = None
    param: str | None = None
    status: int | None = None


def parse_error(value: object) -> ErrorBody:
    """Message, code and param of an error body: nested, flat, a string, ``detail``, or a list of one."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        return parse_error(items[0]) if items else ErrorBody("")
    if not isinstance(value, dict):
        return ErrorBody(str(value) if value else "")
    body = cast("dict[str, Any]", value)
    inner = body.get("error")
    if isinstance(inner, dict):
        body = cast("dict[str, Any]", inner)
    elif isinstance(inner, str):
        return ErrorBody(inner, code=_text(body.get("code") or body.get("error_type")))
    message = body.get("message") or body.get("detail") or body.get("msg") or ""
    code = body.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    named = _text(body.get("type")) if status is not None or code is None else _text(code)
    return ErrorBody(
        message if isinstance(message, str) else json.dumps(message, ensure_ascii=False),
        code=named,
        param=_text(body.get("param")),
        status=status,
    )


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def status_error(
    status: int, body: bytes, *, headers: Mapping[str, str] | None = None, retry_after: float | None = None
) -> StatusError:
    """The error for a reply with an error status."""
    text = body.decode("utf-8", "replace")
    try:
        found = parse_error(json.loads(text))
    except (ValueError, RecursionError):
        found = ErrorBody(text)
    message = _one_line(found.message) or {401: "the key is missing or wrong", 404: "not found"}.get(
        status, "no message"
    )
    return error_class(status)(
        f"HTTP {status}: {message}",
        status_code=status,
        code=found.code,
        param=found.param,
        request_id=next((headers[name] for name in REQUEST_ID_HEADERS if headers and name in headers), None),
        retry_after=retry_after,
        body=text,
    )


def event_error(value: object, text: str, *, statuses: Mapping[str, int] | None = None) -> StatusError:
    """The error for an error object inside a reply whose status says success.

    ``statuses`` has the HTTP status that belongs to an error code, where the wire says so.
    """
    found = parse_error(value)
    status = found.status or (statuses or {}).get(found.code or "")
    cls = ServerError if status is None else error_class(status)
    return cls(
        f"the server reported an error inside its reply: {_one_line(found.message) or 'no message'}",
        status_code=status,
        code=found.code,
        param=found.param,
        body=text,
    )


def _one_line(text: str, limit: int = 500) -> str:
    # A proxy's HTML page says nothing in its first 200 characters; its tags go.
    if text.lstrip()[:1] == "<":
        text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(text.split())
    return line[:limit] + ("…" if len(line) > limit else "")
