"""``client.responses``: thin drivers of ``calls`` and ``jobs``. What they do twice is I/O, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from nxlog._config import as_request
from nxlog.responses import calls, jobs
from nxlog.responses.jobs import Poll
from nxlog.responses.request import ResponsesRequest
from nxlog.responses.stream import AsyncResponsesStream, ResponsesStream
from nxlog.responses.watchdog import DEFAULT_WATCHDOG, Watchdog
from nxlog.warnings import emit
from nxlog.wire._openai_responses_reply import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog._config import Config
    from nxlog._run import AsyncRunner, Runner
    from nxlog.call import Call
    from nxlog.responses.items import InputItem
    from nxlog.responses.reply import ResponsesReply

DEFAULT_POLL = Poll()


class _Resource:
    """What both have in common."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def _request(self, request: ResponsesRequest | None, fields: Mapping[str, Any], how: str) -> ResponsesRequest:
        return as_request(request, fields, ResponsesRequest, how=f"responses.{how}")

    def _later(self, response: ResponsesReply | str, model: str | None) -> tuple[Call, str]:
        return calls.later_call(self._config, response, model), calls.id_of(response)

    def _resumed(
        self, response: ResponsesReply | str, model: str | None, watchdog: Watchdog, after: int | None
    ) -> tuple[Call, tuple[str, int | None]]:
        call = calls.later_call(self._config, response, model, stream=True, read=watchdog.idle)
        return call, (calls.id_of(response), after)

    def _new_stream(self, request: ResponsesRequest, watchdog: Watchdog) -> Call:
        # Only what goes on without its connection can be asked how it stands.
        return calls.new_call(self._config, request, stream=True, read=watchdog.idle if request.background else None)


class Responses(_Resource):
    """The Responses API of a ``Client``. A response is named by its reply, or by its id.

    An id alone does not say where the response is: give ``model``, unless the client has a provider.
    """

    def __init__(self, config: Config, runner: Runner) -> None:
        super().__init__(config)
        self._runner = runner

    def create(self, request: ResponsesRequest | None = None, /, **fields: Any) -> ResponsesReply:
        """Send a request, given whole or as fields: ``create(model=..., input=..., logprobs=True)``.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        request = self._request(request, fields, "create")
        call = calls.new_call(self._config, request, stream=False)
        reply = self._runner.run(calls.create(call, request), call, lambda reply: reply.to_chat())
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(
        self, request: ResponsesRequest | None = None, /, *, watchdog: Watchdog = DEFAULT_WATCHDOG, **fields: Any
    ) -> ResponsesStream:
        """The same as a stream of events: ``with client.responses.stream(...) as stream: for event in stream: ...``.

        A response in the background (``background=True``) survives its connection: it goes on over another one.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        request = self._request(request, fields, "stream")
        call = self._new_stream(request, watchdog)
        return ResponsesStream(call, self._runner, watchdog, background=bool(request.background))

    def resume(
        self,
        response: ResponsesReply | str,
        *,
        starting_after: int | None = None,
        model: str | None = None,
        watchdog: Watchdog = DEFAULT_WATCHDOG,
    ) -> ResponsesStream:
        """The stream of a response in the background, from its beginning or behind the event of that number.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        call, after = self._resumed(response, model, watchdog, starting_after)
        return ResponsesStream(call, self._runner, watchdog, background=True, after=after)

    def retrieve(self, response: ResponsesReply | str, *, model: str | None = None) -> ResponsesReply:
        """The response as it stands.

        Raises:
            ResponseNotFoundError: the server has none of this id.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return self._checked(call, calls.ask(call, response_id))

    def wait(
        self,
        response: ResponsesReply | str,
        *,
        timeout: float | None = None,
        poll: Poll = DEFAULT_POLL,
        model: str | None = None,
    ) -> ResponsesReply:
        """The response at its end, however it ended, asked after until then; the client's time is for each question.

        Raises:
            TimeoutError: it is not over after ``timeout`` seconds; it goes on at the server.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return self._checked(call, jobs.wait(partial(calls.ask, call, response_id), poll, timeout=timeout))

    def cancel(self, response: ResponsesReply | str, *, model: str | None = None) -> ResponsesReply:
        """End a response in the background; one that is over is returned as it ended.

        Raises:
            BadRequestError: the server refuses although the response is not over.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        send, ask = partial(calls.cancel, call, response_id), partial(calls.ask, call, response_id)
        return self._checked(call, jobs.cancel(send, ask))

    def delete(self, response: ResponsesReply | str, *, model: str | None = None) -> None:
        """Let the server forget the response.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        self._runner.run(calls.delete(call, response_id), call)

    def input_items(self, response: ResponsesReply | str, *, model: str | None = None) -> list[InputItem]:
        """What the response was given, oldest first.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return self._runner.run(calls.input_items(call, response_id), call)

    def _checked(self, call: Call, flow: calls.Flow) -> ResponsesReply:
        known = len(call.warnings)
        reply = self._runner.run(calls.checked(call, flow), call, each=True)
        emit(reply.warnings[known:], stacklevel=3)
        return reply


class AsyncResponses(_Resource):
    """The same for ``AsyncClient``."""

    def __init__(self, config: Config, runner: AsyncRunner) -> None:
        super().__init__(config)
        self._runner = runner

    async def create(self, request: ResponsesRequest | None = None, /, **fields: Any) -> ResponsesReply:
        """Send a request, given whole or as fields.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        request = self._request(request, fields, "create")
        if self._config.needs_engine(request.model, wire=NAME):
            # Loading a model takes seconds; the event loop goes on.
            await anyio.to_thread.run_sync(partial(self._config.target, request.model, wire=NAME))
        call = calls.new_call(self._config, request, stream=False)
        reply = await self._runner.run(calls.create(call, request), call, lambda reply: reply.to_chat())
        emit(reply.warnings, stacklevel=2)
        return reply

    def stream(
        self, request: ResponsesRequest | None = None, /, *, watchdog: Watchdog = DEFAULT_WATCHDOG, **fields: Any
    ) -> AsyncResponsesStream:
        """The same as a stream of events.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        request = self._request(request, fields, "stream")
        prepare = partial(self._new_stream, request, watchdog)
        call = prepare if self._config.needs_engine(request.model, wire=NAME) else prepare()
        return AsyncResponsesStream(call, self._runner, watchdog, background=bool(request.background))

    def resume(
        self,
        response: ResponsesReply | str,
        *,
        starting_after: int | None = None,
        model: str | None = None,
        watchdog: Watchdog = DEFAULT_WATCHDOG,
    ) -> AsyncResponsesStream:
        """The stream of a response in the background, from its beginning or behind the event of that number.

        Raises:
            RequestError: the request cannot be sent; nothing was.
        """
        call, after = self._resumed(response, model, watchdog, starting_after)
        return AsyncResponsesStream(call, self._runner, watchdog, background=True, after=after)

    async def retrieve(self, response: ResponsesReply | str, *, model: str | None = None) -> ResponsesReply:
        """The response as it stands.

        Raises:
            ResponseNotFoundError: the server has none of this id.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return await self._checked(call, calls.ask(call, response_id))

    async def wait(
        self,
        response: ResponsesReply | str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it bounds the waiting, and says so when it ends
        poll: Poll = DEFAULT_POLL,
        model: str | None = None,
    ) -> ResponsesReply:
        """The response at its end, however it ended, asked after until then; the client's time is for each question.

        Raises:
            TimeoutError: it is not over after ``timeout`` seconds; it goes on at the server.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return await self._checked(call, jobs.wait(partial(calls.ask, call, response_id), poll, timeout=timeout))

    async def cancel(self, response: ResponsesReply | str, *, model: str | None = None) -> ResponsesReply:
        """End a response in the background; one that is over is returned as it ended.

        Raises:
            BadRequestError: the server refuses although the response is not over.
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        send, ask = partial(calls.cancel, call, response_id), partial(calls.ask, call, response_id)
        return await self._checked(call, jobs.cancel(send, ask))

    async def delete(self, response: ResponsesReply | str, *, model: str | None = None) -> None:
        """Let the server forget the response.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        await self._runner.run(calls.delete(call, response_id), call)

    async def input_items(self, response: ResponsesReply | str, *, model: str | None = None) -> list[InputItem]:
        """What the response was given, oldest first.

        Raises:
            NxlogError: see ``nxlog.errors``.
        """
        call, response_id = self._later(response, model)
        return await self._runner.run(calls.input_items(call, response_id), call)

    async def _checked(self, call: Call, flow: calls.Flow) -> ResponsesReply:
        known = len(call.warnings)
        reply = await self._runner.run(calls.checked(call, flow), call, each=True)
        emit(reply.warnings[known:], stacklevel=3)
        return reply
