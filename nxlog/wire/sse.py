r"""Server-sent events: bytes, cut anywhere, to the data of events.

Lines end in ``\n``, ``\r\n`` or ``\r`` and in nothing else: the text of a token may hold U+2028 or U+0085, at which
``str.splitlines`` would cut, so the work is done on bytes. https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from nxlog.errors import ResponseTooLargeError

MAX_EVENT = 64 * 1024 * 1024
"""Bound on one event, in bytes. One token with a whole vocabulary of alternatives takes about 6 MB."""

_BOM = b"\xef\xbb\xbf"


class EventSplitter:
    """Collects bytes and gives the data of every event that is complete.

    An event without data (comments, keep-alives, only ``event:``) gives nothing.
    """

    __slots__ = ("_after_cr", "_limit", "_pending", "_size", "_started")

    def __init__(self, *, max_event: int = MAX_EVENT) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._limit = max_event
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that these bytes complete.

        Raises:
            ResponseTooLargeError: an event grew beyond the bound.
        """
        data = self._unify_line_ends(data)
        if not self._started:
            data = self._drop_bom(data)
        if not data:
            return []
        # Blank lines may be cut in two.
        ends = b"\n\n" in data or (data[0] == 0x0A and bool(self._pending) and self._pending[-1].endswith(b"\n"))
        self._pending.append(data)
        self._size += len(data)
        if ends:
            # Joined only now: an event that arrives in a thousand packets is not copied a thousand times.
            events = b"".join(self._pending).split(b"\n\n")
            rest = events.pop()
            self._pending = [rest]
            self._size = len(rest)
            found = [payload for event in events if (payload := _data(event))]
        else:
            found = []
        # With events found the error waits for the next packet, so that they are not lost.
        if self._size > self._limit and not found:
            raise ResponseTooLargeError(f"one event of the stream exceeds {self._limit} bytes")
        return found

    def close(self) -> list[bytes]:
        """The data of a last event whose blank line never came; servers forget it."""
        payload = _data(b"".join(self._pending))
        self._pending = []
        return [payload] if payload else []

    def _unify_line_ends(self, data: bytes) -> bytes:
        if self._after_cr and data:
            # The \r before already ended the line; this \n belongs to it.
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _drop_bom(self, data: bytes) -> bytes:
        head = b"".join(self._pending) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return data
        self._started = True
        self._pending.clear()
        self._size = 0
        return head.removeprefix(_BOM)


def _data(event: bytes) -> bytes:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines and event.lstrip().startswith(b"{"):
        # No field of any event: a server in trouble has put its error there as it would send it outside of a stream.
        return event
    return b"\n".join(lines)
