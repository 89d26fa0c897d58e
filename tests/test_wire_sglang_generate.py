"""``sglang-generate``: what is sent, and what the vectors cannot show of the replies.

Real here: the replies of SGLang 0.5.23, which are cassettes, and the wire. Streams of a server that sends only what is
new are made from the real cumulative one.
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
from nxlog.errors import InvalidRequestError, ServerError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire.errors import status_error

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

WIRE = get_wire("sglang-generate")
PROMPT = {"role": "user", "content": "The capital of France is"}
SCHEMA = {"type": "object", "properties": {"Stadt": {"type": "string"}}}
FIXTURES = Path(__file__).parent.parent / "fixtures" / "sglang"
Json = dict[str, Any]


def encode(*, stream: bool = False, spelling: dict[str, str] | None = None, **fields: Any) -> bytes:
    request = ChatRequest.model_validate({"model": "ignored/here", "messages": [PROMPT], **fields})
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def body_of(name: str) -> bytes:
    (interaction,) = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="ascii"))["interactions"]
    body = interaction["response"]["body"]["string"]
    return body if isinstance(body, bytes) else bytes(body, "utf-8")


def streamed(data: bytes, step: int | None = None) -> ChatResponse:
    decoder = WIRE.stream_decoder()
    step = step or len(data)
    chunks = [chunk for i in range(0, len(data), step) for chunk in decoder.feed(data[i : i + step])]
    return accumulate([*chunks, *decoder.close()])


# -- requests --------------------------------------------------------------------------------------------------------


def test_smallest_body() -> None:
    assert encode() == b'{"text":"The capital of France is"}'


def test_every_field_has_its_place() -> None:
    fields: Json = {
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 6,
        "stop": "\n",
        "seed": 7,
        "n": 2,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "top_logprobs": 3,
    }
    assert encode(**fields, stream=True) == (
        b'{"text":"The capital of France is",'
        b'"sampling_params":{"temperature":0.5,"top_p":0.25,"max_new_tokens":6,"stop":["\\n"],"sampling_seed":7,"n":2,'
        b'"presence_penalty":0.5,"frequency_penalty":-0.5},'
        b'"return_logprob":true,"top_logprobs_num":3,"return_text_in_logprobs":true,"stream":true}'
    )


def test_logprobs_alone_and_switched_off() -> None:
    assert json.loads(encode(logprobs=True)) == {
        "text": PROMPT["content"],
        "return_logprob": True,
        "return_text_in_logprobs": True,
    }
    assert json.loads(encode(logprobs=False)) == {"text": PROMPT["content"], "return_logprob": False}
    assert json.loads(encode(top_logprobs=0))["top_logprobs_num"] == 0


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, SCHEMA),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "text"}, None),
    ],
)
def test_a_schema_is_the_text_of_its_json(wanted: Json, schema: Json | None) -> None:
    sampling = json.loads(encode(response_format=wanted)).get("sampling_params", {})
    assert (json.loads(sampling["json_schema"]) if sampling else None) == schema


def test_options_replace_the_prompt_and_join_the_sampling_parameters() -> None:
    options: Json = {
        "input_ids": [504, 3575],
        "sampling_params": {"top_k": 5, "temperature": 0.25},
        "logprob_start_len": 0,
        "return_text_in_logprobs": False,
    }
    assert json.loads(encode(temperature=1.0, max_tokens=4, logprobs=True, provider_options=options)) == {
        "sampling_params": {"temperature": 0.25, "max_new_tokens": 4, "top_k": 5},
        "return_logprob": True,
        "return_text_in_logprobs": False,
        "input_ids": [504, 3575],
        "logprob_start_len": 0,
    }


def test_other_spellings() -> None:
    spelling = {"max_tokens": "max_tokens", "seed": "", "logprobs": "with_logprobs", "top_logprobs": ""}
    assert json.loads(encode(max_tokens=4, seed=1, top_logprobs=2, spelling=spelling)) == {
        "text": PROMPT["content"],
        "sampling_params": {"max_tokens": 4},
        "with_logprobs": True,
        "return_text_in_logprobs": True,
    }
    assert encode(logprobs=True, spelling={"logprobs": ""}) == encode()


def test_a_conversation_has_no_place() -> None:
    with pytest.raises(InvalidRequestError, match="sglang-generate completes one text"):
        encode(messages=[{"role": "system", "content": "Be brief."}, PROMPT])
    # With the tokens given it is not sent, and so may be anything.
    assert encode(messages=[{"role": "system", "content": ""}], provider_options={"input_ids": [1]}) == (
        b'{"input_ids":[1]}'
    )


def test_lacks_are_claims() -> None:
    assert WIRE.lacks < set(CLAIM_NAMES)


# -- replies of a real server ----------------------------------------------------------------------------------------

RECORDS = {
    "generate": 6,
    "generate_emoji": 16,
    "generate_input_ids": 6,
    "generate_n2": 6,
    "generate_no_text": 6,
    "generate_temp13": 4,
    "generate_token_ids_logprob": 3,
    "generate_topp": 4,
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_those_of_a_plain_json_parser(name: str) -> None:
    body = body_of(name)
    response = WIRE.decode(body)
    whole = json.loads(body)
    count = 0
    for choice, one in zip(response.choices, whole if isinstance(whole, list) else [whole], strict=True):
        meta = one["meta_info"]
        tops = meta.get("output_top_logprobs") or meta.get("output_token_ids_logprobs")
        expected = [
            (token, [tuple(top) for top in (tops[i] if tops else [])])
            for i, token in enumerate(map(tuple, meta["output_token_logprobs"]))
        ]
        assert choice.logprobs is not None
        assert [
            (
                (token.logprob, token.token_id, token.token or None),
                [(top.logprob, top.token_id, top.token or None) for top in token.top_logprobs],
            )
            for token in choice.logprobs
        ] == expected
        assert (choice.text, choice.finish_reason) == (one["text"], meta["finish_reason"]["type"])
        assert all(token.bytes is None and token.extra == {} for token in choice.logprobs)
        count += len(choice.logprobs)
    assert count == RECORDS[name]
    assert response.usage is not None
    assert response.usage.completion_tokens == count
    assert response.id


def test_prompt_records_stay_in_raw() -> None:
    response = WIRE.decode(body_of("generate"))
    assert response.raw is not None
    assert response.raw["meta_info"]["input_token_logprobs"][0] == [None, 504, "The"]


def test_refused_request() -> None:
    error = status_error(400, body_of("generate_err"))
    assert "max_new_tokens must be at least 0" in str(error)
    with pytest.raises(ServerError):
        WIRE.decode(body_of("generate_err"))


def events_of(stream: bytes) -> list[Json]:
    lines = [line.removeprefix("data: ") for line in stream.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def whole_of(events: list[Json]) -> ChatResponse:
    """The last event of a cumulative stream is the whole reply."""
    return WIRE.decode(json.dumps(events[-1]).encode())


def as_stream(events: list[Json]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


@given(st.integers(1, 4000))
def test_cumulative_stream_is_the_whole_reply(step: int) -> None:
    stream = body_of("generate_stream")
    assert streamed(stream, step) == whole_of(events_of(stream))


ARRAYS = ("output_token_logprobs", "output_top_logprobs")


@pytest.mark.parametrize("text", [True, False], ids=["text-new", "text-repeats"])
@pytest.mark.parametrize("records", [True, False], ids=["records-new", "records-repeat"])
@pytest.mark.parametrize("length", ["total", "of the event", "missing"])
def test_what_a_server_repeats_is_told_for_text_and_records_apart(*, text: bool, records: bool, length: str) -> None:
    events = events_of(body_of("generate_stream"))
    whole = whole_of(events)
    cut: list[Json] = json.loads(json.dumps(events))
    for before, event, out in zip(events, events[1:], cut[1:], strict=False):
        if text:
            out["text"] = event["text"][len(before["text"]) :]
            out["output_ids"] = event["output_ids"][len(before["output_ids"]) :]
        if records:
            for name in ARRAYS:
                out["meta_info"][name] = event["meta_info"][name][len(before["meta_info"][name]) :]
    for out in cut:
        meta = out["meta_info"]
        if length == "of the event":
            meta["output_token_logprobs_length"] = len(meta["output_token_logprobs"])
        elif length == "missing":
            del meta["output_token_logprobs_length"]
    assert streamed(as_stream(cut)) == whole


def test_repeated_records_count_by_the_total_where_an_earlier_one_changed() -> None:
    events = events_of(body_of("generate_stream"))
    whole = whole_of(events)
    events[2]["meta_info"]["output_token_logprobs"][0][0] -= 0.5
    assert streamed(as_stream(events)).logprobs == whole.logprobs


# -- cost ------------------------------------------------------------------------------------------------------------


def test_alternatives_are_slices_of_the_reply_until_somebody_looks() -> None:
    """4,000 tokens with 20 alternatives."""
    tops = [[[-float(k), 100 + k, f" t{k}"] for k in range(20)] for _ in range(4000)]
    meta: Json = {"output_token_logprobs": [[-0.5, i, f" {i}"] for i in range(4000)], "output_top_logprobs": tops}
    response = WIRE.decode(json.dumps({"text": "", "meta_info": meta}, separators=(",", ":")).encode())
    assert response.logprobs is not None
    assert len(response.logprobs) == 4000
    expected = json.dumps(tops[0], separators=(",", ":")).encode()
    assert all(bytes(token.raw_top_logprobs) == expected for token in response.logprobs)
    assert response.logprobs[3999].top_logprobs[19].token_id == 119
    assert response.logprobs.compact() == response.logprobs


def test_a_repeating_stream_reads_each_record_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from nxlog.wire import _tuple_records  # noqa: PLC0415 - the one place that reads them

    read: list[int] = []
    decode = _tuple_records.decode_triples
    monkeypatch.setattr(_tuple_records, "decode_triples", lambda raw: read.append(len(found := decode(raw))) or found)
    meta = [[-0.5 - i, i, f" {i}"] for i in range(200)]
    events = [
        {
            "text": " x" * n,
            "output_ids": list(range(n)),
            "meta_info": {
                "completion_tokens": n,
                "finish_reason": {"type": "stop"} if n == 200 else None,
                "output_token_logprobs": meta[:n],
                "output_token_logprobs_length": n,
            },
        }
        for n in range(1, 201)
    ]
    response = streamed(as_stream(events))
    assert response.text == " x" * 200
    assert response.logprobs is not None
    assert [token.token_id for token in response.logprobs] == list(range(200))
    assert read == [1] * 200
