"""``openai-completions``: what is sent, byte by byte, and what the vectors cannot show of the records.

Real here: the replies of vLLM, SGLang, llama.cpp and llama-cpp-python, which are cassettes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nxlog.accumulate import accumulate
from nxlog.errors import InvalidRequestError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire.openai_completions import OpenAICompletions

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

WIRE = OpenAICompletions()
PROMPT = {"role": "user", "content": "The capital of France is"}
FIXTURES = Path(__file__).parent.parent / "fixtures"


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest(**{"model": "ignored/here", "messages": [PROMPT], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def sent(**fields: Any) -> dict[str, Any]:
    body = json.loads(encode(**fields))
    assert body.pop("model") == "m"
    return body


# -- requests --------------------------------------------------------------------------------------------------------


def test_the_user_message_is_the_prompt() -> None:
    assert encode() == b'{"model":"m","prompt":"The capital of France is"}'


def test_every_field_has_its_place() -> None:
    body = encode(
        temperature=0.5,
        top_p=0.9,
        max_tokens=8,
        stop=["\n"],
        seed=7,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logprobs=True,
        top_logprobs=5,
        stream=True,
        provider_options={"echo": True},
    )
    assert body == (
        b'{"model":"m","prompt":"The capital of France is","temperature":0.5,"top_p":0.9,"max_tokens":8,"stop":["\\n"],'
        b'"seed":7,"n":2,"presence_penalty":0.1,"frequency_penalty":-0.1,"logprobs":5,"stream":true,'
        b'"stream_options":{"include_usage":true},"echo":true}'
    )


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 1),
        ({"top_logprobs": 0}, 0),
        ({"top_logprobs": 20}, 20),
    ],
)
def test_logprobs_are_a_number(asked: dict[str, Any], count: int | None) -> None:
    assert sent(**asked).get("logprobs") == count


@pytest.mark.parametrize(("spelling", "key"), [({"logprobs": "n_logprobs"}, "n_logprobs"), ({"logprobs": ""}, None)])
def test_logprobs_are_spelled_as_the_provider_wants(spelling: dict[str, str], key: str | None) -> None:
    body = sent(top_logprobs=3, spelling={**spelling, "seed": "random_seed", "stream_options": ""}, seed=1, stream=True)
    expected = {"prompt": PROMPT["content"], "random_seed": 1, "stream": True}
    assert body == expected | ({} if key is None else {key: 3})


def test_what_the_format_lacks_are_claims() -> None:
    assert set(CLAIM_NAMES) >= WIRE.lacks
    assert not {"logprobs", "top_logprobs", "n", "seed", "stop"} & WIRE.lacks


def test_token_ids_take_the_place_of_the_message() -> None:
    assert sent(provider_options={"prompt": [504, 3575]}) == {"prompt": [504, 3575]}
    many = [{"role": "system", "content": "Be brief."}, PROMPT]
    assert sent(messages=many, provider_options={"prompt": [504]}) == {"prompt": [504]}


def test_a_conversation_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="openai-completions completes one text") as caught:
        encode(messages=[{"role": "system", "content": "Be brief."}, PROMPT])
    assert caught.value.param == "messages"


# -- records ---------------------------------------------------------------------------------------------------------


def completion(logprobs: Any, **choice: Any) -> ChatResponse:
    body = {"id": "v", "model": "m", "choices": [{"index": 0, "text": "ab", "logprobs": logprobs, **choice}]}
    return WIRE.decode(json.dumps(body).encode())


def columns(count: int, **more: Any) -> dict[str, Any]:
    texts = [chr(97 + i % 26) for i in range(count)]
    return {
        "tokens": texts,
        "token_logprobs": [-i / 8 for i in range(count)],
        "top_logprobs": [{text: -i / 8, "~": -9.0} for i, text in enumerate(texts)],
        **more,
    }


def test_offsets_and_unknown_columns_are_extra() -> None:
    response = completion(columns(3, text_offset=[0, 1, -1], rank=[1, None, 3], average=-0.5, top_ids=[[1], [2]]))
    logprobs = response.logprobs
    assert logprobs is not None
    assert [token.extra for token in logprobs] == [
        {"text_offset": 0, "rank": 1},
        {"text_offset": 1},
        {"text_offset": -1, "rank": 3},
    ]
    assert logprobs.model_dump()["content"][2]["text_offset"] == -1
    assert logprobs.compact() == logprobs
    # What has another length belongs to no record; it is still in the reply.
    assert response.raw is not None
    assert response.raw["choices"][0]["logprobs"]["top_ids"] == [[1], [2]]


@pytest.mark.parametrize("odd", ["NaN", "-Infinity", '"x"', "[]", "{}", "1e999", "true"])
@pytest.mark.parametrize("where", ["token_logprobs", "top_logprobs", "text_offset", "token_ids"])
def test_one_odd_value_changes_no_other_record(where: str, odd: str) -> None:
    """All but one record are what they are in a reply without it, whichever of the two readers reads them."""
    plain = columns(4, text_offset=[0, 1, 2, 3], token_ids=[5, 6, 7, 8])
    changed = json.loads(json.dumps(plain))
    changed[where][2] = "@" if where != "top_logprobs" else {"c": "@", "~": -9.0}
    body = json.dumps({"choices": [{"text": "abcd", "logprobs": changed}]}).replace('"@"', odd)
    got, expected = WIRE.decode(body.encode()).logprobs, completion(plain).logprobs
    assert got is not None
    assert expected is not None
    assert len(got) == 4
    for i in (0, 1, 3):
        assert (got[i], got[i].extra, got[i].top_logprobs) == (
            expected[i],
            expected[i].extra,
            expected[i].top_logprobs,
        )
    assert got[2].token == "c"
    if where != "token_logprobs":
        assert got[2].logprob == -0.25
    if where == "top_logprobs":
        assert [top.token for top in got[2].top_logprobs] == ["c", "~"]
        assert got[2].top_logprobs[1].logprob == -9.0


def test_numbers_of_alternatives_are_those_of_the_wire() -> None:
    text = "-0.12345678901234567890123"
    body = '{"choices":[{"text":"a","logprobs":{"tokens":["a"],"token_logprobs":[@],"top_logprobs":[{"a":@}]}}]}'
    (token,) = WIRE.decode(body.replace("@", text).encode()).logprobs or ()
    assert token.top_logprobs[0].logprob == token.logprob == float(text)
    assert text.encode() in bytes(token.raw_top_logprobs)


texts = st.text(max_size=5)
values = st.none() | st.floats(allow_nan=False) | st.integers(-(10**6), 10**6)


@given(st.lists(st.tuples(texts, values, st.none() | st.dictionaries(texts, values, max_size=4)), min_size=1))
def test_columns_give_their_cells_back(rows: list[tuple[str, float | None, dict[str, float | None] | None]]) -> None:
    tokens, logprobs, tops = (list(column) for column in zip(*rows, strict=True))
    data = completion({"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops}).logprobs
    assert data is not None
    got = [(t.token, t.logprob, {top.token: top.logprob for top in t.top_logprobs}) for t in data]
    assert got == [(token, value, top or {}) for token, value, top in rows]
    assert data.compact() == data


def test_a_stream_of_slices_is_the_whole() -> None:
    whole = columns(6, text_offset=list(range(6)))
    decoder = WIRE.stream_decoder()
    chunks: list[Any] = []
    for first, last in ((0, 1), (1, 1), (1, 4), (4, 6)):
        part = {name: column[first:last] for name, column in whole.items()}
        choice = {"index": 0, "text": "".join(part["tokens"]), "logprobs": part, "finish_reason": None}
        chunks += decoder.feed(b"data:" + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    chunks += [*decoder.feed(b"data: [DONE]\n\n"), *decoder.close()]
    assert [chunk.logprobs is not None for chunk in chunks] == [True, False, True, True]
    response = accumulate(chunks)
    assert response.text == "abcdef"
    assert response.logprobs == completion(whole).logprobs
    assert [token.extra["text_offset"] for token in response.logprobs or ()] == list(range(6))


# -- real replies; tests/test_wire_cassettes.py has every record of them ---------------------------------------------


def recorded(name: str) -> bytes:
    cassette = yaml.load((FIXTURES / f"{name}.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    body = cassette["interactions"][0]["response"]["body"]["string"]
    return body if isinstance(body, bytes) else body.encode()


def decoded(name: str) -> ChatResponse:
    if not name.endswith("_stream"):
        return WIRE.decode(recorded(name))
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(recorded(name)), *decoder.close()])


@pytest.mark.parametrize(
    ("name", "offsets"),
    [
        ("vllm/completions_logprobs_stream", [0, 6, 7, 8, 9, 12, 19, 22]),  # from the start of the answer
        ("vllm/completions_echo_logprobs", [0, 3, 11, 14, 21, 24]),  # of the prompt
        ("llama-cpp-python/completions_logprobs5", [24, 30, 31, 32, 33, 37, 44, 51]),
        ("sglang/completions_logprobs5", [-1] * 8),
    ],
)
def test_offsets_of_real_replies(name: str, offsets: list[int]) -> None:
    assert [token.extra["text_offset"] for token in decoded(name).logprobs or ()] == offsets


@pytest.mark.parametrize("name", ["vllm/completions_echo_logprobs", "sglang/completions_echo_logprobs"])
def test_the_first_token_of_an_echoed_prompt_has_no_logprob(name: str) -> None:
    response = decoded(name)
    assert response.logprobs is not None
    assert [token.logprob is None for token in response.logprobs] == [True] + [False] * 5
    assert "".join(token.token for token in response.logprobs) == response.text == "The capital of France is Paris"


def test_a_real_stream_is_the_real_whole() -> None:
    """vLLM loses nothing in a stream, not even the pieces of a character."""
    whole, streamed = decoded("vllm/emoji_completions"), decoded("vllm/emoji_completions_stream")
    assert streamed.choices == whole.choices
    assert [token.extra for token in streamed.logprobs or ()] == [token.extra for token in whole.logprobs or ()]


def test_real_token_ids_beside_the_columns() -> None:
    assert [token.token_id for token in decoded("vllm/completions_token_ids_in").logprobs or ()] == [7042, 30, 198]


def test_a_token_outside_the_alternatives_is_one_more_in_a_real_reply() -> None:
    first = (decoded("vllm/completions_n2_stream").choices[1].logprobs or ())[0]
    assert (first.token, [top.token for top in first.top_logprobs]) == (" Mon", [" Mon", " Paris", " the"])


def test_llamacpp_answers_with_the_records_of_openai_chat() -> None:
    whole, streamed = decoded("llamacpp/completions_logprobs5"), decoded("llamacpp/completions_logprobs_stream")
    for response in (whole, streamed):
        assert response.logprobs is not None
        assert response.logprobs[0].token_id == 7042
        assert response.logprobs[0].bytes == b" Paris"
    assert decoded("llamacpp/completions_logprobs0").logprobs is None


@pytest.mark.parametrize("name", ["llamacpp", "sglang", "vllm"])
def test_a_real_stream_is_the_same_byte_by_byte(name: str) -> None:
    data = recorded(f"{name}/emoji_completions_stream")
    decoder = get_wire("openai-completions").stream_decoder()
    chunks = [chunk for i in range(len(data)) for chunk in decoder.feed(data[i : i + 1])]
    assert accumulate([*chunks, *decoder.close()]) == decoded(f"{name}/emoji_completions_stream")
