"""``client.responses.create`` and what follows a reply, on ``Client`` and ``AsyncClient``.

Real here: the clients, the gate, the wire and HTTP on the loopback interface; where a test names a recording, the bytes
that vLLM or SGLang answered.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog import (
    AlignmentKind,
    BadRequestError,
    InvalidRequestError,
    RegistryError,
    ServerError,
    UnsupportedParameterError,
    Verdicts,
    WarningCode,
)
from nxlog.responses import Message, OutputText, Reasoning, ResponsesReply, ResponsesRequest
from tests.fault_server import FaultServer, response
from tests.responses.bodies import RECORDED, answer, body, message, record, recorded, text
from tests.responses.modes import MODES, run

pytestmark = [
    pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory"),
    pytest.mark.parametrize("mode", MODES),
]
INCLUDE = "message.output_text.logprobs"
GPT_OSS = b'{"error":{"message":"logprobs are not supported with gpt-oss models","type":"invalid_request_error"}}'


def create(mode: str, *script: Any, provider: str = "vllm", model: str = "m", **fields: Any) -> tuple[Any, list[Any]]:
    """The reply, and the bodies that were sent."""

    async def ask(client: Any) -> Any:
        return await client.responses.create(**{"model": model, "input": "Is the sky blue?", **fields})

    with FaultServer(*script) as server:
        reply = run(mode, ask, provider=provider, base_url=f"{server.url}/v1", retries=0, api_key="key")
        assert {request.target for request in server.requests} == {"/v1/responses"}
        return getattr(reply, "inner", reply), [json.loads(request.body) for request in server.requests]


def codes(reply: ResponsesReply) -> list[str]:
    return [warning.code.value for warning in reply.warnings]


# -- what is sent ----------------------------------------------------------------------------------------------------


def test_logprobs_are_included_by_themselves(mode: str) -> None:
    """D-01: beside the user's own includes."""
    fields = {"include": ["reasoning.encrypted_content"], "logprobs": True, "provider_options": {"include": ["x"]}}
    _, (sent,) = create(mode, answer(body(message(text("Yes", [])))), **fields)
    assert sent["include"] == ["reasoning.encrypted_content", INCLUDE, "x"]
    assert "top_logprobs" not in sent
    assert "logprobs" not in sent


def test_alternatives_are_sent_only_with_what_includes_them(mode: str) -> None:
    """D-02."""
    _, (sent,) = create(mode, answer(body(message(text("Yes", [])))), top_logprobs=3)
    assert (sent["include"], sent["top_logprobs"]) == ([INCLUDE], 3)
    _, (plain,) = create(mode, answer(body(message(text("Yes")))))
    assert {"include", "top_logprobs"} & set(plain) == set()


def test_a_missing_list_is_reported(mode: str) -> None:
    """D-01: a server that answers null although it was asked."""
    reply, _ = create(mode, recorded("vllm/responses_toplp_no_include"), top_logprobs=5)
    assert reply.logprobs is None
    assert codes(reply) == ["not_delivered"]


def test_entries_without_alternatives(mode: str) -> None:
    """D-02: with include alone every record has an empty list."""
    reply, _ = create(mode, recorded("vllm/responses_include_no_toplp"), logprobs=True)
    assert [token.top_logprobs for token in reply.logprobs] == [[]] * 7
    assert codes(reply) == []


def test_fields_pass_through(mode: str) -> None:
    """D-25: tools, reasoning, and what only some servers know."""
    tool = {"type": "function", "name": "tide", "parameters": {"type": "object"}}
    given: dict[str, Any] = {
        "instructions": "Be short.",
        "tools": [tool],
        "tool_choice": "auto",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "previous_response_id": "resp_0",
        "store": True,
        "metadata": {"a": "b"},
        "truncation": "auto",
        "parallel_tool_calls": False,
        "max_tool_calls": 2,
        "max_output_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
    }
    options = {"cache_salt": "s", "priority": 3, "enable_response_messages": True}
    _, (sent,) = create(mode, answer(body(message(text("Yes")))), **given, provider_options=options)
    assert sent == {"model": "m", "input": "Is the sky blue?", "stream": False, **given, **options}


def test_models_of_any_name(mode: str) -> None:
    """D-25: an adapter of LoRA is a model name."""
    _, (sent,) = create(mode, answer(body(message(text("Yes")))), model="base/adapter-7")
    assert sent["model"] == "base/adapter-7"


# -- the gate is that of chat ----------------------------------------------------------------------------------------


def test_the_manifest_knows_models_that_refuse(mode: str) -> None:
    """D-09: gpt-oss on vLLM's Responses route."""
    reply, (sent,) = create(mode, answer(body(message(text("Yes")))), model="openai/gpt-oss-20b", top_logprobs=2)
    assert not {"include", "top_logprobs"} & set(sent)
    (warning,) = reply.warnings
    assert (warning.parameter, warning.code, warning.source) == ("logprobs", "unsupported", "manifest")


def test_a_refusal_is_sent_again_without(mode: str) -> None:
    """D-09: once, and remembered for the next call."""
    verdicts = Verdicts()

    async def twice(client: Any) -> Any:
        ask = {"model": "my-own-oss", "input": "x", "top_logprobs": 2}
        return [await client.responses.create(**ask), await client.responses.create(**ask)]

    with FaultServer(response(400, GPT_OSS), answer(body(message(text("Yes"))))) as server:
        replies = run(mode, twice, provider="vllm", base_url=f"{server.url}/v1", retries=0, verdicts=verdicts)
        sent = [INCLUDE in json.loads(request.body).get("include", []) for request in server.requests]
    assert sent == [True, False, False]
    first, second = (getattr(reply, "inner", reply) for reply in replies)
    assert [warning.source for warning in first.warnings] == ["server"]
    assert [warning.source for warning in second.warnings] == ["learned"]
    assert len(verdicts) == 1


def test_a_strict_client_sends_nothing(mode: str) -> None:
    """D-09: with ``on_unsupported="raise"`` before any byte."""

    async def ask(client: Any) -> Any:
        return await client.responses.create(model="vllm/openai/gpt-oss-20b", input="x", logprobs=True)

    with FaultServer() as server:
        with pytest.raises(UnsupportedParameterError, match="logprobs"):
            run(mode, ask, provider="vllm", base_url=f"{server.url}/v1", on_unsupported="raise")
        assert server.requests == []


def test_what_a_provider_lacks_is_dropped_with_what_hangs_on_it(mode: str) -> None:
    """Words take the place of a JSON mode that is not there, and join the instructions."""
    reply, (sent,) = create(
        mode,
        answer(body(message(text("{}")))),
        provider="openai",
        model="gpt-4-0613",
        instructions="Be short.",
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}, "verbosity": "low"},
        presence_penalty=1.0,
    )
    assert "presence_penalty" not in sent
    assert "presence_penalty" in [warning.parameter for warning in reply.warnings]
    assert sent["instructions"].startswith("Be short.")
    assert sent["text"]["verbosity"] == "low"


# -- what comes back -------------------------------------------------------------------------------------------------


def test_a_whole_reply(mode: str) -> None:
    """D-03: recorded from vLLM."""
    reply, _ = create(mode, recorded("vllm/responses_logprobs"), top_logprobs=5)
    assert (reply.provider, reply.status, reply.finish_reason) == ("vllm", "completed", "stop")
    (item,) = reply.output
    assert isinstance(item, Message)
    (part,) = item.content
    assert isinstance(part, OutputText)
    raw = json.loads(RECORDED["vllm/responses_logprobs"].reply)["output"][0]["content"][0]
    assert part.model_dump() == raw
    assert [len(token.top_logprobs) for token in reply.logprobs] == [5] * 7
    assert (reply.delivery.records, reply.delivery.lost) == (7, 0)
    # The end of the turn has a record, and no place in the text.
    assert codes(reply) == []
    assert reply.logprobs.distribution == reply.to_chat().logprobs.distribution


def test_sentinels_are_marked(mode: str) -> None:
    """D-04: -9999 is no measurement."""
    tops = [record("a", -1.0), record("b", -9999.0)]
    reply, _ = create(
        mode,
        answer(
            body(message(text("ab", [record("a", -1.0, top_logprobs=tops), record("b", -9999.0, top_logprobs=tops)])))
        ),
        top_logprobs=2,
    )
    assert [token.is_masked for token in reply.logprobs] == [False, True]
    (channel,) = reply.delivery.channels
    assert (channel.masked, channel.masked_alternatives) == (1, 2)
    assert codes(reply).count("masked") == 2


def test_pieces_of_a_character(mode: str) -> None:
    """D-05: empty pieces on vLLM, which a span puts together; replacement characters on SGLang, which are no bytes."""
    reply, _ = create(mode, recorded("vllm/07b_emoji_responses"), top_logprobs=3)
    spans = reply.to_chat().choices[0].spans()
    assert [(span.tokens, span.text) for span in spans[:3]] == [
        (range(3), "🐍"),
        (range(3, 6), "🐍"),
        (range(6, 9), "🐍"),
    ]
    other, _ = create(mode, recorded("sglang/07b_emoji_responses"), provider="sglang", top_logprobs=3)
    assert other.delivery.channels[0].alignment.kind is AlignmentKind.MISMATCH
    assert "misaligned" in codes(other)


def test_alternatives_are_in_the_order_of_the_server(mode: str) -> None:
    """D-06: the sampled token first, whatever its rank, and not one more or less than was sent."""
    tops = [record("b", -2.0), record("a", -0.2), record("c", -3.0)]
    records = [record("b", -2.0, top_logprobs=tops)]
    reply, _ = create(mode, answer(body(message(text("b", records)), usage=None)), top_logprobs=2)
    (token,) = reply.logprobs
    assert [top.token for top in token.top_logprobs] == ["b", "a", "c"]
    assert codes(reply) == []


def test_ids_beside_the_records(mode: str) -> None:
    """D-07, D-23: vLLM's token ids, recorded, are put to their records."""
    reply, _ = create(mode, recorded("vllm/responses_enable_response_messages"), top_logprobs=2)
    assert [token.token_id for token in reply.logprobs] == [60, 23, 39614, 1141]
    (prompt,), (generated,) = reply.input_messages, reply.output_messages
    assert (prompt.type, len(prompt.tokens), generated.tokens) == ("raw_message_tokens", 39, [60, 23, 39614, 1141])
    assert reply.finish_reason == "length"
    assert codes(reply) == []
    # Where a turn takes them from.
    chat = reply.to_chat()
    assert (chat.prompt_token_ids, chat.choices[0].token_ids) == (prompt.tokens, generated.tokens)
    turn = chat.turn
    assert (list(turn.prompt_ids or ()), list(turn.output_ids or ())) == (prompt.tokens, generated.tokens)
    assert list(turn.output_logprobs or ()) == [token.logprob for token in reply.logprobs]


def test_another_number_of_ids_is_reported(mode: str) -> None:
    """D-07: and no id is guessed."""
    ids = [{"type": "raw_message_tokens", "message": "ab", "tokens": [1, 2, 3]}]
    records = [record("a", -1.0), record("b", -2.0)]
    reply, _ = create(mode, answer(body(message(text("ab", records)), output_messages=ids)), logprobs=True)
    assert [token.token_id for token in reply.logprobs] == [None, None]
    assert [(w.code, w.requested, w.applied) for w in reply.warnings] == [(WarningCode.MISALIGNED, 3, 2)]


def test_reasoning_is_taken_out_of_the_records_of_the_text(mode: str) -> None:
    """D-08: vLLM has the tokens of the reasoning among those of the text."""
    reply, _ = create(mode, recorded("vllm/think_11_reasoning_responses"), top_logprobs=2)
    thought, said = reply.output
    assert isinstance(thought, Reasoning)
    assert [token.token for token in thought.logprobs or ()] == ["L", "'", "É", "to", "ile", "</think>"]
    assert "".join(token.token for token in said.content[0].logprobs) == reply.text == said.text
    assert len(reply.logprobs) == 14
    assert len(reply.logprobs.reasoning) == 6
    # As a chat answer it is what vLLM's chat route answers: one list, in which spans tell the two apart.
    chat = reply.to_chat()
    assert len(chat.logprobs) == 20
    assert len(chat.choices[0].tokens("reasoning")) == 5
    assert reply.delivery.channels[0].alignment.kind is AlignmentKind.REASONING_INCLUDED
    assert [(w.code, w.severity) for w in reply.warnings] == [(WarningCode.MISALIGNED, "info")]


def test_what_cannot_be_proven_stays_where_it_was(mode: str) -> None:
    """D-08: the reasoning is not what the tokens say."""
    thought = {"type": "reasoning", "id": "rs", "content": [{"type": "reasoning_text", "text": "something else"}]}
    records = [record("a", -1.0), record("</think>", -1.0), record("b", -2.0)]
    reply, _ = create(mode, answer(body(thought, message(text("b", records)))), logprobs=True)
    assert reply.output[0].logprobs is None
    assert len(reply.logprobs) == 3


def test_what_stands_before_the_reasoning_belongs_to_nobody(mode: str) -> None:
    """D-08: so nothing is divided."""
    thought = {"type": "reasoning", "id": "rs", "content": [{"type": "reasoning_text", "text": "hm"}]}
    records = [record("zzz", -1.0), record("hm", -1.0), record("</think>", -1.0), record("b", -2.0)]
    reply, _ = create(mode, answer(body(thought, message(text("b", records)))), logprobs=True)
    assert reply.output[0].logprobs is None
    assert [token.token for token in reply.logprobs] == ["zzz", "hm", "</think>", "b"]


def test_an_answer_that_is_all_reasoning(mode: str) -> None:
    """D-10: without a text vLLM sends no message, so all records are lost, which is said."""
    reply, _ = create(mode, recorded("vllm/think_09_reasoning_responses"), top_logprobs=2)
    (item,) = reply.output
    assert isinstance(item, Reasoning)
    assert reply.text == ""
    assert codes(reply) == ["not_delivered"]


def test_counts(mode: str) -> None:
    """D-19: cached and reasoning tokens; no tokens for a text is no count."""
    details = {"input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 1}}
    usage = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9, **details}
    reply, _ = create(mode, answer(body(message(text("a")), usage=usage)))
    assert (reply.usage.cached_tokens, reply.usage.reasoning_tokens, reply.usage.completion_tokens) == (3, 1, 2)
    nothing = {"input_tokens": 7, "output_tokens": 0, "total_tokens": 7}
    reply, _ = create(mode, answer(body(message(text("a")), usage=nothing)))
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (7, None, None)


def test_an_error_in_a_reply_is_raised(mode: str) -> None:
    """D-20: a failed response, unless it was to be looked at later."""
    failed = body(status="failed", error={"code": "server_error", "message": "no luck"})
    with pytest.raises(ServerError, match="no luck") as caught:
        create(mode, answer(failed))
    assert (caught.value.provider, caught.value.code) == ("vllm", "server_error")
    reply, _ = create(mode, answer(failed), background=True)
    assert (reply.status, reply.error.message, reply.finish_reason) == ("failed", "no luck", "failed")


def test_placeholders_of_ids(mode: str) -> None:
    """D-24: the bytes of alternatives are those of the placeholder, so there are none."""
    top = {"token": "token_id:504", "logprob": -0.5, "bytes": list(b"token_id:504")}
    records = [{"token": "token_id:504", "logprob": -0.5, "bytes": [84, 104, 101], "top_logprobs": [top]}]
    reply, _ = create(mode, answer(body(message(text("The", records)))), top_logprobs=1)
    (token,) = reply.logprobs
    assert (token.token_id, token.bytes) == (504, b"The")
    assert (token.top_logprobs[0].token_id, token.top_logprobs[0].bytes) == (504, None)


# -- how it is asked -------------------------------------------------------------------------------------------------


def test_a_request_or_fields(mode: str) -> None:
    async def both(client: Any) -> Any:
        return await client.responses.create(ResponsesRequest(model="m", input="x"), temperature=1.0)

    with pytest.raises(InvalidRequestError, match="not both"):
        run(mode, both, provider="vllm", base_url="http://127.0.0.1:9/v1")

    async def chat(client: Any) -> Any:
        return await client.responses.create(model="m", messages=[])

    with pytest.raises(InvalidRequestError, match="messages"):
        run(mode, chat, provider="vllm", base_url="http://127.0.0.1:9/v1")


def test_a_server_that_no_file_describes(mode: str) -> None:
    """Its chat wire is no hindrance."""

    async def ask(client: Any) -> Any:
        return await client.responses.create(model="m", input="x", logprobs=True)

    with FaultServer(recorded("vllm/responses_logprobs")) as server:
        reply = run(mode, ask, base_url=f"{server.url}/v1")
        assert server.requests[0].target == "/v1/responses"
    assert len(reply.logprobs) == 7


def test_a_provider_without_that_api(mode: str) -> None:
    async def ask(client: Any) -> Any:
        return await client.responses.create(model="m", input="x")

    with pytest.raises((InvalidRequestError, RegistryError), match="openai-responses"):
        run(mode, ask, provider="anthropic", api_key="key")


def test_refusals_of_a_server_are_errors(mode: str) -> None:
    error = {"error": {"message": "temperature: must be at most 2", "type": "invalid_request_error", "param": "t"}}
    with pytest.raises(BadRequestError, match="at most 2") as caught:
        create(mode, answer(error, 400), temperature=0.5)
    assert (caught.value.param, caught.value.model) == ("t", "m")
