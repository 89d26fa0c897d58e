"""``Client`` and ``AsyncClient``: thin drivers of ``call``. What they do twice is I/O, and nothing else."""

from __future__ import annotations

import threading
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from nxlog._config import Config, as_request
from nxlog._render import about, detokenize, render, tokenize
from nxlog._run import AsyncRunner, Runner
from nxlog._watch import checked_observer
from nxlog.call import chat
from nxlog.request import ChatRequest
from nxlog.retry import RetryPolicy
from nxlog.streams import AsyncStream, Stream
from nxlog.timeout import Timeout
from nxlog.warnings import emit

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from nxlog._watch import Observer
    from nxlog.auth import ApiKey, AsyncApiKey
    from nxlog.call import Call
    from nxlog.http import OwnAsyncClient, OwnClient
    from nxlog.parameter_adapter import OnUnknown, OnUnsupported
    from nxlog.registry import Registry
    from nxlog.rendered import Rendered
    from nxlog.response import ChatResponse
    from nxlog.responses.resource import AsyncResponses, Responses
    from nxlog.verdicts import Verdicts


DEFAULT_TIMEOUT = Timeout()
DEFAULT_RETRIES = RetryPolicy()


class Client:
    """Calls any provider, one request at a time per thread; safe to share between threads.

    Args:
        provider: the provider of bare model names; without it a request names it: ``"openai/gpt-4o-mini"``.
        base_url: where the server is, when not at the provider's public address.
        api_key: the key, or a function without arguments that returns a token and is called for every attempt;
            by default the key is read from the provider's environment variable.
        wire: the wire format, when not the provider's first.
        on_unsupported: ``"warn"`` drops what cannot be delivered, with a ``ParameterWarning`` on the result;
            ``"raise"`` raises ``UnsupportedParameterError`` before anything is sent.
        on_unknown: ``"try"`` sends a field of which nothing is known and checks what comes back; ``"drop"``
            treats it as unsupported.
        timeout: seconds for the whole call, a ``Timeout`` with each limit, or None for no limit at all.
        retries: how many times a failed call is sent again, or a ``RetryPolicy``.
        http_client: an ``httpx.Client`` to send with; it stays open when this client closes.
        registry: providers and capabilities other than the built-in ones.
        variables: the parts of the provider's address that differ by account, such as ``{"region": "us-east-1"}``.
        verdicts: what servers have shown of themselves, to share it with other clients and processes.
        defaults: fields of every chat request that does not say them: ``{"logprobs": True, "top_logprobs": 5}``.
        telemetry: who observes the calls, such as a ``nxlog.telemetry.Telemetry``; by default whoever
            ``nxlog.telemetry.instrument()`` made, if it was called.

    Raises:
        InvalidRequestError: an option is wrong; ``param`` names it.
        UnknownProviderError: there is no such provider.
    """

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        api_key: ApiKey | None = None,
        wire: str | None = None,
        on_unsupported: OnUnsupported = "warn",
        on_unknown: OnUnknown = "try",
        timeout: float | Timeout | None = DEFAULT_TIMEOUT,
        retries: int | RetryPolicy = DEFAULT_RETRIES,
        http_client: OwnClient | None = None,
        registry: Registry | None = None,
        variables: Mapping[str, str] | None = None,
        verdicts: Verdicts | None = None,
        defaults: Mapping[str, Any] | None = None,
        telemetry: Observer | None = None,
    ) -> None:
        self._config = Config(
            provider=provider,
            base_url=base_url,
            api_key=api_key,
            wire=wire,
            on_unsupported=on_unsupported,
            on_unknown=on_unknown,
            registry=registry,
            variables=variables,
            verdicts=verdicts,
            defaults=defaults,
            event=threading.Event,
        )
        limits, observer = Timeout.of(timeout), checked_observer(telemetry)
        from nxlog.http import SyncTransport  # noqa: PLC0415 - httpx is a third of the import time

        transport = SyncTransport(timeout=limits, http_client=http_client)
        self._runner = Runner(transport, RetryPolicy.of(retries), limits, observer)

    def chat(self, request: ChatRequest | None = None, /, **fields: Any) -> ChatResponse:
        """Send a request, given whole or as fields: ``chat(model=..., messages=..., logprobs=True)``.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call = self._config.call(as_request(request, fields, ChatRequest), stream=False)
        reply = self._runner.run(chat(call), call, lambda reply: reply)
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(self, request: ChatRequest | None = None, /, **fields: Any) -> Stream:
        """The same as a stream: ``with client.stream(request) as stream: for chunk in stream: ...``.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        call = self._config.call(as_request(request, fields, ChatRequest), stream=True)
        return Stream(call, self._runner)

    def render(self, request: ChatRequest | None = None, /, **fields: Any) -> Rendered:
        """The prompt that the server makes of a request, which is not answered: by the server's own template.

        Raises:
            UnsupportedParameterError: the provider has no endpoint for that; see ``nxlog.rendering``.
            NxlogError: see ``nxlog.errors``.
        """
        call = self._config.aside(as_request(request, fields, ChatRequest))
        return self._runner.run(render(call))

    def tokenize(self, text: str, *, model: str, add_special: bool = False) -> array[int]:
        """The ids of a text by the server's tokenizer; special tokens are spelled out in it.

        Args:
            text: what to tokenize.
            model: as of a request.
            add_special: whether to add the tokens that begin or end every prompt of this model.

        Raises:
            UnsupportedParameterError: the provider has no endpoint for that.
            NxlogError: see ``nxlog.errors``.
        """
        call = self._config.aside(about(model))
        return self._runner.run(tokenize(call, text, add_special=add_special))

    def detokenize(self, ids: Sequence[int], *, model: str) -> str:
        """The text of ids by the server's tokenizer.

        Raises:
            UnsupportedParameterError: the provider has no endpoint for that.
            NxlogError: see ``nxlog.errors``.
        """
        return self._runner.run(detokenize(self._config.aside(about(model)), ids))

    @cached_property
    def responses(self) -> Responses:
        """The Responses API: create, stream, retrieve, wait, cancel, delete."""
        from nxlog.responses.resource import Responses  # noqa: PLC0415 - most clients do without

        return Responses(self._config, self._runner)

    @property
    def verdicts(self) -> Verdicts:
        """What this client has learned of servers."""
        return self._config.verdicts

    def close(self) -> None:
        """Close the connections."""
        self._runner.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio and trio. Options as of ``Client``.

    ``http_client`` is an ``httpx.AsyncClient``, or ``"aiohttp"`` for the faster transport of the extra
    ``nxlog[aiohttp]`` (asyncio only). ``api_key`` may be an async function; one that is not runs in a thread.
    """

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        api_key: AsyncApiKey | None = None,
        wire: str | None = None,
        on_unsupported: OnUnsupported = "warn",
        on_unknown: OnUnknown = "try",
        timeout: float | Timeout | None = DEFAULT_TIMEOUT,
        retries: int | RetryPolicy = DEFAULT_RETRIES,
        http_client: OwnAsyncClient | None = None,
        registry: Registry | None = None,
        variables: Mapping[str, str] | None = None,
        verdicts: Verdicts | None = None,
        defaults: Mapping[str, Any] | None = None,
        telemetry: Observer | None = None,
    ) -> None:
        self._config = Config(
            provider=provider,
            base_url=base_url,
            api_key=api_key,
            wire=wire,
            on_unsupported=on_unsupported,
            on_unknown=on_unknown,
            registry=registry,
            variables=variables,
            verdicts=verdicts,
            defaults=defaults,
            event=anyio.Event,
        )
        limits, observer = Timeout.of(timeout), checked_observer(telemetry)
        from nxlog.http import AsyncTransport  # noqa: PLC0415 - as above

        transport = AsyncTransport(timeout=limits, http_client=http_client)
        self._runner = AsyncRunner(transport, RetryPolicy.of(retries), limits, observer)

    async def chat(self, request: ChatRequest | None = None, /, **fields: Any) -> ChatResponse:
        """Send a request, given whole or as fields.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        request = as_request(request, fields, ChatRequest)
        await self._start_engine(request.model)
        call = self._config.call(request, stream=False)
        reply = await self._runner.run(chat(call), call, lambda reply: reply)
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(self, request: ChatRequest | None = None, /, **fields: Any) -> AsyncStream:
        """The same as a stream: ``async with client.stream(request) as stream: async for chunk in stream: ...``.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        request = as_request(request, fields, ChatRequest)
        prepare = partial(self._config.call, request, stream=True)
        call = prepare if self._config.needs_engine(request.model) else prepare()
        return AsyncStream(call, self._runner)

    async def render(self, request: ChatRequest | None = None, /, **fields: Any) -> Rendered:
        """The prompt that the server makes of a request; as of ``Client``."""
        return await self._runner.run(render(await self._aside(as_request(request, fields, ChatRequest))))

    async def tokenize(self, text: str, *, model: str, add_special: bool = False) -> array[int]:
        """The ids of a text by the server's tokenizer; as of ``Client``."""
        return await self._runner.run(tokenize(await self._aside(about(model)), text, add_special=add_special))

    async def detokenize(self, ids: Sequence[int], *, model: str) -> str:
        """The text of ids by the server's tokenizer; as of ``Client``."""
        return await self._runner.run(detokenize(await self._aside(about(model)), ids))

    async def _aside(self, request: ChatRequest) -> Call:
        await self._start_engine(request.model)
        return self._config.aside(request)

    async def _start_engine(self, model: str) -> None:
        if self._config.needs_engine(model):
            # Loading a model takes seconds; the event loop goes on.
            await anyio.to_thread.run_sync(self._config.target, model)

    @cached_property
    def responses(self) -> AsyncResponses:
        """The Responses API: create, stream, retrieve, wait, cancel, delete."""
        from nxlog.responses.resource import AsyncResponses  # noqa: PLC0415 - as above

        return AsyncResponses(self._config, self._runner)

    @property
    def verdicts(self) -> Verdicts:
        """What this client has learned of servers."""
        return self._config.verdicts

    async def aclose(self) -> None:
        """Close the connections."""
        await self._runner.transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
