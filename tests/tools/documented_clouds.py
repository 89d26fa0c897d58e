"""Documented exchanges of the clouds: Bedrock over three routes, watsonx, Databricks, and the rest without logprobs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from documented_eventstream import frames
from documented_openai_like import MISSING, QUESTION, ROWS, Host, chat, ignored, plain
from documented_parts import dumps, entries, exchange

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"
IMPORTED = "arn:aws:bedrock:us-east-1:111122223333:imported-model/nxlog0model"
ANSWER = [record["token"] for record in entries(ROWS)]


def clouds() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {
        "bedrock": _bedrock(),
        "bedrock-openai": _bedrock_openai(),
        "bedrock-invoke": _bedrock_invoke(),
        "watsonx": _watsonx(),
        "databricks": _databricks(),
        **_without_logprobs(),
    }


def _bedrock() -> dict[str, Exchange]:
    model = quote("anthropic.claude-sonnet-4-5-20250929-v1:0", safe="")
    request: Json = {
        "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.5},
    }
    usage: Json = {"inputTokens": 17, "outputTokens": len(ANSWER), "totalTokens": 17 + len(ANSWER)}
    whole: Json = {
        "output": {"message": {"role": "assistant", "content": [{"text": "".join(ANSWER)}]}},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 412},
    }
    events: list[tuple[str, Json]] = [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in ANSWER),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 412}}),
    ]

    def made(route: str, note: str, answer: Json | bytes) -> Exchange:
        return exchange(
            provider="bedrock",
            source=f"https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_{route}.html",
            uri=f"{BEDROCK}/model/{model}/{'converse' if route == 'Converse' else 'converse-stream'}",
            note=note,
            request=request,
            answer=answer,
        )

    return {
        "converse": made("Converse", "unary", whole),
        "converse_stream": replace(
            made("ConverseStream", "streamed in binary frames", frames(events)),
            response_headers={"content-type": ["application/vnd.amazon.eventstream"]},
        ),
    }


def _bedrock_openai() -> dict[str, Exchange]:
    return chat(
        Host(
            provider="bedrock-openai",
            source="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
            url=f"{BEDROCK}/openai/v1/chat/completions",
            model="openai.gpt-oss-20b-1:0",
            last=MISSING,
        )
    )


def _bedrock_invoke() -> dict[str, Exchange]:
    host = Host(
        provider="bedrock-invoke",
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/custom-model-import-advanced-features.html",
        url=f"{BEDROCK}/model/{quote(IMPORTED, safe='')}/invoke",
        model=IMPORTED,
    )
    # Streams have a route of their own, in frames that nxlog does not read.
    return {"chat_logprobs": chat(host)["chat_logprobs"], "chat_plain": plain(host)["chat_plain"]}


def _watsonx() -> dict[str, Exchange]:
    host = Host(
        provider="watsonx",
        source="https://ibm.github.io/watsonx-ai-node-sdk/interfaces/1_7_x.WatsonXAI.DeploymentsTextChatStreamParams.html",
        url="https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-10-08",
        model="meta-llama/llama-3-3-70b-instruct",
        whole={"model_id": "meta-llama/llama-3-3-70b-instruct"},
        usage_chunk=False,
        stream_options=False,
    )
    dropped = ignored(host, "chat_logprobs_dropped")
    pairs = {
        "chat_logprobs": chat(host)["chat_logprobs"],
        "chat_logprobs_dropped_stream": dropped["chat_logprobs_dropped_stream"],
        **plain(host),
    }
    return {name: _in_watsonx_words(made) for name, made in pairs.items()}


def _in_watsonx_words(made: Exchange) -> Exchange:
    """The model and the project go by names of their own, and the address alone asks for a stream."""
    body: Json = {"model_id": "", **json.loads(made.request_body)}
    streamed = bool(body.pop("stream", False))
    body["model_id"] = body.pop("model")
    body["project_id"] = "6e786c6f-0000-4000-8000-70726f6a6563"
    uri = made.uri.replace("/text/chat?", "/text/chat_stream?") if streamed else made.uri
    return replace(made, uri=uri, request_body=dumps(body))


def _databricks() -> dict[str, Exchange]:
    host = Host(
        provider="databricks",
        source="https://docs.databricks.com/machine-learning/foundation-model-apis/"
        "deploy-prov-throughput-foundation-model-apis.html",
        url="https://adb-1234567890123456.7.azuredatabricks.net/serving-endpoints/chat/completions",
        model="an-endpoint-with-provisioned-throughput",
    )
    return {"chat_logprobs": chat(host)["chat_logprobs"], **plain(host)}


WITHOUT = (
    (
        "oci",
        "https://docs.oracle.com/en-us/iaas/Content/generative-ai/openai-compatible-api.htm",
        "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/openai/v1",
        "openai.gpt-oss-120b",
    ),
    (
        "cloudflare",
        "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        "https://api.cloudflare.com/client/v4/accounts/0123456789abcdef0123456789abcdef/ai/v1",
        "@cf/meta/llama-3.1-8b-instruct",
    ),
    (
        "vercel-gateway",
        "https://vercel.com/docs/ai-gateway/openai-compat",
        "https://ai-gateway.vercel.sh/v1",
        "anthropic/claude-sonnet-4",
    ),
    (
        "github-models",
        "https://docs.github.com/en/rest/models/inference",
        "https://models.github.ai/inference",
        "openai/gpt-4.1",
    ),
)
"""Clouds and gateways whose published schema has no log-probabilities."""


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
