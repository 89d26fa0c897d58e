"""The bytes of an ``openai-responses`` stream to events, which are merged on the way to the response they make up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog.responses.events import Event
from nxlog.wire._decoder import PayloadDecoder
from nxlog.wire._openai_responses_events import decode_event
from nxlog.wire._openai_responses_merge import Merger
from nxlog.wire.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.warnings import ParameterWarning


class EventDecoder(PayloadDecoder[bytes, Event]):
    """Events, each once. The stream is whole when one of the last events came, or ``[DONE]``.

    Attributes:
        merger: what has come so far; over several connections it is the same one.
    """

    def __init__(self, merger: Merger | None = None) -> None:
        super().__init__(EventSplitter())
        self.merger: Merger = Merger() if merger is None else merger

    @property
    def warnings(self) -> list[ParameterWarning]:
        """What was wrong with the stream."""
        return self.merger.warnings

    def _chunks(self, payload: bytes) -> Iterator[Event]:
        if self._whole:
            return
        if payload.strip() == b"[DONE]":  # the end mark of the chat wire, which gateways send as well
            self._done = True
            return
        event = decode_event(payload)
        self._started = True
        if self.merger.add(event):
            yield event

    @property
    def _whole(self) -> bool:
        return self._done or self.merger.ended
