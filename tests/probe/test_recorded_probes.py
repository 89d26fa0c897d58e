"""Two probes of a real vLLM, kept as the cassettes that they wrote, measured again.

Real here: what vLLM 0.32.0 sent, on a CPU with SmolLM2-135M-Instruct in float32, with its default settings and with
``--logprobs-mode processed_logprobs``. The pages that show these probes are held against them.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nxlog.exchange import HttpResponse
from nxlog.probe import Probe, differences, entry, measure
from nxlog.probe.ask import ask
from nxlog.probe.questions import questions_for
from nxlog.registry import Capabilities, Registry
from tests.conformance import recordings
from tests.conformance.cassettes import read_case
from tests.conformance.claim_checks import ContradictedError
from tests.conformance.test_claims import Statement, judge, statements
from tests.probe.exchanges import Script, target

CASSETTES = Path(__file__).parent / "cassettes"
PAGE = Path(__file__).parent.parent.parent / "docs" / "probe.md"
DATE = "2026-11-21"
QUESTIONS = {question.name: question for question in questions_for("openai-chat", ())}


def probe_of(folder: str, *, engine: str) -> Probe:
    answers: list[Any] = []
    found: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        path = CASSETTES / folder / f"probe_{name}.yaml"
        if not path.is_file():
            continue
        document = yaml.load(path.read_text(encoding="ascii"), Loader=yaml.CSafeLoader)
        found = document["metadata"]
        interaction = document["interactions"][0]
        reply = interaction["response"]
        headers = {key: values[0] for key, values in reply["headers"].items()}
        response = HttpResponse(reply["status"]["code"], headers, reply["body"]["string"].encode())
        script = Script(lambda _, response=response: response)
        answers.append(ask(question, target("vllm", "smollm2-135m"), script))
        # A probe of today would send the same.
        assert script.asked == [json.loads(interaction["request"]["body"])], name
    assert f"{found['engine']} {found['engine_version']}" == engine
    assert DATE.startswith(found["recorded"])
    registry = Registry.builtin()
    return Probe(
        provider=registry.provider("vllm"),
        model="smollm2-135m",
        wire="openai-chat",
        date=DATE,
        engine=engine,
        answers=tuple(answers),
        measurement=measure(answers),
        registry=registry.capabilities("vllm", "smollm2-135m", wire="openai-chat"),
        url="",
        stream_url="",
        secrets=frozenset(),
    )


@pytest.fixture(scope="module")
def vllm() -> Probe:
    return probe_of("vllm", engine="vLLM 0.32.0")


@pytest.fixture(scope="module")
def processed() -> Probe:
    return probe_of("vllm-processed", engine="vLLM (processed_logprobs) 0.32.0")


def test_every_question_was_answered(vllm: Probe) -> None:
    assert [answer.name for answer in vllm.answers] == list(QUESTIONS)
    assert {answer.name for answer in vllm.answers if not answer.arrived} == {"top21", "top_minus1"}


def test_raw_values_sampled_first_and_masks(vllm: Probe) -> None:
    found = vllm.measurement
    assert found.traits["distribution"].value == "raw"
    assert found.traits["top_sorted"].value == "no"
    assert (found.traits["top_sorted"].note or "").startswith("the sampled token comes first")
    assert found.traits["chosen_in_top"].value == "always"
    assert found.claims["json_schema"].note == "22 of 75 alternatives are masked, as -9999.0"
    assert (found.claims["top_logprobs"].min, found.claims["top_logprobs"].max) == (0, 20)
    assert found.claims["prompt_logprobs"].json_key == "prompt_logprobs"
    assert found.claims["token_ids"].json_key == "token_ids"


def test_it_does_not_contradict_the_registry(vllm: Probe) -> None:
    assert [item for item in differences(vllm) if item.contradicts] == []


def test_the_other_mode_does(processed: Probe) -> None:
    assert processed.measurement.traits["distribution"].value == "processed"
    contradicted = [(item.name, item.registry, item.measured) for item in differences(processed) if item.contradicts]
    assert contradicted == [("distribution", "raw", "processed")]


@pytest.mark.parametrize("path", sorted(CASSETTES.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_they_are_cassettes_like_any_other(path: Path) -> None:
    case = read_case(path, Registry.builtin().provider("vllm"))
    assert case is not None
    assert case.wire == "openai-chat"
    assert case.metadata["evidence"] == "captured"
    assert case.uri == "http://localhost:8000/v1/chat/completions"
    if case.status == 200 and case.body.get("logprobs"):
        assert case.record_count() > 0


def test_the_page_shows_what_was_measured(vllm: Probe) -> None:
    text = entry(vllm, recorded=True).partition("\n[sources]")[0]
    assert text in PAGE.read_text(encoding="utf-8")


def test_the_suite_accepts_the_entry_with_its_cassettes(vllm: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if both had been put where the project keeps such things: every claim is held against what it cites."""
    for path in (CASSETTES / "vllm").glob("*.yaml"):
        monkeypatch.setitem(recordings._BY_REF, f"fixtures/vllm/{path.name}", read_case(path, vllm.provider))
    read = Capabilities.model_validate(tomllib.loads(entry(vllm, recorded=True)))
    judged = [said for said in statements("vllm", read) if said.claim.evidence]
    for said in judged:
        judge(said)
    assert {said.name for said in judged} == {name for name, item in vllm.measurement.all.items() if item.known}


def test_the_suite_tells_the_modes_apart(vllm: Probe, processed: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (CASSETTES / "vllm-processed").glob("*.yaml"):
        monkeypatch.setitem(recordings._BY_REF, f"fixtures/vllm/{path.name}", read_case(path, vllm.provider))

    def distribution(found: Probe) -> Statement:
        read = Capabilities.model_validate(tomllib.loads(entry(found, recorded=True)))
        return next(said for said in statements("vllm", read) if said.name == "distribution")

    judge(distribution(processed))
    with pytest.raises(ContradictedError):
        judge(distribution(vllm))
