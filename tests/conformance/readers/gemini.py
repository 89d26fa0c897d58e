"""gemini: candidates with parts, and the chosen and top candidates of every step."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from tests.conformance.readers import Json, Part, Reader, options, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "seed": "seed",
    "candidateCount": "n",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}


def parts(event: Json) -> Iterator[Part]:
    for candidate in event.get("candidates", ()):
        said = table(candidate.get("content")).get("parts", ())
        texts = {
            key: "".join(part.get("text", "") for part in said if bool(part.get("thought")) is thought)
            for key, thought in (("content", False), ("reasoning", True))
        }
        yield Part(
            own=candidate,
            index=candidate.get("index", 0),
            said=texts,
            logprobs={"content": _records(candidate["logprobsResult"])} if "logprobsResult" in candidate else {},
            tool_calls=any("functionCall" in part for part in said),
            ending=candidate.get("finishReason"),
        )
    if "blockReason" in table(event.get("promptFeedback")):
        yield Part(own=event, ending="content_filter")


def _records(result: Json) -> list[Json]:
    steps = zip_longest(result.get("chosenCandidates", ()), result.get("topCandidates", ()))
    return [
        {**_record(chosen), "top_logprobs": [_record(other) for other in table(top).get("candidates", ())]}
        for chosen, top in steps
    ]


def _record(candidate: Json | None) -> Json:
    said = table(candidate)
    return {"token": said.get("token", ""), "logprob": said.get("logProbability"), "token_id": said.get("tokenId")}


def usage(event: Json) -> dict[str, int]:
    counted = table(event.get("usageMetadata"))
    found: dict[str, int] = {}
    if "promptTokenCount" in counted:
        found["prompt"] = counted["promptTokenCount"]
    if "candidatesTokenCount" in counted:
        found["generated"] = counted["candidatesTokenCount"] + counted.get("thoughtsTokenCount", 0)
    return found


def request(body: Json) -> Json:
    """Texts and the settings of generation; what has another shape is options, which the wire's own tests encode."""
    system = [{"role": "system", "content": _text(body["systemInstruction"])}] if "systemInstruction" in body else []
    roles = {"user": "user", "model": "assistant"}
    messages = [{"role": roles[turn["role"]], "content": _text(turn)} for turn in body["contents"]]
    config = dict(table(body.get("generationConfig")))
    fields = {"messages": system + messages} | {ours: config.pop(theirs, None) for theirs, ours in _CONFIG.items()}
    rest = {key: value for key, value in body.items() if key not in {"contents", "systemInstruction"}}
    return options(fields, {**rest, "generationConfig": config}, without=() if config else ["generationConfig"])


def _text(turn: Json) -> str:
    return "".join(part["text"] for part in turn["parts"])


READER = Reader(parts, usage, request)
