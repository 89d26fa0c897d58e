"""openai-completions: parallel arrays, or openai-chat's records where llama.cpp sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, options, table
from tests.conformance.readers.openai_chat import usage

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty")


def parts(event: Json) -> Iterator[Part]:
    for choice in event.get("choices", ()):
        found = table(choice.get("logprobs")) or _beside(event)
        yield Part(
            own=choice,
            index=choice["index"],
            said={"content": choice.get("text") or ""},
            logprobs={"content": records(found)} if found else {},
            ending=choice.get("finish_reason"),
        )


def _beside(event: Json) -> Json:
    """Together's place for the record of a chunk."""
    token = table(event.get("token"))
    return {"tokens": [token["text"]], "token_logprobs": [token["logprob"]]} if token else {}


def records(found: Json) -> list[Json]:
    if "content" in found:
        return found["content"] or []
    tops: list[Any] = found.get("top_logprobs") or [None] * len(found["tokens"])
    return [
        {
            "token": token,
            "logprob": value,
            "top_logprobs": [{"token": text, "logprob": number} for text, number in table(top).items()],
        }
        for token, value, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
    ]


def request(body: Json) -> Json:
    prompt, count = body["prompt"], body.get("logprobs")
    fields: Json = {key: body.get(key) for key in _SAME}
    if isinstance(fields["stop"], str):
        fields["stop"] = [fields["stop"]]
    left = [*fields, "stream_options"]
    if isinstance(prompt, str):
        fields["messages"] = [{"role": "user", "content": prompt}]
        left.append("prompt")
    else:
        fields["messages"] = [{"role": "user", "content": "(tokens)"}]
    if isinstance(count, int):
        fields |= {"logprobs": True, "top_logprobs": int(count)}
        left.append("logprobs")
    return options(fields, body, without=left)


READER = Reader(parts, usage, request)
