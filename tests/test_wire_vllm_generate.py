"""``vllm-generate``: what is sent, and what the vectors cannot show of the replies.

Real here: the reply of vLLM 0.32.0, which is a cassette, and the wire. The stream is made from it, in the shape that
vLLM's source has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nxlog.accumulate import accumulate
from nxlog.errors import InvalidRequestError, PermissionDeniedError
from nxlog.registry.claims import CLAIM_NAMES
from nxlog.request import ChatRequest
from nxlog.wire import get_wire
from nxlog.wire.errors import status_error

WIRE = get_wire("vllm-generate")
FIXTURES = Path(__file__).parent.parent / "fixtures" / "vllm"
IDS = [504, 3575, 282, 4649, 314]
Json = dict[str, Any]


def encode(
    *, stream: bool = False, spelling: dict[str, str] | None = None, options: Json | None = None, **fields: Any
) -> bytes:
    given = {"token_ids": IDS, **(options or {})}
    request = ChatRequest(
        model="ignored/here", messages=[{"role": "user", "content": "not sent"}], provider_options=given, **fields
    )
    return WIRE.encode(request, model="m", stream=stream, spelling=spelling or {})


def body_of(name: str) -> bytes:
    (interaction,) = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="ascii"))["interactions"]
    body = interaction["response"]["body"]["string"]
    return body if isinstance(body, bytes) else bytes(body, "utf-8")


# -- requests --------------------------------------------------------------------------------------------------------


def test_smallest_body() -> None:
    assert encode() == b'{"model":"m","sampling_params":{},"token_ids":[504,3575,282,4649,314]}'


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
        b'{"model":"m","sampling_params":{"temperature":0.5,"top_p":0.25,"max_tokens":6,"stop":["\\n"],"seed":7,"n":2,'
        b'"presence_penalty":0.5,"frequency_penalty":-0.5,"logprobs":3},'
        b'"stream":true,"stream_options":{"include_usage":true},"token_ids":[504,3575,282,4649,314]}'
    )


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({"logprobs": True}, {"logprobs": 0}),
        ({"logprobs": False}, {}),
        ({"top_logprobs": 20}, {"logprobs": 20}),
        ({"response_format": {"type": "json_object"}}, {"structured_outputs": {"json_object": True}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}},
            {"structured_outputs": {"json": {"type": "array"}}},
        ),
        ({"response_format": {"type": "text"}}, {}),
        ({"max_tokens": 4, "options": {"sampling_params": {"top_k": 5}}}, {"max_tokens": 4, "top_k": 5}),
        ({"max_tokens": 4, "seed": 1, "spelling": {"max_tokens": "max", "seed": ""}}, {"max": 4}),
    ],
)
def test_sampling_params(fields: Json, sampling: Json) -> None:
    assert json.loads(encode(**fields))["sampling_params"] == sampling


def test_without_token_ids_the_error_says_what_to_do() -> None:
    request = ChatRequest(model="m", messages=[{"role": "user", "content": "The capital"}])
    with pytest.raises(InvalidRequestError, match=r"input_ids=\[\.\.\.\]") as caught:
        WIRE.encode(request, model="m", stream=False, spelling={})
    assert caught.value.param == "input_ids"


def test_lacks_are_claims() -> None:
    assert WIRE.lacks < set(CLAIM_NAMES)


# -- replies of a real server ----------------------------------------------------------------------------------------


def test_records_are_those_of_a_plain_json_parser() -> None:
    body = body_of("think_inference_generate")
    response = WIRE.decode(body)
    (choice,) = json.loads(body)["choices"]
    assert response.logprobs is not None
    found = [
        {
            "token_id": token.token_id,
            "logprob": token.logprob,
            **token.extra,
            "top_logprobs": [{"token_id": t.token_id, "logprob": t.logprob, **t.extra} for t in token.top_logprobs],
        }
        for token in response.logprobs
    ]
    assert found == choice["logprobs"]["content"]
    assert [token.token_id for token in response.logprobs] == choice["token_ids"]
    assert (response.text, response.finish_reason, response.model) == ("", "length", "smollm2-think")
    assert response.usage is not None
    assert response.usage.completion_tokens == len(found)
    assert response.raw is not None
    assert response.raw["prompt_logprobs"][0] is None


def test_the_same_answer_streamed() -> None:
    whole = json.loads(body_of("think_inference_generate"))
    (choice,) = whole["choices"]
    rows = list(zip(choice["token_ids"], choice["logprobs"]["content"], strict=True))
    events: list[Json] = [
        {
            "request_id": whole["request_id"],
            "choices": [
                {
                    "index": 0,
                    "token_ids": [token_id],
                    "logprobs": {"content": [record]},
                    "finish_reason": choice["finish_reason"] if i == len(rows) - 1 else None,
                    "weight_versions": choice["weight_versions"] if i == len(rows) - 1 else None,
                }
            ],
            "usage": None,
        }
        for i, (token_id, record) in enumerate(rows)
    ]
    events.append({"request_id": whole["request_id"], "choices": [], "usage": whole["usage"]})
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    decoder = WIRE.stream_decoder()
    chunks = [chunk for i in range(len(data)) for chunk in decoder.feed(data[i : i + 1])]
    streamed, expected = accumulate([*chunks, *decoder.close()]), WIRE.decode(json.dumps(whole).encode())
    # Events name neither the model nor the time.
    assert (streamed.choices, streamed.usage, streamed.id) == (expected.choices, expected.usage, expected.id)


def test_a_server_without_the_endpoint() -> None:
    error = status_error(403, body_of("inference_generate"))
    assert type(error) is PermissionDeniedError
    assert "--enable-scale-out" in str(error)


def test_alternatives_are_slices_of_the_reply_until_somebody_looks() -> None:
    """4,000 tokens with 20 alternatives."""
    tops = [{"token_id": 100 + k, "logprob": -float(k), "rank": k + 1} for k in range(20)]
    content = [{"token_id": i, "logprob": -0.5, "rank": 1, "top_logprobs": tops} for i in range(4000)]
    choices = [{"index": 0, "token_ids": [], "finish_reason": "stop", "logprobs": {"content": content}}]
    response = WIRE.decode(json.dumps({"choices": choices}, separators=(",", ":")).encode())
    assert response.logprobs is not None
    assert len(response.logprobs) == 4000
    expected = json.dumps(tops, separators=(",", ":")).encode()
    assert all(bytes(token.raw_top_logprobs) == expected for token in response.logprobs)
    assert response.logprobs[3999].top_logprobs[19].extra == {"rank": 20}
