"""The public API as a typed program uses it. Checked by mypy and pyright in strict mode, never run."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, assert_type

import nxlog
from nxlog import (
    AsyncClient,
    AsyncStream,
    CapabilityManifest,
    ChatRequest,
    ChatResponse,
    Choice,
    Client,
    Columns,
    LogprobsData,
    Message,
    NxlogError,
    ParameterWarning,
    ProviderCapabilities,
    Registry,
    RetryPolicy,
    Stream,
    StreamChunk,
    StreamLogprobsDelta,
    Timeout,
    TokenLogprob,
    TokenSpan,
    Tool,
    ToolCall,
    ToolCallDelta,
    TopLogprob,
    Usage,
    WarningCode,
    WarningSeverity,
    WarningSource,
    accumulate,
)
from nxlog.rendering import ParsedOutput, Rendered, Renderer, load, parse_tool_calls
from nxlog.telemetry import Telemetry, instrument

if TYPE_CHECKING:
    import httpx
    from tokenizers import Tokenizer


def requests() -> ChatRequest:
    message = Message(role="user", content="Hello")
    request = ChatRequest(model="openai/gpt-4o-mini", messages=[message], logprobs=True, top_logprobs=5)
    assert_type(request.messages, list[Message])
    assert_type(request.top_logprobs, int | None)
    assert_type(request.tools, list[Tool] | None)
    assert_type(request.with_logprobs(False), ChatRequest)
    assert_type(request.with_top_logprobs(3), ChatRequest)
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})


def replies(client: Client, request: ChatRequest) -> None:
    reply = client.chat(request)
    assert_type(reply, ChatResponse)
    assert_type(client.chat(model="openai/gpt-4o", messages=[], logprobs=True), ChatResponse)
    assert_type(reply.text, str)
    assert_type(reply.refusal, str | None)
    assert_type(reply.reasoning, str | None)
    assert_type(reply.finish_reason, str | None)
    assert_type(reply.usage, Usage | None)
    assert_type(reply.choices, list[Choice])
    assert_type(reply.choices[0].logprobs, LogprobsData | None)
    assert_type(reply.tool_calls, list[ToolCall])
    assert_type(reply.tool_calls[0].function.arguments, str)
    assert_type(reply.raw, dict[str, Any] | None)
    assert_type(reply.logprobs, LogprobsData | None)


def records(data: LogprobsData) -> None:
    assert_type(len(data), int)
    assert_type(data[0], TokenLogprob)
    assert_type(data[1:3], Sequence[TokenLogprob])
    assert_type(data.content, Sequence[TokenLogprob])
    assert_type(data.refusal, Sequence[TokenLogprob] | None)
    assert_type(data.reasoning, Sequence[TokenLogprob] | None)
    for token in data:
        assert_type(token, TokenLogprob)
        assert_type(token.token, str)
        assert_type(token.logprob, float | None)
        assert_type(token.probability, float | None)
        assert_type(token.bytes, bytes | None)
        assert_type(token.token_id, int | None)
        assert_type(token.is_masked, bool)
        assert_type(token.extra, dict[str, Any])
        assert_type(token.top_logprobs, list[TopLogprob])
        assert_type(token.top_logprobs[0].logprob, float | None)
        assert_type(token.top_logprobs[0].bytes, bytes | None)
    assert_type(data.compact(), LogprobsData)
    assert_type(data.model_dump(), dict[str, Any])
    assert_type(data.model_dump_json(), str)
    assert_type(LogprobsData.model_validate_json(b"{}"), LogprobsData)
    top = TopLogprob.build("a", -1.0, bytes=b"a", token_id=1)
    assert_type(TokenLogprob.build("a", None, top_logprobs=[top]), TokenLogprob)


def places(choice: Choice) -> None:
    spans = choice.spans()
    assert_type(spans, list[TokenSpan])
    assert_type(spans[0].tokens, range)
    assert_type(choice.text[spans[0].start : spans[0].end], str)
    assert_type(spans[0].call, int | None)
    assert_type(choice.tokens("tool_call"), list[TokenLogprob])


def bulk(data: LogprobsData) -> None:
    columns = data.columns("reasoning")
    assert_type(columns, Columns)
    assert_type(columns.tokens, list[str])
    assert_type(columns.logprobs, array[float])
    assert_type(columns.token_ids, array[int] | None)
    assert_type(columns.offsets, array[int])


def missing_is_not_a_number(token: TokenLogprob) -> float:
    """A program that forgets None does not pass the check; one that thinks of it does."""
    return 0.0 if token.logprob is None else -token.logprob


def streams(client: Client, request: ChatRequest) -> ChatResponse:
    with client.stream(request) as stream:
        assert_type(stream, Stream)
        assert_type(stream.warnings, list[ParameterWarning])
        chunks: list[StreamChunk] = []
        for chunk in stream:
            assert_type(chunk, StreamChunk)
            assert_type(chunk.delta, str)
            assert_type(chunk.index, int)
            assert_type(chunk.logprobs, StreamLogprobsDelta | None)
            assert_type(chunk.tool_call_deltas, tuple[ToolCallDelta, ...])
            assert_type(chunk.usage, Usage | None)
            for token in chunk.logprobs or ():
                assert_type(token, TokenLogprob)
            chunks.append(chunk)
        assert_type(stream.response, ChatResponse)
    return accumulate(chunks)


async def atoken() -> str:
    return "token"


def callbacks(provide: Callable[[], str]) -> None:
    assert_type(Client(provider="openai", api_key=provide), Client)
    assert_type(AsyncClient(provider="openai", api_key=provide), AsyncClient)
    assert_type(AsyncClient(provider="openai", api_key=atoken), AsyncClient)


async def asynchronous(request: ChatRequest) -> None:
    async with AsyncClient(http_client="aiohttp", timeout=30) as client:
        assert_type(client, AsyncClient)
        assert_type(await client.chat(request), ChatResponse)
        async with client.stream(request) as stream:
            assert_type(stream, AsyncStream)
            async for chunk in stream:
                assert_type(chunk, StreamChunk)
            assert_type(stream.response, ChatResponse)


def options(http_client: httpx.Client) -> Client:
    assert_type(Timeout.of(3), Timeout)
    assert_type(Timeout(total=None).read, float | None)
    with Client(timeout=None, retries=0) as first:
        assert_type(first, Client)
    return Client(
        provider="vllm",
        base_url="http://127.0.0.1:8000/v1",
        api_key="key",
        wire="openai-chat",
        on_unsupported="raise",
        on_unknown="drop",
        timeout=Timeout(connect=1, total=2.5),
        retries=RetryPolicy(attempts=2, jitter=(1, 1)),
        http_client=http_client,
        registry=Registry.load("registry").with_(capabilities={"vllm": {}}),
    )


def warnings_and_errors(reply: ChatResponse, error: NxlogError) -> None:
    warning = reply.warnings[0]
    assert_type(warning, ParameterWarning)
    assert_type(warning.parameter, str)
    assert_type(warning.code, WarningCode)
    assert_type(warning.severity, WarningSeverity)
    assert_type(warning.source, WarningSource)
    assert_type(warning.provider, str | None)
    assert_type(error.message, str)
    assert_type(error.status_code, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.retryable, bool)


def registry() -> None:
    known = nxlog.capabilities("openai/gpt-4o")
    assert_type(known, ProviderCapabilities)
    assert_type(known.supports_logprobs, bool)
    assert_type(known.max_top_logprobs, int | None)
    assert_type(known.claim("logprobs").note, str | None)
    assert_type(nxlog.capability_manifest(), CapabilityManifest)
    assert_type(Registry.default().ids, tuple[str, ...])


def observed(telemetry: Telemetry) -> None:
    assert_type(Client(telemetry=telemetry), Client)
    assert_type(AsyncClient(telemetry=telemetry), AsyncClient)
    assert_type(instrument(capture_content=True), Telemetry)


def prompts(client: Client, tokenizer: Tokenizer) -> None:
    prompt = client.render(model="vllm/m", messages=[{"role": "user", "content": "Hello"}])
    assert_type(prompt, Rendered)
    assert_type(client.tokenize("text", model="vllm/m"), array[int])
    assert_type(client.detokenize(prompt.token_ids, model="vllm/m"), str)
    assert_type(load("model"), Renderer)
    renderer = Renderer(tokenizer, "template")
    assert_type(renderer.render([Message(role="user", content="Hello")]).text, str | None)
    assert_type(renderer.bridge_to_next_turn([1], prompt.token_ids, []), array[int] | None)
    assert_type(parse_tool_calls("", "hermes"), ParsedOutput)


async def async_prompts(client: AsyncClient) -> None:
    assert_type(await client.render(model="vllm/m", messages=[]), Rendered)
    assert_type(await client.tokenize("text", model="vllm/m"), array[int])
