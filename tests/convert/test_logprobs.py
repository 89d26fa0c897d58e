"""Records of the chat shape as those of the Responses shape: A-02 to A-05, A-12, A-13 and A-23 of the checklist.

Real here: openai's own types, given and compared with; and openai-agents' own converters, whose results ours are
compared with wherever theirs give one.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from agents.models.chatcmpl_helpers import ChatCmplHelpers
from openai.types.chat import ChatCompletionTokenLogprob

from nxlog import TokenLogprob, TopLogprob
from nxlog.convert import convert_logprobs_for_output_text, convert_logprobs_for_text_delta

HELLO: dict[str, Any] = {
    "token": "Hello",
    "logprob": -0.25,
    "bytes": [72, 101, 108, 108, 111],
    "top_logprobs": [
        {"token": "Hello", "logprob": -0.25, "bytes": [72, 101, 108, 108, 111]},
        {"token": " Hi", "logprob": -1.5, "bytes": None},
    ],
}
BARE: dict[str, Any] = {"token": "!", "logprob": -0.5, "bytes": None, "top_logprobs": []}
# Bytes that are not those of the text.
ODD: dict[str, Any] = {
    "token": "a",
    "logprob": -0.125,
    "bytes": [1],
    "top_logprobs": [{"token": "b", "logprob": -3.0, "bytes": [2]}],
}
KINDS = ["nxlog", "dict", "openai"]


def given(kind: str, *entries: dict[str, Any]) -> list[Any]:
    """The entries as a caller may have them."""
    if kind == "dict":
        return list(entries)
    cls = TokenLogprob if kind == "nxlog" else ChatCompletionTokenLogprob
    return [cls.model_validate(entry) for entry in entries]


@pytest.mark.parametrize("empty", [None, []])
def test_nothing_is_none(empty: list[Any] | None) -> None:
    """A-02, A-04."""
    assert convert_logprobs_for_output_text(empty) is None
    assert convert_logprobs_for_text_delta(empty) is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_text_has_bytes_everywhere(kind: str) -> None:
    """A-03: null bytes become [], an empty list of alternatives stays one, the order is kept."""
    converted = convert_logprobs_for_output_text(given(kind, HELLO, BARE))
    assert converted is not None
    assert [entry.model_dump() for entry in converted] == [
        HELLO | {"top_logprobs": [HELLO["top_logprobs"][0], {"token": " Hi", "logprob": -1.5, "bytes": []}]},
        {"token": "!", "logprob": -0.5, "bytes": [], "top_logprobs": []},
    ]


def test_the_records_themselves_tell_no_bytes_from_zero_bytes() -> None:
    """A-03, better: the two are one only in the result."""
    without, zero = TokenLogprob.build("", -1.0), TokenLogprob.build("", -1.0, bytes=b"")
    assert (without.bytes, zero.bytes) == (None, b"")
    converted = convert_logprobs_for_output_text([without, zero])
    assert converted is not None
    assert [entry.bytes for entry in converted] == [[], []]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_delta_has_no_bytes(kind: str) -> None:
    """A-05: no bytes at either level, and no alternatives are None."""
    converted = convert_logprobs_for_text_delta(given(kind, HELLO, BARE))
    assert converted is not None
    assert [entry.model_dump() for entry in converted] == [
        {
            "token": "Hello",
            "logprob": -0.25,
            "top_logprobs": [{"token": "Hello", "logprob": -0.25}, {"token": " Hi", "logprob": -1.5}],
        },
        {"token": "!", "logprob": -0.5, "top_logprobs": None},
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [[1], [], [300, -1]])
def test_bytes_pass_unverified(kind: str, odd: list[int]) -> None:
    """A-12."""
    entry = ODD | {"bytes": odd}
    converted = convert_logprobs_for_output_text(given(kind, entry))
    assert converted is not None
    assert converted[0].bytes == odd
    assert converted[0].top_logprobs[0].bytes == [2]


def test_the_dump_is_json() -> None:
    """A-13, and values without a JSON number are the strings that nxlog reads back."""
    masked = HELLO | {"logprob": -math.inf}
    for convert in (convert_logprobs_for_output_text, convert_logprobs_for_text_delta):
        converted = convert([HELLO, BARE, ODD])
        assert converted is not None
        for entry in converted:
            assert json.loads(entry.model_dump_json()) == json.loads(json.dumps(entry.model_dump()))
        lowest = convert([masked])
        assert lowest is not None
        assert json.loads(lowest[0].model_dump_json())["logprob"] == "-Infinity"
        assert TokenLogprob.model_validate(lowest[0].model_dump()).logprob == -math.inf


@pytest.mark.parametrize("key", ["logprob", "bytes", "top_logprobs"])
@pytest.mark.parametrize("kind", KINDS)
def test_null_does_not_fail_and_is_not_zero(kind: str, key: str) -> None:
    """A-23: openai-agents' converters raise for two of these."""
    entry = HELLO | {key: None}
    values = [ChatCompletionTokenLogprob.construct(**entry)] if kind == "openai" else given(kind, entry)
    text = convert_logprobs_for_output_text(values)
    delta = convert_logprobs_for_text_delta(values)
    assert text is not None
    assert delta is not None
    assert text[0].logprob == delta[0].logprob == entry["logprob"]
    assert text[0].bytes == (entry["bytes"] or [])
    assert [top.token for top in text[0].top_logprobs] == [top["token"] for top in entry["top_logprobs"] or []]
    assert (delta[0].top_logprobs is None) == (key == "top_logprobs")


def test_a_token_without_text_keeps_its_record() -> None:
    """A token id in place of a text passes as the server wrote it."""
    record = TokenLogprob.build("token_id:17", -1.0, top_logprobs=[TopLogprob.build("token_id:18", None)])
    converted = convert_logprobs_for_text_delta([record])
    assert converted is not None
    assert converted[0].model_dump() == {
        "token": "token_id:17",
        "logprob": -1.0,
        "top_logprobs": [{"token": "token_id:18", "logprob": None}],
    }


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an object with 'token'"):
        convert_logprobs_for_output_text(["Hello"])  # type: ignore[list-item]  # pyright: ignore


@pytest.mark.parametrize("entries", [[], [HELLO], [BARE, HELLO, ODD]], ids=["none", "one", "three"])
def test_the_agents_sdk_says_the_same(entries: list[dict[str, Any]]) -> None:
    """A-02 to A-05 and A-12 against the converters of openai-agents, on openai's types."""
    values = given("openai", *entries)
    for ours, theirs in [
        (convert_logprobs_for_output_text, ChatCmplHelpers.convert_logprobs_for_output_text),
        (convert_logprobs_for_text_delta, ChatCmplHelpers.convert_logprobs_for_text_delta),
    ]:
        converted, expected = ours(values), theirs(values)
        assert (converted is None) == (expected is None)
        assert [entry.model_dump() for entry in converted or ()] == [entry.model_dump() for entry in expected or ()]
