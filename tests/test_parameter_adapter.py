"""The gate, rule by rule: which fields go out, and what is said about the others.

Real here: the gate, and where a provider is named the built-in registry. Limits that no built-in provider has are made
by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nxlog.parameter_adapter import adapt
from nxlog.registry import CapabilityStatus, Claim, Claims, ProviderCapabilities, Registry, Requirement
from nxlog.request import ChatRequest

if TYPE_CHECKING:
    from nxlog.warnings import ParameterWarning

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": "look"}}]
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [USER], **fields})


def at(provider: str, model: str = "m", wire: str | None = None) -> ProviderCapabilities:
    """What the built-in registry says."""
    return Registry.builtin().capabilities(provider, model, wire=wire)


def claim(value: str, **limits: Any) -> Claim:
    return Claim.model_construct(value=CapabilityStatus(value), **limits)


def made(**claims: Claim) -> ProviderCapabilities:
    """Claims that no built-in provider has."""
    return ProviderCapabilities(provider="p", model="m", claims=Claims.model_construct(None, **claims))


def brief(found: list[ParameterWarning]) -> list[tuple[str, str, str]]:
    return [(warning.parameter, warning.code.value, warning.severity.value) for warning in found]


# -- logprobs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["anthropic", "transformers-serve"])
@pytest.mark.parametrize("stream", [False, True])
def test_unsupported_is_dropped_with_one_info_b05(provider: str, stream: bool) -> None:
    sent, found = adapt(request(logprobs=True, top_logprobs=5), at(provider), stream=stream)
    assert (sent.logprobs, sent.top_logprobs) == (None, None)
    (warning,) = found
    assert brief(found) == [("logprobs", "unsupported", "info")]
    assert warning.requested == {"logprobs": True, "top_logprobs": 5}
    assert warning.applied is None
    assert (warning.provider, warning.model, warning.source) == (provider, "m", "manifest")
    assert warning.message.endswith("; dropped")


def test_what_was_requested_is_said_as_it_was() -> None:
    _, (warning,) = adapt(request(logprobs=True), at("anthropic"))
    assert warning.requested == {"logprobs": True}


@pytest.mark.parametrize("stream", [False, True])
def test_supported_passes_untouched_b19(stream: bool) -> None:
    asked = request(logprobs=True, top_logprobs=20)
    assert adapt(asked, at("openai", "gpt-4o"), stream=stream) == (asked, [])


@pytest.mark.parametrize(("asked", "limit"), [(50, 20), (21, 20)])
def test_clamp_names_both_numbers_b17(asked: int, limit: int) -> None:
    sent, found = adapt(request(top_logprobs=asked), at("openai", "gpt-4o"))
    assert (sent.logprobs, sent.top_logprobs) == (True, limit)
    assert brief(found) == [("top_logprobs", "clamped", "warning")]
    assert f"requested {asked} alternatives, the provider's maximum is {limit}" in found[0].message
    assert (found[0].requested, found[0].applied) == (asked, limit)


def test_clamp_50_to_10_b40() -> None:
    capabilities = ProviderCapabilities(supports_logprobs=True, max_top_logprobs=10)
    sent, found = adapt(request(top_logprobs=50), capabilities)
    assert sent.top_logprobs == 10
    assert "50" in found[0].message
    assert "10" in found[0].message
    assert adapt(request(top_logprobs=10), capabilities) == (request(top_logprobs=10), [])


def test_clamp_to_the_limit_of_the_model_b08() -> None:
    assert adapt(request(top_logprobs=20), at("openai", "gpt-5.4"))[0].top_logprobs == 5
    assert adapt(request(top_logprobs=20), at("openai", "gpt-4o-mini"))[0].top_logprobs == 20


def test_clamp_up_where_fewer_switches_logprobs_off() -> None:
    """llama.cpp sends none at all for 0."""
    sent, found = adapt(request(top_logprobs=0), at("llamacpp"))
    assert sent.top_logprobs == 1
    assert brief(found) == [("top_logprobs", "clamped", "info")]
    assert "requested 0 alternatives, the provider's minimum is 1" in found[0].message


def test_no_alternatives_at_a_provider_without_them() -> None:
    capabilities = made(logprobs=claim("yes"), top_logprobs=claim("no"))
    sent, found = adapt(request(top_logprobs=3), capabilities)
    assert (sent.logprobs, sent.top_logprobs) == (True, None)
    assert brief(found) == [("top_logprobs", "unsupported", "warning")]
    sent, found = adapt(request(top_logprobs=0), capabilities)
    assert (sent.logprobs, sent.top_logprobs, found) == (True, None, [])


def test_streaming_has_its_own_gate_b13() -> None:
    capabilities = ProviderCapabilities(supports_logprobs=True)
    asked = request(logprobs=True)
    assert adapt(asked, capabilities) == (asked, [])
    sent, found = adapt(asked, capabilities, stream=True)
    assert sent.logprobs is None
    assert brief(found) == [("logprobs", "unsupported_streaming", "info")]
    assert "chat() gives it" in found[0].message


def test_streaming_cannot_be_claimed_without_logprobs_b13() -> None:
    with pytest.raises(ValueError, match="needs supports_logprobs=True"):
        ProviderCapabilities(supports_streaming_logprobs=True)


def test_unary_only_claim() -> None:
    capabilities = made(logprobs=claim("yes", requires=(Requirement.UNARY,)))
    assert adapt(request(logprobs=True), capabilities)[1] == []
    assert brief(adapt(request(logprobs=True), capabilities, stream=True)[1]) == [
        ("logprobs", "unsupported_streaming", "info")
    ]


def test_tools_in_a_stream_exclude_logprobs_at_llamacpp() -> None:
    asked = request(logprobs=True, tools=TOOLS)
    assert adapt(asked, at("llamacpp")) == (asked, [])
    assert adapt(request(logprobs=True), at("llamacpp"), stream=True)[1] == []
    sent, found = adapt(asked, at("llamacpp"), stream=True)
    assert sent.logprobs is None
    assert sent.tools == asked.tools
    assert brief(found) == [("logprobs", "mode_conflict", "info")]


def test_nothing_requested_is_quiet_b19_b40() -> None:
    for provider in Registry.builtin().ids:
        for stream in (False, True):
            assert adapt(request(), at(provider), stream=stream) == (request(), [])


def test_logprobs_false_is_quiet_b19() -> None:
    sent, found = adapt(request(logprobs=False), at("openai", "gpt-4o"))
    assert (sent.logprobs, found) == (False, [])
    sent, found = adapt(request(logprobs=False), at("anthropic"))
    assert (sent.logprobs, found) == (None, [])  # a server that refuses unknown fields refuses this one too


# -- reasoning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "effort", "conflict"),
    [
        ("gpt-5.4", None, False),
        ("gpt-5.4", "none", False),
        ("gpt-5.4", "high", True),
        ("gpt-4o", None, False),
        ("GPT-5.4-2026-03-05", "low", True),
    ],
)
def test_gpt_5_4_guard_b18_b40(model: str, effort: str | None, conflict: bool) -> None:
    """Five variants: not set, none, set, another model, another case of the name."""
    asked = request(temperature=0.5, top_p=0.5, logprobs=True, top_logprobs=5, reasoning_effort=effort)
    sent, found = adapt(asked, at("openai", model))
    if not conflict:
        assert (sent, found) == (asked, [])
        return
    assert (sent.temperature, sent.top_p, sent.logprobs, sent.top_logprobs) == (None, None, None, None)
    assert sent.reasoning_effort == effort
    assert brief(found) == [
        (parameter, "reasoning_conflict", "warning") for parameter in ("temperature", "top_p", "logprobs")
    ]
    assert all(f"reasoning_effort={effort!r}" in warning.message for warning in found)
    assert all("reasoning_effort='none' allows it" in warning.message for warning in found)


def test_effort_on_another_model_is_dropped_and_changes_nothing_else() -> None:
    asked = request(temperature=0.5, logprobs=True, reasoning_effort="high")
    sent, found = adapt(asked, at("openai", "gpt-4o"))
    assert sent == request(temperature=0.5, logprobs=True)
    assert brief(found) == [("reasoning_effort", "unsupported", "warning")]


def test_a_dropped_effort_conflicts_with_nothing() -> None:
    """What is not sent does not make the model reason."""
    capabilities = made(
        reasoning_effort=claim("no"), logprobs=claim("yes", requires=(Requirement.REASONING_OFF,)), top_p=claim("yes")
    )
    sent, found = adapt(request(logprobs=True, reasoning_effort="high"), capabilities)
    assert sent.logprobs is True
    assert [warning.parameter for warning in found] == ["reasoning_effort"]


def test_thinking_disabled_in_the_providers_own_words_counts() -> None:
    """DeepSeek ignores temperature while it thinks; who turns thinking off means the temperature."""
    asked = request(temperature=0.5, provider_options={"thinking": {"type": "disabled"}})
    adapted, found = adapt(asked, at("deepseek", "deepseek-chat"))
    assert adapted.temperature == 0.5
    assert not found


def test_a_model_that_always_reasons_refuses_effort_none() -> None:
    capabilities = at("openai", "gpt-6-astra")
    sent, found = adapt(request(logprobs=True, reasoning_effort="none"), capabilities)
    assert (sent.reasoning_effort, sent.logprobs) == (None, None)
    assert brief(found) == [
        ("reasoning_effort", "unsupported", "warning"),
        ("logprobs", "reasoning_conflict", "warning"),
    ]
    assert "as it does by default" in found[1].message
    assert "allows it" not in found[1].message


def test_a_model_that_never_reasons_needs_no_effort_none() -> None:
    sent, found = adapt(request(reasoning_effort="none"), at("openai", "gpt-5-chat-latest"))
    assert sent == request()
    assert brief(found) == [("reasoning_effort", "unsupported", "info")]


# -- the other rules -------------------------------------------------------------------------------------------------


def test_stop_is_truncated_b27() -> None:
    sent, found = adapt(request(stop=list("abcdef")), at("openai", "gpt-4o"))
    assert sent.stop == list("abcd")
    assert brief(found) == [("stop", "truncated", "warning")]
    assert "truncated from 6 to 4 stop sequences" in found[0].message
    assert (found[0].requested, found[0].applied) == (list("abcdef"), list("abcd"))
    assert adapt(request(stop=list("abcd")), at("openai", "gpt-4o"))[1] == []
    assert adapt(request(stop=list("abcdef")), at("anthropic"))[1] == []  # no limit known


def test_stop_is_dropped() -> None:
    assert brief(adapt(request(stop="a"), at("openai", "o3"))[1]) == [("stop", "unsupported", "warning")]
    sent, found = adapt(request(stop="a"), made(stop=claim("yes", max=0)))
    assert sent.stop is None
    assert brief(found) == [("stop", "truncated", "warning")]


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_penalties_b27(name: str) -> None:
    sent, found = adapt(request(**{name: 1.0}), at("anthropic"))
    assert getattr(sent, name) is None
    assert brief(found) == [(name, "unsupported", "info")]
    sent, found = adapt(request(**{name: -2.5}), at("openai", "gpt-4o"))
    assert getattr(sent, name) == -2.5
    assert brief(found) == [(name, "out_of_range", "warning")]
    assert "-2.5 is outside the provider's range [-2, 2]" in found[0].message
    for edge in (-2.0, 2.0):
        assert adapt(request(**{name: edge}), at("openai", "gpt-4o"))[1] == []


def test_temperature_range_is_the_providers() -> None:
    assert adapt(request(temperature=1.5), at("openai", "gpt-4o"))[1] == []
    sent, found = adapt(request(temperature=1.5), at("anthropic"))
    assert sent.temperature == 1.5
    assert brief(found) == [("temperature", "out_of_range", "warning")]


def test_seed_b27() -> None:
    sent, found = adapt(request(seed=0), at("anthropic"))
    assert sent.seed is None
    assert brief(found) == [("seed", "unsupported", "info")]
    assert found[0].requested == 0
    assert adapt(request(seed=0), at("llamacpp"))[1] == []


def test_choices() -> None:
    sent, found = adapt(request(n=2), at("anthropic"))
    assert sent.n is None
    assert brief(found) == [("n", "unsupported", "warning")]
    assert adapt(request(n=1), at("anthropic")) == (request(), [])  # one is what comes anyway
    assert adapt(request(n=1), at("openai", "gpt-4o")) == (request(n=1), [])


def test_tools_unsupported() -> None:
    capabilities = made(tools=claim("no"))
    sent, found = adapt(request(tools=TOOLS, tool_choice="required"), capabilities)
    assert (sent.tools, sent.tool_choice) == (None, None)
    assert brief(found) == [("tools", "unsupported", "error"), ("tool_choice", "unsupported", "warning")]
    assert found[0].requested == ["look"]
    assert found[1].requested == "required"


def test_max_tokens_unsupported() -> None:
    assert brief(adapt(request(max_tokens=5), made(max_tokens=claim("no")))[1]) == [
        ("max_tokens", "unsupported", "warning")
    ]


# -- response_format -------------------------------------------------------------------------------------------------


def test_json_mode_is_asked_for_in_words_b27() -> None:
    sent, found = adapt(request(response_format={"type": "json_object"}), at("anthropic"))
    assert sent.response_format is None
    assert [message.role for message in sent.messages] == ["system", "user"]
    assert "JSON" in sent.messages[0].text
    assert brief(found) == [("response_format", "emulated", "info")]
    assert found[0].requested == "json_object"


def test_a_schema_is_downgraded_to_json_mode_b27() -> None:
    sent, found = adapt(request(response_format=JSON_SCHEMA), at("openai", "gpt-3.5-turbo"))
    assert sent.response_format is not None
    assert sent.response_format.type == "json_object"
    assert '{"type": "object", "properties": {"x": {"type": "integer"}}}' in sent.messages[0].text
    assert brief(found) == [("response_format", "downgraded", "warning")]
    assert (found[0].requested, found[0].applied) == ("json_schema", "json_object")


def test_a_schema_is_asked_for_in_words_b27() -> None:
    capabilities = ProviderCapabilities(provider="p")
    sent, found = adapt(request(response_format=JSON_SCHEMA), capabilities)
    assert sent.response_format is None
    assert '"integer"' in sent.messages[0].text
    assert brief(found) == [("response_format", "emulated", "warning")]


def test_words_join_the_system_message_there_is() -> None:
    messages = [{"role": "system", "content": "Be brief."}, USER]
    sent, _ = adapt(request(messages=messages, response_format={"type": "json_object"}), at("anthropic"))
    assert [message.role for message in sent.messages] == ["system", "user"]
    assert sent.messages[0].text.startswith("Be brief.\n\nAnswer with one JSON value")


def test_words_need_a_place() -> None:
    """A wire that completes one text has no system message in which JSON could be asked for."""
    lacks = frozenset({"system_messages", "json_mode", "json_schema"})
    sent, found = adapt(request(response_format=JSON_SCHEMA), at("vllm"), lacks=lacks)
    assert sent == request()
    assert brief(found) == [("response_format", "unsupported", "warning")]


@pytest.mark.parametrize("wanted", [{"type": "json_object"}, JSON_SCHEMA, {"type": "text"}])
def test_formats_that_are_there_pass(wanted: dict[str, Any]) -> None:
    asked = request(response_format=wanted)
    assert adapt(asked, at("openai", "gpt-4o")) == (asked, [])


def test_text_is_what_comes_anyway() -> None:
    assert adapt(request(response_format={"type": "text"}), at("anthropic")) == (request(), [])


def test_json_is_not_asked_for_in_words_where_nobody_reads_instructions() -> None:
    asked = request(response_format={"type": "json_object"})
    lacks = frozenset({"json_mode", "json_schema", "system_messages"})
    sent, found = adapt(asked, made(), lacks=lacks)
    assert (sent.response_format, sent.messages) == (None, asked.messages)
    assert brief(found) == [("response_format", "unsupported", "warning")]
