"""The entry a probe writes, and what it says of the registry.

Real here: the registry's own models read the entry back; its built-in claims are what is compared. Made up: the server.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.probe import Difference, Probe, as_json, differences, entry
from nxlog.probe.ask import ask, ask_all
from nxlog.probe.questions import questions_for
from nxlog.probe.report import asked, came
from nxlog.registry import Capabilities, CapabilityStatus, EvidenceKind, Registry
from tests.probe.exchanges import KEY, Script, events, question, record, recorded, reply, respond, target
from tests.probe.test_cassette import probed
from tests.probe.test_measure import RECORDED

if TYPE_CHECKING:
    from nxlog.exchange import HttpResponse


def of_recordings(provider: str, *without: str) -> Probe:
    names = [name for name in RECORDED if name not in without]
    return probed(*(recorded(name, f"{provider}/{RECORDED[name]}") for name in names), provider=provider)


def loaded(text: str) -> Capabilities:
    return Capabilities.model_validate(tomllib.loads(text))


def test_the_entry_is_a_capabilities_file_with_its_evidence() -> None:
    found = of_recordings("vllm")
    read = loaded(entry(found, recorded=True))
    for name, measured in found.measurement.all.items():
        claim = getattr(read.claims, name)
        assert str(claim.value) == measured.value
        refs = [f"fixtures/vllm/probe_{shown}.yaml" for shown in measured.shown_by]
        assert [item.ref for item in claim.evidence] == refs
        assert {item.kind for item in claim.evidence} <= {EvidenceKind.CAPTURED}
        assert {item.engine for item in claim.evidence} <= {"vLLM 0.0"}
    top = read.claims.top_logprobs
    assert (top.min, top.max, top.value) == (0, 20, CapabilityStatus.YES)
    assert read.posture == "refuses"


def test_without_cassettes_the_entry_is_the_users_word() -> None:
    text = entry(of_recordings("vllm"), recorded=False)
    assert "evidence = " not in text
    assert "[sources]" not in text
    read = Registry.builtin().with_(capabilities={"vllm": tomllib.loads(text)})
    claim = read.capabilities("vllm").claim("top_logprobs")
    assert [item.kind for item in claim.evidence] == [EvidenceKind.ASSERTED]
    assert claim.max == 20


def test_an_entry_of_another_wire_is_under_that_wire() -> None:
    found = replace(of_recordings("vllm"), wire="openai-completions")
    read = loaded(entry(found, recorded=True))
    assert read.claims.logprobs.value is CapabilityStatus.UNKNOWN
    assert read.wires["openai-completions"].logprobs.value is CapabilityStatus.YES


def test_an_unknown_engine_is_said_to_be_unknown() -> None:
    found = replace(of_recordings("vllm"), engine=None)
    evidence = loaded(entry(found, recorded=True)).claims.logprobs.evidence
    assert {item.engine for item in evidence} == {"vLLM, version not known"}


def test_the_words_of_a_server_cannot_break_the_entry() -> None:
    message = 'no "n"\n[claims.seed]\nvalue = \x7f\x9b\x1b \\ \u2028 \U0001f40d'
    said = respond({"error": {"message": message}}, 400)
    found = probed(ask(question("n2"), target(), Script(lambda _: said)))
    text = entry(found, recorded=True)
    assert loaded(text).claims.n.note == "HTTP 400: " + " ".join(message.split())
    assert not {"\x7f", "\x9b", "\x1b"} & set(text)


def test_the_names_a_server_gives_itself_stay_in_their_comment() -> None:
    served = {**reply("Yes"), "model": "m\n[claims.seed]\nvalue = 'yes'\x1b\x9b"}
    found = probed(ask(question("plain"), target(), Script(lambda _: respond(served))), engine="a\nb = 1")
    text = entry(found, recorded=True)
    assert "seed" not in loaded(text).claims.model_fields_set
    assert not {"\x1b", "\x9b"} & set(text)


# -- differences -------------------------------------------------------------------------------------------------------


def test_recordings_do_not_contradict_the_claims_made_from_them() -> None:
    for provider, without in {
        "vllm": (),
        "llamacpp": ("prompt_logprobs", "token_ids"),
        "sglang": ("prompt_logprobs", "token_ids"),
    }.items():
        # The minimum is shown by an answer to 1, and there is no recording of one.
        found = [item for item in differences(of_recordings(provider, *without)) if item.name != "top_logprobs.min"]
        assert [item for item in found if item.contradicts] == [], provider


def against(found: Probe, **claims: dict[str, Any]) -> list[Difference]:
    """The differences from a registry with these claims in place of its own."""
    changed = Registry.builtin().with_(capabilities={"vllm": {"claims": claims}})
    return differences(replace(found, registry=changed.capabilities("vllm", "m", wire="openai-chat")))


def wrong(found: Probe, **claims: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item.name, item.registry, item.measured) for item in against(found, **claims) if item.contradicts]


def test_a_wrong_registry_is_contradicted() -> None:
    found = of_recordings("vllm")
    assert wrong(found) == []
    no = {"value": "no"}
    assert ("streaming_logprobs", "no", "yes") in wrong(found, streaming_logprobs=no)
    assert wrong(found, top_sorted={"value": "yes"}) == [("top_sorted", "yes", "no")]
    assert wrong(found, bytes={"value": "missing"}) == [("bytes", "missing", "exact")]
    assert wrong(found, top_logprobs={"value": "yes", "max": 5}) == [("top_logprobs.max", "5", "20")]
    assert wrong(found, top_logprobs={"value": "yes", "max": 20, "min": 1}) == [("top_logprobs.min", "1", "0")]
    key = {"value": "yes", "json_key": "ids"}
    assert wrong(found, token_ids=key) == [("token_ids.json_key", "ids", "token_ids")]


def test_a_maximum_below_what_was_delivered_is_contradicted() -> None:
    found = of_recordings("llamacpp", "prompt_logprobs", "token_ids", "top0")

    def of_top(**limits: int) -> list[tuple[str, str, str]]:
        items = wrong(found, top_logprobs={"value": "yes", **limits})
        return [item for item in items if item[0].startswith("top_logprobs")]

    assert of_top(max=20, default=20) == [("top_logprobs.max", "20", "at least 21")]
    assert of_top(max=50, default=20) == []
    assert of_top(default=5) == [("top_logprobs.default", "5", "20")]


def test_a_condition_that_the_registry_does_not_know_is_a_difference() -> None:
    found = of_recordings("llamacpp", "prompt_logprobs", "token_ids")
    partial = {"value": "partial", "note": "some are lost"}
    names = [(item.name, item.measured) for item in against(found, streaming_logprobs=partial)]
    assert ("streaming_logprobs.requires", "no-tools-in-stream") in names


def test_what_the_registry_does_not_know_is_told_and_contradicts_nothing() -> None:
    found = of_recordings("vllm")
    told = against(found, logprobs={"value": "unknown"}, streaming_logprobs={"value": "unknown"})
    assert {item.name for item in told} >= {"logprobs", "streaming_logprobs"}
    assert not any(item.contradicts for item in told)


def test_partial_may_depend_on_settings_but_yes_promises_all() -> None:
    found = of_recordings("vllm")
    assert [item.name for item in against(found, n={"value": "partial", "note": "some"})].count("n") == 1
    assert wrong(found, n={"value": "partial", "note": "some"}) == []
    lossy = of_recordings("llamacpp", "prompt_logprobs", "token_ids")
    assert ("streaming_logprobs", "yes", "partial") in wrong(lossy, streaming_logprobs={"value": "yes"})


def test_what_was_not_measured_contradicts_nothing() -> None:
    found = probed(ask(question("plain"), target(), Script(lambda _: respond(reply("Yes")))))
    assert differences(found) == []


# -- in a few words ----------------------------------------------------------------------------------------------------

YES = [record("Yes", -0.1, {"Yes": -0.1})]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain", "no log-probabilities"),
        ("plain_stream", "stream"),
        ("logprobs", "logprobs"),
        ("top21", "top_logprobs 21"),
        ("top_minus1", "top_logprobs -1"),
        ("stream", "stream, top_logprobs 5"),
        ("token_ids", "top_logprobs 1, return_token_ids"),
        ("prompt_logprobs", "top_logprobs 1, prompt_logprobs 1"),
        ("nucleus", "seed 7, top_logprobs 5, temperature 1.0, top_p 0.5"),
    ],
)
def test_what_was_asked(name: str, words: str) -> None:
    assert asked(question(name)) == words


def told(name: str, response: HttpResponse) -> str:
    return came(ask(question(name), target(), Script(lambda _: response)))


def test_what_came() -> None:
    assert told("plain", respond(reply("Yes", generated=1))) == "1 token, finished by stop"
    assert told("top1", respond(reply("Yes", YES))) == "1 record for 1 token, 1 alternative, finished by stop"
    assert told("top5", respond(reply("Yes", generated=2))) == "no records for 2 tokens, finished by stop"
    streamed = respond(events([("Ye", YES), ("s", [])]))
    assert told("stream", streamed) == "1 record for 1 token, 1 alternative, text in 2 pieces, finished by stop"
    assert told("n2", respond({"error": {"message": "n must be 1"}}, 400)) == "refused: HTTP 400: n must be 1"
    assert told("n2", respond({"error": {"message": "later"}}, 503)) == "failed: HTTP 503: later"
    lacking = ask(question("n2"), replace(target(), lacks=frozenset({"n"})), Script(lambda _: respond({})))
    assert came(lacking) == "not asked: the wire has no field for n"


def test_json_is_json_and_holds_everything() -> None:
    def server(body: dict[str, Any]) -> HttpResponse:
        return respond(events([("Yes", YES)]) if body.get("stream") else reply("Yes", YES))

    found = probed(*ask_all(target(), Script(server)))
    value = json.loads(json.dumps(as_json(found, cassettes={"plain": "x/probe_plain.yaml"}), allow_nan=False))
    assert [item["name"] for item in value["questions"]] == [one.name for one in questions_for("openai-chat", ())]
    assert value["questions"][0]["cassette"] == "x/probe_plain.yaml"
    assert value["questions"][1]["cassette"] is None
    assert value["claims"]["logprobs"]["value"] == "yes"
    assert set(value["traits"]) == {"chosen_in_top", "top_sorted", "bytes", "entries_per_token", "distribution"}
    assert tomllib.loads(value["entry"])["sources"]
    assert KEY not in json.dumps(value)
