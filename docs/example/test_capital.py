"""One question to several engines, answered from a cassette for each: no server, no key, no network."""

import pytest

from nxlog import ChatRequest, Client
from nxlog.testing import assert_no_loss, assert_perplexity_below

QUESTION = ChatRequest(
    model="smollm2-135m",
    messages=[
        {"role": "system", "content": "You are a concise assistant."},
        {"role": "user", "content": "Name the capital of France in one word."},
    ],
    max_tokens=12,
    temperature=0,
    seed=7,
    top_logprobs=5,
)


@pytest.mark.nxlog_replay(providers=["llamacpp", "llama-cpp-python", "sglang", "vllm"])
def test_capital(nxlog_replay):
    with Client(provider=nxlog_replay.provider) as client:
        reply = client.chat(QUESTION)
    assert "Paris" in reply.text
    assert_no_loss(reply)
    assert_perplexity_below(reply, 2)


@pytest.mark.nxlog_replay(providers=["llamacpp", "vllm"])
def test_capital_streamed(nxlog_replay):
    with Client(provider=nxlog_replay.provider) as client, client.stream(QUESTION) as stream:
        text = "".join(chunk.delta for chunk in stream)
    assert "Paris" in text
    assert_no_loss(stream)
