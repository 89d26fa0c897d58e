"""The assertions: what passes, what fails, and that the message shows the tokens to blame."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import ChatResponse, Choice, LogprobsData, ParameterWarningCategory, TokenLogprob, TopLogprob
from nxlog.testing import FakeProvider, FakeReply, assert_confident, assert_no_loss, assert_perplexity_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nxlog.testing import Token


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarningCategory)
        yield


def reply_of(tokens: Sequence[Token], *, top: int = 0, **fields: Any) -> ChatResponse:
    fake = FakeProvider()
    fake.reply(FakeReply(tokens=tokens, **fields))
    with fake.client() as client:
        return client.chat(model="m", messages=[{"role": "user", "content": "?"}], logprobs=True, top_logprobs=top)


def message(assertion: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion(*arguments, **options)
    return str(caught.value)


SURE: list[Token] = [("Yes", -0.1, {"Yes": -0.1, "No": -2.5}), (".", 0.0, {".": 0.0})]


# -- no loss ----------------------------------------------------------------------------------------------------


def test_nothing_is_lost() -> None:
    assert_no_loss(reply_of(SURE))
    assert_no_loss(reply_of(SURE, completion_tokens=3)), "an end token without a record"
    assert_no_loss(reply_of([*SURE, TokenLogprob.build("<|im_end|>", -0.1)], text="Yes.")), "one with a record"
    halves: list[Token] = [TokenLogprob.build("", -0.5, bytes=half) for half in ("é".encode()[:1], "é".encode()[1:])]
    assert_no_loss(reply_of([*SURE, *halves]))


@pytest.mark.parametrize(
    ("tokens", "fields", "said"),
    [
        (SURE, {"logprobs": False}, "not_delivered: logprobs: asked for"),
        (SURE, {"logprobs": False}, "choice 0 has no token records"),
        (SURE, {"completion_tokens": 9}, "fewer_records: logprobs: 2 token records for 9"),
        ([("Yes", None)], {}, "missing_value"),
        ([("Yes", -9999.0)], {}, "masked"),
        (SURE, {"text": "Yes!"}, "from byte 3 on the tokens say '.' and the text '!'"),
        (SURE, {"text": "Yes. And more"}, "from byte 4 on the tokens say nothing more and the text ' And more'"),
    ],
)
def test_what_is_lost_is_named(tokens: list[Token], fields: dict[str, Any], said: str) -> None:
    assert said in message(assert_no_loss, reply_of(tokens, **fields))


def test_alternatives_and_choices_count() -> None:
    assert "fewer_alternatives" in message(assert_no_loss, reply_of(SURE, top=4))
    assert "no choice" in message(assert_no_loss, ChatResponse())
    assert_no_loss(reply_of(SURE, top=4), allow=["fewer_alternatives"])


def test_a_stream_that_was_read_is_a_reply() -> None:
    fake = FakeProvider()
    fake.reply(SURE)
    with fake.client() as client:
        with client.stream(model="m", messages=[{"role": "user", "content": "?"}], logprobs=True) as stream:
            list(stream)
        assert_no_loss(stream)
        assert_confident(stream)
        assert_perplexity_below(stream, 1.06)


# -- confident ----------------------------------------------------------------------------------------------------


def test_every_token_must_be_likely() -> None:
    assert_confident(reply_of(SURE), at_least=0.9)
    said = message(assert_confident, reply_of(SURE, top=2), at_least=0.95)
    assert said == (
        "1 of 2 tokens are not as likely as 0.95 in the reply of mock/m:\n"
        "  token 0 'Yes': probability 0.905 (logprob -0.1); alternatives 'No' 0.0821"
    )


def test_the_bound_itself_is_likely_enough() -> None:
    assert_confident(reply_of([("x", math.log(0.5))]), at_least=0.5)
    assert_confident(reply_of([("x", 0.0)]), at_least=1)
    assert_confident(reply_of([("x", -99.0)]), at_least=0)


@pytest.mark.parametrize(
    ("value", "said"), [(None, "no logprob"), (-9999.0, "masked (-9999)"), (-math.inf, "masked (-inf)")]
)
def test_unknown_is_not_confident(value: float | None, said: str) -> None:
    reply = reply_of([("x", value), ("y", -0.1)])
    assert f"token 0 'x': {said}" in message(assert_confident, reply, at_least=0)
    assert_confident(reply, unknown="skip")
    assert f"token 0 'x': {said}" in message(assert_perplexity_below, reply, 100)
    assert_perplexity_below(reply, 1.2, unknown="skip")


def test_many_tokens_are_shortened() -> None:
    said = message(assert_confident, reply_of([(str(i), -1.0 - i) for i in range(20)]))
    assert said.count("token ") == 8
    assert said.endswith("and 12 more")


def test_nothing_to_look_at_is_no_confidence() -> None:
    silent = reply_of(SURE, logprobs=False)
    for assertion, arguments in ((assert_confident, ()), (assert_perplexity_below, (9,))):
        said = message(assertion, silent, *arguments)
        assert "no token record in the channel 'content'" in said
        assert "asked for" in said, "the warning says why"
        assert "channel 'refusal'" in message(assertion, reply_of(SURE), *arguments, channel="refusal")


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_a_bound_is_a_probability(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        assert_confident(reply_of(SURE), at_least=wrong)


# -- perplexity ----------------------------------------------------------------------------------------------------


def test_perplexity_is_the_exponential_of_the_mean() -> None:
    """A uniform choice between 8 has a perplexity of 8."""
    uniform = reply_of([(str(i), -math.log(8)) for i in range(5)])
    assert_perplexity_below(uniform, 8.001)
    said = message(assert_perplexity_below, uniform, 7.999)
    assert said.startswith("perplexity 8 over 5 tokens is not below 7.999")


def test_the_least_likely_come_first() -> None:
    said = message(assert_perplexity_below, reply_of([("a", -0.1), ("b", -5.0), ("c", -1.0)]), 1.5)
    assert [line.split("'")[1] for line in said.splitlines()[1:]] == ["b", "c", "a"]


def test_no_value_at_all() -> None:
    assert "no token has a logprob" in message(assert_perplexity_below, reply_of([("x", None)]), 9, unknown="skip")


def test_other_channels() -> None:
    data = LogprobsData([], reasoning=[TokenLogprob.build("hm", -2.0, top_logprobs=[TopLogprob.build("oh", None)])])
    reply = ChatResponse(choices=[Choice(reasoning="hm", logprobs=data)])
    assert_confident(reply, at_least=0.1, channel="reasoning")
    assert "'hm'" in message(assert_confident, reply, channel="reasoning")
