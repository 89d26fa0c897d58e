"""The registry: what is claimed, what that rests on, and how it is looked up.

The captured recordings are real: our own, of live engines. Everything about hosted providers is
documented or reported; nothing here calls them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nxlog.errors import InvalidRequestError, NxlogError, UnknownProviderError
from nxlog.registry import (
    CLAIM_NAMES,
    Capabilities,
    CapabilityManifest,
    CapabilityStatus,
    Claim,
    Distribution,
    Evidence,
    EvidenceKind,
    Posture,
    ProviderCapabilities,
    Registry,
    RegistryError,
    Requirement,
)
from nxlog.registry.__main__ import main
from nxlog.registry.capabilities import evidence_of
from nxlog.registry.compile import DATA_PATH, MATRIX_PATH, README_PATH, stale

ROOT = Path(__file__).parents[1]
SOURCE = {"kind": "documented", "url": "https://example.org/docs", "checked": "2026-11-21"}
YES = {"value": "yes", "evidence": [SOURCE]}
NO = {"value": "no", "evidence": [SOURCE]}
FILE_PROVIDERS = sorted(path.stem for path in (ROOT / "providers").glob("*.toml"))


@pytest.fixture
def registry() -> Registry:
    return Registry.builtin()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that the compiler reads and writes."""
    for folder in ("providers", "capabilities", "fixtures"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for path in (DATA_PATH, MATRIX_PATH, README_PATH):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


# Model rules

OPENAI = [
    # model, unary, streaming, most alternatives, reasons by default, effort none
    ("gpt-4.5-preview", "no", "no", None, False, None),
    ("gpt-4.5-preview-2025-02-27", "no", "no", None, False, None),
    ("gpt-3.5-turbo", "yes", "partial", 20, False, None),
    ("gpt-3.5-turbo-0125", "yes", "partial", 20, False, None),
    ("gpt-4", "yes", "partial", 20, False, None),
    ("gpt-4-turbo-2024-04-09", "yes", "partial", 20, False, None),
    ("gpt-4o", "yes", "yes", 20, False, None),
    ("GPT-4o", "yes", "yes", 20, False, None),
    ("gpt-4o-mini-2024-07-18", "yes", "yes", 20, False, None),
    ("chatgpt-4o-latest", "yes", "yes", 20, False, None),
    ("ft:gpt-4o-mini-2024-07-18:acme::abc", "yes", "yes", 20, False, None),
    ("gpt-4o-audio-preview", "unknown", "unknown", None, False, None),
    ("gpt-4o-mini-search-preview", "unknown", "unknown", None, False, None),
    ("gpt-4.1", "yes", "yes", 20, False, None),
    ("gpt-4.1-nano", "yes", "yes", 20, False, None),
    ("o1", "no", "no", None, True, False),
    ("o1-2024-12-17", "no", "no", None, True, False),
    ("o3-mini", "no", "no", None, True, False),
    ("o4-mini-2025-04-16", "no", "no", None, True, False),
    ("gpt-5-chat-latest", "unknown", "unknown", None, False, False),
    ("gpt-5", "no", "no", None, True, False),
    ("gpt-5-2025-08-07", "no", "no", None, True, False),
    ("gpt-5-mini", "no", "no", None, True, False),
    ("gpt-5-nano-2025-08-07", "no", "no", None, True, False),
    ("gpt-5-pro", "no", "no", None, True, False),
    ("gpt-5-codex", "no", "no", None, True, False),
    ("gpt-5.1-codex", "no", "no", None, True, False),
    ("gpt-5.1-codex-max", "no", "no", None, True, False),
    ("gpt-5.1-chat-latest", "no", "no", None, True, False),
    ("gpt-5.2-pro", "no", "no", None, True, False),
    ("gpt-5.3-chat", "no", "no", None, True, False),
    ("gpt-5.4-pro-2026-03-05", "no", "no", None, True, False),
    ("gpt-5.5-pro", "no", "no", None, True, False),
    ("gpt-5.3-codex", "unknown", "unknown", None, None, None),
    ("gpt-5.1", "partial", "partial", 5, False, True),
    ("gpt-5.1-2025-11-13", "partial", "partial", 5, False, True),
    ("gpt-5.2", "partial", "partial", 5, False, True),
    ("gpt-5.3", "partial", "partial", 5, False, True),
    ("gpt-5.4", "partial", "partial", 5, False, True),
    ("GPT-5.4", "partial", "partial", 5, False, True),
    ("gpt-5.4-2026-03-05", "partial", "partial", 5, False, True),
    ("gpt-5.4-mini", "partial", "partial", 5, False, True),
    ("gpt-5.4-nano", "partial", "partial", 5, False, True),
    ("gpt-5.5", "partial", "partial", 5, True, True),
    ("gpt-5.6-luna", "partial", "partial", 5, True, True),
    ("gpt-5.6-terra", "partial", "partial", 5, True, True),
    ("gpt-6-astra", "unknown", "unknown", 5, True, False),
    ("gpt-6-luna", "unknown", "unknown", 5, None, None),
    ("gpt-6.1-sol", "unknown", "unknown", 5, None, None),
    ("gpt-5.10", "unknown", "unknown", None, None, None),
    ("gpt-7", "unknown", "unknown", None, None, None),
]


@pytest.mark.parametrize(("model", "unary", "streaming", "most", "reasons", "none"), OPENAI)
def test_openai_models(
    registry: Registry,
    model: str,
    unary: str,
    streaming: str,
    most: int | None,
    reasons: bool | None,
    none: bool | None,
) -> None:
    found = registry.capabilities("openai", model)
    assert (found.claim("logprobs").value, found.claim("streaming_logprobs").value) == (unary, streaming)
    assert found.supports_logprobs == (unary in {"yes", "partial"})
    assert found.supports_streaming_logprobs == (streaming in {"yes", "partial"})
    assert (found.max_top_logprobs, found.reasoning_default, found.effort_none) == (most, reasons, none)


def test_reasoning_models_need_reasoning_off(registry: Registry) -> None:
    found = registry.capabilities("openai", "gpt-5.4")
    for name in ("logprobs", "streaming_logprobs", "temperature", "top_p"):
        assert found.claim(name).requires == (Requirement.REASONING_OFF,), name
    assert registry.capabilities("openai", "gpt-4o").claim("logprobs").requires == ()


def test_first_match_wins() -> None:
    rules = [{"match": "^a", "claims": {"logprobs": YES}}, {"match": "^ab", "claims": {"logprobs": NO}}]
    assert Capabilities.model_validate({"rules": rules}).rule_for("abc").match == "^a"  # type: ignore[union-attr]
    assert Capabilities.model_validate({"rules": rules[::-1]}).rule_for("abc").match == "^ab"  # type: ignore[union-attr]
    assert Capabilities.model_validate({"rules": rules}).rule_for("xyz") is None


def test_a_rule_inherits_what_it_does_not_name(registry: Registry) -> None:
    found = registry.capabilities("openai", "gpt-5.4")
    assert found.claim("json_schema").value is CapabilityStatus.YES
    assert (found.max_stop_sequences, found.penalty_range) == (None, (-2.0, 2.0))
    assert registry.capabilities("openai", "gpt-4o").max_stop_sequences == 4


def test_a_wire_wins_over_the_surface(registry: Registry) -> None:
    assert registry.capabilities("vllm", "m").supports_logprobs
    assert registry.capabilities("vllm", "m", wire="openai-chat").supports_logprobs
    assert not registry.capabilities("vllm", "m", wire="anthropic-messages").supports_logprobs


# Providers other than OpenAI


def test_silent_dropper(registry: Registry) -> None:
    found = registry.capabilities("transformers-serve", "m")
    assert (found.supports_logprobs, found.posture) == (False, Posture.IGNORES)
    assert found.claim("logprobs").value is CapabilityStatus.NO


def test_engines(registry: Registry) -> None:
    vllm, sglang, llamacpp = (registry.capabilities(id_, "m") for id_ in ("vllm", "sglang", "llamacpp"))
    assert (vllm.max_top_logprobs, sglang.max_top_logprobs, llamacpp.max_top_logprobs) == (20, None, None)
    assert (vllm.min_top_logprobs, sglang.min_top_logprobs, llamacpp.min_top_logprobs) == (0, 0, 1)
    assert llamacpp.claim("top_logprobs").default == 20
    assert llamacpp.claim("streaming_logprobs").requires == (Requirement.NO_TOOLS_IN_STREAM,)
    assert vllm.claim("prompt_logprobs").requires == (Requirement.UNARY,)
    assert [found.distribution for found in (vllm, sglang, llamacpp)] == [
        Distribution.RAW,
        Distribution.TEMPERATURE,
        Distribution.RAW,
    ]


def test_local_is_the_same_engine(registry: Registry) -> None:
    local, server = registry.claims("local").claims, registry.claims("llamacpp").claims
    assert [name for name in CLAIM_NAMES if getattr(local, name) != getattr(server, name)] == ["n"]
    provider = registry.provider("local")
    assert (provider.base_url, provider.key_env, provider.auth.required) == (None, (), False)


def test_anthropic(registry: Registry) -> None:
    provider = registry.provider("anthropic")
    assert (provider.auth.header, provider.default_wire) == ("x-api-key", "anthropic-messages")
    assert provider.wires["anthropic-messages"].headers == {"anthropic-version": "2023-06-01"}
    assert not registry.capabilities("anthropic", "claude-x").supports_logprobs


def test_deepseek_has_a_reasoning_channel(registry: Registry) -> None:
    found = registry.capabilities("deepseek", "deepseek-v4-flash")
    assert found.claim("reasoning_logprobs").value is CapabilityStatus.YES
    assert found.reasoning_default is True
    assert registry.capabilities("deepseek", "deepseek-chat").reasoning_default is False
    assert registry.capabilities("deepseek", "deepseek-reasoner").claim("logprobs").value == "unknown"


# The duty of evidence


@pytest.mark.parametrize("value", ["yes", "no", "partial"])
def test_every_value_but_unknown_needs_evidence(value: str) -> None:
    with pytest.raises(ValidationError, match="needs at least one evidence entry"):
        Claim.model_validate({"value": value, "note": "n"})
    assert Claim.model_validate({"value": "unknown"}).evidence == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": ""}, "at least 1 character"),
        ({"url": "   "}, "at least 1 character"),
        ({"url": None}, "needs url"),
        ({"url": "public reports"}, "needs url"),
        ({"checked": ""}, "is not a date"),
        ({"checked": "2026-13"}, "is not a date"),
        ({"checked": None}, "needs checked"),
        ({"kind": "third_party_recording"}, "with the commit in it"),
        ({"kind": "captured"}, "needs ref"),
        ({"kind": "captured", "ref": "elsewhere/a.yaml", "engine": "e 1"}, "needs ref"),
        ({"kind": "captured", "ref": "fixtures/a/b.yaml", "engine": ""}, "at least 1 character"),
        ({"kind": "inferred"}, "Input should be"),
    ],
)
def test_evidence_that_says_nothing_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evidence.model_validate({**SOURCE, **change})


def test_partial_needs_a_note() -> None:
    with pytest.raises(ValidationError, match="needs a note"):
        Claim.model_validate({"value": "partial", "evidence": [SOURCE]})
    with pytest.raises(ValidationError, match="at least 1 character"):
        Claim.model_validate({"value": "partial", "note": " ", "evidence": [SOURCE]})


def test_traits_have_the_same_duty() -> None:
    with pytest.raises(ValidationError, match="needs at least one evidence entry"):
        Capabilities.model_validate({"claims": {"distribution": {"value": "raw"}}})


def test_an_unknown_source_is_named() -> None:
    table = {"claims": {"logprobs": {"value": "yes", "evidence": ["nowhere"]}}, "sources": {"here": SOURCE}}
    with pytest.raises(ValidationError, match="'nowhere' is not in"):
        Capabilities.model_validate(table)


@pytest.mark.parametrize("id_", FILE_PROVIDERS)
def test_captured_recordings_exist_and_are_what_the_claim_says(registry: Registry, id_: str) -> None:
    """Real recordings: the engine and version in the recording are those that the claim names."""
    for entry in evidence_of(registry.claims(id_)):
        assert entry.kind is not EvidenceKind.ASSERTED
        if entry.kind is EvidenceKind.CAPTURED:
            metadata = _cassette(str(entry.ref))["metadata"]
            name, _, version = str(entry.engine).partition(" ")
            assert metadata["evidence"] == "captured", entry.ref
            assert metadata["engine"].replace("_", "-").startswith(name.casefold()), entry.ref
            assert metadata["engine_version"].split()[0] == version, entry.ref


@pytest.mark.parametrize("id_", ["vllm", "sglang", "llamacpp", "transformers-serve"])
def test_claims_agree_with_the_recordings_in_both_directions(registry: Registry, id_: str) -> None:
    """Real recordings of the same requests to each engine."""
    found = registry.capabilities(id_, "m")
    unary = json.loads(_body(f"fixtures/{id_}/chat_logprobs.yaml"))["choices"][0].get("logprobs")
    assert found.supports_logprobs == bool(unary and unary["content"])
    stream = _body(f"fixtures/{id_}/chat_logprobs_stream.yaml")
    assert found.supports_streaming_logprobs == ('"content":[{' in stream)
    refused = _cassette(f"fixtures/{id_}/err_top21.yaml")["interactions"][0]["response"]["status"]["code"] == 400
    assert refused == (found.max_top_logprobs == 20)
    if found.supports_logprobs:
        top0 = json.loads(_body(f"fixtures/{id_}/chat_logprobs_top0.yaml"))["choices"][0].get("logprobs")
        assert (found.min_top_logprobs == 1) == (top0 is None)


def _cassette(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return content


def _body(path: str) -> str:
    text: str = _cassette(path)["interactions"][0]["response"]["body"]["string"]
    return text


# Invariants

CONTRADICTION = {"logprobs": NO, "streaming_logprobs": YES}


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"claims": CONTRADICTION}, "claims"),
        ({"claims": {"streaming_logprobs": YES}}, "claims"),
        (
            {
                "claims": {"logprobs": YES, "streaming_logprobs": YES},
                "rules": [{"match": "x", "claims": {"logprobs": NO}}],
            },
            "rule 'x'",
        ),
        ({"claims": {"logprobs": YES, "streaming_logprobs": YES}, "wires": {"w": {"logprobs": NO}}}, "wire 'w'"),
    ],
)
def test_streaming_implies_unary(registry: Registry, table: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        Capabilities.model_validate(table)


def test_streaming_implies_unary_in_overrides_too(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="streaming_logprobs is yes while logprobs is no"):
        registry.with_(capabilities={"vllm": {"claims": {"logprobs": {"value": "no"}}}})
    with pytest.raises(ValidationError, match="needs supports_logprobs=True"):
        ProviderCapabilities(supports_streaming_logprobs=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({**YES, "min": 3, "max": 2}, "above max"),
        ({**YES, "range": [1.0, 0.0]}, "not ascending"),
        ({"value": "unknown", "max": 5}, "needs a note"),
        ({**YES, "maximum": 5}, "Extra inputs"),
        ({**YES, "requires": ["luck"]}, "Input should be"),
    ],
)
def test_limits_are_checked(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Claim.model_validate(table)


def test_a_rule_must_be_a_regular_expression() -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        Capabilities.model_validate({"rules": [{"match": "("}]})


def test_answers_are_immutable(registry: Registry) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        registry.capabilities("openai", "gpt-4o").supports_logprobs = False  # type: ignore[misc]


# Answers made by hand


def test_capabilities_made_by_hand_answer_claims() -> None:
    found = ProviderCapabilities(supports_logprobs=True, max_top_logprobs=10, max_stop_sequences=2)
    assert found.claim("logprobs").value is CapabilityStatus.YES
    assert found.claim("streaming_logprobs").value is CapabilityStatus.NO
    assert (found.claim("top_logprobs").max, found.claim("stop").max) == (10, 2)
    assert found.claim("temperature").value is CapabilityStatus.UNKNOWN
    assert found.supports_system_messages
    with pytest.raises(KeyError, match="no claim 'logprob'"):
        found.claim("logprob")


# Lookup


def test_provider_by_id_alias_and_case(registry: Registry) -> None:
    assert registry.provider("llama.cpp").id == registry.provider("LlamaCPP").id == "llamacpp"
    assert "claude" in registry
    assert "nobody" not in registry
    assert [provider.id for provider in registry] == list(registry.ids) == FILE_PROVIDERS


@pytest.mark.parametrize(
    ("name", "hint"),
    [("opnai", "did you mean 'openai'"), ("vlm", "did you mean 'vllm'"), ("zzz", "known are ai21")],
)
def test_unknown_provider_says_what_was_meant(registry: Registry, name: str, hint: str) -> None:
    for call in (registry.provider, registry.capabilities, registry.claims):
        with pytest.raises(UnknownProviderError, match=hint):
            call(name)


AGGREGATOR = {
    "hub": {
        "display_name": "Hub",
        "kind": "aggregator",
        "docs": "https://example.org",
        "base_url": "https://example.org/v1/",
        "key_env": "HUB_KEY",
        "aliases": ["hubby"],
        "wires": {"openai-chat": {"path": "/chat/completions"}},
    }
}


@pytest.mark.parametrize(
    ("name", "default", "expected"),
    [
        ("openai/gpt-4o", None, ("openai", "gpt-4o")),
        ("OpenAI/gpt-4o", None, ("openai", "gpt-4o")),
        ("claude/claude-x", None, ("anthropic", "claude-x")),
        ("vllm/meta-llama/Llama-3", None, ("vllm", "meta-llama/Llama-3")),
        ("hub/openai/gpt-4o", None, ("hub", "openai/gpt-4o")),
        ("gpt-4o", "openai", ("openai", "gpt-4o")),
        ("openai/gpt-4o", "openai", ("openai", "gpt-4o")),
        ("openai/gpt-oss-20b", "vllm", ("vllm", "openai/gpt-oss-20b")),
        ("vllm/openai/gpt-oss-20b", "vllm", ("vllm", "openai/gpt-oss-20b")),
        ("llama.cpp/m", "llamacpp", ("llamacpp", "m")),
        ("openai/gpt-4o", "hub", ("hub", "openai/gpt-4o")),
        ("hub/auto", "hubby", ("hub", "hub/auto")),
        ("openai/", "openai", ("openai", "openai/")),
    ],
)
def test_resolve(registry: Registry, name: str, default: str | None, expected: tuple[str, str]) -> None:
    provider, model = registry.with_(providers=AGGREGATOR).resolve(name, default)
    assert (provider.id, model) == expected


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("gpt-4o", "write 'provider/gpt-4o'"),
        ("openai/", "no model after the slash"),
        ("opnai/gpt-4o", "did you mean 'openai'"),
        ("meta-llama/Llama-3", "give the client a provider"),
        ("", "does not say which provider"),
    ],
)
def test_resolve_names_the_fix(registry: Registry, name: str, fix: str) -> None:
    with pytest.raises(UnknownProviderError, match=fix):
        registry.resolve(name)


def test_custom_server_has_only_unknown_claims(registry: Registry) -> None:
    provider = registry.custom("http://127.0.0.1:9/v1/")
    assert (provider.base_url, provider.auth.required) == ("http://127.0.0.1:9/v1", False)
    assert registry.resolve("any/model", provider) == (provider, "any/model")
    found = registry.capabilities(provider.id, "any/model")
    assert {found.claim(name).value for name in CLAIM_NAMES} == {CapabilityStatus.UNKNOWN}
    assert not found.supports_logprobs
    assert found.supports_system_messages
    with pytest.raises(RegistryError, match="must start with https:// or http://"):
        registry.custom("127.0.0.1:9")
    with pytest.raises(InvalidRequestError, match="choose one of openai-chat"):
        registry.custom("http://127.0.0.1:9", "telegraph")


def test_a_password_in_the_address_is_refused_and_not_repeated(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="pass api_key instead") as caught:
        registry.custom("http://me:hunter2@127.0.0.1:9/v1")
    assert "hunter2" not in str(caught.value)


# Entries at run time and the user's files


def test_override_at_run_time(registry: Registry) -> None:
    changed = registry.with_(
        capabilities={
            "vllm": {"claims": {"top_logprobs": {"value": "yes", "max": 64}}},
            "openai": {"rules": [{"match": "^gpt-7", "claims": {"logprobs": {"value": "yes"}}}]},
        }
    )
    assert changed.capabilities("vllm", "m").max_top_logprobs == 64
    assert changed.capabilities("vllm", "m").claim("top_logprobs").evidence[0].kind is EvidenceKind.ASSERTED
    assert changed.capabilities("vllm", "m").supports_streaming_logprobs
    assert changed.capabilities("openai", "gpt-7").supports_logprobs
    assert changed.capabilities("openai", "gpt-4o").max_top_logprobs == 20
    assert registry.capabilities("vllm", "m").max_top_logprobs == 20
    assert not registry.capabilities("openai", "gpt-7").supports_logprobs


def test_new_provider_at_run_time(registry: Registry) -> None:
    changed = registry.with_(providers=AGGREGATOR, capabilities={"hub": {"extends": "vllm"}})
    provider = changed.provider("hubby")
    assert (provider.id, provider.base_url, provider.key_env) == ("hub", "https://example.org/v1", ("HUB_KEY",))
    assert changed.capabilities("hub", "m").max_top_logprobs == 20
    assert "hub" not in registry


def test_change_of_a_built_in_provider(registry: Registry) -> None:
    changed = registry.with_(providers={"vllm": {"base_url": "http://gpu:8000/v1"}})
    assert changed.provider("vllm").base_url == "http://gpu:8000/v1"
    assert changed.provider("vllm").wires == registry.provider("vllm").wires


def test_an_address_of_ones_own_needs_no_variables_of_the_old_one(registry: Registry) -> None:
    provider = registry.with_(providers={"azure-openai": {"base_url": "https://gateway.example"}}).provider(
        "azure-openai"
    )
    assert provider.base_url == "https://gateway.example"
    assert set(provider.variables) == {"api_version"}  # still in the paths


def test_an_alias_cannot_be_taken_twice(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="alias 'claude' already means 'anthropic'"):
        registry.with_(providers={"hub": {**AGGREGATOR["hub"], "aliases": ["claude"]}})


def test_extends_cannot_go_in_circles(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="names no other capabilities"):
        registry.with_(providers=AGGREGATOR, capabilities={"hub": {"extends": "hub"}})


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("capabilities/vllm.toml", "posture = ", r"vllm\.toml: not TOML"),
        ("capabilities/vllm.toml", "[claims.logprob]\nvalue = 'yes'", r"vllm\.toml: claims\.logprob: .*'logprobs'"),
        (
            "capabilities/vllm.toml",
            "[claims.logprobs]\nvalue = 'maybe'",
            r"vllm\.toml: claims\.logprobs\.value: .*maybe",
        ),
        (
            "capabilities/vllm.toml",
            "[claims.logprobs]\nvalue = 'yes'\nevidence = ['x']\n[sources]",
            r"vllm\.toml: .*'x' is not",
        ),
        ("capabilities/vlm.toml", "", r"vlm\.toml: .*did you mean 'vllm'.*; add providers/vlm\.toml"),
        ("providers/mine.toml", "display_name = 'Mine'", r"mine\.toml: kind: is missing; add it"),
        ("providers/vllm.toml", "base_urls = 'x'", r"vllm\.toml: base_urls: .*'base_url'"),
        ("providers/vllm.toml", "[auth]\nscheme = 'header'", r"vllm\.toml: auth: scheme 'header' needs"),
    ],
)
def test_a_broken_user_file_names_file_field_and_fix(tmp_path: Path, path: str, text: str, message: str) -> None:
    target = tmp_path / path
    target.parent.mkdir()
    target.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match=message) as caught:
        Registry.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value, NxlogError)


OVERRIDE = "[claims.top_logprobs]\nvalue = 'yes'\nmax = 99\n"


def test_user_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nxlog" / "capabilities").mkdir(parents=True)
    (tmp_path / "nxlog" / "capabilities" / "vllm.toml").write_text(OVERRIDE, encoding="utf-8")
    monkeypatch.delenv("NXLOG_REGISTRY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Registry.default().capabilities("vllm", "m").max_top_logprobs == 99
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "empty"))
    assert Registry.default() is Registry.builtin()
    monkeypatch.setenv("NXLOG_REGISTRY", str(tmp_path / "nxlog"))
    assert Registry.default().capabilities("vllm", "m").max_top_logprobs == 99
    assert Registry.default() is Registry.default()
    monkeypatch.setenv("NXLOG_REGISTRY", str(tmp_path / "nowhere"))
    with pytest.raises(RegistryError, match=r"NXLOG_REGISTRY is .*nowhere.*create it or unset it"):
        Registry.default()


# The public manifest


def test_manifest(registry: Registry) -> None:
    manifest = registry.manifest()
    assert manifest.schema_version == "capability-manifest-v2"
    by_id = {entry.name: entry for entry in manifest.providers}
    assert sorted(by_id) == FILE_PROVIDERS
    public = "vision_input tool_calling thinking_blocks streaming_logprobs json_mode json_schema_strict"
    public += " json_schema_best_effort embeddings rerank"
    assert set(by_id["vllm"].capabilities) == {*CLAIM_NAMES, *public.split()}
    assert by_id["vllm"].capabilities["tool_calling"] == by_id["vllm"].capabilities["tools"] == "partial"
    assert (by_id["vllm"].provider_status, by_id["deepseek"].provider_status) == ("captured", "third_party_recording")
    assert (by_id["vllm"].capabilities["logprobs"], by_id["vllm"].max_top_logprobs) == ("yes", 20)
    gpt54 = next(rule for rule in by_id["openai"].models if "gpt-5\\.4" in rule.match)
    assert (gpt54.capabilities["streaming_logprobs"], gpt54.max_top_logprobs) == ("partial", 5)
    assert gpt54.requires["logprobs"] == ("reasoning-off",)
    assert CapabilityManifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_manifest_leaks_nothing(registry: Registry) -> None:
    """Neither evidence nor notes: not as keys, and not one of their texts."""
    text = registry.manifest().model_dump_json()
    for id_ in registry.ids:
        capabilities = registry.claims(id_)
        for entry in evidence_of(capabilities):
            assert str(entry.url or entry.ref) not in text
        for rule in capabilities.rules:
            assert rule.note is None or rule.note not in text
        for name in CLAIM_NAMES:
            note = getattr(capabilities.claims, name).note
            assert note is None or json.dumps(note)[1:-1] not in text
    for key in ("evidence", "note", "sources", "url", "checked"):
        assert f'"{key}"' not in text


# Generated files


def test_committed_files_are_up_to_date() -> None:
    assert stale(ROOT) == [], "run python -m nxlog.registry"


@pytest.mark.parametrize("id_", FILE_PROVIDERS)
def test_every_provider_has_a_file_of_capabilities(id_: str) -> None:
    assert (ROOT / "capabilities" / f"{id_}.toml").is_file()


def test_stale_check_sees_a_changed_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(project)]) == 0
    capsys.readouterr()
    assert main(["--root", str(project), "--check"]) == 0
    path = project / "capabilities" / "vllm.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("max = 20", "max = 21"), encoding="utf-8")
    assert main(["--root", str(project), "--check"]) == 1
    assert capsys.readouterr().out.split() == ["stale", DATA_PATH, "stale", MATRIX_PATH]
    assert main(["--root", str(project)]) == 0
    assert main(["--root", str(project), "--check"]) == 0


def test_readme_is_checked_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = project / README_PATH
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text.replace("**none**: ", "**none**: nobody, "), encoding="utf-8")
    assert main(["--root", str(project), "--check"]) == 1
    assert capsys.readouterr().out.split() == ["stale", README_PATH]
    assert main(["--root", str(project)]) == 0
    assert readme.read_text(encoding="utf-8") == text
    readme.write_text(text.replace("<!-- end -->", ""), encoding="utf-8")
    assert main(["--root", str(project), "--check"]) == 2
    assert "belongs between" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("capabilities/vllm.toml", "chat_logprobs.yaml", "nothing.yaml", "fixtures/vllm/nothing.yaml does not exist"),
        ("capabilities/vllm.toml", "#:schema ./.schema.json\n", "", "line 1 must be"),
        ("capabilities/vllm.toml", "[wires.anthropic-messages.", "[wires.telegraph.", "are not in providers/vllm.toml"),
        ("capabilities/local.toml", 'extends = "llamacpp"', 'posture = "rude"', "posture"),
        ("providers/vllm.toml", 'kind = "engine"', 'kind = "engine"\naliases = ["claude"]', "alias 'claude' is taken"),
    ],
)
def test_the_compiler_refuses(
    project: Path, capsys: pytest.CaptureFixture[str], path: str, old: str, new: str, message: str
) -> None:
    text = (project / path).read_text(encoding="utf-8")
    assert old in text
    (project / path).write_text(text.replace(old, new), encoding="utf-8")
    assert main(["--root", str(project), "--check"]) == 2
    assert message in capsys.readouterr().err


def test_every_file_of_data_names_its_schema_and_its_writer() -> None:
    data = json.loads((ROOT / DATA_PATH).read_text(encoding="utf-8"))
    assert data["_written_by"].startswith("python -m nxlog.registry")
    for folder in ("providers", "capabilities"):
        schema = json.loads((ROOT / folder / ".schema.json").read_text(encoding="utf-8"))
        assert schema["additionalProperties"] is False
        assert all("description" in field for field in schema["properties"].values())


def test_every_rule_has_an_example_of_its_own() -> None:
    """So that no rule stands behind one that takes all its models, and every rule can be tried."""
    registry = Registry.builtin()
    for provider in registry:
        capabilities = registry.claims(provider.id)
        for rule in capabilities.rules:
            assert rule.example is not None, f"{provider.id}: {rule.match}"
            assert capabilities.rule_for(rule.example) is rule, f"{provider.id}: {rule.match}"


def test_import_reads_nothing_and_stays_apart() -> None:
    """A fresh interpreter: importing the registry opens no data and imports neither HTTP nor wires nor client."""
    program = (
        "import sys, nxlog.registry as r; from nxlog.registry import lookup\n"
        "assert lookup._builtin.cache_info().currsize == 0\n"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] in {'httpx', 'yaml'}"
        " or m.startswith(('nxlog.wire', 'nxlog.client', 'nxlog.registry.compile'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    allowed = _imported_by_the_package_itself()
    assert set(done.stdout.split()) - allowed == set()


def _imported_by_the_package_itself() -> set[str]:
    """What ``import nxlog`` brings along before any module of it is asked for."""
    program = "import sys, nxlog; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())
