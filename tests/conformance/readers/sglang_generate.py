"""sglang-generate: triples of value, id and text; every event of a stream repeats what came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = ("temperature", "top_p", "stop", "n", "presence_penalty", "frequency_penalty")


def parts(event: Json) -> Iterator[Part]:
    meta = table(event.get("meta_info"))
    values = meta.get("output_token_logprobs")
    # Ids that were asked for one by one have a list of their own.
    named = meta.get("output_top_logprobs") or meta.get("output_token_ids_logprobs")
    tops: list[Any] = named or [[] for _ in values or ()]
    yield Part(
        own=event,
        index=event.get("index", 0),
        said={"content": event.get("text") or ""},
        logprobs={} if values is None else {"content": [_record(*pair) for pair in zip(values, tops, strict=True)]},
        ending=table(meta.get("finish_reason")).get("type"),
    )


def _record(triple: list[Any], tops: list[Any] | None) -> Json:
    return {**_entry(triple), "top_logprobs": [_entry(top) for top in tops or ()]}


def _entry(triple: list[Any]) -> Json:
    return {"token": triple[2] if len(triple) > 2 else None, "logprob": triple[0], "token_id": triple[1]}


def usage(event: Json) -> dict[str, int]:
    meta = table(event.get("meta_info"))
    return {"prompt": meta["prompt_tokens"], "generated": meta["completion_tokens"]} if "prompt_tokens" in meta else {}


def request(body: Json) -> Json:
    sampling = table(body.get("sampling_params"))
    fields: Json = {
        "messages": [{"role": "user", "content": body.get("text") or "(tokens)"}],
        "max_tokens": sampling.get("max_new_tokens"),
        **{key: sampling.get(key) for key in _SAME},
    }
    left = ["text", "sampling_params", "return_logprob", "top_logprobs_num", "return_text_in_logprobs"]
    if body.get("return_logprob"):
        fields |= {"logprobs": True, "top_logprobs": body.get("top_logprobs_num")}
    other = {key: value for key, value in sampling.items() if key not in {*_SAME, "max_new_tokens"}}
    rest = {**body, **({"sampling_params": other} if other else {})}
    return options(fields, rest, without=[name for name in left if not (other and name == "sampling_params")])


READER = Reader(parts, usage, request, cumulative=True)
