"""openai-chat: ``choices[]`` with messages or deltas, and logprobs by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nxlog.request import ChatRequest
from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = {"tokens", "token_ids", "token_logprobs", "top_logprobs", "text_offset"}
"""Keys that KoboldCpp has beside the records, with the same values."""
_SPELLINGS = {"max_completion_tokens": "max_tokens", "model_id": "model"}


def parts(event: Json) -> Iterator[Part]:
    for choice in event.get("choices", ()):
        said = table(choice.get("message") or choice.get("delta"))
        logprobs = table(choice.get("logprobs"))
        if beside := choice.get("reasoning_logprobs"):
            logprobs = {**logprobs, "reasoning": beside["content"]}
        if flat := _flat(table(choice.get("meta_info"))):
            records = zip(logprobs["content"], flat, strict=True)
            logprobs = {**logprobs, "content": [{**record, "top_logprobs": tops} for record, tops in records]}
        yield Part(
            own=choice,
            index=choice["index"],
            said={key: value for key, value in said.items() if isinstance(value, str)},
            logprobs={channel: records or [] for channel, records in logprobs.items() if channel not in COLUMNS},
            tool_calls=bool(said.get("tool_calls")),
            ending=choice.get("finish_reason"),
        )


def _flat(meta: Json) -> list[list[Json]]:
    """SGLang's alternatives without texts, which are in one list for all tokens."""
    values, shape = meta.get("output_top_logprobs_val_flat") or [], meta.get("output_top_logprobs_shape") or [0, 1]
    tops = [{"logprob": value} for value in values]
    return [tops[start : start + shape[1]] for start in range(0, len(tops), shape[1])]


def usage(event: Json) -> dict[str, int]:
    found = table(event.get("usage"))
    return {"prompt": found["prompt_tokens"], "generated": found["completion_tokens"]} if found else {}


def request(body: Json) -> Json:
    named = {_SPELLINGS.get(key, key): value for key, value in body.items()}
    if type(named.get("logprobs")) is int:  # the number of alternatives, where both have one field
        named = {**named, "logprobs": True, "top_logprobs": named["logprobs"]}
    fields = {key: value for key, value in named.items() if key in ChatRequest.model_fields and key != "model"}
    return options(
        fields, {key: value for key, value in named.items() if key not in fields}, without=["stream_options"]
    )


READER = Reader(parts, usage, request)
