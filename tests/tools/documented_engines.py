"""Documented exchanges of engines and gateways that speak OpenAI's chat wire, as their source code makes them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from documented_native import lmstudio, ollama, sglang_jax, tgi
from documented_openai_like import MISSING, Host, chat, ignored, plain, refused
from documented_parts import data_stream, dumps, exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from cassette_file import Exchange
    from documented_parts import Json

GITHUB = "https://github.com"
TABBYAPI = f"{GITHUB}/theroyallab/tabbyAPI/blob/383e888cce6b04f476b6e172c5af4f760196983c/endpoints/OAI/utils"
TRITON = f"{GITHUB}/triton-inference-server/server/blob/e1db8a603/python/openai/openai_frontend/engine"
LMDEPLOY = f"{GITHUB}/InternLM/lmdeploy/blob/6dcd47fb27233332d949d3171e5105f5ed0a8b1f/lmdeploy/serve/openai"
LMDEPLOY_CHECKS = f"{GITHUB}/InternLM/lmdeploy/blob/c8061682373114ec3dfd02e03def0859dc715c03/lmdeploy/serve/openai"
MLC = f"{GITHUB}/mlc-ai/mlc-llm/blob/79d603f0/python/mlc_llm/protocol/openai_api_protocol.py"
KOBOLD = f"{GITHUB}/LostRuins/koboldcpp/blob/000115dd/koboldcpp.py"
LLAMAFILE = f"{GITHUB}/Mozilla-Ocho/llamafile/blob/cfa861a/llamafile/server/v1_chat_completions.cpp"


def engine(provider: str, source: str, port: int, model: str, **more: Any) -> Host:
    """An engine on its default port."""
    return Host(
        provider=provider,
        source=source,
        url=f"http://localhost:{port}/v1/chat/completions",
        model=model,
        **more,
    )


def engines() -> dict[str, dict[str, Exchange]]:
    """The cassettes by provider and name."""
    return {
        "ollama": ollama(),
        "lmstudio": lmstudio(),
        "tgi": tgi(),
        "sglang-jax": sglang_jax(),
        "tensorrt-llm": chat(_TENSORRT_LLM),
        "triton-openai": chat(_TRITON)
        | _refused(_TRITON, "logprobs are currently available only for the vLLM backend"),
        "lmdeploy": _lmdeploy(),
        "mlc": rewritten(chat(_MLC), printable)
        | refused(_MLC, _MLC_ERROR, status=422, name="err_top21", top_logprobs=21),
        "aphrodite": chat(engine("aphrodite", _APHRODITE, 2242, "meta-llama/Llama-3.2-1B-Instruct", last=MISSING)),
        "tabbyapi": chat(_TABBY),
        "koboldcpp": _koboldcpp(),
        "textgen-webui": chat(_WEBUI),
        "llamafile": plain(_LLAMAFILE) | _refused(_LLAMAFILE, "OpenAI logprobs field not supported yet"),
        "xinference": plain(_XINFERENCE) | ignored(_XINFERENCE_TRANSFORMERS),
        "ray-serve": chat(_RAY) | ignored(_RAY_SGLANG, "chat_sglang"),
        "dynamo": chat(_DYNAMO),
        "mistralrs": plain(_MISTRALRS),
        "litellm": chat(_LITELLM) | refused(_LITELLM_REFUSING, _LITELLM_ERROR),
        "portkey": chat(_PORTKEY) | ignored(_PORTKEY_TOGETHER, "chat_together"),
    }


def _refused(host: Host, message: str, status: int = 400) -> dict[str, Exchange]:
    answer = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": status}}
    return refused(host, answer, status=status)


def null_bytes(record: Json) -> Json:
    """A record whose bytes are always null."""
    tops = [null_bytes(top) for top in record.get("top_logprobs", ())]
    return {**record, "bytes": None} | ({"top_logprobs": tops} if tops else {})


def with_ids(record: Json) -> Json:
    """A record with token ids and without bytes."""
    out = {key: value for key, value in record.items() if key not in {"bytes", "top_logprobs"}}
    out["token_id"] = 100 + sum(record["bytes"])
    return out | (
        {"top_logprobs": [with_ids(top) for top in record["top_logprobs"]]} if "top_logprobs" in record else {}
    )


def raw_piece(record: Json) -> Json:
    """A record of the vocabulary's own pieces, where a space is U+0120, whose alternatives lack the chosen one."""
    piece = record["token"].replace(" ", "\u0120")
    out = {**record, "token": piece, "bytes": list(piece.encode())}
    if "top_logprobs" in record:
        out["top_logprobs"] = [raw_piece(top) for top in record["top_logprobs"] if top["token"] != record["token"]]
    return out


def printable(record: Json) -> Json:
    """A record whose text keeps printable ASCII only; its bytes are true."""
    text = "".join(character for character in record["token"] if 33 <= ord(character) <= 126)
    tops = [printable(top) for top in record.get("top_logprobs", ())]
    return {**record, "token": text} | ({"top_logprobs": tops} if tops else {})


def rewritten(exchanges: dict[str, Exchange], record: Callable[[Json], Json]) -> dict[str, Exchange]:
    """The exchanges with every token record in another form, and the text as it was."""
    return {name: _rewrite(one, record) for name, one in exchanges.items()}


def _rewrite(one: Exchange, record: Callable[[Json], Json]) -> Exchange:
    lines = [_rewrite_line(line, record) for line in one.response_body.decode().split("\n")]
    return replace(one, response_body="\n".join(lines).encode())


def _rewrite_line(line: str, record: Callable[[Json], Json]) -> str:
    prefix = "data: " if line.startswith("data: {") else ""
    if not prefix and not line.startswith("{"):
        return line
    value = json.loads(line.removeprefix(prefix))
    for choice in value["choices"]:
        if choice.get("logprobs"):
            choice["logprobs"]["content"] = [record(one) for one in choice["logprobs"]["content"]]
    return prefix + dumps(value)


# -- hosts -----------------------------------------------------------------------------------------------------------

_TENSORRT_LLM = engine(
    "tensorrt-llm",
    f"{GITHUB}/NVIDIA/TensorRT-LLM/blob/7b437aaa73bf5a44b1102aee5c631074da763b8f/"
    "tensorrt_llm/serve/postprocess_handlers.py",
    8000,
    "TinyLlama-1.1B-Chat-v1.0",
    first=MISSING,
    last=MISSING,
)
_TRITON = engine(
    "triton-openai", f"{TRITON}/triton_engine.py", 9000, "llama-3.1-8b-instruct", first=MISSING, last=MISSING
)
_MLC = engine("mlc", MLC, 8000, "Llama-3.2-1B-Instruct-q4f16_1-MLC")
_MLC_ERROR: Json = {
    "detail": [
        {
            "type": "value_error",
            "loc": ["body"],
            "msg": 'Value error, "top_logprobs" must be in range [0, 20]',
        }
    ]
}
_APHRODITE = (
    f"{GITHUB}/aphrodite-engine/aphrodite-engine/blob/95a767092d271dc5008f3b4c80366b12bfea8e9d/"
    "aphrodite/endpoints/openai/protocol.py"
)
_TABBY = engine(
    "tabbyapi", f"{TABBYAPI}/chat_completion.py", 5000, "Qwen2.5-7B-Instruct-exl2", ask={"logprobs": 2}, record=with_ids
)
_KOBOLD = engine(
    "koboldcpp", KOBOLD, 5001, "koboldcpp/Llama-3.2-1B-Instruct", ask={"logprobs": True, "top_logprobs": 3}, top=3
)
_WEBUI = engine(
    "textgen-webui",
    f"{GITHUB}/oobabooga/text-generation-webui/blob/23581cd2a4990ea4113ec628a90635a94cad6e5b/modules/api/completions.py",
    5000,
    "Llama-3.2-1B-Instruct.gguf",
    refusal=True,
)
_LLAMAFILE = engine("llamafile", LLAMAFILE, 8080, "LLaMA_CPP", first=MISSING, last=MISSING)
_XINFERENCE = engine("xinference", "https://inference.readthedocs.io/en/latest/", 9997, "qwen3")
_XINFERENCE_TRANSFORMERS = engine("xinference", f"{GITHUB}/xorbitsai/inference/issues/2456", 9997, "qwen2.5-instruct")
_RAY = engine("ray-serve", "https://docs.ray.io/en/latest/serve/llm/index.html", 8000, "qwen-0.5b")
_RAY_SGLANG = engine(
    "ray-serve",
    f"{GITHUB}/ray-project/ray/blob/9b4831a7e9561c4b4fd66eef926d1ff747354fd1/"
    "python/ray/llm/_internal/serve/engines/sglang/sglang_engine.py",
    8000,
    "qwen-0.5b",
)
_DYNAMO = engine(
    "dynamo",
    f"{GITHUB}/ai-dynamo/dynamo/blob/ea836bb7ddd481404d9457c26d6bc9872e431368/"
    "lib/llm/src/protocols/openai/chat_completions/delta.rs",
    8000,
    "Qwen/Qwen3-0.6B",
    record=null_bytes,
    refusal=True,
)
_MISTRALRS = engine("mistralrs", "https://ericlbuehler.github.io/mistral.rs/reference/http-api/", 1234, "default")
_LITELLM = Host(
    provider="litellm",
    source="https://docs.litellm.ai/docs/completion/input",
    url="http://localhost:4000/chat/completions",
    model="gpt-4o-mini",
)
_LITELLM_REFUSING = Host(
    provider="litellm", source=f"{GITHUB}/BerriAI/litellm/issues/17165", url=_LITELLM.url, model="claude-sonnet-4-5"
)
_LITELLM_ERROR: Json = {
    "error": {
        "message": "litellm.UnsupportedParamsError: anthropic does not support parameters: ['logprobs'], "
        "for model=claude-sonnet-4-5. To drop these, set `litellm.drop_params=True`",
        "type": "None",
        "param": None,
        "code": "400",
    }
}
_PORTKEY = Host(
    provider="portkey",
    source="https://portkey.ai/docs/api-reference/inference-api/chat",
    url="https://api.portkey.ai/v1/chat/completions",
    model="@openai/gpt-4o-mini",
    served="gpt-4o-mini-2024-07-18",
)
_PORTKEY_TOGETHER = Host(
    provider="portkey",
    source=f"{GITHUB}/Portkey-AI/gateway/blob/1dc0f194449ad5c90502ccd006c55dd796f2fb4e/"
    "src/providers/together-ai/chatComplete.ts",
    url=_PORTKEY.url,
    model="@together-ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    served="meta-llama/Llama-3.3-70B-Instruct-Turbo",
)


# -- LMDeploy --------------------------------------------------------------------------------------------------------


def _lmdeploy() -> dict[str, Exchange]:
    host = engine(
        "lmdeploy",
        f"{LMDEPLOY}/chat_completions/logprobs.py",
        23333,
        "internlm/internlm3-8b-instruct",
    )
    checks = engine("lmdeploy", f"{LMDEPLOY_CHECKS}/chat_completions/validation.py", 23333, host.model)

    def error(message: str) -> Json:
        return {"message": message, "type": "invalid_request_error", "code": 400, "param": None, "object": "error"}

    mode = "Logprobs(True)/top_logprobs(2) requested but not enabled logprobs_mode in engine configuration"
    return (
        rewritten(chat(host), raw_piece)
        | refused(checks, error(mode))
        | refused(checks, error("The top_logprobs 21 must be in [0, 20]."), name="err_top21", top_logprobs=21)
    )


# -- KoboldCpp -------------------------------------------------------------------------------------------------------


def _koboldcpp() -> dict[str, Exchange]:
    """Records and columns in one object; a stream has it once, in an event of its own before the last."""
    whole = chat(_KOBOLD)["chat_logprobs"]
    reply = json.loads(whole.response_body)
    choice = reply["choices"][0]
    records = choice["logprobs"]["content"]
    choice["logprobs"] = _hybrid(records)
    body: Json = json.loads(whole.request_body)
    base = {key: reply[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    deltas: list[Json] = [_delta({"role": "assistant", "content": record["token"]}) for record in records]
    silence = {"role": "assistant", "content": ""}
    deltas += [_delta(silence) | {"logprobs": _hybrid(records)}, _delta(silence, "stop")]
    stream = data_stream({**base, "choices": [delta]} for delta in deltas)
    asked = {"logprobs": True, "top_logprobs": 3}
    return {
        "chat_logprobs": _kobold_exchange(f"unary, logprobs: {asked}", body, reply),
        "chat_logprobs_stream": _kobold_exchange(f"streamed, logprobs: {asked}", {**body, "stream": True}, stream),
    }


def _hybrid(records: list[Json]) -> Json:
    tokens = [record["token"] for record in records]
    return {
        "content": records,
        "tokens": tokens,
        "token_logprobs": [record["logprob"] for record in records],
        "top_logprobs": [{top["token"]: top["logprob"] for top in record["top_logprobs"]} for record in records],
        "text_offset": [len("".join(tokens[:i])) for i in range(len(tokens))],
    }


def _delta(delta: Json, finish: str | None = None) -> Json:
    return {"index": 0, "finish_reason": finish, "delta": delta}


def _kobold_exchange(note: str, request: Json, answer: Json | bytes) -> Exchange:
    return exchange(provider="koboldcpp", source=KOBOLD, uri=_KOBOLD.url, note=note, request=request, answer=answer)
