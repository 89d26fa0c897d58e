"""What servers say when they refuse: error bodies of every shape, and which of them are about logprobs."""

from __future__ import annotations

import enum
import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import (
    BadRequestError,
    RedirectError,
    ResponseNotFoundError,
    ServerError,
    StatusError,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_AMAZON_CODE = "x-amzn-errortype"
_SAYS_NOTHING = {"", "{}", "[]", "null", '""'}
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
        r"logprobs (?:is|are) not (?:yet )?(?:supported|enabled) (?:for|by|with) (?:the current|this) model",
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


# What the servers of the Responses API say, where the status alone would give the wrong class or no field is named.
_MEANINGS: tuple[tuple[str, type[StatusError], str | None], ...] = (
    (r"response with id .*not found|previous_response_not_found", ResponseNotFoundError, "response_id"),
    (r"invalid '(?:previous_)?response_id'", ResponseNotFoundError, "response_id"),
    (r"does not support 'previous_response_id'", BadRequestError, "previous_response_id"),
    (r"cannot cancel a synchronous response", BadRequestError, "response_id"),
    (r"does not support the background mode|background can only be used when", BadRequestError, "background"),
    (r"only 'auto' tool_choice is supported", BadRequestError, "tool_choice"),
    (r"tool use is not supported in responses api|mcp tool server is not supported", BadRequestError, "tools"),
    (r"streaming is not supported for responses api", BadRequestError, "stream"),
    (r"^client disconnected\W*$", ServerError, None),  # somebody between has hung up on it
)


def _meaning(found: ErrorBody) -> tuple[type[StatusError] | None, str | None]:
    """The class of an error and the field it is about, where its words say more than its status."""
    for pattern, cls, param in _MEANINGS:
        if any(text and re.search(pattern, text, re.IGNORECASE) for text in (found.message, found.code)):
            return cls, found.param or param
    return None, found.param


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the error bodies of all servers have in common."""

    message: str
    code: str | None = None
    param: str | None = None
    status: int | None = None


_MESSAGES = ("message", "Message", "detail", "msg", "error_description")
_CODES = ("error_code", "error_type", "__type", "type", "status")
"""Where a code is when ``code`` has none, or has the HTTP status: ``status`` is Google's, unless it is a number."""


def parse_error(value: object) -> ErrorBody:
    """Message, code and param of an error body: nested, flat, a string, ``detail``, or a list of which one is shown."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        return parse_error(items[0]) if items else ErrorBody("")
    if not isinstance(value, dict):
        return ErrorBody(str(value) if value else "")
    body = cast("dict[str, Any]", value)
    inner: object = body.get("error") or body.get("errors")
    if isinstance(inner, list):
        inner = _one_of(cast("list[object]", inner))
    if isinstance(inner, dict):
        body = cast("dict[str, Any]", inner)
    elif isinstance(inner, str):
        told = body.get("error_description")  # of OAuth, whose "error" is a code
        if isinstance(told, str):
            return ErrorBody(told, code=inner)
        return ErrorBody(inner, code=_text(body.get("code") or body.get("error_type")))
    message = next(filter(None, map(body.get, _MESSAGES)), "")
    code = body.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    return ErrorBody(
        message if isinstance(message, str) else json.dumps(message, ensure_ascii=False),
        code=_text(code) if code and status is None else _named(body),
        param=_text(body.get("param")),
        status=status,
    )


def _one_of(errors: list[object]) -> object:
    """The first of several objects, all of several texts."""
    if all(isinstance(error, str) for error in errors):
        return "; ".join(cast("list[str]", errors))
    objects = (cast("object", error) for error in errors if isinstance(error, dict))
    return next(objects, None)


def _named(body: Mapping[str, Any]) -> str | None:
    names = (body.get(key) for key in _CODES)
    found = next((name for name in names if isinstance(name, str) and name), None)
    return None if found is None else found.rpartition("#")[2]  # Amazon's name has a namespace before it


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
    headers = headers or {}
    message = _one_line(found.message) or {401: "the key is missing or wrong", 404: "not found"}.get(status)
    message = message or (text if text.strip() not in _SAYS_NOTHING else "no message")
    cls, param = _meaning(found)
    return (cls or error_class(status))(
        f"HTTP {status}: {_one_line(message)}",
        status_code=status,
        code=found.code or headers.get(_AMAZON_CODE, "").partition(":")[0] or None,
        param=param,
        request_id=next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None),
        retry_after=retry_after,
        body=text,
    )


def redirect_error(status: int, body: bytes, location: str) -> RedirectError:
    """The error for a reply that points elsewhere."""
    return RedirectError(
        f"HTTP {status}: the server redirects to {location.partition('?')[0]}; nxlog does not send a key after a "
        "redirect, so set base_url to the right address",
        status_code=status,
        body=body.decode("utf-8", "replace"),
    )


def event_error(value: object, text: str, *, statuses: Mapping[str, int] | None = None) -> StatusError:
    """The error for an error object inside a reply whose status says success.

    ``statuses`` has the HTTP status that belongs to an error code, where the wire says so.
    """
    found = parse_error(value)
    status = found.status or (statuses or {}).get(found.code or "")
    cls, param = _meaning(found)
    cls = cls or (ServerError if status is None else error_class(status))
    return cls(
        f"the server reported an error inside its reply: {_one_line(found.message) or 'no message'}",
        status_code=status,
        code=found.code,
        param=param,
        body=text,
    )


def _one_line(text: str, limit: int = 500) -> str:
    # A proxy's HTML page says nothing in its first 200 characters; its tags go.
    if text.lstrip()[:1] == "<":
        text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(text.split())
    return line[:limit] + ("…" if len(line) > limit else "")
