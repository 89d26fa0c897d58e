"""Documented exchanges of engines on routes of their own: Ollama, TGI, SGLang-JAX; and LM Studio's Responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from documented_openai_like import CREATED, MISSING, QUESTION, ROWS, Host, chat, ignored, without_bytes
from documented_parts import data_stream, dumps, entries, exchange, named_stream, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

OLLAMA_SOURCE = "https://github.com/ollama/ollama/blob/fb3076099"
OLLAMA = "http://localhost:11434"
TGI_SOURCE = "https://github.com/huggingface/text-generation-inference/blob/db931fcf/router/src"
TGI = "http://localhost:8080"
LMSTUDIO = "http://localhost:1234/v1"
SGLANG_JAX = "https://github.com/sgl-project/sglang-jax/pull/13"
CREATED_AT = "2026-11-01T09:30:00.123456789Z"


def cut(top: int) -> list[Json]:
    """The shared answer, with that many alternatives."""
    return [{**record, "top_logprobs": record["top_logprobs"][:top]} for record in entries(ROWS)]


# -- Ollama ----------------------------------------------------------------------------------------------------------


def ollama() -> dict[str, Exchange]:
    """The native route, whose streams are lines of JSON, and the one like OpenAI's."""
    host = Host(
        provider="ollama",
        source=f"{OLLAMA_SOURCE}/openai/openai.go",
        url=f"{OLLAMA}/v1/chat/completions",
        model="gemma3",
        first=MISSING,
        last=MISSING,
    )
    records = cut(2)
    sampled = [{key: value for key, value in record.items() if key != "top_logprobs"} for record in records]
    return {
        **chat(host),
        **_ollama_pair("native_chat", {"logprobs": True, "top_logprobs": 2}, records),
        "native_chat_top0": _ollama("sampled tokens only", {"logprobs": True, "top_logprobs": 0}, _reply(sampled)),
        "err_native_top21": _ollama(
            "refused with 400",
            {"logprobs": True, "top_logprobs": 21},
            {"error": "top_logprobs must be between 0 and 20"},
            status=400,
        ),
    }


def _ollama_pair(name: str, ask: Json, records: list[Json]) -> dict[str, Exchange]:
    lines = [_line(record["token"], [record]) for record in records]
    stream = "".join(f"{dumps(line)}\n" for line in [*lines, _line("", []) | _counts(len(records))]).encode()
    return {
        name: _ollama(f"unary, {ask}", ask, _reply(records)),
        f"{name}_stream": _ollama(f"streamed, {ask}", ask, stream, stream=True),
    }


def _line(text: str, records: list[Json]) -> Json:
    line: Json = {
        "model": "gemma3",
        "created_at": CREATED_AT,
        "message": {"role": "assistant", "content": text},
        "done": False,
    }
    return line | ({"logprobs": records} if records else {})


def _counts(generated: int) -> Json:
    return {
        "done": True,
        "done_reason": "stop",
        "total_duration": 412000000,
        "load_duration": 91000000,
        "prompt_eval_count": 17,
        "prompt_eval_duration": 33000000,
        "eval_count": generated,
        "eval_duration": 270000000,
    }


def _reply(records: list[Json]) -> Json:
    return _line(text_of(records), records) | _counts(len(records))


def _ollama(note: str, ask: Json, answer: Json | bytes, *, stream: bool = False, status: int = 200) -> Exchange:
    body = {"model": "gemma3", "messages": [{"role": "user", "content": QUESTION}], "stream": stream, **ask}
    return exchange(
        provider="ollama",
        source=f"{OLLAMA_SOURCE}/api/types.go",
        uri=f"{OLLAMA}/api/chat",
        note=note,
        request=body,
        answer=answer,
        status=status,
        response_headers={"content-type": ["application/x-ndjson"]} if stream else None,
    )


# -- Text Generation Inference ---------------------------------------------------------------------------------------


def tgi() -> dict[str, Exchange]:
    """The chat route, without bytes, and the native one with its details."""
    host = Host(
        provider="tgi",
        source=f"{TGI_SOURCE}/lib.rs",
        url=f"{TGI}/v1/chat/completions",
        model="tgi",
        served="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        record=without_bytes,
    )
    records = cut(2)
    tokens, tops = [_token(record) for record in records], [_tops(record) for record in records]
    details = {"finish_reason": "eos_token", "generated_tokens": len(tokens), "seed": None}
    parameters: Json = {"details": True, "top_n_tokens": 2}
    events: list[Json] = [
        {"index": i, "token": token, "top_tokens": top, "generated_text": None, "details": None}
        for i, (token, top) in enumerate(zip(tokens, tops, strict=True), 1)
    ]
    events[-1] |= {"generated_text": text_of(records), "details": {**details, "input_length": 17}}
    stream = "".join(f"data:{dumps(event)}\n\n" for event in events).encode()
    prefill = [{"id": 2 + i, "text": text, "logprob": None} for i, text in enumerate(QUESTION.split(" "))]
    whole = {
        "generated_text": text_of(records),
        "details": {**details, "prefill": prefill, "tokens": tokens, "top_tokens": tops},
    }
    range_error = "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 9"
    return {
        **chat(host),
        "generate": _tgi("/generate", f"unary, {parameters}", parameters, whole),
        "generate_stream": _tgi("/generate_stream", f"streamed, {parameters}", parameters, stream),
        "err_generate_top9": _tgi(
            "/generate",
            "refused with 422",
            {"details": True, "top_n_tokens": 9},
            {"error": range_error, "error_type": "validation"},
            status=422,
        ),
    }


def _token(record: Json) -> Json:
    return {
        "id": 100 + sum(record["bytes"]),
        "text": record["token"],
        "logprob": record["logprob"],
        "special": False,
    }


def _tops(record: Json) -> list[Json]:
    return [_token(top) for top in record["top_logprobs"]]


def _tgi(path: str, note: str, parameters: Json, answer: Json | bytes, *, status: int = 200) -> Exchange:
    return exchange(
        provider="tgi",
        source=f"{TGI_SOURCE}/server.rs",
        uri=f"{TGI}{path}",
        note=note,
        request={"inputs": QUESTION, "parameters": parameters},
        answer=answer,
        status=status,
    )


# -- SGLang-JAX ------------------------------------------------------------------------------------------------------


def sglang_jax() -> dict[str, Exchange]:
    """SGLang's native route: triples, and a stream of which every event repeats what came before."""
    records = cut(2)
    ask: Json = {"return_logprob": True, "top_logprobs_num": 2}
    events = [_generated(records[: i + 1], last=i + 1 == len(records)) for i in range(len(records))]
    return {
        "generate": _sglang_jax(f"unary, {ask}", ask, events[-1]),
        "generate_stream": _sglang_jax(f"streamed, {ask}", {**ask, "stream": True}, data_stream(events)),
    }


def _triple(record: Json) -> list[Any]:
    return [record["logprob"], 100 + sum(record["bytes"]), None]


def _generated(records: list[Json], *, last: bool) -> Json:
    triples = [_triple(record) for record in records]
    return {
        "text": text_of(records),
        "output_ids": [triple[1] for triple in triples],
        "meta_info": {
            "id": "nxlog-sglang-jax",
            "finish_reason": {"type": "stop", "matched": 2} if last else None,
            "prompt_tokens": 17,
            "input_token_logprobs": [],
            "output_token_logprobs": triples,
            "input_top_logprobs": [],
            "output_top_logprobs": [[_triple(top) for top in record["top_logprobs"]] for record in records],
            "completion_tokens": len(records),
        },
    }


def _sglang_jax(note: str, ask: Json, answer: Json | bytes) -> Exchange:
    return exchange(
        provider="sglang-jax",
        source=SGLANG_JAX,
        uri="http://localhost:30000/generate",
        note=note,
        request={"text": QUESTION, "sampling_params": {"max_new_tokens": 16}, **ask},
        answer=answer,
    )


# -- LM Studio -------------------------------------------------------------------------------------------------------


def lmstudio() -> dict[str, Exchange]:
    """Responses, whose streams have the records in their deltas alone; on chat the key is there and null."""
    host = Host(
        provider="lmstudio",
        source="https://lmstudio.ai/docs/developer/openai-compat/chat-completions",
        url=f"{LMSTUDIO}/chat/completions",
        model="qwen3-4b",
    )
    records = cut(2)
    ask: Json = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    return {
        **ignored(host),
        "responses_logprobs": _lmstudio(f"unary, {ask}", {**ask, "stream": False}, _response(records, records)),
        "responses_logprobs_stream": _lmstudio(
            f"streamed, {ask}", {**ask, "stream": True}, named_stream(_events(records))
        ),
    }


def _response(records: list[Json], listed: list[Json]) -> Json:
    return {
        "id": "resp_nxlog",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "incomplete_details": None,
        "model": "qwen3-4b",
        "output": [_message("completed", [_text(text_of(records), listed)])] if records else [],
        "error": None,
        "top_logprobs": 2,
        "usage": {"input_tokens": 17, "output_tokens": len(records), "total_tokens": 17 + len(records)},
    }


def _message(status: str, content: list[Json]) -> Json:
    return {"id": "msg_nxlog", "type": "message", "role": "assistant", "status": status, "content": content}


def _text(text: str, records: list[Json]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": records}


def _events(records: list[Json]) -> list[Json]:
    place: Json = {"item_id": "msg_nxlog", "output_index": 0, "content_index": 0}
    item: Json = {"output_index": 0}
    text = text_of(records)
    started = _response([], []) | {"status": "in_progress"}
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", **item, "item": _message("in_progress", [])},
        {"type": "response.content_part.added", **place, "part": _text("", [])},
    ]
    events += [
        {"type": "response.output_text.delta", **place, "delta": record["token"], "logprobs": [record]}
        for record in records
    ]
    events += [
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": _text(text, [])},
        {"type": "response.output_item.done", **item, "item": _message("completed", [_text(text, [])])},
        {"type": "response.completed", "response": _response(records, [])},
    ]
    return [{**event, "sequence_number": i} for i, event in enumerate(events)]


def _lmstudio(note: str, ask: Json, answer: Json | bytes) -> Exchange:
    body = {"model": "qwen3-4b", "input": [{"role": "user", "content": QUESTION}], **ask}
    return exchange(
        provider="lmstudio",
        source="https://lmstudio.ai/blog/openresponses",
        uri=f"{LMSTUDIO}/responses",
        note=note,
        request=body,
        answer=answer,
    )
