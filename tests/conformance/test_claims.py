"""Every claim that names a cassette, held against that cassette.

What is real: the recordings of live engines. Those of hosted vendors are written in the documented shape, so that they
show what the document says, no more. A reference that shows nothing of its claim fails, and so does one whose claim has
no check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.registry import (
    CLAIM_NAMES,
    TRAIT_NAMES,
    Capabilities,
    Claim,
    Claims,
    EvidenceKind,
    Posture,
    Registry,
    Trait,
)
from tests.conformance import claim_checks, trait_checks
from tests.conformance.cassettes import CASES, Case
from tests.conformance.claim_checks import ContradictedError, Facets, Said
from tests.conformance.recordings import Recording, recording

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnprovenError(AssertionError):
    """The recordings do not show the claim."""


@dataclass(frozen=True)
class Statement:
    """One claim or trait in its place."""

    provider: str
    wire: str
    models: str
    name: str
    claim: Claim | Trait[Any]
    posture: Posture

    def __str__(self) -> str:
        return f"{self.provider}-{self.wire}-{self.models}-{self.name}"

    @property
    def refs(self) -> list[str]:
        return [entry.ref for entry in self.claim.evidence if entry.ref is not None]

    @property
    def own(self) -> bool:
        """Whether all of them are of this provider; else the claim is inherited from another."""
        return all(ref.startswith(f"fixtures/{self.provider}/") for ref in self.refs)

    @property
    def only_captured(self) -> bool:
        """Whether there is no page beside the recordings that could say the rest."""
        return all(entry.kind is EvidenceKind.CAPTURED for entry in self.claim.evidence)


def statements(provider: str, capabilities: Capabilities) -> Iterator[Statement]:
    """Everything that a file says, table by table."""
    wire = Registry.builtin().provider(provider).default_wire
    yield from _table(provider, wire, "", capabilities.claims, capabilities.posture)
    for rule in capabilities.rules:
        posture = rule.posture or capabilities.posture
        yield from _table(provider, wire, rule.match, rule.claims, posture)
        for name, claims in rule.wires.items():
            yield from _table(provider, name, rule.match, claims, posture)
    for name, claims in capabilities.wires.items():
        yield from _table(provider, name, "", claims, capabilities.posture)


def _table(provider: str, wire: str, models: str, claims: Claims, posture: Posture) -> Iterator[Statement]:
    for name in (*CLAIM_NAMES, *TRAIT_NAMES):
        if name in claims.model_fields_set:
            said = getattr(claims, name)
            yield Statement(provider, wire, models, name, said, getattr(said, "posture", None) or posture)


def judge(said: Statement) -> None:
    """Holds a statement against its recordings.

    Raises:
        ContradictedError: a recording shows otherwise.
        UnprovenError: a recording shows nothing of it, there is no check, or something of it is not shown at all.
    """
    shown: Facets = set()
    for ref in said.refs:
        facets = _facets(said, _own(said, ref))
        if not facets:
            raise UnprovenError(f"{said}: {ref} shows nothing of it")
        shown |= facets
    needed = trait_checks.needed(said.claim) if isinstance(said.claim, Trait) else claim_checks.needed(said.claim)
    if said.only_captured and not needed <= shown:
        raise UnprovenError(f"{said}: no recording shows {sorted(needed - shown)}")


def _own(said: Statement, ref: str) -> Recording:
    seen = recording(ref)
    if seen is None:
        raise UnprovenError(f"{said}: {ref} is no exchange that nxlog could have had")
    if (seen.case.provider, seen.case.wire) != (said.provider, said.wire):
        raise UnprovenError(f"{said}: {ref} is of another provider or wire")
    return seen


def answer(case: Case, name: str) -> Claim | Trait[Any]:
    """What the registry says, of that claim or trait, for the request of a recording."""
    claims = Registry.builtin().capabilities(case.provider, case.model, wire=case.wire).claims
    return getattr(claims, name)


def _facets(said: Statement, seen: Recording) -> Facets:
    if isinstance(said.claim, Trait):
        return trait_checks.CHECKS[said.name](said.claim, seen)
    check = claim_checks.CHECKS.get(said.name)
    if check is None:
        raise UnprovenError(f"{said}: there is no check for it; write one in claim_checks.py or drop the reference")
    return check(Said(said.claim, said.posture), seen)


STATEMENTS = [
    said for provider in Registry.builtin() for said in statements(provider.id, Registry.builtin().claims(provider.id))
]
SHOWN = [said for said in STATEMENTS if said.refs and said.own]
HEIRS = [said for said in STATEMENTS if said.refs and not said.own]


@pytest.mark.parametrize("said", SHOWN, ids=str)
def test_a_claim_is_shown_by_what_it_names(said: Statement) -> None:
    judge(said)


@pytest.mark.parametrize("said", SHOWN, ids=str)
def test_evidence_names_a_cassette_that_the_claim_is_about(said: Statement) -> None:
    """Captured or documented as it says, of that server's version, and of a model for which no rule says otherwise."""
    for evidence in said.claim.evidence:
        if evidence.ref is None:
            continue
        case = _own(said, evidence.ref).case
        assert case.metadata["evidence"] == evidence.kind
        if evidence.kind is EvidenceKind.CAPTURED:
            assert str(evidence.engine).split()[-1] == case.metadata["engine_version"].split()[0]
        assert answer(case, said.name) == said.claim


def test_who_inherits_recordings_takes_over_what_was_judged_elsewhere() -> None:
    judged = [(said.wire, said.models, said.name, said.claim) for said in SHOWN]
    assert HEIRS
    assert [said for said in HEIRS if (said.wire, said.models, said.name, said.claim) not in judged] == []


def test_the_engines_rest_on_recordings() -> None:
    """So that the tests above do not pass for want of claims, and no check is there for nothing."""
    assert {said.provider for said in SHOWN} >= {
        "llamacpp",
        "llama-cpp-python",
        "mlx-lm",
        "sglang",
        "transformers-serve",
        "vllm",
    }
    assert {said.name for said in SHOWN} >= {*claim_checks.CHECKS, *trait_checks.CHECKS}


ONLY_WHOLE = {"vllm-generate"}
"""Wires of which no stream was recorded."""


@pytest.mark.parametrize("wire", sorted({case.wire for case in CASES if case.metadata["evidence"] == "captured"}))
def test_a_wire_with_recordings_can_be_read(wire: str) -> None:
    """Captured or documented, whole or streamed: a reply ends, says something unless it was cut, and is counted."""
    replies = [seen for seen in (Recording(case) for case in CASES if case.wire == wire) if not seen.failed]
    assert {seen.stream for seen in replies} == ({False} if wire in ONLY_WHOLE else {False, True})
    for seen in replies:
        said = seen.tool_calls or any(any(part.said.values()) for part in seen.parts)
        assert said or "length" in seen.endings, seen.case.path
        assert seen.endings, seen.case.path
        assert seen.stream or (seen.prompt and seen.generated), seen.case.path


PERVASIVE = {"chosen_in_top", "top_sorted", "entries_per_token"}
"""Traits that every recording with records can contradict."""


@pytest.mark.parametrize("said", [said for said in SHOWN if said.name in PERVASIVE], ids=str)
def test_no_other_recording_contradicts_a_trait(said: Statement) -> None:
    """All recordings of the provider, not only those that its file names."""
    captures = [case for case in CASES if case.provider == said.provider and case.metadata["evidence"] == "captured"]
    about = [Recording(case) for case in captures if case.wire == said.wire and answer(case, said.name) == said.claim]
    assert len(about) > len(said.refs)
    for seen in about:
        _facets(said, seen)


# -- claims made up, and wrong ---------------------------------------------------------------------------------------


def made_up(provider: str, name: str, refs: str, /, *, wire: str = "openai-chat", **fields: Any) -> Statement:
    evidence = [
        {"kind": "captured", "ref": f"fixtures/{ref if '/' in ref else f'{provider}/{ref}'}.yaml"}
        | {"engine": "x 1", "checked": "2026-11"}
        for ref in refs.split()
    ]
    said = getattr(Claims.model_validate({name: {**fields, "evidence": evidence}}), name)
    posture = getattr(said, "posture", None) or Registry.builtin().claims(provider).posture
    return Statement(provider, wire, "", name, said, posture)


COMPLETIONS, RESPONSES = "openai-completions", "openai-responses"
PARTLY = {"value": "partial", "note": "some"}
WRONG = [
    # the value
    made_up("transformers-serve", "logprobs", "chat_logprobs", value="yes"),
    made_up("vllm", "logprobs", "chat_logprobs", value="no"),
    made_up("vllm", "streaming_logprobs", "chat_logprobs_stream", value="no"),
    made_up("sglang", "streaming_logprobs", "chat_logprobs_stream", value="yes"),
    made_up("llamacpp", "tools", "chat_tools_required", value="yes"),
    made_up("llamacpp", "n", "chat_n2", value="yes"),
    made_up("vllm", "n", "chat_n2", **PARTLY),
    made_up("vllm", "stop", "chat_stop", value="no"),
    made_up("vllm", "json_schema", "chat_json_schema", value="no"),
    made_up("vllm", "temperature", "chat_temp1_seeded", value="no"),
    made_up("vllm", "refusal_logprobs", "chat_logprobs", value="yes"),
    made_up("vllm", "reasoning_logprobs", "think_11_reasoning_chat", value="yes"),
    made_up("vllm", "system_messages", "chat_logprobs", value="no"),
    made_up("vllm", "streaming", "chat_logprobs_stream", value="no"),
    made_up("vllm", "max_tokens", "chat_temp1_seeded", value="no"),
    # a limit, a condition, a name, a posture
    made_up("vllm", "top_logprobs", "chat_logprobs_top0 err_top21", value="yes", max=25),
    made_up("vllm", "top_logprobs", "chat_logprobs_top20", value="yes", max=5),
    made_up("llamacpp", "top_logprobs", "chat_logprobs chat_logprobs_top0", value="yes", min=0),
    made_up("llamacpp", "top_logprobs", "chat_logprobs_top0", value="yes", min=1, posture="refuses"),
    made_up("llamacpp", "top_logprobs", "chat_logprobs_only", value="yes", default=5),
    made_up("vllm", "token_ids", "chat_token_ids", value="yes", json_key="ids"),
    made_up("sglang", "token_ids", "chat_token_ids_stream", value="yes", json_key="response_token_ids"),
    made_up("vllm", "prompt_logprobs", "chat_prompt_logprobs_stream", value="yes", json_key="prompt_logprobs"),
    made_up("llamacpp", "streaming_logprobs", "chat_tools_required_stream", **PARTLY),
    made_up("transformers-serve", "logprobs", "chat_logprobs", value="no", posture="refuses"),
    # a trait
    made_up("sglang", "chosen_in_top", "chat_temp1_seeded", value="always"),
    made_up("vllm", "chosen_in_top", "chat_temp1_seeded", value="never"),
    made_up("vllm", "top_sorted", "chat_temp1_seeded", value="yes"),
    made_up("sglang", "top_sorted", "chat_temp1_seeded", value="no"),
    made_up("llamacpp", "bytes", "emoji_chat", value="missing"),
    made_up("llamacpp", "entries_per_token", "emoji_chat", value="exact"),
    made_up("sglang", "entries_per_token", "emoji_chat_stream", value="exact"),
    made_up("vllm", "distribution", "chat_temp1_seeded", value="temperature"),
    made_up("sglang", "distribution", "chat_temp1_seeded", value="raw"),
    made_up("llamacpp", "distribution", "chat_json_schema", value="processed"),
    # other wires, other engines
    made_up("llama-cpp-python", "logprobs", "chat_logprobs_only", value="yes"),
    made_up("llama-cpp-python", "n", "chat_n2", value="yes"),
    made_up("llama-cpp-python", "json_schema", "chat_json_schema", value="yes"),
    made_up("llama-cpp-python", "prompt_logprobs", "completions_echo_logprobs", wire=COMPLETIONS, value="yes"),
    made_up("vllm", "prompt_logprobs", "completions_echo_logprobs", wire=COMPLETIONS, **PARTLY),
    made_up("llamacpp", "prompt_logprobs", "completions_echo_logprobs", wire=COMPLETIONS, value="yes"),
    made_up("llamacpp", "top_logprobs", "completions_logprobs0", wire=COMPLETIONS, value="yes", min=0),
    made_up("vllm", "bytes", "emoji_completions", wire=COMPLETIONS, value="exact"),
    made_up("sglang", "bytes", "07b_emoji_responses", wire=RESPONSES, value="exact"),
    made_up("sglang", "bytes", "07b_emoji_responses", wire=RESPONSES, value="missing"),
    made_up("sglang", "streaming_logprobs", "responses_logprobs_stream", wire=RESPONSES, value="yes"),
    made_up("llamacpp", "logprobs", "responses_include_no_toplp", wire=RESPONSES, value="yes"),
    made_up("vllm", "entries_per_token", "emoji_responses_stream", wire=RESPONSES, value="exact"),
    made_up("sglang", "distribution", "generate_temp13", wire="sglang-generate", value="raw"),
    made_up("llamacpp", "bytes", "native_completion_emoji", wire="llamacpp", value="missing"),
]
BESIDE_THE_POINT = [
    made_up("vllm", "seed", "chat_temp1_seeded", value="yes"),  # no check
    made_up("vllm", "logprobs", "chat_logprobs_stream", value="yes"),  # the other mode
    made_up("vllm", "logprobs", "sglang/chat_logprobs", value="yes"),  # another provider
    made_up("vllm", "logprobs", "anthropic_messages", value="no"),  # another wire
    made_up("vllm", "logprobs", "anthropic_messages", wire="anthropic-messages", value="no"),  # never asked
    made_up("vllm", "temperature", "chat_logprobs", value="yes"),  # temperature 0
    made_up("vllm", "max_tokens", "chat_logprobs", value="yes"),  # ended by itself
    made_up("vllm", "tools", "chat_logprobs", **PARTLY),
    made_up("vllm", "system_messages", "chat_tools", value="yes"),
    made_up("vllm", "token_ids", "chat_token_ids", value="yes", json_key="token_ids", requires=["unary"]),
    made_up("vllm", "top_logprobs", "chat_logprobs_top0", value="yes", min=0, max=20),
    made_up("llamacpp", "streaming_logprobs", "chat_logprobs_stream", **PARTLY, requires=["no-tools-in-stream"]),
    made_up("sglang", "chosen_in_top", "chat_logprobs", value="sometimes"),
    made_up("vllm", "chosen_in_top", "chat_logprobs", value="always"),
    made_up("llamacpp", "top_sorted", "chat_logprobs", value="yes"),
    made_up("llamacpp", "bytes", "chat_logprobs", value="exact"),
    made_up("sglang", "entries_per_token", "emoji_chat", value="lossy-stream"),
    made_up("vllm", "distribution", "chat_logprobs", value="raw"),
    made_up("llamacpp", "entries_per_token", "native_completion_nprobs", wire="llamacpp", value="merged"),
    made_up("sglang", "bytes", "generate", wire="sglang-generate", value="missing"),
    made_up("sglang", "entries_per_token", "generate_stream", wire="sglang-generate", value="lossy-stream"),
    made_up("llama-cpp-python", "logprobs", "chat_logprobs", value="yes", requires=["top-logprobs"]),
]


@pytest.mark.parametrize("said", WRONG, ids=lambda said: f"{said}-{said.claim.value}")
def test_a_wrong_claim_is_contradicted(said: Statement) -> None:
    with pytest.raises(ContradictedError):
        judge(said)


@pytest.mark.parametrize("said", BESIDE_THE_POINT, ids=lambda said: f"{said}-{said.refs[0]}")
def test_a_recording_beside_the_point_proves_nothing(said: Statement) -> None:
    with pytest.raises(UnprovenError):
        judge(said)
