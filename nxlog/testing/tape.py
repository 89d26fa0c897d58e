"""One cassette during one test: requests are answered from it, or their live answers are written to it."""

from __future__ import annotations

import datetime as dt
import http
import importlib
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

import pytest

from nxlog._version import __version__
from nxlog.errors import NxlogError
from nxlog.http.body import Body
from nxlog.http.errors import bare_url
from nxlog.http.intercept import Answer
from nxlog.testing.cassette import Row, pieces_of, render, text_or_bytes
from nxlog.testing.match import IGNORED, differences, is_loopback, same_place
from nxlog.testing.scrub import REQUEST_HEADERS, RESPONSE_HEADERS, Scrubber

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from nxlog.auth.credential import CallCredential
    from nxlog.http.intercept import Asked, Headers, Step

_UNBOUND = 1 << 40


class Tape:
    """What player and recorder have in common: where, and what went wrong."""

    records: bool = False
    """Whether a cassette is being written."""

    def __init__(self, path: Path, *, loopback: bool) -> None:
        self.path = path
        self._loopback = loopback
        self._lock = threading.RLock()
        self._faults: list[str] = []
        self._over = False

    def fail(self, message: str) -> NoReturn:
        """Fail the test, also when the code under test lets nothing through.

        Raises:
            pytest.fail.Exception: always.
        """
        self._faults.append(message)
        pytest.fail(message, pytrace=False)

    def passes(self, asked: Asked) -> bool:
        """Whether a request is none of the tape's business: a server on this machine, where that is allowed."""
        return self._loopback and is_loopback(_host(asked.url))

    def finish(self) -> str | None:
        """The test has passed; what is wrong nevertheless, if anything."""
        self._over = True
        return self._faults[0] if self._faults else None

    def check_open(self) -> None:
        """Fail a request that comes when the test is over."""
        if self._over:
            self.fail(f"a request was sent after the test, when {self.path.name} was closed")


class Player(Tape):
    """Answers requests with what was recorded; nothing gets past it.

    Args:
        path: the cassette.
        loopback: let requests to servers on this machine through.
        timing: wait as long between the pieces of a body as the server did.
        ignored: fields of a request's body that are not compared.
    """

    def __init__(
        self, path: Path, *, loopback: bool = False, timing: bool = False, ignored: Collection[str] = IGNORED
    ) -> None:
        super().__init__(path, loopback=loopback)
        self._timing = timing
        self._ignored = ignored
        self._cassette = _load(path, self._matches) if path.is_file() else None

    def answer(self, asked: Asked) -> Answer | None:
        """The recorded answer; every one is given once, in the order of the recording."""
        if self.passes(asked):
            return None
        with self._lock:
            self.check_open()
            if self._cassette is None:
                self.fail(f"no cassette {self.path}; record it: pytest --nxlog-record")
            request = _vcr("request").Request(asked.method, asked.url, asked.body, dict(asked.headers))
            if not self._cassette.can_play_response_for(request):
                scrubber = Scrubber()
                scrubber.learn_environment()
                scrubber.learn_request(asked)
                self.fail(scrubber.text(self._unknown(request)))
            return self._answer(self._cassette.play_response(request))

    def listen(self, asked: Asked, status: int, headers: Headers) -> None:
        """Live answers are not for the player."""

    def finish(self) -> str | None:
        """What is wrong: a fault, or answers that nobody asked for."""
        fault = super().finish()
        if fault is None and self._cassette is not None and not self._cassette.all_played:
            left = [
                f"{request.method} {request.uri}"
                for position, request in enumerate(self._cassette.requests)
                if not self._cassette.play_counts[position]
            ]
            total = len(self._cassette.requests)
            return (
                f"{self.path} was only partly played: {len(left)} of {total} requests were not made: "
                f"{', '.join(left)}; record it again if that is right: pytest --nxlog-record"
            )
        return fault

    def _matches(self, asked: Any, recorded: Any) -> None:
        same = asked.method == recorded.method and same_place(asked.uri, recorded.uri)
        if not same or differences(asked.body or b"", recorded.body or b"", self._ignored):
            raise AssertionError  # how a matcher of vcrpy says no

    def _answer(self, response: Any) -> Answer:
        steps: list[Step] = []
        try:
            pieces = pieces_of(response)
        except ValueError as error:
            self.fail(f"{self.path}: {error}")
        for pause, data in pieces:
            steps += [pause, data] if self._timing and pause else [data]
        if response.get("cut"):
            steps.append(self._ends_here)
        status = response["status"]
        headers = [(name.lower(), value) for name, values in response["headers"].items() for value in _listed(values)]
        return Answer(status["code"], headers, steps, status.get("message") or "")

    def _ends_here(self) -> NoReturn:
        self.fail(f"{self.path} ends here, because the test that recorded it read no further; record it again")

    def _unknown(self, request: Any) -> str:
        """Why there is no answer: the nearest recorded request, and how it differs."""
        lines = [f"{request.method} {bare_url(request.uri)} is not in {self.path}"]
        cassette: Any = self._cassette
        nearest: tuple[int, list[str]] | None = None
        for position, recorded in enumerate(cassette.requests):
            if recorded.method != request.method or not same_place(request.uri, recorded.uri):
                continue
            found = differences(request.body or b"", recorded.body or b"", self._ignored)
            if not found:
                lines.append(f"request {position + 1} of the cassette is the same, and was already answered")
            elif nearest is None or len(found) < len(nearest[1]):
                nearest = (position, found)
        if nearest is not None and len(lines) == 1:
            lines.append(f"the nearest is request {nearest[0] + 1} of the cassette, which differs:")
            lines += [f"  {line}" for line in nearest[1]]
        elif len(lines) == 1:
            places = {f"{recorded.method} {recorded.uri}" for recorded in cassette.requests}
            lines.append(f"recorded are: {', '.join(sorted(places)) or 'none'}")
        return "\n".join([*lines, "record it again if the request is right: pytest --nxlog-record"])


class Recorder(Tape):
    """Lets requests through and writes down what comes back.

    Args:
        path: where the cassette goes.
        scrubber: takes out what must not be written.
        metadata: what the cassette says about itself.
        loopback: leave requests to servers on this machine out of it.
    """

    records = True

    def __init__(
        self, path: Path, scrubber: Scrubber, *, metadata: dict[str, Any] | None = None, loopback: bool = False
    ) -> None:
        super().__init__(path, loopback=loopback)
        self.scrubber: Scrubber = scrubber
        self.credentials: list[CallCredential] = []
        """What knows tokens and signatures once they were used."""
        self._metadata = metadata or {}
        self._heard: list[_Exchange] = []

    def answer(self, asked: Asked) -> None:
        """None: it goes to the network."""
        if not self.passes(asked):
            self.check_open()
            # Now, because what a test puts into the environment is gone when the test is over.
            self.scrubber.learn_environment()
            self.scrubber.learn_request(asked)

    def listen(self, asked: Asked, status: int, headers: Headers) -> _Exchange | None:
        """Write down the body."""
        if self.passes(asked):
            return None
        exchange = _Exchange(asked, status, headers)
        with self._lock:
            self._heard.append(exchange)
        return exchange

    def finish(self) -> str | None:
        """Write the cassette; why that is not possible, if it is not."""
        fault = super().finish()
        if fault is None:
            try:
                self._write()
            except ValueError as error:
                return f"{self.path} was not written: {error}"
        return fault

    def _write(self) -> None:
        if not self._heard:
            self.path.unlink(missing_ok=True)  # of a test that sends nothing any more
            return
        for credential in self.credentials:
            self.scrubber.learn(*credential.secrets)
        metadata = {
            "evidence": "captured",
            **self._metadata,
            "recorded": dt.datetime.now(dt.UTC).date().isoformat(),
            "recorder": f"nxlog {__version__}",
        }
        text = render([exchange.interaction(self.scrubber) for exchange in self._heard], metadata)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(text.encode("ascii"))


class _Exchange:
    """One request and its live answer, as far as it was read."""

    def __init__(self, asked: Asked, status: int, headers: Headers) -> None:
        self._asked = asked
        self._status = status
        self._headers = headers
        self._pieces: list[bytes] = []
        self._seconds: list[float] = []
        self._whole = False
        self._last = time.monotonic()

    def piece(self, data: bytes) -> None:
        """A piece of the body, as it is on the wire."""
        now = time.monotonic()
        self._pieces.append(data)
        self._seconds.append(round(now - self._last, 4))
        self._last = now

    def end(self) -> None:
        """The body was read to its end."""
        self._whole = True

    def interaction(self, scrubber: Scrubber) -> dict[str, Any]:
        """The exchange as a cassette has it.

        Raises:
            ValueError: something secret cannot be taken out of it.
        """
        asked = self._asked
        pieces = self._plain()
        try:
            body, sizes = scrubber.cut(b"".join(pieces), [len(piece) for piece in pieces])
            sent, _ = scrubber.cut(asked.body, ())
        except ValueError as error:
            raise ValueError(f"{error}: {asked.method} {bare_url(asked.url)}") from None
        timed = [(size, pause) for size, pause in zip(sizes, self._seconds, strict=True) if size]
        response: dict[str, Any] = {
            "status": {"code": self._status, "message": _phrase(self._status)},
            "headers": scrubber.headers(self._headers, RESPONSE_HEADERS),
            "body": {"string": text_or_bytes(body)},
            "pieces": {"sizes": Row(size for size, _ in timed), "seconds": Row(pause for _, pause in timed)},
        }
        if not self._whole:
            response["cut"] = True
        return {
            "request": {
                "method": asked.method,
                "uri": scrubber.url(asked.url),
                "headers": scrubber.headers(asked.headers, REQUEST_HEADERS),
                "body": text_or_bytes(sent),
            },
            "response": response,
        }

    def _plain(self) -> list[bytes]:
        """The pieces without compression, because in a compressed body nothing can be hidden."""
        try:
            body = Body(dict(self._headers), status=self._status, limit=_UNBOUND)
            return [b"".join(body.feed(piece)) for piece in self._pieces]
        except NxlogError as error:
            raise ValueError(f"the recorded body cannot be decompressed ({error.message})") from None


def _load(path: Path, matcher: Any) -> Any:
    cassette = _vcr("cassette").Cassette
    return cassette.load(path=str(path), record_mode=_vcr("record_mode").RecordMode.NONE, match_on=(matcher,))


def _vcr(name: str) -> Any:
    """A module of vcrpy, which has no types.

    Raises:
        pytest.UsageError: it is not installed.
    """
    try:
        return importlib.import_module(f"vcr.{name}")
    except ImportError:
        raise pytest.UsageError('nxlog_replay needs an extra: pip install "nxlog[testing]"') from None


def _listed(values: Any) -> list[str]:
    return cast("list[str]", values) if isinstance(values, list) else [values]


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
