"""A server of our own that keeps every rule of the kit, or breaks one.

It speaks ``openai-chat`` over loopback. What it says is made up; a snake of four bytes is two tokens, as in real
vocabularies. The four requests that are to come at the same time wait for each other, so that a client that sends them
one by one never gets an answer.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from nxlog.conformance.questions import NO_MODEL, WORDS
from tests.fault_server import LAST_CHUNK, PATIENCE, SILENCE, FaultServer, Received, Step, chunk, chunked_head, response

if TYPE_CHECKING:
    from collections.abc import Sequence

SNAKE = "\U0001f40d".encode()
KEY = "sk-kit-0123456789abcdef"


class Server:
    """Answers by what it is asked; ``broken`` names what it does wrong."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.keys: set[str | None] = set()
        self._asked: Counter[str] = Counter()
        self._all_here = threading.Barrier(len(WORDS))
        self._left = False
        self._server = FaultServer(self._answer)

    def __enter__(self) -> Self:
        self._server.__enter__()
        self.url = f"{self._server.url}/v1"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    def _answer(self, received: Received) -> bytes | Sequence[Step]:
        self.keys.add(received.headers.get("authorization"))
        body = json.loads(received.body)
        if self._left and self.broken == "hang-up":
            return _error(501, "the last stream was never finished")
        if not isinstance(body["messages"], list):
            return self._no()
        if body["model"] == NO_MODEL and self.broken != "unknown-model":
            return _error(404, "no such model")
        if body.get("n", 1) > 1 and self.broken == "spiteful":
            return _error(400, f"not for {KEY}")
        about = str(body["messages"][-1]["content"])
        if "story" in about:
            self._left = True
            return [chunked_head(), chunk(_event(_chunk(body, "Once")).encode()), SILENCE]
        if "tools" in body:
            return self._call(body)
        return self._said(body, self._tokens(about))

    def _no(self) -> bytes:
        match self.broken:
            case "error-body: answers":
                return response(200, json.dumps(_reply({"model": "m"}, [_choice("Yes")], 1)).encode())
            case "error-body: 500":
                return _error(501, "ValueError")
            case "error-body: silent":
                return response(400, b'{"error": {"message": ""}}')
            case _:
                return _error(422, "messages must be a list")

    def _tokens(self, about: str) -> list[bytes]:
        word = next((word for word in WORDS if word in about), None)
        if word is None:
            return [SNAKE[:2], SNAKE[2:]] * 3 if "emoji" in about else [b"Par", b"is", b"."]
        self._asked[word] += 1
        if self._asked[word] % 2 == 0:  # first alone, then together
            self._all_here.wait(PATIENCE)
            if self.broken == "no-mixing: swapped":
                word = WORDS[(WORDS.index(word) + 1) % len(WORDS)]
            if self.broken == "no-mixing: another":
                return [b"Well", b", ", word.encode()]
        return [word.encode(), b" is", b" a word"]

    # -- a text ----------------------------------------------------------------------------------------------------

    def _said(self, body: dict[str, Any], tokens: list[bytes]) -> bytes | Sequence[Step]:
        records = [self._record(token, body) for token in tokens] if self._gives_records(body) else None
        count = len(tokens) + 5 * (self.broken == "records-and-usage")
        if body.get("stream"):
            return self._streamed(body, tokens, records, count)
        if self.broken == "whole-reply" and body.get("logprobs"):
            return response(200, b'{"choices": [{"message"')
        if self.broken == "whole-reply: plain" and "n" not in body and not body.get("logprobs"):
            return response(200, b"Paris.")
        text = b"".join(tokens).decode()
        choices = [_choice(text, records, index=index) for index in range(body.get("n", 1))]
        if self.broken == "choice-indexes":
            choices = [{**choice, "index": 0} for choice in choices]
        if self.broken == "choice-indexes: one":
            choices = choices[:1]
        reply = _reply(body, choices, count)
        if self.broken == "records-arrive" and records:
            reply["logprobs"] = {"content": records}
        return response(200, json.dumps(reply).encode())

    def _gives_records(self, body: dict[str, Any]) -> bool:
        if self.broken == "not-asked":
            return True
        if self.broken == "records-come" and body.get("stream"):
            return False
        if self.broken == "no-alternatives: off" and body.get("top_logprobs") == 0:
            return False
        return bool(body.get("logprobs"))

    def _record(self, token: bytes, body: dict[str, Any]) -> dict[str, Any]:
        asked = body.get("top_logprobs", 0)
        match self.broken:
            case "alternatives":
                asked = max(0, asked - 2)
            case "no-alternatives":
                asked = asked or 3
        text = token.decode("utf-8", "replace")
        data: list[int] | None = list(token)
        if self.broken == "bytes-join":
            data = [*token, 33]
        if self.broken == "whole-characters" and "\ufffd" in text:
            data = None
        own = {"token": text, "logprob": 0.5 if self.broken == "no-positive" else -0.1, "bytes": data}
        others = [{"token": f"other {i}", "logprob": -3.0 - i, "bytes": list(b"other")} for i in range(1, asked)]
        return {**own, "top_logprobs": [own, *others][:asked]}

    def _streamed(
        self, body: dict[str, Any], tokens: list[bytes], records: list[dict[str, Any]] | None, count: int
    ) -> Sequence[Step]:
        pieces = _pieces(tokens)
        if self.broken == "stream-agrees":
            pieces[-1] += "!"
        chunks = [
            _chunk(body, piece, None if records is None else [records[i]], id_=self._id(i))
            for i, piece in enumerate(pieces)
        ]
        if self.broken != "stream-end: cut":
            chunks.append(_chunk(body, "", finish="stop"))
        if self.broken not in {"usage-in-streams", "stream-end: cut"}:
            chunks.append({**_chunk(body, ""), "choices": [], "usage": _usage(count)})
        text = "".join(map(_event, chunks))
        if self.broken not in {"stream-end: cut", "stream-end: no mark"}:
            text += "data: [DONE]\n\n"
        return [chunked_head(), chunk(text.encode()), LAST_CHUNK]

    def _id(self, number: int) -> str:
        return "other" if self.broken == "no-mixing: pieces" and number == 1 else "id"

    # -- a tool call -----------------------------------------------------------------------------------------------

    def _call(self, body: dict[str, Any]) -> bytes | Sequence[Step]:
        pieces = ['{"lake": ', '"Constance"', "" if self.broken == "tool-arguments" else "}"]
        function = {"name": "water_level", "arguments": "".join(pieces)}
        if not body.get("stream"):
            message = {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
            return response(200, json.dumps(_reply(body, [choice], 3)).encode())
        first = {"index": 0, "id": "c", "type": "function", "function": {"name": "water_level", "arguments": ""}}
        calls = [first, *({"index": 0, "function": {"arguments": piece}} for piece in pieces)]
        chunks = [{**_chunk(body, ""), "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
        events = [
            *chunks,
            _chunk(body, "", finish="tool_calls"),
            {**_chunk(body, ""), "choices": [], "usage": _usage(3)},
        ]
        text = "".join(map(_event, events)) + "data: [DONE]\n\n"
        return [chunked_head(), chunk(text.encode()), LAST_CHUNK]


def _pieces(tokens: list[bytes]) -> list[str]:
    """The text of each token, where a broken character is held back until it is whole."""
    pieces: list[str] = []
    waiting = b""
    for token in tokens:
        waiting += token
        try:
            pieces.append(waiting.decode())
            waiting = b""
        except UnicodeDecodeError:
            pieces.append("")
    return pieces


def _choice(text: str, records: list[dict[str, Any]] | None = None, *, index: int = 0) -> dict[str, Any]:
    logprobs = None if records is None else {"content": records}
    return {"index": index, "message": {"content": text}, "finish_reason": "stop", "logprobs": logprobs}


def _reply(body: dict[str, Any], choices: list[dict[str, Any]], count: int) -> dict[str, Any]:
    return {"id": "id", "model": body["model"], "choices": choices, "usage": _usage(count * len(choices))}


def _chunk(
    body: dict[str, Any],
    text: str,
    records: list[dict[str, Any]] | None = None,
    *,
    finish: str | None = None,
    id_: str = "id",
) -> dict[str, Any]:
    logprobs = None if records is None else {"content": records}
    choice = {"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": finish}
    return {"id": id_, "model": body["model"], "choices": [choice]}


def _usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count}


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _error(status: int, message: str) -> bytes:
    return response(status, json.dumps({"error": {"message": message}}).encode())
