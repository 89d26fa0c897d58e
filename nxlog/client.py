"""``Client`` and ``AsyncClient``: thin drivers of ``call``. What they do twice is I/O, and nothing else."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from nxlog._config import Config, as_request
from nxlog._drive import adrive, drive
from nxlog._render import about, detokenize, render, tokenize
from nxlog._watch import checked_observer, watch
from nxlog.call import chat
from nxlog.retry import RetryPolicy
from nxlog.streams import AsyncStream, Stream
from nxlog.timeout import Timeout
from nxlog.warnings import emit

if TYPE_CHECKING:
    from array import array
    from collections.abc import Generator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from nxlog._watch import Observer
    from nxlog.auth import ApiKey, AsyncApiKey
    from nxlog.call import Call
    from nxlog.exchange import HttpRequest, HttpResponse
    from nxlog.http import OwnAsyncClient, OwnClient
    from nxlog.parameter_adapter import OnUnknown, OnUnsupported
    from nxlog.registry import Registry
    from nxlog.rendered import Rendered
    from nxlog.request import ChatRequest
    from nxlog.response import ChatResponse
    from nxlog.verdicts import Verdicts


T = TypeVar("T")

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
        telemetry: who observes the calls, such as a ``nxlog.telemetry.Telemetry``; by default whoever
            ``nxlog.telemetry.instrument()`` made, if it was called.

    Raises:
        InvalidRequestError: an option is wrong; ``param`` names it.
        UnknownProviderError: there is no such provider.
    """

    def __init__(
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
            event=threading.Event,
        )
        self._telemetry = checked_observer(telemetry)
        self._timeout = Timeout.of(timeout)
        self._retries = RetryPolicy.of(retries)
        from nxlog.http import SyncTransport  # noqa: PLC0415 - httpx is a third of the import time

        self._transport = SyncTransport(timeout=self._timeout, http_client=http_client)

    def chat(self, request: ChatRequest | None = None, /, **fields: Any) -> ChatResponse:
        """Send a request, given whole or as fields: ``chat(model=..., messages=..., logprobs=True)``.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call = self._config.call(as_request(request, fields), stream=False)
        deadline = self._timeout.deadline()
        watched = watch(call, self._telemetry)

        def send(outgoing: HttpRequest) -> HttpResponse:
            with watched.attempt() as attempt:
                return attempt.answered(self._transport.send(outgoing, deadline=deadline))

        with watched.running():
            reply = drive(
                chat(call),
                lambda outgoing: self._retries.call(lambda: send(outgoing), deadline=deadline),
                deadline=deadline,
            )
        watched.replied(reply)
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(self, request: ChatRequest | None = None, /, **fields: Any) -> Stream:
        """The same as a stream: ``with client.stream(request) as stream: for chunk in stream: ...``.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        call = self._config.call(as_request(request, fields), stream=True)
        return Stream(call, self._transport, self._retries, self._timeout, self._telemetry)

    def render(self, request: ChatRequest | None = None, /, **fields: Any) -> Rendered:
        """The prompt that the server makes of a request, which is not answered: by the server's own template.

        Raises:
            UnsupportedParameterError: the provider has no endpoint for that; see ``nxlog.rendering``.
            NxlogError: see ``nxlog.errors``.
        """
        call = self._config.call(as_request(request, fields), stream=False)
        return self._ask(render(call))

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
        call = self._config.call(about(model), stream=False)
        return self._ask(tokenize(call, text, add_special=add_special))

    def detokenize(self, ids: Sequence[int], *, model: str) -> str:
        """The text of ids by the server's tokenizer.

        Raises:
            UnsupportedParameterError: the provider has no endpoint for that.
            NxlogError: see ``nxlog.errors``.
        """
        return self._ask(detokenize(self._config.call(about(model), stream=False), ids))

    def _ask(self, flow: Generator[HttpRequest, HttpResponse | None, T]) -> T:
        deadline = self._timeout.deadline()
        return drive(
            flow,
            lambda outgoing: self._retries.call(
                lambda: self._transport.send(outgoing, deadline=deadline), deadline=deadline
            ),
            deadline=deadline,
        )

    @property
    def verdicts(self) -> Verdicts:
        """What this client has learned of servers."""
        return self._config.verdicts

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

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

    def __init__(
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
            event=anyio.Event,
        )
        self._telemetry = checked_observer(telemetry)
        self._timeout = Timeout.of(timeout)
        self._retries = RetryPolicy.of(retries)
        from nxlog.http import AsyncTransport  # noqa: PLC0415 - as above

        self._transport = AsyncTransport(timeout=self._timeout, http_client=http_client)

    async def chat(self, request: ChatRequest | None = None, /, **fields: Any) -> ChatResponse:
        """Send a request, given whole or as fields.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call = await self._call(as_request(request, fields))
        deadline = self._timeout.deadline()
        watched = watch(call, self._telemetry)

        async def send(outgoing: HttpRequest) -> HttpResponse:
            with watched.attempt() as attempt:
                return attempt.answered(await self._transport.send(outgoing, deadline=deadline))

        with watched.running():
            reply = await adrive(
                chat(call),
                lambda outgoing: self._retries.acall(lambda: send(outgoing), deadline=deadline),
                deadline=deadline,
            )
        watched.replied(reply)
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(self, request: ChatRequest | None = None, /, **fields: Any) -> AsyncStream:
        """The same as a stream: ``async with client.stream(request) as stream: async for chunk in stream: ...``.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        request = as_request(request, fields)
        prepare = partial(self._config.call, request, stream=True)
        call = prepare if self._config.needs_engine(request.model) else prepare()
        return AsyncStream(call, self._transport, self._retries, self._timeout, self._telemetry)

    async def render(self, request: ChatRequest | None = None, /, **fields: Any) -> Rendered:
        """The prompt that the server makes of a request; as of ``Client``."""
        return await self._ask(render(await self._call(as_request(request, fields))))

    async def tokenize(self, text: str, *, model: str, add_special: bool = False) -> array[int]:
        """The ids of a text by the server's tokenizer; as of ``Client``."""
        return await self._ask(tokenize(await self._call(about(model)), text, add_special=add_special))

    async def detokenize(self, ids: Sequence[int], *, model: str) -> str:
        """The text of ids by the server's tokenizer; as of ``Client``."""
        return await self._ask(detokenize(await self._call(about(model)), ids))

    async def _call(self, request: ChatRequest) -> Call:
        if self._config.needs_engine(request.model):
            # Loading a model takes seconds; the event loop goes on.
            await anyio.to_thread.run_sync(self._config.target, request.model)
        return self._config.call(request, stream=False)

    async def _ask(self, flow: Generator[HttpRequest, HttpResponse | None, T]) -> T:
        deadline = self._timeout.deadline()
        return await adrive(
            flow,
            lambda outgoing: self._retries.acall(
                lambda: self._transport.send(outgoing, deadline=deadline), deadline=deadline
            ),
            deadline=deadline,
        )

    @property
    def verdicts(self) -> Verdicts:
        """What this client has learned of servers."""
        return self._config.verdicts

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
