"""What a span says of a request and of a reply, in the words of the GenAI semantic conventions."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from nxlog.logprobs import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nxlog.call import Call
    from nxlog.logprobs import TokenLogprob
    from nxlog.response import ChatResponse
    from nxlog.warnings import ParameterWarning

Attributes: TypeAlias = "dict[str, str | bool | int | float | Sequence[str]]"

PROVIDERS = {
    "azure-foundry": "azure.ai.inference",
    "azure-openai": "azure.ai.openai",
    "azure-openai-v1": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock-invoke": "aws.bedrock",
    "bedrock-openai": "aws.bedrock",
    "gemini": "gcp.gemini",
    "gemini-openai": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""The names that the conventions have for providers, where they are not nxlog's ids."""

OPERATIONS = {
    "gemini": "generate_content",
    "llamacpp": "text_completion",
    "openai-completions": "text_completion",
    "sglang-generate": "text_completion",
    "tgi": "text_completion",
    "vllm-generate": "text_completion",
}
"""What is asked of the server, by wire; of the others it is ``chat``."""

_FIELDS = ("max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")

_PORTS = {"http": 80, "https": 443}


def identity(call: Call) -> Attributes:
    """What a call is told by, on its span from the start and on every metric."""
    target, parts = call.target, urlsplit(call.url)
    found: Attributes = {
        "gen_ai.operation.name": OPERATIONS.get(target.wire.name, "chat"),
        "gen_ai.provider.name": PROVIDERS.get(target.provider, target.provider),
        "gen_ai.request.model": call.hide(target.model),
    }
    if parts.hostname is not None:
        found["server.address"] = call.hide(parts.hostname)
        found["server.port"] = parts.port or _PORTS[parts.scheme]
    return found


def of_request(call: Call) -> Attributes:
    """What is sent, and of logprobs what was asked for."""
    sent, asked = call.sent, call.asked
    found: Attributes = {"nxlog.provider": call.target.provider, "nxlog.wire": call.target.wire.name}
    for name in _FIELDS:
        value = getattr(sent, name)
        if value is not None:
            found[f"gen_ai.request.{name}"] = value
    if sent.n not in {None, 1}:
        found["gen_ai.request.choice.count"] = sent.n or 1
    if call.stream:
        found["gen_ai.request.stream"] = True
    if sent.response_format is not None:
        found["gen_ai.output.type"] = "text" if sent.response_format.type == "text" else "json"
    if asked.logprobs is not None:
        found["nxlog.request.logprobs"] = asked.logprobs
    if asked.top_logprobs is not None:
        found["nxlog.request.top_logprobs"] = asked.top_logprobs
    return found


def of_reply(call: Call, reply: ChatResponse) -> Attributes:
    """What came back, without a word of it. What the server words itself is freed of keys."""
    found: Attributes = {"nxlog.warnings": len(reply.warnings)}
    if reply.model:
        found["gen_ai.response.model"] = call.hide(reply.model)
    if reply.id is not None:
        found["gen_ai.response.id"] = call.hide(reply.id)
    reasons = [call.hide(choice.finish_reason) for choice in reply.choices if choice.finish_reason is not None]
    if reasons:
        found["gen_ai.response.finish_reasons"] = reasons
    return found | _usage(reply) | _of_logprobs(reply)


def _usage(reply: ChatResponse) -> Attributes:
    usage = reply.usage
    if usage is None:
        return {}
    counts = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _of_logprobs(reply: ChatResponse) -> Attributes:
    """Counts and the mean over every record of every choice; a mask is no logprob, and is counted apart."""
    records = list(_records(reply))
    values = [
        value for token in records if (value := token.logprob) is not None and isfinite(value) and not token.is_masked
    ]
    masked = sum(token.is_masked for token in records)
    found: Attributes = {"nxlog.logprobs.records": len(records)}
    if masked:
        found["nxlog.logprobs.masked"] = masked
    if missing := len(records) - len(values) - masked:
        found["nxlog.logprobs.missing"] = missing
    if values:
        found["nxlog.logprobs.mean"] = sum(values) / len(values)
    return found


def _records(reply: ChatResponse) -> Iterator[TokenLogprob]:
    for choice in reply.choices:
        if choice.logprobs is not None:
            for name in CHANNELS:
                yield from choice.logprobs.channel(name) or ()


def of_warning(warning: ParameterWarning) -> Attributes:
    """What a warning is about. Its message and values may quote the request, so they are left out."""
    return {
        "nxlog.warning.parameter": warning.parameter,
        "nxlog.warning.code": warning.code.value,
        "nxlog.warning.severity": warning.severity.value,
        "nxlog.warning.source": warning.source.value,
    }
