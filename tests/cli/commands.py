"""Ways to run the command, and servers of our own that answer, fail, stall or speak in pieces."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

import nxlog
from nxlog.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

ROOT = Path(nxlog.__file__).parent.parent
ESCAPE = "\x1b"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def invoke(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def command(*arguments: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "nxlog.cli", *arguments], {**os.environ, "PYTHONPATH": str(ROOT), **environment}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line, variables = command(*arguments, **environment)
    return subprocess.run(
        line, env=variables, capture_output=True, encoding="utf-8", timeout=120, check=False, stdin=subprocess.DEVNULL
    )


def error(*arguments: str) -> tuple[int, str]:
    result = invoke(*arguments)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("nxlog: ")
    return result.exit_code, result.stderr


def on_a_terminal(url: str, **environment: str) -> str:
    """What the command writes to a real terminal."""
    main, terminal = os.openpty()
    line, variables = command("chat", "hi", "-m", "m", "--base-url", url, **environment)
    with subprocess.Popen(line, env=variables, stdout=terminal, stdin=subprocess.DEVNULL) as process:
        os.close(terminal)
        output = b""
        with contextlib.suppress(OSError):  # a terminal ends in an error on Linux
            while piece := os.read(main, 4096):
                output += piece
    os.close(main)
    assert process.returncode == 0
    return output.decode().replace("\r\n", "\n")


class Script:
    """What a server of ours does: answers, or streams and then waits until the test is over."""

    def __init__(self, status: int = 200, body: bytes = b"", *, stream: tuple[Any, ...] = (), stall: bool = False):
        self.status, self.body, self.stall = status, body, stall
        if stream:
            self.body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in stream)
            self.body += b"" if stall else b"data: [DONE]\n\n"
        self.kind = "text/event-stream" if stream else "application/json"
        self.over = threading.Event()
        self.requests: list[dict[str, Any]] = []


@contextlib.contextmanager
def serving(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            script.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(script.status)
            self.send_header("content-type", script.kind)
            self.end_headers()
            self.wfile.write(script.body)
            self.wfile.flush()
            if script.stall:
                script.over.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        script.over.set()
        server.shutdown()
        server.server_close()


def record(token: str, logprob: float | None, data: list[int] | None = None, **fields: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()) if data is None else data, **fields}


def event(text: str, *records: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    logprobs = {"content": list(records)} if records else None
    choice = {"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def chat_with(script: Script, *arguments: str) -> Result:
    with serving(script) as url:
        return invoke("chat", "hi", "-m", "m", "--base-url", url, *arguments)
