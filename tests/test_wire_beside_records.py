"""Ids and alternatives that vLLM and SGLang send beside the records. The cassettes are real; the rest is made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.accumulate import accumulate
from nxlog.wire.openai_chat import OpenAIChat
from tests.conformance.cassettes import CASES, Case

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

WIRE = OpenAIChat()
BY_NAME = {f"{case.provider}/{case.name}": case for case in CASES}
Json = dict[str, Any]


def decoded(case: Case) -> ChatResponse:
    if not case.stream:
        return WIRE.decode(case.reply)
    decoder = WIRE.stream_decoder()
    return accumulate([*decoder.feed(case.reply), *decoder.close()])


def ids_of(response: ChatResponse) -> list[int | None]:
    return [token.token_id for token in response.logprobs or ()]


@pytest.mark.parametrize("name", ["vllm/chat_token_ids", "vllm/chat_token_ids_stream", "sglang/chat_token_ids"])
def test_ids_reach_the_records(name: str) -> None:
    case = BY_NAME[name]
    choices = [choice for event in case.events() for choice in event["choices"]]
    sent = [token for choice in choices for token in choice.get("token_ids") or choice.get("response_token_ids") or ()]
    assert len(sent) > 3
    assert ids_of(decoded(case)) == sent


def test_alternatives_without_texts_reach_the_records() -> None:
    case = BY_NAME["sglang/chat_meta_flat"]
    (choice,) = case.events()[0]["choices"]
    meta = choice["meta_info"]
    response = decoded(case)
    assert ids_of(response) == [token_id for _, token_id, _ in meta["output_token_logprobs"]]
    tops = [top for token in response.logprobs or () for top in token.top_logprobs]
    assert [top.logprob for top in tops] == meta["output_top_logprobs_val_flat"]
    assert [top.token_id for top in tops] == meta["output_top_logprobs_idx_flat"]
    assert {top.token for top in tops} == {""}


RECORDS = [{"token": "a", "logprob": -0.5}, {"token": "token_id:7", "logprob": -1}]
TUPLES = [[-0.5, 3, "a"], [-1.0, 4, "b"]]


def reply(records: list[Any] = RECORDS, **beside: Any) -> ChatResponse:
    choice = {"message": {"content": "ab"}, "logprobs": {"content": records}, **beside}
    return WIRE.decode(json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize("records", [RECORDS, [{**record, "mine": 1} for record in RECORDS]], ids=["strict", "loose"])
@pytest.mark.parametrize(
    ("beside", "ids"),
    [
        ({"token_ids": [3, 4]}, [3, 7]),
        ({"response_token_ids": [3, 4]}, [3, 7]),
        ({"token_ids": [3]}, [None, 7]),
        ({"token_ids": [3, 4, 5]}, [None, 7]),
        ({"token_ids": []}, [None, 7]),
        ({"token_ids": None, "meta_info": None}, [None, 7]),
        ({"token_ids": [3, "4"]}, [None, 7]),
        ({"token_ids": "34"}, [None, 7]),
        ({"meta_info": {"output_token_logprobs": TUPLES}}, [3, 7]),
        ({"meta_info": {"output_token_logprobs": TUPLES, "prompt_tokens": "many"}}, [3, 7]),
        ({"meta_info": {"output_token_logprobs": [*TUPLES, [-2.0, 5, "c"]]}}, [None, 7]),
        ({"meta_info": {"output_token_logprobs": [[-0.5, 3, "a"], [-0.25, 4, "b"]]}}, [None, 7]),
        ({"meta_info": {"finish_reason": {"type": "stop"}}}, [None, 7]),
        ({"meta_info": {}, "token_ids": [3, 4]}, [3, 7]),
        ({"meta_info": []}, [None, 7]),
        ({"meta_info": "?"}, [None, 7]),
    ],
    ids=str,
)
def test_only_one_for_each_record_is_believed(records: list[Json], beside: Json, ids: list[int | None]) -> None:
    assert ids_of(reply(records, **beside)) == ids


def test_what_a_record_says_itself_is_kept() -> None:
    tops = [{"token": "a", "logprob": -0.5}]
    meta = {"output_token_logprobs": TUPLES[:1], "output_top_logprobs": [[[-0.5, 3, None], [-2.0, 9, None]]]}
    own = reply([{"token": "a", "logprob": -0.5, "id": 8, "top_logprobs": tops}], meta_info=meta)
    (record,) = list(own.logprobs or ())
    assert (record.token_id, [top.token for top in record.top_logprobs]) == (8, ["a"])
    given = reply([{"token": "a", "logprob": -0.5, "top_logprobs": []}], meta_info=meta)
    (record,) = list(given.logprobs or ())
    assert [(top.token_id, top.logprob) for top in record.top_logprobs] == [(3, -0.5), (9, -2.0)]


def test_ids_without_records_are_no_records() -> None:
    assert reply([], token_ids=[3, 4]).logprobs is None
