"""Documented exchanges of Google: Gemini's own wire at AI Studio and Vertex AI, and its endpoint for OpenAI's wire."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from documented_openai_like import Host, plain, refused
from documented_parts import dumps, entries, exchange, text_of

if TYPE_CHECKING:
    from cassette_file import Exchange
    from documented_parts import Json

AI_STUDIO = "https://ai.google.dev/api/generate-content"
VERTEX = "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference"
COMPATIBLE = "https://ai.google.dev/gemini-api/docs/openai"
VERTEX_URL = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/nxlog-example/locations/us-central1/publishers/google"
)
QUESTION = "Which is heavier, a liter of oil or a liter of water? One short sentence."

# Every row: the chosen token first. The third one is not among the two likeliest.
OIL = (
    "A:0.64|Water:0.31|The:0.03",
    " liter:0.93| litre:0.05| full:0.01",
    " filled:0.02| of:0.93| that:0.03",
    " with:0.9999| by:0.00004| up:0.00001",
    " water:0.97| oil:0.02| Wasser:0.004",
    " weighs:0.41| is:0.55| has:0.02",
    " more:0.99| about:0.006| a:0.001",
    " 💧:0.06|.:0.91|,:0.02",
)


def google() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {"gemini": _ai_studio(), "vertex": _vertex(), "gemini-openai": _compatible()}


def _exchange(provider: str, model: str, note: str, request: Json, answer: Json | bytes, status: int = 200) -> Exchange:
    vertex = provider == "vertex"
    base = VERTEX_URL if vertex else "https://generativelanguage.googleapis.com/v1beta"
    verb = "streamGenerateContent?alt=sse" if isinstance(answer, bytes) else "generateContent"
    return exchange(
        provider=provider,
        source=VERTEX if vertex else AI_STUDIO,
        uri=f"{base}/models/{model}:{verb}",
        note=note,
        request=request,
        answer=answer,
        status=status,
    )


def _request(**config: Any) -> Json:
    body: Json = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
    return body | ({"generationConfig": config} if config else {})


def _candidate(record: Json) -> Json:
    # The ids are made up; of the numbers only that the same text has the same one.
    token = record["token"]
    return {
        "token": token,
        "tokenId": zlib.crc32(token.encode()) % 256_000,
        "logProbability": record["logprob"],
    }


def _result(records: list[Json], top: int | None) -> Json:
    chosen = {"chosenCandidates": [_candidate(record) for record in records]}
    if top is None:
        return chosen
    lists = [{"candidates": [_candidate(other) for other in record["top_logprobs"][:top]]} for record in records]
    return {"topCandidates": lists, **chosen}


def _reply(model: str, records: list[Json], **more: Any) -> Json:
    thoughts = 31
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": text_of(records)}]},
                "finishReason": "STOP",
                "index": 0,
                **more,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": len(records),
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": 20 + len(records) + thoughts,
        },
        "modelVersion": model,
        "responseId": "nxlogOilAndWater",
    }


def _stream(model: str, records: list[Json]) -> bytes:
    """Each event is a reply with the next piece of text; the last one ends and counts."""
    pieces = [records[:3], records[3:5], records[5:]]
    events: list[Json] = []
    for piece in pieces[:-1]:
        event = _reply(model, piece)
        del event["candidates"][0]["finishReason"], event["usageMetadata"]
        events.append(event)
    last = _reply(model, pieces[-1])
    last["usageMetadata"] = _reply(model, records)["usageMetadata"]
    return "".join(f"data: {dumps(event)}\r\n\r\n" for event in [*events, last]).encode()


def _error(code: int, message: str, status: str) -> Json:
    return {"error": {"code": code, "message": message, "status": status}}


def _plain(provider: str, model: str, **more: Any) -> dict[str, Exchange]:
    records = entries(OIL)
    return {
        "generate_plain": _exchange(
            provider, model, "whole, nothing asked", _request(), _reply(model, records, **more)
        ),
        "generate_plain_stream": _exchange(
            provider, model, "the answer of generate_plain, streamed", _request(), _stream(model, records)
        ),
    }


def _ai_studio() -> dict[str, Exchange]:
    old = "gemini-1.5-flash-002"
    asked = _request(responseLogprobs=True, logprobs=2)
    refusal = _error(400, "Logprobs is not enabled for models/gemini-2.5-pro", "INVALID_ARGUMENT")
    older = _error(400, "Logprobs is not supported for the current model.", "INVALID_ARGUMENT")
    return {
        **_plain("gemini", "gemini-2.5-flash"),
        "err_logprobs": _exchange("gemini", "gemini-2.5-pro", "refused with 400", asked, refusal, 400),
        "err_logprobs_older": _exchange("gemini", old, "refused with 400, in older words", asked, older, 400),
    }


def _vertex() -> dict[str, Exchange]:
    model, records = "gemini-2.5-flash", entries(OIL)
    mean = -4.0625  # of the thinking too, so it is not the mean of the entries
    asked, bare = _request(responseLogprobs=True, logprobs=2), _request(responseLogprobs=True)
    unable = "Unable to submit request because Logprobs is not supported for this model."
    return {
        **_plain("vertex", model, avgLogprobs=mean),
        "generate_logprobs": _exchange(
            "vertex",
            model,
            "whole, two candidates each; the sampled one may be missing from them",
            asked,
            _reply(model, records, avgLogprobs=mean, logprobsResult=_result(records, 2)),
        ),
        "generate_logprobs_only": _exchange(
            "vertex",
            model,
            "whole, no candidates asked",
            bare,
            _reply(model, records, avgLogprobs=mean, logprobsResult=_result(records, None)),
        ),
        "err_logprobs": _exchange(
            "vertex", "gemini-3.5-flash", "refused with 400", asked, _error(400, unable, "INVALID_ARGUMENT"), 400
        ),
        "err_missing_results": _exchange(
            "vertex",
            model,
            "the server lost them: 500",
            asked,
            _error(500, "Missing Logprobs results.", "INTERNAL"),
            500,
        ),
    }


def _compatible() -> dict[str, Exchange]:
    host = Host(
        provider="gemini-openai",
        source=COMPATIBLE,
        url="https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        model="gemini-2.5-flash",
    )
    message = 'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.'
    answer = _error(400, message, "INVALID_ARGUMENT")
    return {**plain(host), **refused(host, answer)}
