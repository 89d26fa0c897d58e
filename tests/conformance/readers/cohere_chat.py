"""cohere-chat: one message, and runs of text with the ids and values of their tokens."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELDS = {
    "temperature": "temperature",
    "p": "top_p",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "messages": "messages",
}


def parts(event: Json) -> Iterator[Part]:
    """Of a reply, or of an event, whose message is in its delta and has one block instead of a list of them."""
    delta = table(event.get("delta"))
    message = table(event.get("message") or delta.get("message"))
    blocks = _listed(message.get("content"))
    thought = "".join(block.get("thinking", "") for block in blocks) + message.get("tool_plan", "")
    runs = _listed(event.get("logprobs"))
    yield Part(
        own=event,
        said={"content": "".join(block.get("text", "") for block in blocks), "reasoning": thought},
        logprobs={"content": [record for run in runs for record in _records(run)]} if "logprobs" in event else {},
        tool_calls=bool(message.get("tool_calls")),
        ending=event.get("finish_reason") or delta.get("finish_reason"),
    )


def _listed(value: Any) -> list[Json]:
    if isinstance(value, list):
        return cast("list[Json]", value)
    return [value] if value else []


def _records(run: Json) -> list[Json]:
    tokens = zip_longest(run.get("token_ids") or (), run.get("logprobs") or ())
    return [
        {"token": "" if i else run.get("text") or "", "logprob": value, "token_id": token_id, "top_logprobs": []}
        for i, (token_id, value) in enumerate(tokens)
    ]


def usage(event: Json) -> dict[str, int]:
    counted = table(event.get("usage") or table(event.get("delta")).get("usage")).get("tokens", {})
    return {"prompt": counted["input_tokens"], "generated": counted["output_tokens"]} if counted else {}


def request(body: Json) -> Json:
    """What has another shape here is options: the wire's own tests turn ours into it."""
    return options({ours: body.get(theirs) for theirs, ours in _FIELDS.items()}, body, without=_FIELDS)


READER = Reader(parts, usage, request)
