"""Documented exchanges of DeepSeek, whose reasoning has logprobs in a channel of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from documented_parts import data_stream, entries, exchange, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

CREATED = 1793500000
DEEPSEEK = "https://api-docs.deepseek.com/api/create-chat-completion"

# Every row: the chosen token first.
SPIDER_THOUGHT = (
    "One:0.38|A:0.33",
    " spider:0.97| has:0.01",
    " has:0.94| walks:0.02",
    " eight:0.99| 8:0.007",
    " legs:0.995|,:0.002",
    ";:0.21|,:0.52",
    " \u00d7:0.06| three:0.7",
    "3:0.91|three:0.05",
    " gives:0.44| is:0.4",
    " 24:0.998| 2:0.001",
    ".:0.97|,:0.01",
)
SPIDER_ANSWER = (
    "They:0.36|Three:0.51",
    " have:0.92| share:0.03",
    " 24:0.9| twenty:0.06",
    " legs:0.99|.:0.006",
    ".:0.98|!:0.01",
)


def _deepseek(note: str, request: Json, answer: Json | bytes, status: int = 200) -> Exchange:
    return exchange(
        provider="deepseek",
        source=DEEPSEEK,
        uri="https://api.deepseek.com/chat/completions",
        note=note,
        request=request,
        answer=answer,
        status=status,
    )


def _delta(delta: Json, logprobs: Json | None, finish: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def deepseek() -> dict[str, Exchange]:
    """The DeepSeek cassettes by name: logprobs of the reasoning are a channel of their own."""
    thought, answer = entries(SPIDER_THOUGHT), entries(SPIDER_ANSWER)
    request: Json = {
        "model": "deepseek-v4-flash",
        "messages": [{"role": "user", "content": "How many legs do three spiders have?"}],
        "logprobs": True,
        "top_logprobs": 2,
    }
    base: Json = {"id": "nxlog-spider", "created": CREATED, "model": "deepseek-v4-flash"}
    # The token that ends the thinking is counted, but has no entry.
    completion = len(thought) + len(answer) + 1
    usage: Json = {
        "prompt_tokens": 14,
        "completion_tokens": completion,
        "total_tokens": 14 + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(thought)},
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": 14,
    }
    message = {
        "role": "assistant",
        "content": text_of(answer),
        "reasoning_content": text_of(thought),
    }
    whole: Json = {
        "index": 0,
        "message": message,
        "logprobs": {"content": answer, "reasoning_content": thought},
        "finish_reason": "stop",
    }
    nothing: Json = {"content": None, "reasoning_content": None}
    deltas = [_delta({"role": "assistant", "content": None, "reasoning_content": ""}, None)]
    for channel, records in (("reasoning_content", thought), ("content", answer)):
        deltas += [_delta({**nothing, channel: record["token"]}, {channel: [record]}) for record in records]
    deltas.append(_delta({"content": "", "reasoning_content": None}, None, "stop"))
    fingerprint = {"system_fingerprint": "fp_6172616368"}
    chunks = [
        {
            **base,
            "object": "chat.completion.chunk",
            "choices": [delta],
            "usage": usage if delta["finish_reason"] else None,
            **fingerprint,
        }
        for delta in deltas
    ]
    return {
        "chat_reasoning_logprobs": _deepseek(
            "unary, reasoning and answer in two channels",
            request,
            {
                **base,
                "object": "chat.completion",
                "choices": [whole],
                "usage": usage,
                **fingerprint,
            },
        ),
        "chat_reasoning_logprobs_stream": _deepseek(
            "the answer of chat_reasoning_logprobs, streamed; usage rides the last chunk",
            {**request, "stream": True, "stream_options": {"include_usage": True}},
            data_stream(chunks),
        ),
        "err_top_logprobs_range": _deepseek(
            "refused with 400",
            {**request, "top_logprobs": 21},
            {
                "error": {
                    "message": ("Invalid top_logprobs value, the valid range of top_logprobs is [0, 20]."),
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_request_error",
                }
            },
            400,
        ),
    }
