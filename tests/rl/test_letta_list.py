"""What Letta's users had of ids and turns, by the numbers of the checklist (C-01 to C-16), and what is better here.

Real: the client, its transport, and a server on loopback that answers in the words of vLLM, SGLang and llama.cpp, with
answers of a toy model (see ``sampled``). Lines without a test are in ``docs/decisions/turns.md``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import ValidationError

from nxlog import (
    AsyncClient,
    ChatRequest,
    ChatResponse,
    Client,
    Distribution,
    InvalidRequestError,
    TurnTokenData,
    turns,
)
from nxlog.turn import Evidence
from nxlog.wire import get_wire
from tests.fault_server import FaultServer, Received, response
from tests.rl.sampled import END_ID, IDS, Sampled, decode, llamacpp, sglang, vllm

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")
FIELDS: dict[str, Any] = {"model": "toy", "messages": [{"role": "user", "content": "a?"}]}
FIRST = Sampled([IDS["a"], IDS["bc"], END_ID], [-0.5, -1.25, -0.01])
SECOND = Sampled([IDS["x"], IDS["y"], IDS["🦜"], END_ID], [-0.25, -2.0, -3.5, -0.02])
DEFAULTS = {"logprobs": True, "top_logprobs": 5, "return_token_ids": True}


def told(request: Received) -> dict[str, Any]:
    return json.loads(request.body)


def client_of(server: FaultServer, provider: str = "vllm", **options: Any) -> Client:
    return Client(provider=provider, base_url=server.url + "/v1", **options)


def streamed(write: Callable[..., bytes], answer: Sampled) -> bytes:
    """The same answer as a stream, a token in each event, as vLLM sends it."""
    whole = json.loads(write(answer))
    (choice,) = whole["choices"]
    events: list[dict[str, Any]] = [
        {"id": "r1", "model": "toy", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
        | {"prompt_token_ids": whole.get("prompt_token_ids")}
    ]
    for i, record in enumerate(choice["logprobs"]["content"]):
        last = i + 1 == len(answer.ids)
        text = "" if answer.ids[i] == END_ID else decode([answer.ids[i]])
        part: dict[str, Any] = {"index": 0, "delta": {"content": text}, "logprobs": {"content": [record]}}
        part |= {"finish_reason": choice["finish_reason"] if last else None}
        part |= {"token_ids": [answer.ids[i]]} if "token_ids" in choice else {}
        events.append({"id": "r1", "model": "toy", "choices": [part]})
    events.append({"id": "r1", "model": "toy", "choices": [], "usage": whole["usage"]})
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return response(200, data.encode(), content_type="text/event-stream")


def test_c_01_fields_for_every_request_of_a_client() -> None:
    with FaultServer(response(200, vllm(FIRST))) as server, client_of(server, defaults=DEFAULTS) as client:
        reply = client.chat(**FIELDS)
        client.chat(ChatRequest(**FIELDS))
    for request in server.requests:
        assert {name: told(request)[name] for name in DEFAULTS} == DEFAULTS
    assert reply.choices[0].token_ids == FIRST.ids


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_c_01_of_the_asynchronous_client_too(backend: str) -> None:
    async def ask(url: str) -> ChatResponse:
        async with AsyncClient(provider="vllm", base_url=url, defaults=DEFAULTS) as client:
            return await client.chat(**FIELDS)

    with FaultServer(response(200, vllm(FIRST))) as server:
        assert anyio.run(ask, server.url + "/v1", backend=backend).turn.trainable


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2, "return_token_ids": True}),
        ({"return_token_ids": False}, {"logprobs": True, "top_logprobs": 5, "return_token_ids": False}),
        ({"logprobs": False}, {"logprobs": False, "return_token_ids": True}),
        ({"logprobs": None, "return_token_ids": None}, {}),
    ],
    ids=str,
)
def test_c_02_a_request_says_it_otherwise(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    with FaultServer(response(200, vllm(FIRST))) as server, client_of(server, defaults=DEFAULTS) as client:
        client.chat(**FIELDS, **fields)
    assert {name: value for name, value in told(server.requests[0]).items() if name in DEFAULTS} == sent


def test_c_03_nothing_is_asked_for_unless_it_is_said() -> None:
    request = ChatRequest(**FIELDS)
    assert (request.logprobs, request.top_logprobs, request.return_token_ids) == (None, None, None)
    with FaultServer(response(200, vllm(FIRST))) as server, client_of(server) as client:
        client.chat(request)
    assert set(told(server.requests[0])) == {"model", "messages"}


@pytest.mark.parametrize(
    "fields", [{"top_logprobs": 5, "logprobs": False}, {"top_logprobs": -1}, {"top_logprobs": True}]
)
def test_c_03_the_rule_is_checked(fields: dict[str, Any]) -> None:
    """Letta describes the rule; here it holds. The upper limit is the provider's: more is clamped, with a warning."""
    with pytest.raises(ValidationError, match="top_logprobs"):
        ChatRequest(**FIELDS, **fields)
    with pytest.raises(InvalidRequestError, match="defaults: top_logprobs") as caught:
        Client(provider="vllm", defaults=fields)
    assert caught.value.param == "defaults"
    with FaultServer(response(200, vllm(FIRST))) as server, client_of(server) as client:
        reply = client.chat(**FIELDS, top_logprobs=50)
    assert told(server.requests[0])["top_logprobs"] == 20
    assert "top_logprobs" in [warning.parameter for warning in reply.warnings]


@pytest.mark.parametrize("name", ["model", "messages", "input_ids", "colour"])
def test_c_01_a_default_that_is_none(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"defaults: {name}"):
        Client(provider="vllm", defaults={name: "x"})


@pytest.mark.parametrize("provider", ["vllm", "sglang"])
def test_c_04_they_reach_the_request_only_when_they_are_on(provider: str) -> None:
    with FaultServer(response(200, vllm(FIRST))) as server, client_of(server, provider) as client:
        client.chat(**FIELDS)
        client.chat(**FIELDS, top_logprobs=3, return_token_ids=True)
    off, on = (told(request) for request in server.requests)
    assert not {"logprobs", "top_logprobs", "return_token_ids"} & set(off)
    assert (on["logprobs"], on["top_logprobs"], on["return_token_ids"]) == (True, 3, True)
    assert ("return_prompt_token_ids" in on) is (provider == "sglang")


def test_c_04_a_provider_that_has_none_is_not_asked() -> None:
    with FaultServer(response(200, vllm(FIRST))) as server:
        with Client(provider="openai", base_url=server.url + "/v1", api_key="k") as client:
            reply = client.chat(**FIELDS, return_token_ids=True)
        assert "return_token_ids" not in told(server.requests[0])
    assert [warning.parameter for warning in reply.warnings] == ["return_token_ids"]


@pytest.mark.parametrize("write", [vllm, llamacpp])
def test_c_05_the_reply_has_the_records_of_its_answer(write: Callable[..., bytes]) -> None:
    reply = get_wire("openai-chat").decode(write(FIRST))
    assert reply.logprobs is not None
    assert [token.logprob for token in reply.logprobs] == FIRST.logprobs


def test_c_06_turns_of_all_generations_whole_and_streamed() -> None:
    """Letta's are those of one server, and its stream is the whole reply at once."""
    with FaultServer(response(200, vllm(FIRST)), streamed(vllm, SECOND)) as server:
        with client_of(server, defaults=DEFAULTS) as client:
            first = client.chat(**FIELDS)
            with client.stream(**FIELDS) as stream:
                chunks = list(stream)
        result = {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "b"}
        steps = turns([first, result, stream.response], strict=True)
    assert [chunk.token_ids for chunk in chunks if chunk.token_ids] == [(token,) for token in SECOND.ids]
    assert [step.role for step in steps] == ["assistant", "tool", "assistant"]
    assert [step.to_letta()["output_ids"] for step in steps] == [FIRST.ids, None, SECOND.ids]
    assert [step.prompt_ids and step.prompt_ids.tolist() for step in steps] == [[1, 2, 3], None, [1, 2, 3]]


@pytest.mark.parametrize(("provider", "write"), [("vllm", vllm), ("llamacpp", llamacpp)])
def test_c_06_of_any_server_with_ids(provider: str, write: Callable[..., bytes]) -> None:
    for answered in (response(200, write(FIRST)), streamed(write, FIRST)):
        with FaultServer(answered) as server, client_of(server, provider, defaults=DEFAULTS) as client:
            if b"event-stream" in answered:
                with client.stream(**FIELDS) as stream:
                    list(stream)
                reply = stream.response
            else:
                reply = client.chat(**FIELDS)
        assert reply.turn.trainable
        assert reply.choices[0].token_ids == FIRST.ids
        assert not [warning for warning in reply.warnings if warning.parameter == "return_token_ids"]


def test_c_09_sglang_is_spoken_as_it_speaks() -> None:
    """Letta sends no ``top_logprobs_num`` and a temperature and a top_p that nobody asked for."""
    answer = dataclasses.replace(FIRST, logprobs=[-0.5, None, -0.01])
    with (
        FaultServer(response(200, sglang(answer))) as server,
        client_of(server, "sglang", wire="sglang-generate", defaults=DEFAULTS) as client,
    ):
        reply = client.chat(**FIELDS)
    assert (server.requests[0].method, server.requests[0].target) == ("POST", "/generate")
    assert told(server.requests[0]) == {
        "text": "a?",
        "return_logprob": True,
        "top_logprobs_num": 5,
        "return_text_in_logprobs": True,
    }
    assert reply.choices[0].token_ids == answer.ids
    assert reply.logprobs is not None
    assert [token.token for token in reply.logprobs] == ["a", "bc", "<|im_end|>"]  # texts, not ids in their place
    turn = reply.turn
    assert turn.to_letta()["output_token_logprobs"] == [
        [-0.5, IDS["a"], None],
        [None, IDS["bc"], None],
        [-0.01, END_ID, None],
    ]
    assert turn.reason == "missing_logprob: 1 of 3 logprobs are missing"
    assert (turn.distribution, turn.weight_versions[0].version) == (Distribution.TEMPERATURE, "v7")


def test_c_09_ids_in() -> None:
    with (
        FaultServer(response(200, sglang(FIRST))) as server,
        client_of(server, "sglang", wire="sglang-generate", defaults=DEFAULTS) as client,
    ):
        reply = client.chat(model="toy", input_ids=[5, 6, 7], stop_token_ids=[END_ID])
    sent = told(server.requests[0])
    assert (sent["input_ids"], sent["sampling_params"]) == ([5, 6, 7], {"stop_token_ids": [END_ID]})
    assert "text" not in sent
    assert reply.turn.prompt_ids is not None
    assert reply.turn.prompt_ids.tolist() == [5, 6, 7]


def test_c_13_the_time_is_the_servers() -> None:
    """nxlog builds no reply of its own, so none is without its time where the server says one."""
    body = json.loads(vllm(FIRST)) | {"created": 1_795_000_000}
    assert get_wire("openai-chat").decode(json.dumps(body).encode()).created == 1_795_000_000


@pytest.mark.parametrize("write", [vllm, llamacpp])
def test_c_14_whole_and_streamed_are_one_turn(write: Callable[..., bytes]) -> None:
    """Letta lost a label in three places when one path was split in two."""
    provider = "vllm" if write is vllm else "llamacpp"
    with (
        FaultServer(response(200, write(SECOND)), streamed(write, SECOND)) as server,
        client_of(server, provider, defaults=DEFAULTS) as client,
    ):
        whole = client.chat(**FIELDS, temperature=0.7, seed=3).turn
        with client.stream(**FIELDS, temperature=0.7, seed=3) as stream:
            list(stream)
    assert stream.response.turn == whole
    assert (whole.sampling.temperature, whole.sampling.seed) == (0.7, 3)
    assert (whole.provider, whole.endpoint) == (provider, server.url + "/v1/chat/completions")
    assert whole.evidence is Evidence.NATIVE_IDS
    assert whole.distribution is Distribution.RAW


def test_c_15_fields_are_added_on_purpose() -> None:
    options = set(inspect.signature(Client).parameters)
    assert options == {
        *("provider", "base_url", "api_key", "wire", "on_unsupported", "on_unknown", "timeout", "retries"),
        *("http_client", "registry", "variables", "verdicts", "defaults", "telemetry"),
    }
    assert {field.name for field in dataclasses.fields(TurnTokenData)} == {
        *("role", "prompt_ids", "output_ids", "output_logprobs", "top", "finish_reason", "stop_reason"),
        *("stop_token_included", "content", "reasoning", "tool_calls", "tool_name", "tool_call_id", "sampling"),
        *("distribution", "distribution_source", "weight_versions", "parts", "usage", "request_id", "provider"),
        *("model", "endpoint", "evidence", "checks"),
    }


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("length", "length"),
        ("max_new_tokens", "length"),
        ("function_call", "tool_calls"),
        ("abort", "abort"),
        ("cancelled", "abort"),
        ("recitation", "recitation"),
    ],
)
def test_c_16_the_word_for_the_end_is_one(word: str, finish: str) -> None:
    turn = get_wire("openai-chat").decode(vllm(FIRST, finish_reason=word)).turn
    assert turn.finish_reason == finish
    assert turn.trainable  # also what was sampled up to an abort
