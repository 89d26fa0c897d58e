"""The gate as a whole: policies, legacy options, what a wire lacks, and promises over all requests and claims.

Real here: the gate. The property tests draw requests and capabilities; nothing about a provider is assumed.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.errors import UnsupportedParameterError
from nxlog.parameter_adapter import adapt
from nxlog.registry import CLAIM_NAMES, CapabilityStatus, Claim, Claims, ProviderCapabilities, Registry, Requirement
from nxlog.request import ChatRequest
from nxlog.verdicts import Verdict, VerdictKind
from nxlog.warnings import ParameterWarning, WarningCode

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": "look"}}]
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [USER], **fields})


def at(provider: str, model: str = "m", wire: str | None = None) -> ProviderCapabilities:
    return Registry.builtin().capabilities(provider, model, wire=wire)


def brief(found: list[ParameterWarning]) -> list[tuple[str, str, str]]:
    return [(warning.parameter, warning.code.value, warning.severity.value) for warning in found]


UNKNOWN = ProviderCapabilities(provider="custom", claims=Claims())


# -- policies --------------------------------------------------------------------------------------------------------


def test_unknown_is_tried() -> None:
    asked = request(logprobs=True, top_logprobs=30, seed=1, tools=TOOLS, response_format=JSON_SCHEMA, temperature=0.5)
    assert adapt(asked, UNKNOWN, on_unknown="try") == (asked, [])
    assert adapt(asked, UNKNOWN, stream=True) == (asked, [])


def test_unknown_is_dropped_where_only_evidence_counts() -> None:
    sent, found = adapt(request(logprobs=True, seed=1), UNKNOWN, on_unknown="drop")
    assert sent == request()
    assert brief(found) == [("seed", "unknown_support", "info"), ("logprobs", "unknown_support", "info")]
    assert adapt(request(top_logprobs=5), at("openai", "gpt-4o"), on_unknown="drop")[1] == []


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"logprobs": True}, "logprobs", "unsupported"),
        ({"seed": 1}, "seed", "unsupported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "emulated"),
        ({"provider_options": {"logprobs": True}}, "provider_options", "migration"),
    ],
)
def test_raise_names_the_first_field(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=f"^{param}: ") as caught:
        adapt(request(**fields), at("anthropic"), on_unsupported="raise")
    error = caught.value
    assert (error.param, error.code, error.provider, error.model) == (param, code, "anthropic", "m")
    assert "; dropped" not in str(error)


def test_raise_also_for_a_clamp_but_not_for_what_is_sent_as_asked() -> None:
    with pytest.raises(UnsupportedParameterError, match="requested 21 alternatives, the provider's maximum is 20"):
        adapt(request(top_logprobs=21), at("openai", "gpt-4o"), on_unsupported="raise")
    asked = request(presence_penalty=3, top_logprobs=20)
    sent, found = adapt(asked, at("openai", "gpt-4o"), on_unsupported="raise")
    assert sent == asked
    assert brief(found) == [("presence_penalty", "out_of_range", "warning")]


def test_what_the_server_refused_earlier_is_not_sent_again() -> None:
    verdict = Verdict(VerdictKind.REFUSED, "not with this key", 0.0)
    sent, found = adapt(request(top_logprobs=5), at("openai", "gpt-4o"), verdict=verdict)
    assert (sent.logprobs, sent.top_logprobs) == (None, None)
    assert brief(found) == [("logprobs", "refused", "info")]
    assert found[0].source == "learned"
    assert "not with this key" in found[0].message
    assert adapt(request(seed=1), at("openai", "gpt-4o"), verdict=verdict)[1] == []


@pytest.mark.parametrize(
    ("learned", "asked", "applied", "source"), [(5, 9, 5, "learned"), (5, 3, 3, None), (30, 25, 20, "manifest")]
)
def test_a_limit_that_the_server_named_earlier_holds(
    learned: int, asked: int, applied: int, source: str | None
) -> None:
    """The smaller of the two limits; vLLM's own is 20."""
    verdict = Verdict(VerdictKind.LIMITED, "at most that", 0.0, learned)
    sent, found = adapt(request(top_logprobs=asked), at("vllm"), verdict=verdict)
    assert (sent.logprobs, sent.top_logprobs) == (True, applied)
    assert [(warning.code, warning.source) for warning in found] == ([] if source is None else [("clamped", source)])


def test_what_the_wire_lacks_is_dropped_whatever_the_model_can() -> None:
    """vLLM knows a seed, the wire anthropic-messages has no place for one."""
    lacks = frozenset({"seed", "n", "json_mode", "logprobs"})
    asked = request(seed=1, n=2, logprobs=True, response_format={"type": "json_object"})
    sent, found = adapt(asked, at("vllm"), lacks=lacks)
    assert (sent.seed, sent.n, sent.logprobs, sent.response_format) == (None, None, None, None)
    assert [warning.parameter for warning in found] == ["seed", "n", "logprobs", "response_format"]
    assert "the wire format has no field for it" in found[0].message
    assert adapt(asked, at("vllm")) == (asked, [])


NAMED = {"type": "function", "function": {"name": "tide"}}


@pytest.mark.parametrize(
    ("field", "value", "lacking", "words"),
    [
        ("tool_choice", "required", "tool_choice=required", "no word for 'required'"),
        ("tool_choice", NAMED, "tool_choice=function", "no word for 'function'"),
        ("tool_choice", "none", "tool_choice", "no field for it"),
        ("reasoning_effort", "none", "reasoning_effort=none", "no word for 'none'"),
    ],
)
def test_a_value_that_the_wire_has_no_word_for_is_dropped(field: str, value: Any, lacking: str, words: str) -> None:
    tools = [{"type": "function", "function": {"name": "tide"}}]
    asked = request(tools=tools, **{field: value})
    sent, found = adapt(asked, at("vllm"), lacks=frozenset({lacking}))
    assert (sent.tools, getattr(sent, field)) == (asked.tools, None)
    assert brief(found) == [(field, "unsupported", "warning")]
    assert words in found[0].message
    for other in ("tool_choice=other", "reasoning_effort=high"):
        assert adapt(asked, at("vllm"), lacks=frozenset({other})) == (asked, [])
    with pytest.raises(UnsupportedParameterError, match=field):
        adapt(asked, at("vllm"), lacks=frozenset({lacking}), on_unsupported="raise")


# -- legacy options --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "spelling"),
    [
        ({"logprobs": True}, "logprobs=True"),
        ({"logprobs": True, "top_logprobs": 5}, "logprobs=True, top_logprobs=5"),
        ({"logprobs": 3}, "logprobs=True, top_logprobs=3"),
        ({"responseLogprobs": True, "topLogprobs": 2}, "logprobs=True, top_logprobs=2"),
        ({"return_logprob": True, "top_logprobs_num": 4}, "logprobs=True, top_logprobs=4"),
        ({"n_probs": 7}, "logprobs=True, top_logprobs=7"),
        ({"top_n_tokens": 0}, "logprobs=True, top_logprobs=0"),
        ({"LogProbs": False}, "logprobs=False"),
        ({"logprobs": None}, "logprobs=False"),
    ],
)
def test_legacy_options_are_removed_with_the_new_spelling_b06_b07(options: dict[str, Any], spelling: str) -> None:
    sent, found = adapt(request(provider_options={**options, "user": "u"}), at("openai", "gpt-4o"))
    assert sent.provider_options == {"user": "u"}
    assert sent.logprobs is None
    assert brief(found) == [("provider_options", "migration", "warning")]
    assert f"ChatRequest({spelling})" in found[0].message
    assert all(repr(key) in found[0].message for key in options)
    assert (found[0].requested, found[0].source) == (options, "request")
    ChatRequest.model_validate(eval(f"dict(model='m', messages=[{USER}], {spelling})"))  # it is real Python


@pytest.mark.parametrize(
    ("options", "kept", "requested"),
    [
        (
            {"generationConfig": {"responseLogprobs": True, "logprobs": 3, "topK": 2}},
            {"generationConfig": {"topK": 2}},
            {"generationConfig.responseLogprobs": True, "generationConfig.logprobs": 3},
        ),
        ({"sampling_params": {"logprobs": 1}}, None, {"sampling_params.logprobs": 1}),
        ({"include": ["message.output_text.logprobs"]}, None, {"include": True}),
        ({"include": ["x", "message.output_text.logprobs"]}, {"include": ["x"]}, {"include": True}),
        ({"extra_body": {"top-logprobs": 2}, "a": {}}, {"a": {}}, {"extra_body.top-logprobs": 2}),
    ],
)
def test_legacy_options_are_found_where_providers_nest_them(
    options: dict[str, Any], kept: dict[str, Any] | None, requested: dict[str, Any]
) -> None:
    sent, found = adapt(request(provider_options=options), at("vllm"))
    assert sent.provider_options == kept
    assert [warning.requested for warning in found] == [requested]


def test_options_without_logprobs_are_kept_as_they_are_b06() -> None:
    asked = request(provider_options={"logit_bias": {"5": 1}, "top_k": 3, "prompt_logprobs": 1})
    sent, found = adapt(asked, at("vllm"))
    assert sent.provider_options == asked.provider_options
    assert found == []
    assert adapt(request(provider_options={"logprobs": True}), at("vllm"))[0].provider_options is None


# -- promises over everything ----------------------------------------------------------------------------------------

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 3),
    "top_p": st.floats(0, 1),
    "max_tokens": st.integers(1, 5),
    "stop": st.lists(st.text(max_size=1), min_size=1, max_size=6),
    "seed": st.integers(0, 2),
    "n": st.integers(1, 3),
    "presence_penalty": st.floats(-3, 3),
    "frequency_penalty": st.floats(-3, 3),
    "tools": st.just(TOOLS),
    "tool_choice": st.sampled_from(["auto", "none", "required"]),
    "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}, JSON_SCHEMA]),
    "reasoning_effort": st.sampled_from(["none", "low", "high"]),
    "top_logprobs": st.integers(0, 30),
    "provider_options": st.sampled_from([{"logprobs": True}, {"user": "u"}, {"n_probs": 2, "user": "u"}]),
}
LOGPROBS = st.sampled_from([{}, {"logprobs": True}, {"logprobs": False}])


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    fields: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=FIELDS))
    return request(**({} if "top_logprobs" in fields else draw(LOGPROBS)), **fields)


CLAIMS = st.builds(
    Claim.model_construct,
    value=st.sampled_from(CapabilityStatus),
    min=st.none() | st.integers(0, 2),
    max=st.none() | st.integers(2, 6),
    range=st.none() | st.just((-1.0, 1.0)),
    requires=st.sets(st.sampled_from(Requirement), max_size=2).map(tuple),
)
CAPABILITIES = st.builds(
    ProviderCapabilities,
    provider=st.just("p"),
    reasoning_default=st.none() | st.booleans(),
    effort_none=st.none() | st.booleans(),
    claims=st.builds(Claims.model_construct, **dict.fromkeys(CLAIM_NAMES, CLAIMS)),
)
POLICIES: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "on_unknown": st.sampled_from(["try", "drop"]),
    "verdict": st.none() | st.just(Verdict(VerdictKind.REFUSED, "no", 0.0)),
    "lacks": st.sets(st.sampled_from(CLAIM_NAMES), max_size=3).map(frozenset),
}

CLAIM_OF = {"tool_choice": "tools"}
NOT_SENT_IN_SILENCE = {"logprobs": False, "top_logprobs": 0, "n": 1}
"""Values that say the same as a field that is not sent."""


def claims_of(sent: ChatRequest) -> dict[str, str]:
    """Every field that goes out, and the claim that it rests on."""
    names = (FIELDS.keys() | {"logprobs"}) - {"provider_options", "response_format"}
    out = {name: CLAIM_OF.get(name, name) for name in names if getattr(sent, name) is not None}
    if sent.response_format is not None:
        out["response_format"] = "json_schema" if sent.response_format.type == "json_schema" else "json_mode"
    return out


@given(asked=requests(), capabilities=CAPABILITIES, policy=st.fixed_dictionaries(POLICIES))
def test_promises(asked: ChatRequest, capabilities: ProviderCapabilities, policy: dict[str, Any]) -> None:
    before = asked.model_dump_json()
    sent, found = adapt(asked, capabilities, **policy)
    assert asked.model_dump_json() == before  # pure

    # Nothing goes out that is claimed not to work.
    for claim in claims_of(sent).values():
        assert capabilities.claim(claim).value is not CapabilityStatus.NO
        assert claim not in policy["lacks"]
        assert policy["on_unknown"] == "try" or capabilities.claim(claim).supported
    if sent.top_logprobs is not None:
        assert sent.logprobs is True
    if sent.logprobs and policy["stream"]:
        assert capabilities.claim("streaming_logprobs").value is not CapabilityStatus.NO
    if sent.logprobs:
        assert policy["verdict"] is None

    # Promise 1: whatever is missing or changed has a warning that names it.
    named = {warning.parameter for warning in found}
    if "logprobs" in named:
        named.add("top_logprobs")
    for name in ChatRequest.model_fields:
        was, now = getattr(asked, name), getattr(sent, name)
        if was == now or (name == "messages" and "response_format" in named):
            continue
        if name == "top_logprobs" and was is None:
            # More than was asked for, where without it nothing would come.
            assert Requirement.TOP_LOGPROBS in capabilities.claim("logprobs").requires
            continue
        if name == "response_format" and was.type == "text":
            assert now is None
            continue
        assert name in named or NOT_SENT_IN_SILENCE.get(name) == was, name

    # One warning for a field and a reason, and each says what was asked for.
    assert len({(warning.parameter, warning.code) for warning in found}) == len(found)
    assert all(warning.requested is not None for warning in found)
    assert all(warning.provider == "p" for warning in found)

    # Adapting again changes nothing and finds nothing new.
    again, more = adapt(sent, capabilities, **policy)
    assert again == sent
    assert {warning.code for warning in more} <= {WarningCode.OUT_OF_RANGE}
    assert [warning for warning in found if warning.code is WarningCode.OUT_OF_RANGE] == more


@given(asked=requests(), capabilities=CAPABILITIES, policy=st.fixed_dictionaries(POLICIES))
def test_raise_is_the_same_judgement(
    asked: ChatRequest, capabilities: ProviderCapabilities, policy: dict[str, Any]
) -> None:
    _, found = adapt(asked, capabilities, **policy)
    serious = [warning for warning in found if warning.code is not WarningCode.OUT_OF_RANGE]
    if not serious:
        assert adapt(asked, capabilities, on_unsupported="raise", **policy)[1] == found
        return
    with pytest.raises(UnsupportedParameterError) as caught:
        adapt(asked, capabilities, on_unsupported="raise", **policy)
    assert caught.value.param == serious[0].parameter
