"""What a recording shows of a claim, one pure function for each claim that has captured evidence.

A check answers with the facets of the claim that the recording shows (``value``, ``max``, ``requires unary``, ...);
no facet means that the recording is beside the point. ``ContradictedError``: the recording shows otherwise.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nxlog.registry import CapabilityStatus, Claim, Posture, Requirement
from nxlog.wire.errors import RefusalKind
from tests.conformance.recordings import Recording, recording, sibling

if TYPE_CHECKING:
    from collections.abc import Callable

YES, PARTIAL, NO = CapabilityStatus.YES, CapabilityStatus.PARTIAL, CapabilityStatus.NO

Facets = set[str]
NOTHING: Facets = set()
VALUE: Facets = {"value"}


class ContradictedError(AssertionError):
    """The recording shows something else than the claim."""


@dataclass(frozen=True)
class Said:
    """A claim where it stands: with the posture that holds for it."""

    claim: Claim
    posture: Posture

    @property
    def value(self) -> CapabilityStatus:
        return self.claim.value


def agree(condition: object, what: str) -> None:
    if not condition:
        raise ContradictedError(what)


def required(rule: Requirement) -> str:
    return f"requires {rule}"


_LIMITS = ("min", "max", "default", "range", "posture", "json_key")


def needed(claim: Claim) -> Facets:
    """The facets that the recordings must show when there is no other evidence."""
    limits = {name for name in _LIMITS if getattr(claim, name) is not None}
    return VALUE | limits | {required(rule) for rule in claim.requires}


# -- log-probabilities -----------------------------------------------------------------------------------------------


def _denied(said: Said, seen: Recording, *, asked: bool, came: bool) -> Facets:
    """A claim ``no``: it was asked for, and the server refused or gave nothing, as its posture says."""
    if not asked:
        return NOTHING
    if seen.failed:
        agree(seen.refusal and seen.refusal.kind is RefusalKind.UNSUPPORTED, "the error is about something else")
        agree(said.posture is Posture.REFUSES, f"refused, and the posture is {said.posture}")
    else:
        agree(not came, "it came")
        agree(seen.text, "the reply is empty")
        agree(said.posture is Posture.IGNORES, f"ignored, and the posture is {said.posture}")
    return {"value", "posture"}


def logprobs(said: Said, seen: Recording) -> Facets:
    # Where the request does not speak of a stream, it asked for a whole reply, whatever came.
    asked = bool(seen.asked("logprobs")) and not (seen.stream and "stream" in seen.case.body)
    if said.value is NO:
        return _denied(said, seen, asked=asked, came=bool(seen.records))
    if not asked:
        return NOTHING
    if Requirement.TOP_LOGPROBS in said.claim.requires and seen.asked("top_logprobs") is None:
        agree(not seen.records, "records without alternatives being asked for")
        return {required(Requirement.TOP_LOGPROBS)}
    agree(seen.records, "no records")
    return VALUE


def streaming_logprobs(said: Said, seen: Recording) -> Facets:
    asked = bool(seen.asked("logprobs")) and seen.stream
    if said.value is NO:
        return _denied(said, seen, asked=asked, came=bool(seen.records))
    if not asked:
        return NOTHING
    if seen.failed:
        agree(seen.refusal and seen.refusal.kind is RefusalKind.UNSUPPORTED, "the error is about something else")
        rule = Requirement.NO_TOOLS_IN_STREAM
        agree(seen.asked("tools") and rule in said.claim.requires, "refused although no requirement is broken")
        return {required(rule)}
    agree(seen.records, "no records")
    tokens = _tokens(seen)
    if said.value is YES:
        agree(tokens in {None, len(seen.records)}, "records are missing")
        return VALUE if tokens else NOTHING
    return VALUE if len(seen.records) < (tokens or 0) else NOTHING


def _tokens(seen: Recording) -> int | None:
    """How many tokens the server generated, by its word here, by the limit, or by its word on the same whole reply."""
    if seen.generated is None and "length" in seen.endings:
        return seen.asked("max_tokens")
    whole = sibling(seen, seen.case.name.removesuffix("_stream"))
    if seen.generated is not None or whole is None or whole.text != seen.text:
        return seen.generated
    return whole.generated


def top_logprobs(said: Said, seen: Recording) -> Facets:
    claim, asked = said.claim, seen.asked("top_logprobs")
    if said.value is NO:
        if asked and seen.records:
            text = "".join(record.get("token", "") for record in seen.records)
            agree(text.replace("\u0120", " ") != seen.text, "they came")
            return VALUE  # they came in place of the sampled tokens
        return _denied(said, seen, asked=asked is not None, came=bool(seen.records))
    if seen.failed:
        agree(seen.refusal and seen.refusal.kind is RefusalKind.RANGE, "the error is not about the number")
        agree(seen.refusal and seen.refusal.limit == claim.max, f"the server names {seen.refusal}, not {claim.max}")
        agree(claim.max is not None and (asked or 0) > claim.max, "refused within the limits")
        return {"max"}
    if not seen.asked("logprobs"):
        agree(not seen.records, "records without being asked for")
        return {"alone"}
    if asked is None:
        agree(_counts(seen) == {claim.default or 0}, f"{_counts(seen)} alternatives by default")
        return {"default"}
    if not seen.records:
        agree(claim.min is not None and asked < claim.min, f"no records for {asked}, which is within the limits")
        agree(said.posture is Posture.IGNORES, f"ignored, and the posture is {said.posture}")
        return {"min", "posture"} if asked + 1 == claim.min else {"posture"}
    agree(claim.min is None or asked >= claim.min, f"{asked} works, below the minimum")
    agree(claim.max is None or asked <= claim.max, f"{asked} works, above the maximum")
    # A column has the sampled token too, where it is not among the best, and tokens of the same text only once.
    columns = seen.case.wire in {"openai-completions", "together-columns"} and max(_counts(seen)) in {asked, asked + 1}
    agree(columns or _counts(seen) == {asked}, f"{_counts(seen)} alternatives for {asked}")
    return VALUE | {limit for limit in ("min", "max") if getattr(claim, limit) == asked}


def _counts(seen: Recording) -> set[int]:
    return {len(record.get("top_logprobs", ())) for record in seen.records}


def refusal_logprobs(said: Said, seen: Recording) -> Facets:
    if not seen.records:
        return NOTHING
    key = said.claim.json_key or "refusal"
    if said.value is NO:
        agree(not any(part.logprobs.get(key) for part in seen.parts), "it has records")
        return VALUE
    agree(key in seen.channels, f"the channels are {sorted(seen.channels)}")
    return VALUE | {"json_key"}


def reasoning_logprobs(said: Said, seen: Recording) -> Facets:
    thought = seen.said("reasoning") or seen.said("reasoning_content")
    if not thought or not seen.asked("logprobs"):
        return NOTHING
    if said.value is YES:
        own = [record for part in seen.parts for record in part.logprobs.get("reasoning", ())]
        own += [record for part in seen.parts for record in part.logprobs.get("reasoning_content", ())]
        agree("".join(record["token"] for record in own) == thought, "the records are not its own")
        return VALUE | {"json_key"}
    agree(said.value is PARTIAL, "reasoning with records, in the channel of the content")
    agree(seen.channels == {"content"}, f"the channels are {sorted(seen.channels)}")
    agree(len(seen.records) == seen.generated, "records are missing")
    agree("".join(record["token"] for record in seen.records).startswith(thought), "the records are not its own")
    return VALUE


# -- ids and the prompt ----------------------------------------------------------------------------------------------


def _unary_only(said: Said, seen: Recording) -> Facets:
    agree(seen.stream and Requirement.UNARY in said.claim.requires, "refused although no requirement is broken")
    agree(seen.refusal and seen.refusal.kind is RefusalKind.PRECONDITION, "the error is about something else")
    return {required(Requirement.UNARY)}


def token_ids(said: Said, seen: Recording) -> Facets:
    if seen.failed:
        return _unary_only(said, seen)
    key = said.claim.json_key or ""
    beside = [record[key] for record in seen.records if key in record]
    ids = beside or [
        id_ for value in seen.under(key) for id_ in (value["tokens"] if isinstance(value, dict) else [value])
    ]
    agree(bool(ids) is (said.value is not NO), f"ids: {ids}")
    agree(len(ids) == len(seen.records) and all(type(id_) is int for id_ in ids), "not one id for each record")
    return VALUE | {"json_key"}


def token_ids_in(said: Said, seen: Recording) -> Facets:
    if seen.failed:
        return NOTHING
    given = next(ids for key in ("token_ids", "input_ids", "prompt") if (ids := seen.asked(key)))
    agree(isinstance(given, list) and all(type(id_) is int for id_ in given), f"the prompt is {given}")
    agree((seen.prompt == len(given)) is (said.value is YES), "the prompt was another one")
    return VALUE


def logprob_token_ids(said: Said, seen: Recording) -> Facets:
    asked = seen.asked("logprob_token_ids") or seen.asked("token_ids_logprob")
    listed = seen.under(said.claim.json_key or "") or [record["top_logprobs"] for record in seen.records]
    agree(bool(asked) and all(len(tops) >= len(asked) for tops in listed), "they are not among the alternatives")
    agree(len(listed) == len(seen.records) and said.value is YES, "they are not there for each token")
    return VALUE | {"json_key"}


def prompt_logprobs(said: Said, seen: Recording) -> Facets:
    if seen.failed:
        return _unary_only(said, seen)
    if seen.asked("echo"):
        return _echoed(said, seen)
    values = seen.under(said.claim.json_key or "")
    agree(bool(values) is (said.value is not NO), "none in the reply")
    agree(len(values) == seen.prompt, "not one for each token of the prompt")
    numbers: list[Any] = [value[0] if isinstance(value, list) else value for value in values]
    agree(numbers[0] is None and all(numbers[1:]), "the first has nothing before it")
    return VALUE | {"json_key"}


def _echoed(said: Said, seen: Recording) -> Facets:
    """The prompt's records come before those of the answer, the first without a value."""
    came = len(seen.records) - (seen.generated or 0) >= (seen.prompt or 0) - 1
    if said.value is NO:
        agree(not came and said.posture is Posture.IGNORES, "they came, or were refused")
        return {"value", "posture"}
    agree(came and seen.records[0]["logprob"] is None, "they did not come")
    pairs = list(itertools.pairwise(seen.records[1:]))
    # Values of the next token have that token, and not their own, among the best.
    shifted = all(after["token"] in {top["token"] for top in before["top_logprobs"]} for before, after in pairs)
    agree(shifted is (said.value is PARTIAL), f"shifted: {shifted}")
    return VALUE


# -- everything else -------------------------------------------------------------------------------------------------


def streaming(said: Said, seen: Recording) -> Facets:
    if not seen.stream or seen.failed:
        return NOTHING
    agree((len(seen.events) > 2) is (said.value is YES), f"{len(seen.events)} events")
    return VALUE


def system_messages(said: Said, seen: Recording) -> Facets:
    """The prompt is as long as that of vLLM for the same messages, whose ids show the system message in it."""
    known = recording("fixtures/vllm/chat_token_ids.yaml")
    if known is None or seen.messages != known.messages or seen.messages[0]["role"] != "system":
        return NOTHING
    agree((seen.prompt == len(known.under("prompt_token_ids"))) is (said.value is YES), f"{seen.prompt} tokens")
    return VALUE


def tools(said: Said, seen: Recording) -> Facets:
    if not seen.asked("tools"):
        return NOTHING
    agree(not seen.failed, "refused")
    agree(said.value is PARTIAL or seen.tool_calls is (said.value is YES), f"tool calls: {seen.tool_calls}")
    return VALUE


def json_schema(said: Said, seen: Recording) -> Facets:
    wanted: dict[str, Any] = seen.asked("response_format") or {}
    if wanted.get("type") != "json_schema":
        return NOTHING
    if seen.failed:
        agree(said.value is NO and said.posture is Posture.REFUSES, "refused")
        agree("response_format" in seen.case.reply.decode(), "the error is about something else")
        return {"value", "posture"}
    agree(said.value is YES, "it works")
    schema = wanted["json_schema"]["schema"]
    try:
        answer = json.loads(seen.text)
    except ValueError:
        raise ContradictedError("the answer is not JSON") from None
    agree(answer.keys() == set(schema["required"]), "other keys")
    agree(all(answer[key] in rule["enum"] for key, rule in schema["properties"].items()), "other values")
    return VALUE


def temperature(said: Said, seen: Recording) -> Facets:
    if not seen.asked("temperature") or seen.failed:
        return NOTHING
    agree(said.value is not NO or seen.greedy, "it has an effect")
    return NOTHING if seen.greedy else VALUE


def max_tokens(said: Said, seen: Recording) -> Facets:
    if not seen.endings & {"length", "max_tokens", "limit"}:
        return NOTHING
    asked = seen.asked("max_tokens") or seen.asked("max_completion_tokens")
    agree((seen.generated == asked) is (said.value is YES), f"{seen.generated} tokens for at most {asked}")
    return VALUE


def stop(said: Said, seen: Recording) -> Facets:
    """Without it the same request goes on: the reply ends before the stop text, and only with it."""
    texts = seen.asked("stop")
    if not texts:
        return NOTHING
    longer = sibling(seen, "chat_logprobs")
    if longer is None:
        return NOTHING
    ended = "stop" in seen.endings and longer.messages == seen.messages and longer.text.startswith(seen.text + texts[0])
    agree(ended is (said.value is YES), "it did not end there")
    return VALUE


def n(said: Said, seen: Recording) -> Facets:
    if not seen.asked("n"):
        return NOTHING
    agree((seen.choices == seen.asked("n")) is (said.value is not NO), f"{seen.choices} choices")
    if said.value is NO:
        agree(said.posture is (Posture.REFUSES if seen.failed else Posture.IGNORES), f"the posture is {said.posture}")
        return VALUE | {"posture"}
    whole = seen.generated == len(seen.records)
    agree(whole is (said.value is YES), f"usage counts {seen.generated} tokens of {len(seen.records)}")
    return VALUE


CHECKS: dict[str, Callable[[Said, Recording], Facets]] = {
    check.__name__: check
    for check in (
        logprobs,
        streaming_logprobs,
        top_logprobs,
        refusal_logprobs,
        reasoning_logprobs,
        token_ids,
        token_ids_in,
        prompt_logprobs,
        logprob_token_ids,
        streaming,
        system_messages,
        tools,
        json_schema,
        temperature,
        max_tokens,
        stop,
        n,
    )
}
