"""vllm-generate: tokens in, tokens out; there is no text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.readers import Json, Part, Reader, options, table
from tests.conformance.readers.openai_chat import usage

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty")


def parts(event: Json) -> Iterator[Part]:
    for choice in event.get("choices", ()):
        found = table(choice.get("logprobs"))
        yield Part(
            own=choice,
            index=choice["index"],
            said={"content": ""},
            logprobs={channel: records or [] for channel, records in found.items()},
            ending=choice.get("finish_reason"),
        )


def request(body: Json) -> Json:
    sampling = body["sampling_params"]
    fields: Json = {key: sampling.get(key) for key in _SAME}
    fields["messages"] = [{"role": "user", "content": "(tokens)"}]
    if "logprobs" in sampling:
        fields |= {"logprobs": True, "top_logprobs": sampling["logprobs"]}
    other = {key: value for key, value in sampling.items() if key not in {*_SAME, "logprobs"}}
    rest = {**body, **({"sampling_params": other} if other else {})}
    return options(fields, rest, without=() if other else ["sampling_params"])


READER = Reader(parts, usage, request)
