"""A server on the loopback interface that streams in pieces of its own choice, one write at a time.

It quotes what it was sent, as servers do: the key in a header, and a text of the test's choice in the body.
"""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from nxlog.testing.fake_reply import FakeReply, stream_events, whole_body

if TYPE_CHECKING:
    from collections.abc import Sequence

ORGANIZATION = "org-Q7mVb2XkTn4LpZr9sWyD"
COOKIE = "cookie-of-the-server-77"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a write is a packet
    server: _Server

    def do_POST(self) -> None:
        outer = self.server.outer
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        outer.asked.append(body)
        status = outer.statuses.pop(0) if outer.statuses else 200
        if status != 200:
            self.whole(status, json.dumps({"error": {"message": f"no: {outer.quote}"}}).encode())
        elif body.get("stream"):
            self.streamed(outer.pieces or list(stream_events([outer.answer()], body)))
        else:
            self.whole(200, whole_body([outer.answer()], body))

    def head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("openai-organization", ORGANIZATION)
        self.send_header("x-echo", self.headers.get("authorization", ""))
        self.send_header("set-cookie", f"session={COOKIE}; Path=/")

    def whole(self, status: int, content: bytes) -> None:
        content = gzip.compress(content) if self.server.outer.compress else content
        self.head(status, "application/json")
        if self.server.outer.compress:
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def streamed(self, pieces: Sequence[bytes]) -> None:
        self.head(200, "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing goes to stderr."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    outer: StreamServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is no error here."""


class StreamServer:
    """Answers chat requests until closed.

    Attributes:
        pieces: what the next streams consist of; by default, events of a fixed answer.
        asked: the bodies that came.
        statuses: of the next replies; then 200.
        compress: send whole replies with gzip.
        quote: a text that answers and errors repeat.
    """

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] | None = None
        self.asked: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.compress = False
        self.quote = ""
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.outer = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def answer(self) -> FakeReply:
        return FakeReply.of_text(f"The sky is blue, {self.quote} even in Zürich." if self.quote else SKY)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


SKY = "The sky is blue, even in Zürich."
