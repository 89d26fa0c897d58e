"""Documented exchanges of labs that serve their own models, most of them over OpenAI's wires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from documented_cohere import cohere
from documented_completions import openai_completions
from documented_openai_like import MISSING, Host, chat, ignored, plain, refused
from documented_responses import INCLUDE, ResponsesHost, responses_logprobs, responses_plain, responses_refused

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

XAI = "https://docs.x.ai/docs/api-reference"
QWEN = "https://www.alibabacloud.com/help/en/model-studio/qwen-api-reference"
SONAR = "https://docs.perplexity.ai/api-reference/chat-completions-post"


def labs() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {
        "openai": _openai_other_wires(),
        "deepseek": _deepseek_responses(),
        "cohere": cohere(),
        "mistral": _mistral(),
        "xai": _xai(),
        "dashscope": _dashscope(),
        "zai": _zai(),
        "perplexity": _perplexity(),
        "writer": _writer(),
        "meta": _meta(),
        **_without_logprobs(),
    }


def _openai_other_wires() -> dict[str, Exchange]:
    def host(model: str) -> ResponsesHost:
        return ResponsesHost(
            provider="openai",
            source="https://platform.openai.com/docs/api-reference/responses",
            url="https://api.openai.com/v1/responses",
            model=model,
            served=f"{model}-2024-07-18" if model == "gpt-4o-mini" else None,
        )

    answer: Json = {
        "error": {
            "message": "logprobs are not supported with reasoning models.",
            "type": "invalid_request_error",
            "param": "include",
            "code": "unsupported_parameter",
        }
    }
    return {
        **openai_completions(),
        **responses_logprobs(host("gpt-4o-mini")),
        **responses_plain(host("gpt-4o-mini")),
        # Alternatives alone ask for nothing: the list stays empty, without an error.
        **responses_plain(host("gpt-4o-mini"), "responses_top_alone", top_logprobs=2),
        **responses_refused(host("gpt-5-nano"), answer, "err_responses_reasoning", include=[INCLUDE], top_logprobs=2),
    }


def _deepseek_responses() -> dict[str, Exchange]:
    host = ResponsesHost(
        provider="deepseek",
        source="https://api-docs.deepseek.com",
        url="https://api.deepseek.com/responses",
        model="deepseek-v4-flash",
    )
    return responses_plain(host)


def _mistral() -> dict[str, Exchange]:
    host = Host(
        provider="mistral",
        source="https://docs.mistral.ai/api/endpoint/chat",
        url="https://api.mistral.ai/v1/chat/completions",
        model="mistral-small-latest",
        usage_chunk=False,
        stream_options=False,
        first=MISSING,
        last=MISSING,
    )
    answer: Json = {
        "object": "error",
        "message": "Logprobs are not enabled for this model",
        "type": "invalid_request_invalid_args",
        "param": None,
        "code": "3051",
        "raw_status_code": 400,
    }
    return {
        **plain(host, value=MISSING),
        **refused(host, answer),
        **refused(host, answer, name="err_logprobs_stream", stream=True),
    }


def _xai() -> dict[str, Exchange]:
    host = Host(
        provider="xai",
        source=XAI,
        url="https://api.x.ai/v1/chat/completions",
        model="grok-4.3",
        whole={"system_fingerprint": "fp_6e786c6f67"},
        first=MISSING,
        last=MISSING,
    )
    responses = ResponsesHost(provider="xai", source=XAI, url="https://api.x.ai/v1/responses", model="grok-4.3")
    return {**chat(host), **plain(host, value=MISSING), **responses_plain(responses)}


def _dashscope() -> dict[str, Exchange]:
    host = Host(
        provider="dashscope",
        source=QWEN,
        url="https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        model="qwen-plus-2025-07-28",
    )
    answer: Json = {
        "error": {
            "code": "invalid_parameter_error",
            "param": None,
            "message": "Range of top_logprobs should be [0, 5]",
            "type": "invalid_request_error",
        },
        "id": "chatcmpl-nxlog",
    }
    return {**chat(host), **plain(host), **refused(host, answer, name="err_top_logprobs_range", top_logprobs=20)}


def _zai() -> dict[str, Exchange]:
    host = Host(
        provider="zai",
        source="https://docs.z.ai/api-reference/llm/chat-completion",
        url="https://api.z.ai/api/paas/v4/chat/completions",
        model="glm-4.5-air",
        whole={"request_id": "nxlog-zai"},
        usage_chunk=False,
        stream_options=False,
        first=MISSING,
        last=MISSING,
    )
    return {**plain(host, value=MISSING), **ignored(host, value=MISSING)}


def _perplexity() -> dict[str, Exchange]:
    host = Host(
        provider="perplexity",
        source=SONAR,
        url="https://api.perplexity.ai/chat/completions",
        model="sonar",
        whole={"citations": [], "search_results": []},
        usage_chunk=False,
        stream_options=False,
        first=MISSING,
        last=MISSING,
    )
    return {**plain(host, value=MISSING), **ignored(host, value=MISSING)}


def _writer() -> dict[str, Exchange]:
    """There are no alternatives; the lists for them are empty."""
    host = Host(
        provider="writer",
        source="https://dev.writer.com/api-reference/completion-api/chat-completion",
        url="https://api.writer.com/v1/chat",
        model="palmyra-x5",
        ask={"logprobs": True},
        top=0,
        refusal=True,
    )
    return {**chat(host), **plain(host)}


def _meta() -> dict[str, Exchange]:
    docs, base, model = "https://dev.meta.ai/docs/api-reference", "https://api.meta.ai/v1", "muse-spark-1.3"
    host = Host(provider="meta", source=docs, url=f"{base}/chat/completions", model=model)
    responses = ResponsesHost(provider="meta", source=docs, url=f"{base}/responses", model=model)
    return {**plain(host), **responses_plain(responses)}


def _without_logprobs() -> dict[str, dict[str, Exchange]]:
    """Those of which nothing is known, and those whose API has no such field."""
    hosts = [
        Host(
            provider="moonshot",
            source="https://platform.kimi.ai/docs/api/chat",
            url="https://api.moonshot.ai/v1/chat/completions",
            model="moonshot-v1-8k",
            first=MISSING,
            last=MISSING,
        ),
        Host(
            provider="minimax",
            source="https://platform.minimax.io/docs/api-reference/text-openai-api",
            url="https://api.minimax.io/v1/chat/completions",
            model="MiniMax-M2.7",
            whole={"base_resp": {"status_code": 0, "status_msg": ""}},
            first=MISSING,
            last=MISSING,
        ),
        Host(
            provider="qianfan",
            source="https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Fm2vrveyu",
            url="https://qianfan.baidubce.com/v2/chat/completions",
            model="ernie-3.5-8k",
            first=MISSING,
            last=MISSING,
        ),
        Host(
            provider="reka",
            source="https://docs.reka.ai",
            url="https://api.reka.ai/v1/chat/completions",
            model="reka-flash",
            usage_chunk=False,
            stream_options=False,
            first=MISSING,
            last=MISSING,
        ),
        Host(
            provider="ai21",
            source="https://docs.ai21.com/reference/jamba-1-6-api-ref",
            url="https://api.ai21.com/studio/v1/chat/completions",
            model="jamba-large",
            usage_chunk=False,
            stream_options=False,
            first=MISSING,
            last=MISSING,
        ),
    ]
    return {host.provider: plain(host, value=MISSING) for host in hosts}
