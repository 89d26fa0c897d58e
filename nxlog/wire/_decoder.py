"""What the decoders of all streams do alike: bytes to payloads, and what the end of the bytes means."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from nxlog.errors import DecodeError, IncompleteStreamError
from nxlog.response import StreamChunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nxlog.warnings import ParameterWarning

_P = TypeVar("_P")
_C = TypeVar("_C")
_P_co = TypeVar("_P_co", covariant=True)


class Splitter(Protocol[_P_co]):
    """Cuts bytes into the payloads of events, lines or frames."""

    def feed(self, data: bytes) -> Iterable[_P_co]:
        """The payloads that these bytes complete."""
        ...

    def close(self) -> Iterable[_P_co]:
        """What was still waiting when the bytes ended."""
        ...


class PayloadDecoder(ABC, Generic[_P, _C]):
    """A ``StreamDecoder``. A wire says what a payload means, and sets ``_started`` and ``_done``."""

    def __init__(self, splitter: Splitter[_P]) -> None:
        self._splitter = splitter
        self._started = False
        self._done = False

    @abstractmethod
    def _chunks(self, payload: _P, /) -> Iterator[_C]:
        """The chunks of one payload."""

    @property
    def _whole(self) -> bool:
        """Whether everything that belongs to the answer has come."""
        return self._done

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the stream; most wires have nothing by which to tell."""
        return []

    def feed(self, data: bytes) -> Iterator[_C]:
        """The chunks that these bytes complete."""
        for payload in self._splitter.feed(data):
            yield from self._chunks(payload)

    def close(self) -> Iterator[_C]:
        """The chunks that were still waiting when the bytes ended."""
        for payload in self._splitter.close():
            # The last one may lack its end, or be cut; what follows tells whether anything was lost.
            with contextlib.suppress(DecodeError):
                yield from self._chunks(payload)
        if self._whole:
            return
        raise IncompleteStreamError(
            "the stream ended before the answer did"
            if self._started
            else "the stream ended before the first chunk of an answer"
        )


class ChoicesDecoder(PayloadDecoder[bytes, StreamChunk]):
    """For a wire whose choices end one by one: the stream is whole when every choice that appeared has ended."""

    def __init__(self, splitter: Splitter[bytes]) -> None:
        super().__init__(splitter)
        self._open: set[int] = set()
        self._ended: set[int] = set()

    @property
    def _whole(self) -> bool:
        return self._done or (bool(self._ended) and not self._open)

    def _see(self, index: int, *, ends: bool) -> None:
        """A choice has appeared in a chunk."""
        self._started = True
        if ends:
            self._ended.add(index)
            self._open.discard(index)
        elif index not in self._ended:
            self._open.add(index)
