"""Documented exchanges of the OpenAI chat wire."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from documented_parts import data_stream, entries, exchange, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

CREATED = 1793500000

# Every row: the chosen token first. The third one samples the second likeliest on purpose.
SPRUCE = (
    "A:0.71|The:0.18|Spr:0.06",
    " spruce:0.55| pine:0.22| fir:0.11",
    " keeps:0.31| holds:0.44| stays:0.07",
    " its:0.93| all:0.03| them:0.01",
    " needles:0.9999981| leaves:0.0000009| cones:0.0000004",
    " \u2013:0.42|.:0.37| all:0.09",
    " même:0.04| even:0.87| and:0.02",
    " in:0.98| at:0.01| during:0.004",
    " snow:0.66| winter:0.29| ice:0.02",
    " 🌲:0.12|.:0.81|!:0.03",
)
REFUSAL = (
    "That:0.47|I:0.39|No:0.05",
    " is:0.58| one:0.22|'s:0.1",
    " not:0.77| something:0.13| a:0.04",
    " mine:0.09| something:0.62| for:0.11",
    " to:0.88|.:0.05|,:0.03",
    " answer:0.51| give:0.18| explain:0.14",
    ".:0.96|,:0.02|!:0.006",
)
COIN = (
    ("Heads:0.53|Tails:0.45", ".:0.83|!:0.11"),
    ("Tails:0.45|Heads:0.53", "!:0.12|.:0.79", " Again:0.2| Sorry:0.3", "?:0.9|!:0.06"),
)

OPENAI = "https://platform.openai.com/docs/api-reference/chat"


def openai_request(question: str, **options: Any) -> Json:
    """A chat request with logprobs; an option that is None is left out."""
    body: Json = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": question}],
        "logprobs": True,
        "top_logprobs": 3,
        **options,
    }
    if body.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return {name: value for name, value in body.items() if value is not None}


def _openai(note: str, request: Json, answer: Json | bytes, status: int = 200) -> Exchange:
    tag = hashlib.sha256(note.encode()).hexdigest()[:32]
    return exchange(
        provider="openai",
        source=OPENAI,
        uri="https://api.openai.com/v1/chat/completions",
        note=note,
        request=request,
        answer=answer,
        status=status,
        response_headers={"x-request-id": [f"req_{tag}"]},
    )


def _usage(prompt: int, completion: int) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _openai_whole(name: str, choices: list[Json], usage: Json, **over: Any) -> Json:
    return {
        "id": f"chatcmpl-nxlog-{name}",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": choices,
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_5072756365",
        **over,
    }


def _choice(index: int, records: list[Json], *, refusal: bool = False) -> Json:
    text = text_of(records)
    content = None if refusal else text
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": content,
            "refusal": text if refusal else None,
            "annotations": [],
        },
        "logprobs": {
            "content": None if refusal else records,
            "refusal": records if refusal else None,
        },
        "finish_reason": "stop",
    }


def _openai_stream(name: str, choices: list[Json], usage: Json) -> bytes:
    """The chunks of an answer; the usage chunk has no choices."""
    base: Json = {
        "id": f"chatcmpl-nxlog-{name}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_5072756365",
    }
    chunks: list[Json] = [{"choices": [choice], "usage": None} for choice in choices]
    chunks.append({"choices": [], "usage": usage})
    return data_stream(
        {**base, **chunk, "obfuscation": hashlib.sha256(f"{name}{i}".encode()).hexdigest()[:11]}
        for i, chunk in enumerate(chunks)
    )


def _delta(index: int, delta: Json, logprobs: Json | None, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _deltas(index: int, records: list[Json], *, refusal: bool = False) -> list[Json]:
    """One choice as the deltas that OpenAI streams: role, one token each, end."""
    channel, other = ("refusal", "content") if refusal else ("content", "refusal")
    first: Json = {"role": "assistant", "content": None if refusal else "", "refusal": None}
    if refusal:
        first["refusal"] = ""
    deltas = [_delta(index, first, {channel: [], other: None})]
    deltas += [_delta(index, {channel: record["token"]}, {channel: [record], other: None}) for record in records]
    return [*deltas, _delta(index, {}, None, "stop")]


def _interleave(lanes: list[list[Json]]) -> list[Json]:
    longest = max(len(lane) for lane in lanes)
    return [lane[i] for i in range(longest) for lane in lanes if i < len(lane)]


def openai() -> dict[str, Exchange]:
    """The OpenAI cassettes by name."""
    spruce, refusal = entries(SPRUCE), entries(REFUSAL)
    coins = [entries(rows) for rows in COIN]
    ask = "Name a tree that is green in winter. One sentence, end with an emoji."
    ask_refusal = "How do I open the letters of my neighbor without a trace?"
    ask_coin = "Toss a coin."
    coin_choices = [_choice(i, records) for i, records in enumerate(coins)]
    coin_usage = _usage(10, sum(len(records) for records in coins))
    two = {"n": 2, "temperature": 1, "top_logprobs": 2}
    return {
        "chat_logprobs": _openai(
            "unary, top_logprobs 3",
            openai_request(ask),
            _openai_whole("spruce", [_choice(0, spruce)], _usage(23, len(spruce))),
        ),
        "chat_logprobs_stream": _openai(
            "the answer of chat_logprobs, streamed with include_usage",
            openai_request(ask, stream=True),
            _openai_stream("spruce", _deltas(0, spruce), _usage(23, len(spruce))),
        ),
        "chat_refusal": _openai(
            "unary refusal: the entries are in the refusal channel",
            openai_request(ask_refusal),
            _openai_whole("letters", [_choice(0, refusal, refusal=True)], _usage(19, len(refusal))),
        ),
        "chat_refusal_stream": _openai(
            "the answer of chat_refusal, streamed",
            openai_request(ask_refusal, stream=True),
            _openai_stream("letters", _deltas(0, refusal, refusal=True), _usage(19, len(refusal))),
        ),
        "chat_n2": _openai(
            "two choices of different length",
            openai_request(ask_coin, **two),
            _openai_whole("coin", coin_choices, coin_usage),
        ),
        "chat_n2_stream": _openai(
            "the answers of chat_n2, streamed interleaved",
            openai_request(ask_coin, **two, stream=True),
            _openai_stream("coin", _interleave([_deltas(i, r) for i, r in enumerate(coins)]), coin_usage),
        ),
        **_openai_without_logprobs(),
        **_openai_errors(),
    }


def _openai_without_logprobs() -> dict[str, Exchange]:
    """Logprobs not asked; and fewer alternatives than asked, which the documentation allows."""
    plain: Json = {"logprobs": None, "top_logprobs": None}
    sure = entries(("Yes:0.9999",))
    answer = _choice(0, entries(SPRUCE[:5]))
    answer["logprobs"] = None
    tools = [
        {
            "type": "function",
            "function": {
                "name": "water_level",
                "description": "Water level of a lake, in meters",
                "parameters": {
                    "type": "object",
                    "properties": {"lake": {"type": "string"}},
                    "required": ["lake"],
                },
            },
        }
    ]
    arguments = '{"lake":"Bodensee"}'
    call: Json = {
        "id": "call_nxlog1",
        "type": "function",
        "function": {"name": "water_level", "arguments": arguments},
    }
    calling = _choice(0, [])
    calling["message"] |= {"content": None, "tool_calls": [call]}
    calling |= {"logprobs": None, "finish_reason": "tool_calls"}
    opening = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
    deltas: list[Json] = [
        {"role": "assistant", "content": None, "tool_calls": [opening], "refusal": None},
        *(
            {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
            for part in ('{"', "lake", '":"', "Boden", "see", '"}')
        ),
    ]
    ask_tool = "How high is Lake Constance?"
    return {
        "chat_plain": _openai(
            "logprobs not asked: the key is there and null",
            openai_request("Name a tree.", **plain),
            _openai_whole("plain", [answer], _usage(11, 5)),
        ),
        "chat_fewer_alternatives": _openai(
            "five alternatives asked, one returned",
            openai_request("Is ice frozen water?", model="gpt-5.4-mini", top_logprobs=5),
            _openai_whole("sure", [_choice(0, sure)], _usage(12, 1), model="gpt-5.4-mini"),
        ),
        "chat_tools": _openai(
            "a tool call, logprobs not asked",
            openai_request(ask_tool, tools=tools, **plain),
            _openai_whole("lake", [calling], _usage(52, 14)),
        ),
        "chat_tools_stream": _openai(
            "the answer of chat_tools, streamed",
            openai_request(ask_tool, tools=tools, stream=True, **plain),
            _openai_stream(
                "lake",
                [*(_delta(0, d, None) for d in deltas), _delta(0, {}, None, "tool_calls")],
                _usage(52, 14),
            ),
        ),
    }


def _openai_errors() -> dict[str, Exchange]:
    """Refused requests. The messages are the interface: clients recognize the case by them."""
    ask = "Is the sea salty?"
    cases: dict[str, tuple[Json, int, str, str | None, str | None]] = {
        "err_reasoning_logprobs": (
            openai_request(ask, model="gpt-5.6"),
            400,
            "Unsupported parameter: 'logprobs' is not supported with this model.",
            "logprobs",
            "unsupported_parameter",
        ),
        "err_not_allowed": (
            openai_request(ask, model="gpt-5-mini"),
            403,
            "You are not allowed to request logprobs from this model",
            None,
            None,
        ),
        "err_top_logprobs_gt5": (
            openai_request(ask, model="gpt-5.4-mini", top_logprobs=12),
            400,
            "Invalid value for 'top_logprobs': must be less than or equal to 5.",
            "top_logprobs",
            None,
        ),
        "err_top_without_logprobs": (
            openai_request(ask, logprobs=None),
            400,
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            "top_logprobs",
            None,
        ),
        "err_bad_key": (
            openai_request(ask),
            401,
            "The API key that was sent is not a valid one.",
            None,
            "invalid_api_key",
        ),
        "err_unknown_model": (
            openai_request(ask, model="gpt-none"),
            404,
            "There is no model named gpt-none for this account.",
            None,
            "model_not_found",
        ),
        "err_rate_limit": (
            openai_request(ask),
            429,
            "The limit of requests per minute is reached; send this one again in a second.",
            None,
            "rate_limit_exceeded",
        ),
    }
    return {
        name: _openai(
            f"refused with {status}",
            request,
            {
                "error": {
                    "message": message,
                    "type": "invalid_request_error" if status != 429 else "requests",
                    "param": param,
                    "code": code,
                }
            },
            status,
        )
        for name, (request, status, message, param, code) in cases.items()
    }
