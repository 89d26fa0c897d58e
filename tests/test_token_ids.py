"""Token ids beside the records: how they are asked for, every spelling of replies, and what is said when they fail.

The replies are cassettes of vLLM 0.32.0, SGLang 0.5.23 and llama.cpp; those of other versions and of TGI are made here,
in the shapes of their sources. For requests that a server refuses the client is real, and so is the socket.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nxlog import (
    BadRequestError,
    ChatRequest,
    Client,
    StatusError,
    UnsupportedParameterError,
    WarningCode,
    accumulate,
)
from nxlog.registry import CapabilityStatus, Requirement
from nxlog.turn import WeightVersion
from nxlog.wire import get_wire
from tests.fault_server import FaultServer, Received, response

if TYPE_CHECKING:
    from nxlog.response import ChatResponse

pytestmark = pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
FIXTURES = Path(__file__).parent.parent / "fixtures"
USER = {"role": "user", "content": "The capital of France is"}
PARIS = [504, 3575, 282, 4649, 314]
QUESTION = [1, 9690, 198, 2683, 359, 253, 19484, 11173, 30, 2, 198, 1, 4093, 198, 5820, 260, 3575, 282, 4649, 281]
CHAT_PROMPT = [*QUESTION, 582, 2229, 30, 2, 198, 1, 520, 9531, 198]


def recorded(name: str) -> bytes:
    (interaction,) = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="ascii"))["interactions"]
    body = interaction["response"]["body"]["string"]
    return body if isinstance(body, bytes) else bytes(body, "utf-8")


def read(name: str, wire: str) -> ChatResponse:
    data = recorded(name)
    return streamed(data, wire) if data.startswith(b"data:") else get_wire(wire).decode(data)


def streamed(data: bytes, wire: str) -> ChatResponse:
    decoder = get_wire(wire).stream_decoder()
    chunks = [chunk for i in range(0, len(data), 7) for chunk in decoder.feed(data[i : i + 7])]
    return accumulate([*chunks, *decoder.close()])


def made(wire: str, **body: Any) -> ChatResponse:
    return get_wire(wire).decode(json.dumps(body).encode())


# -- every spelling --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wire", "output", "prompt"),
    [
        ("vllm/chat_token_ids", "openai-chat", [504, 3575, 282, 4649, 314, 7042], CHAT_PROMPT),
        ("vllm/chat_token_ids_stream", "openai-chat", [504, 3575, 282, 4649, 314, 7042], CHAT_PROMPT),
        ("vllm/completions_token_ids_in", "openai-completions", [7042, 30, 198], PARIS),
        ("vllm/think_inference_generate", "vllm-generate", [7042, 30, 198, 198], None),
        ("sglang/chat_token_ids", "openai-chat", [504, 3575, 282, 4649], CHAT_PROMPT),
        ("sglang/generate", "sglang-generate", [7042, 30, 198, 198, 504, 2988], PARIS),
        ("sglang/generate_input_ids", "sglang-generate", [7042, 30, 198, 198, 504, 2988], PARIS),
        ("sglang/generate_stream", "sglang-generate", [7042, 30, 198, 198, 504, 2988], None),
        ("llamacpp/native_completion_nprobs", "llamacpp", [7042, 30, 198, 198, 504, 1797, 1918, 553], None),
        ("llamacpp/native_completion_nprobs_stream", "llamacpp", [7042, 30, 198, 198, 504, 1797, 1918, 553], None),
    ],
)
def test_lists_of_ids(name: str, wire: str, output: list[int], prompt: list[int] | None) -> None:
    reply = read(name, wire)
    assert reply.choices[0].token_ids == output
    assert reply.prompt_token_ids == prompt
    assert reply.turn.reason is None


def test_every_choice_has_its_own_ids() -> None:
    reply = read("sglang/generate_n2", "sglang-generate")
    assert len(reply.choices) == 2
    assert all(choice.token_ids and len(choice.token_ids) == len(choice.logprobs or ()) for choice in reply.choices)


def test_raw_messages_of_the_responses_api() -> None:
    reply = read("vllm/responses_enable_response_messages", "openai-responses")
    assert reply.choices[0].token_ids == [60, 23, 39614, 1141]
    assert reply.prompt_token_ids is not None
    assert (len(reply.prompt_token_ids), reply.prompt_token_ids[:3]) == (39, [1, 9690, 198])
    assert reply.turn.trainable


@pytest.mark.parametrize("name", ["vllm/chat_tokens_as_token_ids", "vllm/chat_tokens_as_token_ids_stream"])
def test_ids_in_place_of_texts(name: str) -> None:
    """Older servers have no other way; their alternatives have ids, and no texts."""
    turn = read(name, "openai-chat").turn
    assert turn.output_ids is not None
    assert turn.top is not None
    assert turn.output_ids[:3].tolist() == [504, 3575, 282]
    assert turn.top.ids[:2].tolist() == [504, 38634]
    assert turn.reason is None


def test_ids_of_records() -> None:
    """llama.cpp's chat, and SGLang's ``return_meta_info``: there is no list beside the records."""
    for name in ("llamacpp/chat_eos", "sglang/chat_meta_info"):
        reply = read(name, "openai-chat")
        turn = reply.turn
        assert reply.choices[0].token_ids is None
        assert turn.output_ids is not None
        assert (turn.output_ids[:3].tolist(), turn.trainable) == ([504, 3575, 282], True)


def test_an_id_for_several_tokens_is_not_all_of_them() -> None:
    """A character of several tokens has one record in llama.cpp, with the last one's id."""
    for name, wire in (("llamacpp/emoji_chat", "openai-chat"), ("llamacpp/native_completion_emoji", "llamacpp")):
        turn = read(name, wire).turn
        assert turn.reason is not None
        assert turn.reason.startswith("count: ")


def test_sglext() -> None:
    """SGLang's extension, at the top of a whole reply and in the last event of a stream."""
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop", "matched_stop": 2}
    extension = {"input_ids": [1, 5], "output_ids": [[7, 2]]}
    whole = made("openai-chat", choices=[choice], sglext=extension)
    part = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop", "matched_stop": 2}]}
    events = [part, {"choices": [], "sglext": extension}]
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    for reply in (whole, streamed(data.encode(), "openai-chat")):
        assert (reply.choices[0].token_ids, reply.prompt_token_ids, reply.choices[0].stop_reason) == ([7, 2], [1, 5], 2)
    flat = made("openai-chat", choices=[choice], sglext={"output_ids": [7, 2]})
    assert flat.choices[0].token_ids == [7, 2]


def test_a_stream_that_sends_what_is_new_and_one_that_repeats() -> None:
    """The same ids, also where the new ones look like the old ones."""
    ids = [5, 5, 5, 7]
    for repeats in (True, False):
        events: list[dict[str, Any]] = []
        for i in range(1, 5):
            shown = ids[:i] if repeats else ids[i - 1 : i]
            meta = {"id": "r", "completion_tokens": i, "finish_reason": {"type": "length"} if i == 4 else None}
            text = "abcd"[:i] if repeats else "abcd"[i - 1]
            events.append({"text": text, "output_ids": shown, "meta_info": meta})
        data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        assert streamed(data.encode(), "sglang-generate").choices[0].token_ids == ids


@pytest.mark.parametrize("odd", [[], None, "none", [1, "a"], {"a": 1}, [1.5]], ids=str)
def test_what_is_no_list_of_ids_is_none(odd: object) -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop", "token_ids": odd}
    reply = made("openai-chat", choices=[choice], prompt_token_ids=odd)
    assert (reply.text, reply.choices[0].token_ids, reply.prompt_token_ids) == ("Hi", None, None)


# -- weights, and what ended it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wire", "generated"),
    [
        ("vllm/think_inference_generate", "vllm-generate", 4),
        ("sglang/generate", "sglang-generate", 6),
        ("sglang/generate_stream", "sglang-generate", 6),
        ("sglang/chat_token_ids", "openai-chat", 4),
    ],
)
def test_versions_of_the_weights(name: str, wire: str, generated: int) -> None:
    assert read(name, wire).choices[0].weight_versions == (WeightVersion("default", 0, generated),)


def test_a_version_without_spans_is_that_of_all_tokens() -> None:
    """Servers before SGLang had spans."""
    meta = {"id": "r", "finish_reason": {"type": "stop", "matched": 2}, "weight_version": "v3", "completion_tokens": 2}
    reply = made("sglang-generate", text="Hi", output_ids=[7, 2], meta_info=meta)
    assert reply.choices[0].weight_versions == (WeightVersion("v3", 0, 2),)
    assert reply.choices[0].stop_reason == 2


def test_versions_that_are_none_are_left_out() -> None:
    spans = [{"version": 8, "start": 0, "end": 1}, {"version": "x"}, 5, None]
    meta = {"id": "r", "finish_reason": None, "weight_versions": spans}
    reply = made("sglang-generate", text="Hi", output_ids=[7], meta_info=meta)
    assert reply.choices[0].weight_versions == (WeightVersion("8", 0, 1),)


@pytest.mark.parametrize(("name", "word"), [("vllm/chat_stop", "."), ("sglang/chat_stop", ".")])
def test_the_stop_text_is_named(name: str, word: str) -> None:
    assert read(name, "openai-chat").choices[0].stop_reason == word


# -- the prompt ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wire", "ids"),
    [
        ("vllm/chat_prompt_logprobs_token_ids", "openai-chat", CHAT_PROMPT),
        ("vllm/chat_prompt_logprobs", "openai-chat", [None, *CHAT_PROMPT[1:]]),
        ("vllm/completions_prompt_logprobs", "openai-completions", PARIS),
        ("vllm/think_inference_generate", "vllm-generate", [None, *PARIS[1:]]),
        ("sglang/generate", "sglang-generate", PARIS),
    ],
)
def test_prompt_logprobs(name: str, wire: str, ids: list[int | None]) -> None:
    """One record for each token; without the prompt's ids the first one, of which the server says null, has none."""
    found = read(name, wire).prompt_logprobs
    assert found is not None
    assert [record.token_id for record in found] == ids
    assert found[0].logprob is None
    assert all(record.logprob is not None and record.logprob < 0 for record in found[1:])
    second = found[1]
    assert (second.token_id, second.logprob) in {(top.token_id, top.logprob) for top in second.top_logprobs} | {
        (3575, -11.539294242858887)  # SGLang's alternatives are the most probable ones, whatever the prompt has
    }
    assert any(record.top_logprobs for record in found)


def test_prompt_logprobs_of_tgi() -> None:
    prefill = [{"id": 504, "text": "The", "logprob": None}, {"id": 3575, "text": " capital", "logprob": -11.5}]
    details = {"finish_reason": "length", "generated_tokens": 1, "prefill": prefill, "tokens": []}
    found = made("tgi", generated_text=" Paris", details=details).prompt_logprobs
    assert found is not None
    assert [(record.token_id, record.token, record.logprob) for record in found] == [
        (504, "The", None),
        (3575, " capital", -11.5),
    ]


def test_a_map_that_is_none_is_a_record_without_a_value() -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    reply = made("openai-chat", choices=[choice], prompt_logprobs=[None, {"x": 1}, {"7": {"logprob": -1.5}}, 4])
    assert reply.prompt_logprobs is not None
    assert [(record.token_id, record.logprob) for record in reply.prompt_logprobs] == [
        (None, None),
        (None, None),
        (7, -1.5),
        (None, None),
    ]


# -- requests --------------------------------------------------------------------------------------------------------

ASKED = {"input_ids": [5, 6], "return_token_ids": True, "prompt_logprobs": 2, "stop_token_ids": [2]}


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (
            "openai-completions",
            {"prompt": [5, 6], "return_token_ids": True, "prompt_logprobs": 2, "stop_token_ids": [2], "logprobs": 1}
            | {"logprob_token_ids": [7, 8]},
        ),
        (
            "vllm-generate",
            {
                "token_ids": [5, 6],
                "sampling_params": {
                    "logprobs": 0,
                    "prompt_logprobs": 2,
                    "logprob_token_ids": [7, 8],
                    "stop_token_ids": [2],
                },
            },
        ),
        (
            "sglang-generate",
            {"input_ids": [5, 6], "return_logprob": True, "logprob_start_len": 0, "top_logprobs_num": 2}
            | {"token_ids_logprob": [7, 8], "return_text_in_logprobs": True}
            | {"sampling_params": {"stop_token_ids": [2]}},
        ),
        ("llamacpp", {"prompt": [5, 6], "return_tokens": True, "n_probs": 1}),
    ],
)
def test_what_is_sent(wire: str, expected: dict[str, Any]) -> None:
    request = ChatRequest(model="m", logprob_token_ids=[7, 8], **ASKED)  # type: ignore[arg-type]
    sent = json.loads(get_wire(wire).encode(request, model="m", stream=False, spelling={}))
    sent.pop("model", None)
    assert sent == expected


def test_the_prompt_of_tgi_is_asked_for() -> None:
    request = ChatRequest(model="m", messages=[USER], prompt_logprobs=0)
    sent = json.loads(get_wire("tgi").encode(request, model="m", stream=False, spelling={}))
    assert sent["parameters"] == {"details": True, "decoder_input_details": True}


def test_prompt_logprobs_alone_do_not_ask_for_alternatives_twice() -> None:
    request = ChatRequest(model="m", messages=[USER], prompt_logprobs=3, top_logprobs=5)
    sent = json.loads(get_wire("sglang-generate").encode(request, model="m", stream=False, spelling={}))
    assert sent["top_logprobs_num"] == 5
    off = ChatRequest(model="m", messages=[USER], logprobs=False)
    assert json.loads(get_wire("sglang-generate").encode(off, model="m", stream=False, spelling={})) == {
        "text": USER["content"],
        "return_logprob": False,
    }


# -- what servers make of it -----------------------------------------------------------------------------------------


def told(request: Received) -> dict[str, Any]:
    return json.loads(request.body)


def answer(**more: Any) -> bytes:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "length"} | more.pop("choice", {})
    usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    return response(200, json.dumps({"model": "m", "choices": [choice], "usage": usage} | more).encode())


def error(message: str, status: int = 400) -> bytes:
    return response(status, json.dumps({"error": {"message": message}}).encode())


def test_fields_that_a_server_refuses_by_name_are_given_up_one_by_one() -> None:
    def strict(request: Received) -> bytes:
        for name in ("return_token_ids", "stop_token_ids", "prompt_logprobs"):
            if name in told(request):
                return error(f"Unrecognized request argument supplied: {name}", 422)
        return answer()

    with FaultServer(strict) as server, Client(base_url=server.url) as client:
        reply = client.chat(
            model="m", messages=[USER], return_token_ids=True, stop_token_ids=[2], prompt_logprobs=1, seed=3
        )
    assert len(server.requests) == 4
    assert told(server.requests[-1]) == {"model": "m", "messages": [USER], "seed": 3}
    assert {(warning.parameter, warning.code) for warning in reply.warnings} == {
        (name, WarningCode.REFUSED) for name in ("return_token_ids", "stop_token_ids", "prompt_logprobs")
    }


def test_an_error_about_something_else_takes_nothing_away() -> None:
    for answered in (error("messages: too long"), error("return_token_ids is on fire", 500)):
        with (
            FaultServer(answered) as server,
            Client(base_url=server.url, retries=0) as client,
            pytest.raises(StatusError, match=r"too long|on fire"),
        ):
            client.chat(model="m", messages=[USER], return_token_ids=True)
        assert len(server.requests) == 1


def test_whoever_wants_errors_gets_the_servers() -> None:
    with (
        FaultServer(error("return_token_ids: extra inputs are not permitted")) as server,
        Client(base_url=server.url, on_unsupported="raise") as client,
        pytest.raises(BadRequestError),
    ):
        client.chat(model="m", messages=[USER], return_token_ids=True)
    assert len(server.requests) == 1


def test_ids_that_do_not_come_are_missed() -> None:
    with FaultServer(answer()) as server, Client(base_url=server.url) as client:
        reply = client.chat(model="m", messages=[USER], return_token_ids=True, prompt_logprobs=0)
    assert [(warning.parameter, warning.code) for warning in reply.warnings] == [
        ("return_token_ids", WarningCode.NOT_DELIVERED),
        ("prompt_logprobs", WarningCode.NOT_DELIVERED),
    ]


def test_fewer_ids_than_tokens_are_missed() -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    with FaultServer(answer(choice={"token_ids": [7]}, usage=usage)) as server, Client(base_url=server.url) as client:
        reply = client.chat(model="m", messages=[USER], return_token_ids=True)
    (warning,) = reply.warnings
    assert (warning.parameter, warning.code, warning.requested, warning.applied) == (
        *("return_token_ids", WarningCode.FEWER_RECORDS),
        *(3, 1),
    )


def test_ids_to_score_that_do_not_come_are_missed() -> None:
    record = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}
    script = answer(choice={"logprobs": {"content": [record]}})
    with FaultServer(script) as server, Client(base_url=server.url) as client:
        reply = client.chat(model="m", messages=[USER], logprob_token_ids=[7, 8])
    (warning,) = reply.warnings
    assert (warning.parameter, warning.code) == ("logprob_token_ids", WarningCode.FEWER_ALTERNATIVES)


def test_another_prompt_than_was_sent_is_said() -> None:
    text = {"index": 0, "text": "Hi", "finish_reason": "length"}
    with (
        FaultServer(answer(choices=[text])) as server,
        Client(base_url=server.url, wire="openai-completions") as client,
    ):
        reply = client.chat(model="m", input_ids=[5, 6, 7])
    (warning,) = reply.warnings
    assert (warning.parameter, warning.requested, warning.applied) == ("input_ids", 3, 2)


def test_a_prompt_of_ids_that_has_no_place_is_not_replaced_in_silence() -> None:
    with FaultServer(answer()) as server, Client(base_url=server.url) as client:
        reply = client.chat(model="m", messages=[USER], input_ids=[5, 6])
        with pytest.raises(UnsupportedParameterError, match="input_ids: the wire format has no field for it"):
            client.chat(model="m", input_ids=[5, 6])
    assert len(server.requests) == 1
    assert told(server.requests[0]) == {"model": "m", "messages": [USER]}
    assert [(warning.parameter, warning.severity.value) for warning in reply.warnings] == [("input_ids", "error")]


def test_in_a_stream_sglang_is_not_asked_for_what_it_refuses_there() -> None:
    with Client(provider="sglang", base_url="http://127.0.0.1:9/v1") as client:
        stream = client.stream(model="m", messages=[USER], return_token_ids=True)
    assert [(warning.parameter, warning.code) for warning in stream.warnings] == [
        ("return_token_ids", WarningCode.UNSUPPORTED_STREAMING)
    ]


def test_a_format_that_is_asked_for_in_words_needs_words() -> None:
    with (
        FaultServer(answer(choices=[{"index": 0, "text": "Hi", "finish_reason": "length"}])) as server,
        Client(base_url=server.url, wire="openai-completions") as client,
    ):
        reply = client.chat(model="m", input_ids=[5, 6], response_format={"type": "json_object"})
    assert "response_format" in [warning.parameter for warning in reply.warnings]
    assert told(server.requests[0]) == {"model": "m", "prompt": [5, 6]}


# -- the page --------------------------------------------------------------------------------------------------------

COLUMNS = ("token_ids", "token_ids_in", "prompt_logprobs", "logprob_token_ids", "stop_token_ids")
PROVIDERS = {"vLLM": "vllm", "SGLang": "sglang", "llama.cpp": "llamacpp", "TGI": "tgi"}


def test_the_table_of_the_page_is_what_is_claimed() -> None:
    page = (FIXTURES.parent / "docs" / "turns.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 9
    for name, wire, cells in rows:
        provider = PROVIDERS[name]
        with Client(provider=provider, wire=wire, base_url="http://127.0.0.1:9/v1") as client:
            target = client._config.target("m")  # pyright: ignore
        for claim_name, said in zip(COLUMNS, cells.split(" | "), strict=True):
            claim = target.capabilities.claim(claim_name)
            lacked = claim_name in target.lacks
            if said == "-":
                assert lacked or not claim.supported, (name, wire, claim_name)
            elif said == "tried":
                assert not lacked, (name, wire, claim_name)
                assert claim.value is CapabilityStatus.UNKNOWN, (name, wire, claim_name)
            else:
                assert not lacked, (name, wire, claim_name)
                assert claim.supported, (name, wire, claim_name)
                assert (Requirement.UNARY in claim.requires) is (said == "whole replies"), (name, wire, claim_name)
