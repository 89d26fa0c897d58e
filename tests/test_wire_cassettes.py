"""Every chat exchange in the fixtures is understood, and every token record in it arrives.

Real here: bytes that vLLM, llama.cpp, SGLang and transformers answered to real requests (``captured``), and exchanges
written by hand after the documents of OpenAI, Anthropic and DeepSeek (``documented``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nxlog.accumulate import accumulate
from nxlog.errors import BadRequestError, ServerError, StatusError
from nxlog.wire import get_wire
from nxlog.wire.errors import RefusalKind, classify_refusal

if TYPE_CHECKING:
    from nxlog.logprobs import LogprobsData
    from nxlog.response import ChatResponse

FIXTURES = Path(__file__).parent.parent / "fixtures"
PATHS = {"/chat/completions": "openai-chat", "/messages": "anthropic-messages"}

# How many token records there are in all choices and channels.
RECORDS: dict[str, dict[str, int]] = {
    "anthropic": {
        "messages": 0,
        "messages_stream": 0,
        "messages_thinking": 0,
        "messages_thinking_stream": 0,
        "messages_tools": 0,
        "messages_tools_stream": 0,
    },
    "deepseek": {
        "chat_reasoning_logprobs": 16,
        "chat_reasoning_logprobs_stream": 16,
    },
    "llamacpp": {
        "anthropic_messages": 0,
        "chat_eos": 8,
        "chat_eos_stream": 7,
        "chat_json_schema": 30,
        "chat_logit_bias": 2,
        "chat_logprobs": 8,
        "chat_logprobs_only": 8,
        "chat_logprobs_stream": 7,
        "chat_logprobs_top0": 0,
        "chat_logprobs_top20": 3,
        "chat_n2": 8,
        "chat_no_logprobs": 0,
        "chat_nprobs_200": 1,
        "chat_prompt_order_messages": 1,
        "chat_return_tokens": 4,
        "chat_stop": 6,
        "chat_temp1_seeded": 12,
        "chat_tools": 80,
        "chat_tools_required": 80,
        "chat_verbose": 4,
        "emoji": 32,
        "emoji_chat": 4,
        "emoji_chat_cut": 0,
        "emoji_chat_cut_stream": 0,
        "emoji_chat_stream": 3,
        "emoji_stream": 31,
        "err_stream_top21": 7,
        "err_top21": 8,
        "err_top_minus1": 0,
        "err_unknown_model": 8,
    },
    "openai": {
        "chat_fewer_alternatives": 1,
        "chat_logprobs": 10,
        "chat_logprobs_stream": 10,
        "chat_n2": 6,
        "chat_n2_stream": 6,
        "chat_plain": 0,
        "chat_refusal": 7,
        "chat_refusal_stream": 7,
        "chat_tools": 0,
        "chat_tools_stream": 0,
    },
    "sglang": {
        "chat_eos": 8,
        "chat_eos_stream": 7,
        "chat_json_schema": 17,
        "chat_logit_bias": 2,
        "chat_logprobs": 8,
        "chat_logprobs_only": 8,
        "chat_logprobs_stream": 7,
        "chat_logprobs_top0": 8,
        "chat_logprobs_top20": 3,
        "chat_meta_flat": 2,
        "chat_meta_info": 3,
        "chat_n2": 8,
        "chat_no_logprobs": 0,
        "chat_prompt_order_messages": 1,
        "chat_stop": 7,
        "chat_temp1_seeded": 12,
        "chat_token_ids": 4,
        "chat_tools": 80,
        "chat_tools_required": 32,
        "chat_tools_required_stream": 31,
        "emoji": 60,
        "emoji_chat": 10,
        "emoji_chat_cut": 2,
        "emoji_chat_cut_stream": 1,
        "emoji_chat_stream": 3,
        "emoji_stream": 60,
        "err_logprobs_false_top": 0,
        "err_logprobs_string": 8,
        "err_stream_top21": 7,
        "err_top21": 8,
        "err_top_minus1": 8,
        "err_top_without_logprobs": 0,
        "err_unknown_model": 8,
    },
    "transformers-serve": {
        "chat_logprobs": 0,
        "chat_logprobs_only": 0,
        "chat_logprobs_stream": 0,
        "chat_logprobs_top0": 0,
        "chat_no_logprobs": 0,
        "chat_prompt_order_messages": 0,
        "chat_tools": 0,
        "emoji_chat": 0,
        "emoji_chat_cut": 0,
        "emoji_chat_cut_stream": 0,
        "emoji_chat_stream": 0,
        "err_top21": 0,
        "err_top_without_logprobs": 0,
    },
    "vllm": {
        "anthropic_messages": 0,
        "chat_eos": 8,
        "chat_eos_stream": 8,
        "chat_json_schema": 17,
        "chat_logit_bias": 2,
        "chat_logprob_token_ids": 2,
        "chat_logprobs": 8,
        "chat_logprobs_only": 8,
        "chat_logprobs_stream": 8,
        "chat_logprobs_top0": 8,
        "chat_logprobs_top20": 3,
        "chat_n2": 8,
        "chat_no_logprobs": 0,
        "chat_prompt_logprobs": 2,
        "chat_prompt_logprobs_token_ids": 2,
        "chat_prompt_order_messages": 1,
        "chat_stop": 7,
        "chat_temp1_seeded": 12,
        "chat_token_ids": 6,
        "chat_token_ids_stream": 6,
        "chat_tokens_as_token_ids": 6,
        "chat_tokens_as_token_ids_stream": 6,
        "chat_tools": 80,
        "chat_tools_required": 46,
        "chat_tools_required_stream": 46,
        "emoji": 60,
        "emoji_chat": 10,
        "emoji_chat_cut": 2,
        "emoji_chat_cut_stream": 2,
        "emoji_chat_stream": 10,
        "emoji_stream": 60,
        "err_logprobs_string": 8,
        "think_09_reasoning_chat": 6,
        "think_09_reasoning_chat_stream": 6,
        "think_11_reasoning_chat": 20,
        "think_11_reasoning_chat_stream": 20,
        "think_chat_top25": 1,
        "think_processed_temp13": 3,
    },
}

# Streams in which the server sends an error instead of the rest.
BROKEN: dict[str, tuple[type[StatusError], RefusalKind | None]] = {
    "anthropic/err_stream_overloaded": (ServerError, None),
    "vllm/err_stream_top21": (BadRequestError, RefusalKind.RANGE),
}

# A stream and the whole reply to the same request, from servers that lose nothing on the way.
PAIRS = [
    "vllm/chat_logprobs",
    "vllm/chat_eos",
    "vllm/chat_token_ids",
    "vllm/chat_tokens_as_token_ids",
    "vllm/emoji",
    "vllm/emoji_chat",
    "vllm/emoji_chat_cut",
    "vllm/chat_tools_required",
    "vllm/think_11_reasoning_chat",
    "openai/chat_logprobs",
    "openai/chat_n2",
    "openai/chat_refusal",
    "openai/chat_tools",
    "deepseek/chat_reasoning_logprobs",
    "anthropic/messages",
    "anthropic/messages_thinking",
    "anthropic/messages_tools",
]

# The same from servers that lose records in streams: what arrives is the whole reply's list without these positions.
LOST = {
    "llamacpp/chat_logprobs": [7],  # the end-of-text token
    "llamacpp/chat_eos": [7],
    "llamacpp/emoji": [31],
    "llamacpp/emoji_chat": [3],
    "sglang/chat_logprobs": [7],
    "sglang/chat_eos": [7],
    "sglang/chat_tools_required": [31],
    "sglang/emoji_chat": [0, 1, 3, 4, 6, 7, 9],  # pieces of characters too
    "sglang/emoji_chat_cut": [0],
}


class Exchange:
    """One cassette."""

    def __init__(self, name: str) -> None:
        text = (FIXTURES / f"{name}.yaml").read_text(encoding="ascii")
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        (interaction,) = document["interactions"]
        response = interaction["response"]
        body = response["body"]["string"]
        self.uri: str = interaction["request"]["uri"]
        self.status: int = response["status"]["code"]
        self.body: bytes = body if isinstance(body, bytes) else body.encode()
        self.is_stream: bool = response["headers"]["content-type"][0].startswith("text/event-stream")

    @property
    def wire(self) -> str | None:
        return next((wire for path, wire in PATHS.items() if self.uri.endswith(path)), None)

    def response(self) -> ChatResponse:
        assert self.wire is not None
        wire = get_wire(self.wire)
        if not self.is_stream:
            return wire.decode(self.body)
        decoder = wire.stream_decoder()
        return accumulate([*decoder.feed(self.body), *decoder.close()])


def channels(logprobs: LogprobsData | None) -> list[Any]:
    if logprobs is None:
        return []
    return [part for name in ("content", "refusal", "reasoning") if (part := logprobs.channel(name)) is not None]


ANSWERED = [f"{provider}/{case}" for provider, cases in RECORDS.items() for case in cases]


def test_tables_name_every_answered_exchange() -> None:
    names = [f"{path.parent.name}/{path.stem}" for path in sorted(FIXTURES.glob("*/*.yaml"))]
    answered = {name for name in names if (exchange := Exchange(name)).status < 400 and exchange.wire}
    assert answered == {*ANSWERED, *BROKEN}


@pytest.mark.parametrize("name", ANSWERED)
def test_every_record_arrives(name: str) -> None:
    provider, case = name.split("/")
    response = Exchange(name).response()
    found = sum(len(part) for choice in response.choices for part in channels(choice.logprobs))
    assert found == RECORDS[provider][case]
    for choice in response.choices:
        # No record at all is None, not an empty object.
        assert choice.logprobs is None or any(channels(choice.logprobs))
        assert choice.finish_reason in {"stop", "length", "tool_calls"}
    assert response.model
    assert response.usage is not None
    assert response.usage.completion_tokens is not None


@pytest.mark.parametrize("name", [name for name in ANSWERED if Exchange(name).wire == "openai-chat"])
def test_records_are_those_of_a_plain_json_parser(name: str) -> None:
    """Token, logprob and alternatives in the order of the wire, read here without any of nxlog's code."""
    exchange = Exchange(name)
    lines = exchange.body.decode().split("\n") if exchange.is_stream else ["data: " + exchange.body.decode()]
    expected: dict[tuple[int, str], list[Any]] = {}
    for line in lines:
        if not line.startswith("data:") or line.removeprefix("data:").strip() == "[DONE]":
            continue
        for choice in json.loads(line.removeprefix("data:"))["choices"]:
            for channel, records in (choice.get("logprobs") or {}).items():
                if channel in {"content", "refusal", "reasoning_content"} and records:
                    key = (choice["index"], channel.removesuffix("_content"))
                    expected.setdefault(key, []).extend(map(plain, records))
    found = {
        (choice.index, name): [
            (t.token, t.logprob, as_list(t.bytes), [(top.token, top.logprob) for top in t.top_logprobs]) for t in part
        ]
        for choice in exchange.response().choices
        for name in ("content", "refusal", "reasoning")
        if choice.logprobs is not None and (part := choice.logprobs.channel(name)) is not None
    }
    assert found == expected


def plain(record: dict[str, Any]) -> tuple[Any, ...]:
    tops = [(top["token"], top["logprob"]) for top in record["top_logprobs"]]
    return record["token"], record["logprob"], record["bytes"], tops


def as_list(data: bytes | None) -> list[int] | None:
    return None if data is None else list(data)


@pytest.mark.parametrize("name", BROKEN)
def test_error_inside_a_stream_is_raised(name: str) -> None:
    exchange = Exchange(name)
    assert exchange.status == 200
    cls, kind = BROKEN[name]
    with pytest.raises(StatusError) as caught:
        exchange.response()
    assert type(caught.value) is cls
    refusal = classify_refusal(str(caught.value))
    assert (refusal and refusal.kind) == kind


@pytest.mark.parametrize("name", PAIRS)
def test_stream_gives_the_whole_reply(name: str) -> None:
    whole, streamed = Exchange(name).response(), Exchange(f"{name}_stream").response()
    assert comparable(streamed) == comparable(whole)


@pytest.mark.parametrize("name", LOST)
def test_stream_gives_all_that_the_server_did_not_lose(name: str) -> None:
    whole, streamed = Exchange(name).response(), Exchange(f"{name}_stream").response()
    assert whole.logprobs is not None
    assert streamed.logprobs is not None
    kept = [token for i, token in enumerate(whole.logprobs) if i not in LOST[name]]
    assert [(token.token, token.bytes) for token in streamed.logprobs] == [(token.token, token.bytes) for token in kept]
    # Two runs of these engines differ in the numbers; that each is the number of its wire is tested above.
    for got, expected in zip(streamed.logprobs, kept, strict=True):
        assert got.logprob == pytest.approx(expected.logprob, abs=0.01)
    assert (streamed.text, streamed.finish_reason) == (whole.text, whole.finish_reason)


def comparable(response: ChatResponse) -> list[Any]:
    """Choices with what is random in a reply taken out: the ids of tool calls, and white space in their arguments."""
    out: list[Any] = []
    for choice in response.choices:
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.tool_calls]
        out.append((choice.model_copy(update={"tool_calls": []}), calls))
    return [*out, response.usage]
