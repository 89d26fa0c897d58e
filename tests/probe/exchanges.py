"""Answers without a server: replies, recorded or made up, through the same code as a live probe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from nxlog._config import Config
from nxlog.exchange import HttpRequest, HttpResponse
from nxlog.probe.answer import Answer, Exchange
from nxlog.probe.ask import ask, blank
from nxlog.probe.questions import Question, questions_for
from nxlog.registry import Registry
from tests.conformance.cassettes import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.call import Target
    from nxlog.errors import NxlogError

KEY = "sk-probe-0123456789abcdef"
JSON_TYPE, STREAM_TYPE = "application/json", "text/event-stream"


@dataclass
class Script:
    """A line that answers from memory, and remembers what it was asked."""

    answer: Callable[[dict[str, Any]], HttpResponse | NxlogError]
    asked: list[dict[str, Any]] = field(default_factory=list)
    last: Exchange | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        body = json.loads(request.content)
        self.asked.append(body)
        response = self.answer(body)
        if isinstance(response, Exception):
            raise response
        self.last = Exchange(request=request, status=response.status, headers=response.headers, body=response.content)
        return response


def target(provider: str = "vllm", model: str = "m", wire: str | None = None) -> Target:
    config = Config(
        provider=provider,
        base_url="http://127.0.0.1:9/v1",
        api_key=KEY,
        wire=wire,
        on_unsupported="warn",
        on_unknown="try",
        registry=Registry.builtin(),
        variables=None,
    )
    return blank(config.target(model))


def question(name: str, wire: str = "openai-chat") -> Question:
    return next(one for one in questions_for(wire, ()) if one.name == name)


def respond(value: Any, status: int = 200) -> HttpResponse:
    """A reply, or the events of a stream."""
    if isinstance(value, list):
        events = [f"data: {json.dumps(event)}\n\n" for event in value] + ["data: [DONE]\n\n"]
        return HttpResponse(status, {"content-type": STREAM_TYPE}, "".join(events).encode())
    return HttpResponse(status, {"content-type": JSON_TYPE}, json.dumps(value).encode())


def answer_to(asked: Question, response: HttpResponse, *, provider: str = "vllm", wire: str | None = None) -> Answer:
    return ask(asked, target(provider, wire=wire), Script(lambda _: response))


def recorded(name: str, fixture: str) -> Answer:
    """The answer that a recording is to a question, with the fields that were really asked for."""
    provider = fixture.partition("/")[0]
    path = FIXTURES / f"{fixture}.yaml"
    interaction = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["interactions"][0]
    body, reply = json.loads(interaction["request"]["body"]), interaction["response"]
    content = reply["body"]["string"]
    headers = {key: values[0] for key, values in reply["headers"].items()}
    asked = question(name)
    # These differ from what a probe asks today.
    fields = {key: body[key] for key in ("temperature", "max_tokens") if key in body}
    return answer_to(
        replace(asked, fields={**asked.fields, **fields}),
        HttpResponse(reply["status"]["code"], headers, content if isinstance(content, bytes) else content.encode()),
        provider=provider,
    )


# -- made-up replies of openai-chat ------------------------------------------------------------------------------------


def record(token: str, logprob: float | None, tops: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    alternatives = [
        {"token": other, "logprob": value, "bytes": list(other.encode())} for other, value in (tops or {}).items()
    ]
    return {
        "token": token,
        "logprob": logprob,
        "bytes": list(token.encode()),
        "top_logprobs": alternatives,
        **more,
    }


def reply(
    text: str, records: list[dict[str, Any]] | None = None, *, finish: str = "stop", generated: int | None = None
) -> dict[str, Any]:
    logprobs = {"content": records} if records is not None else None
    choice = {"index": 0, "message": {"content": text}, "finish_reason": finish, "logprobs": logprobs}
    count = len(records or ()) if generated is None else generated
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": count}}


def events(
    pieces: list[tuple[str, list[dict[str, Any]]]], *, finish: str = "stop", generated: int | None = None
) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = [
        {
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": some} if some else None}],
        }
        for text, some in pieces
    ]
    chunks[-1]["choices"][0]["finish_reason"] = finish
    count = sum(len(some) for _, some in pieces) if generated is None else generated
    return [*chunks, {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": count}}]
