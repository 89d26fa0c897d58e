"""llamacpp: the native ``/completion`` with ``completion_probabilities``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.conformance.readers import Json, Part, Reader, options

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = ("temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty")


def parts(event: Json) -> Iterator[Part]:
    if "content" in event:
        found = event.get("completion_probabilities")
        yield Part(
            own=event,
            index=event.get("index", 0),
            said={"content": event["content"]},
            logprobs={} if found is None else {"content": [_record(record) for record in found]},
            ending=event.get("stop_type"),
        )


def _record(record: Json) -> Json:
    tops = record.get("top_logprobs", record.get("top_probs", ()))
    return {**record, "logprob": _value(record), "top_logprobs": [{**top, "logprob": _value(top)} for top in tops]}


def _value(record: Json) -> float:
    if "logprob" in record:
        return record["logprob"]
    return math.log(record["prob"]) if record["prob"] else -math.inf


def usage(event: Json) -> dict[str, int]:
    if "tokens_predicted" not in event:
        return {}
    return {"prompt": event["tokens_evaluated"], "generated": event["tokens_predicted"]}


def request(body: Json) -> Json:
    fields: Json = {"messages": [{"role": "user", "content": body["prompt"]}], "max_tokens": body.get("n_predict")}
    fields |= {key: body.get(key) for key in _SAME}
    if body.get("n_probs"):
        fields |= {"logprobs": True, "top_logprobs": body["n_probs"]}
    return options(fields, body, without=["prompt", "n_predict", "n_probs", *_SAME])


READER = Reader(parts, usage, request)
