"""What is really sent, against what is claimed, in both directions, for every provider, wire, model rule and mode.

Nothing is received here: the request is built by the real client's own path up to the socket. A setting is sent when
the request differs from the one without it, so that this test needs to know no wire's spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import ChatRequest, Client, Registry
from nxlog.registry import CapabilityStatus, Requirement

if TYPE_CHECKING:
    from nxlog.call import Call
    from nxlog.parameter_adapter import OnUnknown

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SETTINGS: dict[str, dict[str, Any]] = {
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "token_ids": {"return_token_ids": True},
    "token_ids_in": {"input_ids": [3, 4]},
    "prompt_logprobs": {"prompt_logprobs": 1},
    "logprob_token_ids": {"logprobs": True, "logprob_token_ids": [5, 6]},
    "stop_token_ids": {"stop_token_ids": [2]},
    "tools": {"tools": [TOOL]},
    "json_mode": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
    "reasoning_effort": {"reasoning_effort": "low"},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "max_tokens": {"max_tokens": 77},
    "stop": {"stop": ["END"]},
    "seed": {"seed": 7},
    "n": {"n": 2},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
}
"""A request for each claim about one: what is asked for, by the name of the claim."""

BASE: dict[str, dict[str, Any]] = {"top_logprobs": {"logprobs": True}, "logprob_token_ids": {"logprobs": True}}
"""What a setting is compared with, where that is not the plain request."""

EMULATED = {"json_mode", "json_schema"}
"""Asked for in words where the provider has no field."""

UNASKED = {"tgi": {"logprobs"}}
"""What a wire brings without being asked; ids are in the records of several, and some providers' are on all wires."""
IDS_UNASKED = {"cohere-chat", "gemini", "sglang-generate", "tgi", "together-columns", "vllm-generate"}


def unasked(made: Call, name: str) -> bool:
    wire = made.target.wire.name
    ids = wire in IDS_UNASKED or made.target.spelling.get("return_token_ids") == ""
    return name in UNASKED.get(wire, ()) or (name == "token_ids" and ids)


OPTIONS: dict[str, dict[str, Any]] = {"vllm-generate": {"input_ids": [1, 2]}}
"""What a wire cannot be spoken without."""


@dataclass(frozen=True)
class Place:
    """One provider, wire and model."""

    provider: str
    wire: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}-{self.wire}-{self.model or 'any'}"


def places() -> list[Place]:
    registry = Registry.builtin()
    return [
        Place(provider.id, wire, model)
        for provider in registry
        for wire in provider.wires
        for model in ("a-model-of-no-rule", *(str(rule.example) for rule in registry.claims(provider.id).rules))
    ]


def call(place: Place, stream: bool = False, on_unknown: OnUnknown = "try", **fields: Any) -> Call:
    reach = Registry.builtin().provider(place.provider)
    fields = {**OPTIONS.get(place.wire, {}), **fields}
    request = ChatRequest(model=place.model, messages=[{"role": "user", "content": "Is the sea salty?"}], **fields)
    client = Client(
        provider=place.provider,
        wire=place.wire,
        base_url="http://127.0.0.1:9/v1",
        api_key="a-key-for-tests",
        variables=dict.fromkeys(reach.variables, "x"),
        on_unknown=on_unknown,
    )
    with client:
        return client._config.call(request, stream=stream)  # up to the socket  # pyright: ignore


def deliverable(made: Call, name: str) -> CapabilityStatus:
    """The claim as it holds for this request: in its mode, with its requirements, in this wire's words."""
    target = made.target
    if name in target.lacks:
        return CapabilityStatus.NO
    names = [name]
    if name in {"logprobs", "top_logprobs", "logprob_token_ids"}:
        names = ["logprobs", *(["streaming_logprobs"] if made.stream else []), name]
    claims = [target.capabilities.claim(name) for name in names]
    if any(unmet(rule, made) for claim in claims for rule in claim.requires):
        return CapabilityStatus.NO
    values = [claim.value for claim in claims]
    return next((value for value in values if value is CapabilityStatus.NO), values[-1])


def unmet(rule: Requirement, made: Call) -> bool:
    match rule:
        case Requirement.UNARY:
            return made.stream
        case Requirement.REASONING_OFF:
            return made.target.capabilities.reasoning_default is True and made.asked.reasoning_effort != "none"
        case Requirement.NO_TOOLS_IN_STREAM | Requirement.INCLUDE | Requirement.TOP_LOGPROBS:
            return False  # no tools here; nxlog includes, and asks for alternatives, by itself


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("place", places(), ids=str)
def test_what_is_sent_is_what_is_claimed(place: Place, stream: bool) -> None:
    for name, fields in SETTINGS.items():
        plain, asked = call(place, stream, **BASE.get(name, {})), call(place, stream, **fields)
        sent = asked.http_request().content != plain.http_request().content
        warned = len(asked.warnings) > len(plain.warnings) or not (sent or asked.sent.logprobs)
        said = deliverable(asked, name)
        if said is CapabilityStatus.NO:
            assert warned, f"{name} is {said}, and there is no warning"
            assert not sent or name in EMULATED, f"{name} is {said}, and it is sent"
        else:
            assert sent or unasked(asked, name), f"{name} is {said}, and it is not sent: {asked.warnings}"
            assert asked.warnings == plain.warnings, f"{name} is {said}, and there is a warning"


@pytest.mark.parametrize("place", places(), ids=str)
def test_what_is_unknown_is_not_sent_by_the_careful(place: Place) -> None:
    for name, fields in SETTINGS.items():
        plain, asked = call(place, **BASE.get(name, {})), call(place, **fields)
        careful = call(place, on_unknown="drop", **fields)
        if name not in EMULATED and deliverable(asked, name) is CapabilityStatus.UNKNOWN:
            same = call(place, on_unknown="drop", **BASE.get(name, {})).http_request().content
            assert careful.http_request().content == same, name
            sent = asked.http_request().content != plain.http_request().content
            assert sent or unasked(asked, name), name
