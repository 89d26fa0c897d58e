"""Whether a request is the one that was recorded.

Method and address must be the same, and the body: as JSON, if it is JSON. The order of keys does not matter, nor how a
number is written (``1`` and ``1.0``, ``0.7`` and ``0.70``), nor a difference that single precision makes, nor the field
``stream_options``, which says what a stream reports about itself. ``__hidden__`` in the recording stands for anything.
The port of a server on the loopback interface does not matter either: it is another one in every run.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from nxlog.testing.scrub import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

IGNORED = frozenset({"stream_options"})
"""Fields of a body that are not compared."""

_MOST = 5
_CLOSE = 1e-6
_MISSING = object()


def same_place(asked: str, recorded: str) -> bool:
    """Whether two addresses are the same; the order of the query does not matter."""
    ours, theirs = urlsplit(asked), urlsplit(recorded)
    if ours.scheme != theirs.scheme or not _same_text(_host(ours.netloc), _host(theirs.netloc)):
        return False
    queries = sorted(ours.query.split("&")), sorted(theirs.query.split("&"))
    return _same_text(ours.path, theirs.path) and len(queries[0]) == len(queries[1]) and all(map(_same_text, *queries))


def differences(asked: bytes, recorded: bytes, ignored: Collection[str] = IGNORED) -> list[str]:
    """Where two bodies differ, in words; nothing when they are the same. At most five places."""
    if asked == recorded:
        return []
    ours, theirs = _json(asked), _json(recorded)
    if ours is _MISSING or theirs is _MISSING:
        return [] if _same_text(_text(asked), _text(recorded)) else ["the bodies are not JSON, and not the same"]
    if isinstance(ours, dict) and isinstance(theirs, dict):
        ours = _without(cast("dict[str, Any]", ours), ignored)
        theirs = _without(cast("dict[str, Any]", theirs), ignored)
    found = list(_compare(ours, theirs, ""))
    more = len(found) - _MOST
    return found if more <= 0 else [*found[:_MOST], f"and {more} more"]


def is_loopback(host: object) -> bool:
    """Whether a host name or address is this machine's own."""
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    if name in ("localhost", "", None):
        return True
    try:
        return ipaddress.ip_address(str(name).strip("[]")).is_loopback
    except ValueError:
        return False


def _host(netloc: str) -> str:
    bare = netloc.rpartition("@")[2].lower()
    host = re.sub(r":\d+$", "", bare)
    return "loopback" if is_loopback(host) else bare


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return _MISSING


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _without(value: dict[str, Any], ignored: Collection[str]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in ignored}


def _same_text(asked: str, recorded: str) -> bool:
    if HIDDEN not in recorded:
        return asked == recorded
    pattern = ".*".join(map(re.escape, recorded.split(HIDDEN)))
    return re.fullmatch(pattern, asked, re.DOTALL) is not None


def _compare(asked: Any, recorded: Any, path: str) -> Iterator[str]:
    if isinstance(asked, dict) and isinstance(recorded, dict):
        ours, theirs = cast("dict[str, Any]", asked), cast("dict[str, Any]", recorded)
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            inner = f"{path}.{key}" if path else key
            yield from _compare(ours.get(key, _MISSING), theirs.get(key, _MISSING), inner)
    elif isinstance(asked, list) and isinstance(recorded, list):
        items, others = cast("list[Any]", asked), cast("list[Any]", recorded)
        if len(items) != len(others):
            yield f"{path}: {len(items)} items, recorded {len(others)}"
        for position, (ours, theirs) in enumerate(zip(items, others, strict=False)):
            yield from _compare(ours, theirs, f"{path}[{position}]")
    elif not _same_value(asked, recorded):
        yield f"{path or 'body'}: {_shown(asked)}, recorded {_shown(recorded)}"


def _same_value(asked: Any, recorded: Any) -> bool:
    if isinstance(asked, str) and isinstance(recorded, str):
        return _same_text(asked, recorded)
    if isinstance(asked, bool) or isinstance(recorded, bool):
        return asked is recorded
    if isinstance(asked, int) and isinstance(recorded, int):
        return asked == recorded
    if isinstance(asked, int | float) and isinstance(recorded, int | float):
        return math.isclose(asked, recorded, rel_tol=_CLOSE, abs_tol=0.0) or asked == recorded
    return type(asked) is type(recorded) and asked == recorded


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
