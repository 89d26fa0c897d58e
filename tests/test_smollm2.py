"""The packaged model, SmolLM2-135M-Instruct, answers through nxlog.

Real here: all of it. One thread, so that the same question gives the same bits.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import pytest

from nxlog import ChatRequest, Client, LocalEngineError, ParameterWarningCategory
from nxlog.local import default_engine, find_model

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.model

CAPITAL = ChatRequest(
    model="local/smollm2-135m-instruct",
    # With this instruction each word wins by a wide margin, so that no processor's rounding decides the answer.
    messages=[
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    temperature=0,
    max_tokens=16,
    logprobs=True,
    top_logprobs=5,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("NXLOG_MODEL", raising=False)
        try:
            find_model()
        except LocalEngineError as error:
            if "not installed" not in str(error):
                raise
            pytest.skip(str(error))
        # No address and no key: the client starts the engine by itself.
        with Client() as client:
            yield client
            default_engine().close()


def test_it_knows_the_capital_and_says_how_surely(client: Client) -> None:
    reply = client.chat(CAPITAL)
    assert "Paris" in reply.text
    assert reply.provider == "local"
    assert reply.model == "smollm2-135m-instruct"
    assert reply.warnings == []
    assert reply.logprobs is not None
    assert reply.usage is not None
    assert len(reply.logprobs) == reply.usage.completion_tokens
    for token in reply.logprobs:
        assert token.logprob is not None
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 5
        assert not token.is_masked
    paris = next(token for token in reply.logprobs if "Paris" in token.token)
    assert paris.probability is not None
    assert paris.probability > 0.5


def test_alternatives_are_a_part_of_a_distribution(client: Client) -> None:
    reply = client.chat(CAPITAL)
    assert reply.logprobs is not None
    for token in reply.logprobs:
        mass = math.fsum(alternative.probability or 0 for alternative in token.top_logprobs)
        assert 0 < mass <= 1 + 1e-6


def test_the_stream_says_the_same_at_temperature_zero(client: Client) -> None:
    whole = client.chat(CAPITAL)
    with warnings.catch_warnings():
        # llama.cpp keeps the record of the token that ends the turn to itself in a stream, and nxlog says so.
        warnings.simplefilter("ignore", ParameterWarningCategory)
        with client.stream(CAPITAL) as stream:
            text = "".join(chunk.delta for chunk in stream)
    assert text == whole.text == stream.response.text
    assert whole.logprobs is not None
    assert stream.response.logprobs is not None
    pairs = list(zip(whole.logprobs, stream.response.logprobs, strict=False))
    assert len(whole.logprobs) - len(pairs) <= 1
    assert len(pairs) == len(stream.response.logprobs)
    assert [token.logprob for token, _ in pairs] == [token.logprob for _, token in pairs]
    assert [token.token for token, _ in pairs] == [token.token for _, token in pairs]
