"""Documented exchanges of the hosts of other people's models, each in the shape of its own pages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from documented_columns import Columns, columns
from documented_completions import openai_completions
from documented_openai_like import MISSING, Host, chat, ignored, plain, refused, without_bytes
from documented_parts import data_stream, dumps, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cassette_file import Exchange
    from documented_parts import Json

THOUGHT = (
    "Iron:0.7|Density:0.2",
    " is:0.83| weighs:0.09",
    " lighter:0.92| less:0.05",
    ".:0.61|,:0.3",
)
"""What is thought before the answer; every row: the chosen token first."""


def hosts() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {
        "groq": _groq(),
        "together": _together(),
        "fireworks": _fireworks(),
        "openrouter": _openrouter(),
        "cerebras": _cerebras(),
        "huggingface": _huggingface(),
        "deepinfra": _deepinfra(),
        "novita": _novita(),
        **_whole_only(),
        **_without_logprobs(),
    }


def _groq() -> dict[str, Exchange]:
    host = Host(
        provider="groq",
        source="https://github.com/groq/groq-python/blob/e55da1af740300565a6f4547ec06e0452ef00e3e/src/groq/types/chat/"
        "completion_create_params.py",
        url="https://api.groq.com/openai/v1/chat/completions",
        model="llama-3.3-70b-versatile",
        whole={"system_fingerprint": "fp_6e78677271", "x_groq": {"id": "req_nxlog0groq"}},
    )
    error = {"message": "`logprobs` is not supported with this model", "type": "invalid_request_error"}
    return {
        **plain(host),
        **refused(host, {"error": error}),
        **refused(host, {"error": error}, name="err_logprobs_stream", stream=True),
    }


def _together() -> dict[str, Exchange]:
    base = "https://api.together.xyz/v1"
    old = Columns(
        provider="together",
        source="https://docs.together.ai/docs/logprobs",
        base=base,
        model="codellama/CodeLlama-70b-Instruct-hf",
    )
    host = Host(
        provider="together",
        source="https://docs.together.ai/docs/inference/chat/logprobs",
        url=f"{base}/chat/completions",
        model="Qwen/Qwen3.5-9B",
        ask={"logprobs": 1},
        top=1,
    )
    records = chat(host)["chat_logprobs"]
    return {
        "chat_logprobs": replace(records, metadata={**records.metadata, "wire": "together-columns"}),
        **old.chat(columns(ids=True)),
        **old.numbers(),
        **old.completions(),
    }


# -- Fireworks -------------------------------------------------------------------------------------------------------


def _fireworks() -> dict[str, Exchange]:
    source = (
        "https://github.com/fw-ai-external/python-sdk/blob/ffffdf47ec72c52608ffbbfb3dc7451a45e335c2/src/fireworks/"
        "types/chat/completion_create_params.py"
    )
    base, model = "https://api.fireworks.ai/inference/v1", "accounts/fireworks/models/deepseek-v3p1"
    host = Host(
        provider="fireworks", source=source, url=f"{base}/chat/completions", model=model, first=MISSING, last=MISSING
    )
    pair = chat(host)
    whole = json.loads(pair["chat_logprobs"].response_body)
    _number(whole["choices"][0]["logprobs"]["content"])
    chunks = _events(pair["chat_logprobs_stream"])
    _number([record for chunk in chunks for record in _records(chunk)])
    number = Columns(provider="fireworks", source=source, base=base, model=model)
    return {
        "chat_logprobs": replace(pair["chat_logprobs"], response_body=dumps(whole).encode()),
        "chat_logprobs_stream": _streaming(pair["chat_logprobs_stream"], _in_pairs(chunks)),
        **number.chat(columns(top=True, ids=True, offsets=True)),
        **openai_completions("fireworks", url=f"{base}/completions", source=source, model=model),
    }


def _number(records: Iterable[Json]) -> None:
    """Gives the records what only Fireworks has."""
    offset = 0
    for record in records:
        token_id = 1000 + sum(record["bytes"])
        record |= {"sampling_logprob": record["logprob"], "text_offset": offset, "token_id": token_id}
        for other in record["top_logprobs"]:
            other["token_id"] = 1000 + sum(other["bytes"])
        offset += len(record["token"])


def _in_pairs(chunks: list[Json]) -> list[Json]:
    """The same answer with two tokens in a chunk."""
    found: list[Json] = []
    for chunk in chunks:
        before = found[-1] if found else {}
        if len(_records(before)) == 1 and _records(chunk):
            before["choices"][0]["delta"]["content"] += chunk["choices"][0]["delta"]["content"]
            before["choices"][0]["logprobs"]["content"] += _records(chunk)
        else:
            found.append(chunk)
    return found


def _records(chunk: Json) -> list[Json]:
    logprobs = [choice.get("logprobs") for choice in chunk.get("choices", ())]
    return [record for part in logprobs if part for record in part["content"]]


def _events(exchanged: Exchange) -> list[Json]:
    lines = exchanged.response_body.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def _streaming(exchanged: Exchange, events: Iterable[Json], *, before: bytes = b"") -> Exchange:
    return replace(exchanged, response_body=before + data_stream(events))


# -- OpenRouter ------------------------------------------------------------------------------------------------------


def _openrouter() -> dict[str, Exchange]:
    host = Host(
        provider="openrouter",
        source="https://openrouter.ai/docs/api/reference/parameters",
        url="https://openrouter.ai/api/v1/chat/completions",
        model="openai/gpt-4o-mini",
        refusal=True,
        whole={"provider": "OpenAI"},
        first=MISSING,
        last=MISSING,
        usage_chunk=False,
    )
    pair = chat(host)
    chunks = _events(pair["chat_logprobs_stream"])
    # The end comes twice, the second time with the counts.
    last = {key: value for key, value in chunks[-1].items() if key != "usage"}
    return {
        **pair,
        "chat_logprobs_stream": _streaming(
            pair["chat_logprobs_stream"], [*chunks[:-1], last, chunks[-1]], before=b": OPENROUTER PROCESSING\n\n"
        ),
        **ignored(replace(host, model="meta-llama/llama-3.1-405b", whole={"provider": "Elsewhere"}), "chat_dropped"),
    }


# -- Cerebras --------------------------------------------------------------------------------------------------------


def _cerebras() -> dict[str, Exchange]:
    host = Host(
        provider="cerebras",
        source="https://inference-docs.cerebras.ai/api-reference/chat-completions",
        url="https://api.cerebras.ai/v1/chat/completions",
        model="gpt-oss-120b",
        whole={"system_fingerprint": "fp_6e786c6f67", "time_info": {"queue_time": 0.0001, "total_time": 0.02}},
        first=MISSING,
        last=MISSING,
    )
    answer, thought = chat(host), chat(host, rows=THOUGHT)
    whole, streamed = "chat_logprobs", "chat_logprobs_stream"
    return {
        "chat_reasoning_logprobs": _with_thought(answer[whole], thought[whole]),
        "chat_reasoning_logprobs_stream": _thought_first(answer[streamed], thought[streamed]),
        **answer,
        **openai_completions(
            "cerebras",
            url="https://api.cerebras.ai/v1/completions",
            source="https://inference-docs.cerebras.ai/api-reference/completions",
            model="llama3.1-8b",
        ),
    }


def _with_thought(answer: Exchange, thought: Exchange) -> Exchange:
    body, other = json.loads(answer.response_body), json.loads(thought.response_body)
    choice, logprobs = body["choices"][0], other["choices"][0]["logprobs"]
    choice["message"]["reasoning"] = text_of(logprobs["content"])
    choice["reasoning_logprobs"] = logprobs
    body["usage"] = _sum(body["usage"], other["usage"])
    return replace(answer, response_body=dumps(body).encode())


def _thought_first(answer: Exchange, thought: Exchange) -> Exchange:
    chunks, before = _events(answer), _events(thought)
    for chunk in before[1:-2]:
        (choice,) = chunk["choices"]
        choice["delta"] = {"reasoning": choice["delta"]["content"]}
        choice["reasoning_logprobs"] = choice.pop("logprobs")
    chunks[-1]["usage"] = _sum(chunks[-1]["usage"], before[-1]["usage"])
    return _streaming(answer, [*before[:-2], *chunks[1:]])


def _sum(usage: Json, more: Json) -> Json:
    completion = usage["completion_tokens"] + more["completion_tokens"]
    return usage | {"completion_tokens": completion, "total_tokens": usage["prompt_tokens"] + completion}


# -- hosts without an accent -----------------------------------------------------------------------------------------


def _huggingface() -> dict[str, Exchange]:
    return chat(
        Host(
            provider="huggingface",
            source="https://github.com/huggingface/huggingface_hub/blob/08d3f656f653f3c425d134bc6cec10ed8479cfd3/src/"
            "huggingface_hub/inference/_generated/types/chat_completion.py",
            url="https://router.huggingface.co/v1/chat/completions",
            model="openai/gpt-oss-120b:cerebras",
            record=without_bytes,
            first=MISSING,
            last=MISSING,
            whole={"system_fingerprint": "fp_6e78686600"},
        )
    )


def _deepinfra() -> dict[str, Exchange]:
    return chat(
        Host(
            provider="deepinfra",
            source="https://docs.deepinfra.com/chat/log-probs",
            url="https://api.deepinfra.com/v1/openai/chat/completions",
            model="deepseek-ai/DeepSeek-V3",
            record=without_bytes,
        )
    )


def _novita() -> dict[str, Exchange]:
    base, model = "https://api.novita.ai/openai/v1", "meta-llama/llama-3.1-8b-instruct"
    source = "https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion"
    host = Host(
        provider="novita",
        source=source,
        url=f"{base}/chat/completions",
        model=model,
        ask={},
        first=MISSING,
        last=MISSING,
    )
    completions = openai_completions(
        "novita", url=f"{base}/completions", source=source.replace("-chat", ""), model=model
    )
    # Columns are documented for whole replies.
    return {**plain(host, value=MISSING), "completions_logprobs": completions["completions_logprobs"]}


WHOLE_ONLY = (
    (
        "sambanova",
        "https://docs.sambanova.ai/docs/api-reference/chat-completions/create-chat-based-completion",
        "https://api.sambanova.ai/v1",
        "gpt-oss-120b",
    ),
    (
        "baseten",
        "https://docs.baseten.co/reference/inference-api/chat-completions",
        "https://inference.baseten.co/v1",
        "deepseek-ai/DeepSeek-V3.1",
    ),
    (
        "venice",
        "https://docs.venice.ai/api-reference/endpoint/chat/completions",
        "https://api.venice.ai/api/v1",
        "venice-uncensored",
    ),
    (
        "anyscale",
        "https://docs.anyscale.com/endpoints/text-generation/logprobs",
        "https://api.endpoints.anyscale.com/v1",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
    ),
)
"""Hosts whose pages say nothing of log-probabilities in streams."""


def _whole_only() -> dict[str, dict[str, Exchange]]:
    found: dict[str, dict[str, Exchange]] = {}
    for provider, source, base, model in WHOLE_ONLY:
        host = Host(provider=provider, source=source, url=f"{base}/chat/completions", model=model)
        found[provider] = {"chat_logprobs": chat(host)["chat_logprobs"], **plain(host)}
    return found


WITHOUT = (
    (
        "nvidia-nim",
        "https://docs.nvidia.com/nim/large-language-models/2.0.0/reference/api-reference.html",
        "https://integrate.api.nvidia.com/v1",
        "meta/llama-3.1-8b-instruct",
    ),
    (
        "nebius",
        "https://docs.tokenfactory.nebius.com/api-reference/examples/text-generation.md",
        "https://api.tokenfactory.nebius.com/v1",
        "meta-llama/Meta-Llama-3.1-70B-Instruct",
    ),
    (
        "siliconflow",
        "https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
        "https://api.siliconflow.com/v1",
        "Qwen/Qwen3-8B",
    ),
    (
        "hyperbolic",
        "https://docs.hyperbolic.ai/inference/text-apis",
        "https://api.hyperbolic.xyz/v1",
        "deepseek-ai/DeepSeek-R1",
    ),
    ("lambda", "https://lambda.ai/inference", "https://api.lambda.ai/v1", "llama-4-maverick-17b-128e-instruct-fp8"),
    (
        "lepton",
        "https://docs.nvidia.com/dgx-cloud/lepton/features/endpoints/configurations",
        "https://an-endpoint.example/v1",
        "llama3-1-8b",
    ),
    (
        "replicate",
        "https://replicate.com/docs/reference/http",
        "https://api.replicate.com/v1",
        "meta/meta-llama-3-70b-instruct",
    ),
)
"""Hosts of whose log-probabilities nothing is known; the shape of their replies is OpenAI's without them."""


def _without_logprobs() -> dict[str, dict[str, Exchange]]:
    return {
        provider: plain(
            Host(
                provider=provider,
                source=source,
                url=f"{base}/chat/completions",
                model=model,
                ask={},
                first=MISSING,
                last=MISSING,
            ),
            value=MISSING,
        )
        for provider, source, base, model in WITHOUT
    }
