"""The stories of ``fixtures/vllm/responses``, told again on the loopback interface.

A story is a row of requests to a real vLLM and its answers, byte for byte, in their pieces (see
``tests/tools/record_responses.py``). ``Story`` answers a request with the interaction of the same method, path and
body; what hung hangs, what broke breaks, and where the recorder closed the connection the server does. A request that
the story does not have is an error of the test.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from nxlog.testing.cassette import load, pieces_of
from tests.fault_server import CLOSE, LAST_CHUNK, SILENCE, FaultServer, chunk, chunked_head, response

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.fault_server import Received, Step

DIRECTORY = Path(__file__).parent.parent.parent / "fixtures" / "vllm" / "responses"
FILES = sorted(DIRECTORY.glob("*.yaml"))


def body_of(interaction: dict[str, Any]) -> bytes:
    """The bytes of a recorded answer."""
    body = interaction["response"]["body"]["string"]
    return body if isinstance(body, bytes) else (body or "").encode()


def path_of(interaction: dict[str, Any]) -> str:
    """Path and query of a recorded request."""
    parts = urlsplit(interaction["request"]["uri"])
    return parts.path + ("?" + parts.query if parts.query else "")


class Story:
    """One recorded story.

    Attributes:
        interactions: what was recorded, in order.
        told: the numbers of the interactions that were played, in order.
        unknown: what was asked and is not in the story.
    """

    def __init__(self, name: str) -> None:
        self.interactions: list[dict[str, Any]] = load((DIRECTORY / f"{name}.yaml").read_text(encoding="ascii"))[
            "interactions"
        ]
        self.told: list[int] = []
        self.unknown: list[str] = []

    def reply(self, number: int) -> Any:
        """The JSON of a recorded answer."""
        return json.loads(body_of(self.interactions[number]))

    def events(self, number: int) -> list[Any]:
        """The events of a recorded stream."""
        lines = body_of(self.interactions[number]).decode().split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    @property
    def paths(self) -> list[str]:
        """What was asked so far, as method and path."""
        asked = [self.interactions[number] for number in self.told]
        return [f"{one['request']['method']} {path_of(one)}" for one in asked]

    @contextlib.contextmanager
    def served(self) -> Generator[FaultServer]:
        """A server that tells the story; its ``url`` has no path."""
        with FaultServer(self._answer) as server:
            yield server
        assert not self.unknown, self.unknown

    def next(self, request: Received) -> dict[str, Any] | None:
        """The interaction that answers a request; None when the story does not have it.

        The same request again gets the next answer; a poll too many gets the last one.
        """
        fitting = [number for number, one in enumerate(self.interactions) if _fits(one, request)]
        if not fitting:
            return None
        number = next((number for number in fitting if number not in self.told), fitting[-1])
        self.told.append(number)
        return self.interactions[number]

    def _answer(self, request: Received) -> bytes | list[Step]:
        found = self.next(request)
        if found is None:
            self.unknown.append(f"{request.method} {request.target} {request.body.decode()}")
            return response(418, b'{"error":{"message":"the story does not have this request"}}')
        return steps_of(found["response"])


def _fits(interaction: dict[str, Any], request: Received) -> bool:
    recorded = interaction["request"]
    if (recorded["method"], _asked(path_of(interaction))) != (request.method, _asked(request.target)):
        return False
    if not recorded["body"]:
        return not request.body
    asked, sent = json.loads(recorded["body"]), json.loads(request.body)
    return {"stream": False, **asked} == {"stream": False, **sent}


def _asked(target: str) -> tuple[str, list[tuple[str, str]]]:
    """Path and query, without what vLLM ignores: it always includes what was asked for when the response was made."""
    parts = urlsplit(target)
    return parts.path, sorted(pair for pair in parse_qsl(parts.query) if pair[0] != "include[]")


def steps_of(recorded: dict[str, Any]) -> list[Step]:
    """What the server of a recorded answer does."""
    status, kind = recorded["status"]["code"], recorded["headers"]["content-type"][0]
    if "event-stream" not in kind:
        return [response(status, body_of({"response": recorded}), content_type=kind)]
    pieces = [chunk(data) for _, data in pieces_of(_as_bytes(recorded))]
    end: Step = LAST_CHUNK
    if recorded.get("ended") == "hung":
        end = SILENCE
    elif recorded.get("cut") or recorded.get("ended") == "broken":
        end = CLOSE
    return [chunked_head(status, kind), *pieces, end]


def _as_bytes(recorded: dict[str, Any]) -> dict[str, Any]:
    return {**recorded, "body": {"string": body_of({"response": recorded})}}
