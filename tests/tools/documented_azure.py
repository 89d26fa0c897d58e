"""Documented exchanges of Azure: OpenAI's wires at its own addresses, with the results of its content filter."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from documented_openai_like import Host, chat, plain, refused
from documented_parts import dumps
from documented_responses import ResponsesHost, responses_logprobs

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

REFERENCE = "https://learn.microsoft.com/en-us/azure/ai-services/openai/reference"
VERSION_1 = "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle"
FOUNDRY = "https://learn.microsoft.com/en-us/rest/api/aifoundry/modelinference/"
RESOURCE = "https://nxlog-example.openai.azure.com"
VERSION = "api-version=2025-04-01-preview"

SAFE: Json = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


def azure() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {"azure-openai": _deployments(), "azure-openai-v1": _version_1(), "azure-foundry": _foundry()}


def _host(provider: str, source: str, url: str, model: str, **more: Any) -> Host:
    first: Json = {"content": [], "refusal": None}
    return Host(provider=provider, source=source, url=url, model=model, refusal=True, first=first, **more)


def _error(message: str, param: str | None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


def _deployments() -> dict[str, Exchange]:
    def at(deployment: str, **more: Any) -> Host:
        url = f"{RESOURCE}/openai/deployments/{deployment}/chat/completions?{VERSION}"
        return _host("azure-openai", REFERENCE, url, deployment, **more)

    served = at("gpt-4o", served="gpt-4o-2024-11-20")
    responses = ResponsesHost(
        provider="azure-openai",
        source=REFERENCE,
        url=f"{RESOURCE}/openai/responses?{VERSION}",
        model="gpt-4o",
        whole={"content_filters": None},
    )
    return {
        **_filtered(chat(served)),
        **_filtered(plain(served)),
        **responses_logprobs(responses),
        **refused(
            at("gpt-35-turbo"),
            _error("Unrecognized request argument supplied: logprobs", None),
            name="err_logprobs_old_version",
        ),
        **refused(
            at("gpt-5.4-mini"),
            _error("Invalid value for 'top_logprobs': must be less than or equal to 5.", "top_logprobs"),
            name="err_top_logprobs_range",
            top_logprobs=12,
        ),
    }


def _version_1() -> dict[str, Exchange]:
    base = f"{RESOURCE}/openai/v1"
    host = _host(
        "azure-openai-v1", VERSION_1, f"{base}/chat/completions", "gpt-4.1-mini", served="gpt-4.1-mini-2025-04-14"
    )
    responses = ResponsesHost(
        provider="azure-openai-v1",
        source=VERSION_1,
        url=f"{base}/responses",
        model="gpt-4.1-mini",
        whole={"content_filters": None},
    )
    return {**_filtered(chat(host)), **responses_logprobs(responses)}


def _foundry() -> dict[str, Exchange]:
    url = "https://nxlog-example.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
    host = Host(
        provider="azure-foundry",
        source=FOUNDRY,
        url=url,
        model="Llama-4-Maverick-17B-128E-Instruct-FP8",
        request_headers={"extra-parameters": ["pass-through"]},
    )
    return plain(host)


def _filtered(cassettes: dict[str, Exchange]) -> dict[str, Exchange]:
    """The same exchanges with what the content filter found."""
    return {
        name: dataclasses.replace(one, response_body=_with_filter(one.response_body)) for name, one in cassettes.items()
    }


def _with_filter(body: bytes) -> bytes:
    prompt = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}]}
    if not body.startswith(b"data:"):
        return dumps(_judged(json.loads(body)) | prompt).encode()
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    # The first chunk is about the prompt: it has no choice, and nothing of the reply's own.
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", **prompt}
    chunks = [dumps(first), *(line if line == "[DONE]" else dumps(_judged(json.loads(line))) for line in lines)]
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def _judged(reply: Json) -> Json:
    def found(choice: Json) -> Json:
        said: Json = choice.get("message") or choice.get("delta") or {}
        return SAFE if said.get("content") else {}

    return {**reply, "choices": [{**choice, "content_filter_results": found(choice)} for choice in reply["choices"]]}
