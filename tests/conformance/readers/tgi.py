"""tgi: ``details`` with parallel lists of tokens and alternatives; a stream has one token per event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELDS = {
    "max_new_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "best_of": "n",
    "top_n_tokens": "top_logprobs",
}


def parts(event: Json) -> Iterator[Part]:
    if event.get("token") is not None or "generated_text" not in event:
        yield _event(event)
        return
    first = {"generated_text": event["generated_text"], **table(event.get("details"))}
    for index, sequence in enumerate([first, *(first.get("best_of_sequences") or ())]):
        yield Part(
            own=sequence,
            index=index,
            said={"content": sequence["generated_text"]},
            logprobs={"content": _records(sequence.get("tokens") or [], sequence.get("top_tokens") or [])},
            ending=sequence.get("finish_reason"),
        )


def _event(event: Json) -> Part:
    token = event.get("token")
    return Part(
        own=event,
        said={"content": token["text"] if token and not token.get("special") else ""},
        logprobs={} if token is None else {"content": _records([token], [event.get("top_tokens")])},
        ending=table(event.get("details")).get("finish_reason"),
    )


def _records(tokens: list[Json], tops: list[Any]) -> list[Json]:
    beside = [*tops, *([None] * (len(tokens) - len(tops)))]
    return [
        {**_record(token), "top_logprobs": [_record(top) for top in found or ()]}
        for token, found in zip(tokens, beside, strict=False)
    ]


def _record(token: Json) -> Json:
    return {**token, "token": token["text"]}


def usage(event: Json) -> dict[str, int]:
    details = table(event.get("details"))
    found: dict[str, int] = {}
    if prompt := details.get("input_length") or len(details.get("prefill") or ()):
        found["prompt"] = prompt
    if "generated_tokens" in details:
        others = details.get("best_of_sequences") or ()
        found["generated"] = details["generated_tokens"] + sum(other["generated_tokens"] for other in others)
    return found


def request(body: Json) -> Json:
    """Records come with the details, which are always asked for."""
    given = dict(table(body.get("parameters")))
    fields: Json = {ours: given.pop(key) for key, ours in _FIELDS.items() if key in given}
    fields["messages"] = [{"role": "user", "content": body["inputs"]}]
    if given.pop("details", None):
        fields["logprobs"] = True
    if given.pop("do_sample", None) is False:
        fields["temperature"] = 0
    if grammar := given.pop("grammar", None):
        fields["response_format"] = {"type": "json_schema", "json_schema": {"schema": grammar["value"]}}
    return options(fields, {"parameters": given} if given else {})


READER = Reader(parts, usage, request)
