"""Documented exchanges of the Anthropic Messages wire, which has no logprobs at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from documented_parts import exchange, named_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cassette_file import Exchange
    from documented_parts import Json

MESSAGES = "https://docs.anthropic.com/en/api/messages"
STREAMING = "https://docs.anthropic.com/en/docs/build-with-claude/streaming"
MODEL = "claude-sonnet-4-5"

# Blocks of a reply, each with the pieces in which it is streamed.
HAIKU = ("Fog lifts", " from the pond", " —\na heron", " counts its own", " legs 🪶")
THOUGHT = ("Sixteen is four squared", "; four squared is two", " to the fourth.")
POWER = ("Two to the power", " of four.")
LAKE_TEXT = ("I will", " look it up.")
LAKE_INPUT = ("", '{"lake": "Bo', 'densee", ', '"unit": "m"}')
TOOL: Json = {
    "name": "water_level",
    "description": "Water level of a lake",
    "input_schema": {
        "type": "object",
        "properties": {"lake": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["lake"],
    },
}


def _request(question: str, **options: Any) -> Json:
    return {
        "model": MODEL,
        "max_tokens": 2048,
        "messages": [{"role": "user", "content": question}],
        **options,
    }


def _exchange(note: str, request: Json, answer: Json | bytes, status: int = 200) -> Exchange:
    return exchange(
        provider="anthropic",
        source=STREAMING if request.get("stream") else MESSAGES,
        uri="https://api.anthropic.com/v1/messages",
        note=note,
        request=request,
        answer=answer,
        status=status,
        request_headers={"anthropic-version": ["2023-06-01"]},
        response_headers={"request-id": ["req_nxlog0000000000000000001"]},
    )


def _message(name: str, content: list[Json], stop: str | None, usage: Json) -> Json:
    return {
        "id": f"msg_nxlog_{name}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(tokens_in: int, tokens_out: int) -> Json:
    return {
        "input_tokens": tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens_out,
    }


def _block(index: int, start: Json, deltas: Sequence[Json]) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _text_block(index: int, pieces: Sequence[str]) -> list[Json]:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return _block(index, {"type": "text", "text": ""}, deltas)


def _stream(name: str, blocks: list[Json], stop: str, usage: Json) -> bytes:
    """The events of a message; a ping after the first block has started, as documented."""
    first = {**usage, "output_tokens": 1}
    return named_stream(
        [
            {"type": "message_start", "message": _message(name, [], None, first)},
            blocks[0],
            {"type": "ping"},
            *blocks[1:],
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {"output_tokens": usage["output_tokens"]},
            },
            {"type": "message_stop"},
        ]
    )


def anthropic() -> dict[str, Exchange]:
    """The Anthropic cassettes by name."""
    return {**_text(), **_thinking(), **_tools(), **_errors()}


def _text() -> dict[str, Exchange]:
    ask, usage = _request("A haiku about a heron."), _usage(13, 24)
    content: list[Json] = [{"type": "text", "text": "".join(HAIKU)}]
    return {
        "messages": _exchange("text", ask, _message("haiku", content, "end_turn", usage)),
        "messages_stream": _exchange(
            "the answer of messages, streamed",
            {**ask, "stream": True},
            _stream("haiku", _text_block(0, HAIKU), "end_turn", usage),
        ),
    }


def _thinking() -> dict[str, Exchange]:
    usage, signature = _usage(45, 41), "bnhsb2ctc2lnbmF0dXJl"
    ask = _request("Write 16 as a power of two.", thinking={"type": "enabled", "budget_tokens": 1024})
    content: list[Json] = [
        {"type": "thinking", "thinking": "".join(THOUGHT), "signature": signature},
        {"type": "text", "text": "".join(POWER)},
    ]
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in THOUGHT]
    deltas.append({"type": "signature_delta", "signature": signature})
    start: Json = {"type": "thinking", "thinking": "", "signature": ""}
    return {
        "messages_thinking": _exchange("thinking, then text", ask, _message("power", content, "end_turn", usage)),
        "messages_thinking_stream": _exchange(
            "the answer of messages_thinking, streamed",
            {**ask, "stream": True},
            _stream("power", _block(0, start, deltas) + _text_block(1, POWER), "end_turn", usage),
        ),
    }


def _tools() -> dict[str, Exchange]:
    usage = _usage(381, 62)
    ask = _request("How high is Lake Constance?", tools=[TOOL])
    call: Json = {"type": "tool_use", "id": "toolu_nxlog1", "name": "water_level"}
    arguments = {"lake": "Bodensee", "unit": "m"}
    content: list[Json] = [
        {"type": "text", "text": "".join(LAKE_TEXT)},
        {**call, "input": arguments},
    ]
    deltas: list[Json] = [{"type": "input_json_delta", "partial_json": p} for p in LAKE_INPUT]
    blocks = _text_block(0, LAKE_TEXT) + _block(1, {**call, "input": {}}, deltas)
    return {
        "messages_tools": _exchange("text, then a tool call", ask, _message("lake", content, "tool_use", usage)),
        "messages_tools_stream": _exchange(
            "the answer of messages_tools, streamed",
            {**ask, "stream": True},
            _stream("lake", blocks, "tool_use", usage),
        ),
    }


def _errors() -> dict[str, Exchange]:
    ask = _request("Is the sea salty?")

    def error(kind: str, message: str) -> Json:
        return {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": "req_nxlog0000000000000000001",
        }

    broken = named_stream(
        [
            {"type": "message_start", "message": _message("salt", [], None, _usage(12, 1))},
            *_text_block(0, ("Yes, about",))[:2],
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ]
    )
    return {
        "err_extra_inputs": _exchange(
            "logprobs are refused with 400",
            {**ask, "logprobs": True},
            error("invalid_request_error", "logprobs: Extra inputs are not permitted"),
            400,
        ),
        "err_bad_key": _exchange("refused with 401", ask, error("authentication_error", "invalid x-api-key"), 401),
        "err_stream_overloaded": _exchange(
            "an error event in a stream with status 200", {**ask, "stream": True}, broken
        ),
    }
