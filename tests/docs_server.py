"""A server on the loopback interface that answers with recorded bytes, for the snippets of the documentation.

It picks the recording that fits a request best: the provider by the address, then the mode (whole or stream), the
fields, and the model. An error is answered only to a request for a model that some recording was refused for.

Snippets name real addresses. ``redirected`` leads the loopback ports on which engines listen by convention to this
server; hosted providers get their address from a registry directory (see ``test_docs``).

Stored and background responses are told as stories (see ``tests.responses.stories``): a request that is exactly one of
theirs gets its recorded answer.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.conformance.cassettes import CASES, Case
from tests.fault_server import SILENCE, Received
from tests.responses.stories import FILES, Story, steps_of

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

ENGINE_PORTS = {8000: "vllm", 8080: "llamacpp", 30000: "sglang"}
"""Where engines listen by convention, which is what the documentation writes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if not self._tell(b""):
            self._no_recording(f"for {self.path}")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        if not self._tell(content):
            self._answer(json.loads(content))

    def _tell(self, body: bytes) -> bool:
        """Go on with the story that has this request, if one has."""
        found = self.server.outer.told(Received(self.command, self.path, dict(self.headers), body))
        for step in () if found is None else steps_of(found["response"]):
            if isinstance(step, bytes):
                self.wfile.write(step)
                continue
            self.close_connection = True
            if step is SILENCE:
                self.connection.recv(1)  # until the client hangs up
        return found is not None

    def _answer(self, body: Any) -> None:
        outer = self.server.outer
        provider = outer.provider_of(self.path, self.headers["host"])
        case = best_recording(provider, self.path.rpartition("/v1")[2], body)
        if case is None:
            self._no_recording(f"of {provider!r} for {self.path} {body}")
            return
        outer.served.append((provider, case.name))
        self.send_response(case.status)
        streamed = case.stream and case.status == 200
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(case.reply)))
        self.end_headers()
        self.wfile.write(case.reply)

    def _no_recording(self, what: str) -> None:
        self.server.outer.faults.append(f"no recording {what}")
        self.send_error(500, "no recording")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing goes to stderr."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    outer: DocsServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is no error here; a missing recording is in ``faults``."""


class DocsServer:
    """Serves recordings until closed; ``served`` has what was asked of it, as provider and cassette name."""

    def __init__(self) -> None:
        self.served: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.stories: list[Story] = []
        self.begin()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.outer = self
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def begin(self) -> None:
        """Begin all stories anew."""
        self.stories = [Story(path.stem) for path in FILES]

    def told(self, request: Received) -> dict[str, Any] | None:
        """The interaction of the first story that has this request."""
        found = (story.next(request) for story in self.stories)
        return next((one for one in found if one is not None), None)

    def provider_of(self, path: str, host: str) -> str:
        """The provider that an address means: ``/<id>/v1/...`` here, or the port the client believes it talks to."""
        _, _, port = host.rpartition(":")
        return ENGINE_PORTS.get(int(port) if port.isdigit() else 0) or path.split("/")[1]

    @contextlib.contextmanager
    def redirected(self, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
        """While it lasts, connections to the conventional ports of engines arrive here."""
        connect = socket.socket.connect

        def lead(sock: socket.socket, address: Any) -> None:
            if sock.family == socket.AF_INET and address[1] in ENGINE_PORTS:
                address = ("127.0.0.1", self.port)
            connect(sock, address)

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "connect", lead)
            yield

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def best_recording(provider: str, path: str, body: dict[str, Any]) -> Case | None:
    """The recording whose request is most like this one; None when the provider has none for it."""
    cases = [case for case in CASES if case.provider == provider and case.uri.endswith("/v1" + path)]
    answered = [case for case in cases if case.status == 200 and not case.name.startswith("err_")]
    known = {case.body.get("model") for case in answered}
    refused = [case for case in cases if case.status >= 400 and case.body.get("model") == body.get("model")]
    if refused and body.get("model") not in known:
        return refused[0]
    fitting = [case for case in answered if case.stream == bool(body.get("stream"))]
    return max(fitting, key=lambda case: _likeness(case.body, body), default=None)


# Fields that do not decide about the shape of a reply.
_PLAIN = {"model", "messages", "temperature", "top_p", "seed", "max_tokens", "max_completion_tokens", "stream_options"}


def _likeness(recorded: dict[str, Any], asked: dict[str, Any]) -> int:
    shape = (recorded.keys() ^ asked.keys()) - _PLAIN
    same = sum(recorded[key] == asked[key] for key in recorded.keys() & asked.keys())
    return same - 20 * len(shape)
