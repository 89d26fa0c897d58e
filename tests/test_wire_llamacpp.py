"""``llamacpp``: what is sent, byte by byte, and what the vectors do not say about records.

Real here: the bytes that llama.cpp answered to ``/completion`` (``native_*`` in the fixtures), and, in the tests marked
``model``, llama.cpp itself with a tiny model.
"""

from __future__ import annotations

import json
import math
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nxlog.accumulate import accumulate
from nxlog.errors import InvalidRequestError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire.llamacpp import LlamaCpp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.local import LocalEngine
    from nxlog.response import ChatResponse

WIRE = LlamaCpp()
PROMPT = {"role": "user", "content": "The capital of France is"}
FIXTURES = Path(__file__).parent.parent / "fixtures" / "llamacpp"


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [PROMPT], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def sent(**fields: Any) -> dict[str, Any]:
    body = json.loads(encode(**fields))
    return {key: value for key, value in body.items() if key != "prompt"}


def streamed(data: bytes) -> ChatResponse:
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(data), *decoder.close()])


# -- requests --------------------------------------------------------------------------------------------------------


def test_the_user_message_is_the_prompt_and_no_model_is_named() -> None:
    assert encode() == b'{"prompt":"The capital of France is"}'
    assert encode(stream=True) == b'{"prompt":"The capital of France is","stream":true}'


def test_every_field_has_its_place() -> None:
    body = encode(
        temperature=0.0,
        top_p=0.9,
        max_tokens=8,
        stop="\n",
        seed=0,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        top_logprobs=5,
    )
    assert body == (
        b'{"prompt":"The capital of France is","n_predict":8,"temperature":0.0,"top_p":0.9,"stop":["\\n"],"seed":0,'
        b'"n_cmpl":2,"presence_penalty":0.1,"frequency_penalty":-0.1,"n_probs":5}'
    )


@pytest.mark.parametrize(
    ("asked", "n_probs"),
    [({"logprobs": True}, 1), ({"top_logprobs": 0}, 1), ({"top_logprobs": 1}, 1), ({"top_logprobs": 7}, 7)],
)
def test_records_are_asked_for_with_at_least_one_alternative(asked: dict[str, Any], n_probs: int) -> None:
    """The server has one field for both, in which 0 means no records."""
    assert sent(**asked) == {"n_probs": n_probs}


def test_without_logprobs_nothing_about_them_is_sent() -> None:
    assert encode(logprobs=False) == encode()


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def test_formats_are_schemas() -> None:
    assert sent(response_format={"type": "text"}) == {}
    assert sent(response_format={"type": "json_object"}) == {"json_schema": {"type": "object"}}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    assert sent(response_format=named) == {"json_schema": SCHEMA}


def test_spelling_renames_and_leaves_out() -> None:
    body = sent(
        max_tokens=5, top_logprobs=2, seed=1, n=2, spelling={"max_tokens": "n", "top_logprobs": "k", "seed": ""}
    )
    assert body == {"n": 5, "k": 2, "n_cmpl": 2}


def test_options_win_and_pass_through() -> None:
    options = {"prompt": [1, 2], "return_tokens": True, "post_sampling_probs": True, "model": "which"}
    assert json.loads(encode(provider_options=options)) == options


def test_what_the_format_lacks_are_claims_and_cannot_get_in() -> None:
    assert set(CLAIM_NAMES) >= WIRE.lacks
    tool = {"type": "function", "function": {"name": "tide"}}
    assert encode(tools=[tool], tool_choice="auto", reasoning_effort="low") == encode()


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be brief."}, PROMPT],
        [{"role": "assistant", "content": "The capital"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.org/a.png"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {}}]}],
    ],
)
def test_what_is_not_one_text_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequestError, match="llamacpp") as caught:
        encode(messages=messages)
    assert caught.value.param == "messages"


def test_text_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "a\u2028"}, {"type": "text", "text": "b"}]
    assert encode(messages=[{"role": "user", "content": parts}]) == '{"prompt":"a\u2028b"}'.encode()


# -- replies; the vectors have the rest ------------------------------------------------------------------------------


def recorded(name: str) -> bytes:
    cassette = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"))
    body = cassette["interactions"][0]["response"]["body"]["string"]
    return body if isinstance(body, bytes) else body.encode()


def test_a_whole_reply_and_its_stream_are_the_same() -> None:
    whole, stream = (
        WIRE.decode(recorded("native_completion_nprobs")),
        streamed(recorded("native_completion_nprobs_stream")),
    )
    assert stream == whole
    assert whole.logprobs is not None
    assert [token.token_id for token in whole.logprobs] == [7042, 30, 198, 198, 504, 1797, 1918, 553]
    assert "".join(token.token for token in whole.logprobs) == whole.text
    assert (whole.model, whole.finish_reason) == ("smollm2-135m", "length")
    assert whole.raw is not None
    assert whole.raw["tokens"] == [token.token_id for token in whole.logprobs]


def test_characters_of_several_tokens_are_one_record() -> None:
    """Sixteen tokens and twelve records: what ``delivery`` warns of has to be visible in the usage."""
    whole, stream = (
        WIRE.decode(recorded("native_completion_emoji")),
        streamed(recorded("native_completion_emoji_stream")),
    )
    ids, same = (
        stream.choices[0].token_ids,
        stream.choices[0].model_copy(update={"token_ids": whole.choices[0].token_ids}),
    )
    assert stream.model_copy(update={"choices": [same]}) == whole.model_copy(update={"usage": stream.usage})
    assert whole.logprobs is not None
    assert whole.usage is not None
    assert (len(ids or ()), len(whole.choices[0].token_ids or ())) == (12, 16)
    assert (len(whole.logprobs), whole.usage.completion_tokens) == (12, 16)
    first = whole.logprobs[0]
    assert (first.token, first.bytes, first.token_id) == (" 🤖", " 🤖".encode(), 240)
    assert first.top_logprobs[0].bytes == b"\x96"


def test_probabilities_after_sampling_become_logarithms() -> None:
    body = recorded("native_completion_post_sampling")
    whole, raw = WIRE.decode(body), json.loads(body)["completion_probabilities"]
    assert whole.logprobs is not None
    assert [token.logprob for token in whole.logprobs] == [math.log(entry["prob"]) for entry in raw]
    for token, entry in zip(whole.logprobs, raw, strict=True):
        assert [(top.token_id, top.logprob) for top in token.top_logprobs] == [
            (top["id"], math.log(top["prob"])) for top in entry["top_probs"]
        ]
        assert token.extra == {}
        assert token.bytes == token.token.encode()
    assert whole.logprobs.compact() == whole.logprobs


def records(entries: Any) -> list[Any]:
    body = {"content": "a", "stop": True, "completion_probabilities": entries}
    logprobs = WIRE.decode(json.dumps(body).encode()).logprobs
    assert logprobs is not None
    return list(logprobs)


def test_unknown_keys_stay_with_their_record() -> None:
    (token,) = records([{"token": "a", "prob": 0.5, "rank": 3, "top_probs": [{"token": "b", "prob": 0.25, "rank": 4}]}])
    assert (token.logprob, token.extra) == (math.log(0.5), {"rank": 3})
    assert (token.top_logprobs[0].logprob, token.top_logprobs[0].extra) == (math.log(0.25), {"rank": 4})


def test_what_is_no_probability_is_shown_as_it_came() -> None:
    (token,) = records([{"token": "a", "prob": -0.5}])
    assert (token.logprob, token.extra) == (None, {"prob": -0.5})


def test_a_removed_token_is_masked() -> None:
    (token,) = records([{"token": "a", "prob": 1.0, "top_probs": [{"token": "b", "prob": 0.0}]}])
    assert (token.logprob, token.is_masked) == (0.0, False)
    (top,) = token.top_logprobs
    assert (top.logprob, top.probability, top.is_masked) == (-math.inf, 0.0, True)
    assert token.count_alternatives() == 1


# -- llama.cpp itself ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    from nxlog.local import LocalEngine  # noqa: PLC0415 - an extra
    from tests.tools.tiny_gguf import write_tiny_gguf  # noqa: PLC0415 - needs one too

    with LocalEngine(write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")) as running:
        yield running


def ask(engine: LocalEngine, *, stream: bool = False, **fields: Any) -> ChatResponse:
    request = urllib.request.Request(
        engine.base_url.removesuffix("/v1") + "/completion",
        data=encode(stream=stream, seed=7, max_tokens=12, **fields),
        headers={"authorization": f"Bearer {engine.api_key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        data = reply.read()
    return streamed(data) if stream else WIRE.decode(data)


@pytest.mark.model
@pytest.mark.parametrize("options", [{}, {"post_sampling_probs": True}], ids=["raw", "post-sampling"])
@pytest.mark.parametrize("asked", [{"logprobs": True}, {"top_logprobs": 0}, {"top_logprobs": 3}], ids=str)
def test_a_live_server_gives_what_was_asked(
    engine: LocalEngine, asked: dict[str, Any], options: dict[str, Any]
) -> None:
    whole = ask(
        engine, temperature=1.0, provider_options={**options, "return_tokens": True, "cache_prompt": False}, **asked
    )
    assert whole.logprobs is not None
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 12
    assert 0 < len(whole.logprobs) <= 12
    most = asked.get("top_logprobs") or 1
    for token in whole.logprobs:
        assert token.logprob is not None
        assert token.logprob <= 0
        assert 0 < token.count_alternatives() <= most
        assert token.token_id is not None
    stream = ask(engine, stream=True, temperature=1.0, provider_options={**options, "cache_prompt": False}, **asked)
    assert stream.logprobs is not None
    # A stream loses what is held back at its end, and nothing else.
    assert list(stream.logprobs) == list(whole.logprobs)[: len(stream.logprobs)]
    assert len(whole.logprobs) - len(stream.logprobs) <= 1


@pytest.mark.model
def test_a_live_server_without_logprobs_gives_none(engine: LocalEngine) -> None:
    assert ask(engine, temperature=0.0).logprobs is None
    assert ask(engine, temperature=0.0, stream=True).logprobs is None


@pytest.mark.model
def test_a_live_server_takes_schemas_and_token_ids(engine: LocalEngine) -> None:
    assert (
        ask(engine, response_format={"type": "json_object"}, provider_options={"n_predict": 2}).text.lstrip()[:1] == "{"
    )
    assert ask(engine, logprobs=True, provider_options={"prompt": [5, 6, 7]}).usage.prompt_tokens == 3  # pyright: ignore[reportOptionalMemberAccess]
