"""``ResponseSession`` and ``AsyncResponseSession``: drivers of ``conversation``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from nxlog._drive import adrive, drive
from nxlog.errors import InvalidRequestError
from nxlog.responses.conversation import Conversation
from nxlog.responses.watchdog import DEFAULT_WATCHDOG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from nxlog.responses.conversation import State, Step, Turn
    from nxlog.responses.events import Event
    from nxlog.responses.reply import ResponsesReply
    from nxlog.responses.request import ResponsesRequest
    from nxlog.responses.resource import AsyncResponses, Responses
    from nxlog.responses.stream import AsyncResponsesStream, ResponsesStream
    from nxlog.responses.watchdog import Watchdog
    from nxlog.warnings import ParameterWarning

StreamT = TypeVar("StreamT", "ResponsesStream", "AsyncResponsesStream")


class HasResponses(Protocol):
    """A ``Client``."""

    @property
    def responses(self) -> Responses:
        """The Responses API."""
        ...


class HasAsyncResponses(Protocol):
    """An ``AsyncClient``."""

    @property
    def responses(self) -> AsyncResponses:
        """The Responses API."""
        ...


class _Session:
    """What a session knows, however it waits."""

    def __init__(self, state: State, fields: dict[str, Any]) -> None:
        self._conversation = Conversation(state, fields)

    @property
    def state(self) -> Literal["server", "client"]:
        """Who keeps the conversation now."""
        return self._conversation.state

    @property
    def turns(self) -> list[Turn]:
        """The finished turns, each with its request and its reply."""
        return list(self._conversation.turns)

    @property
    def previous_response_id(self) -> str | None:
        """The last finished response, to go on elsewhere; None before the first."""
        return self._conversation.previous_response_id


class ResponseSession(_Session):
    """A conversation over several responses, one turn at a time.

    Args:
        client: where to send the turns.
        state: ``"server"`` names the previous response and leaves the conversation to the server; ``"client"`` sends
            the whole conversation with every turn; ``"auto"`` leaves it to the server until the server turns out not to
            have it, and from then on sends it whole, with a warning.
        fields: of every request (``model``, ``instructions``, ``logprobs``, ...), unless a turn says otherwise.
            ``previous_response_id`` goes on with a conversation that the server knows.

    Raises:
        InvalidRequestError: the fields and the state exclude each other.
    """

    def __init__(self, client: HasResponses, *, state: State = "auto", **fields: Any) -> None:
        super().__init__(state, fields)
        self._responses = client.responses

    def create(self, input: str | Sequence[Any], **fields: Any) -> ResponsesReply:  # noqa: A002 - the API's name
        """The next turn; a background response is waited for.

        Raises:
            NxlogError: see ``nxlog.errors``; the conversation is as it was before.
        """
        step = self._conversation.begin(input, fields)

        def send(request: ResponsesRequest) -> ResponsesReply:
            reply = self._responses.create(request)
            return self._responses.wait(reply) if reply.is_running else reply

        reply = self._conversation.finish(step, drive(self._conversation.answered(step), send))
        step.emit(stacklevel=2)
        return reply

    def stream(
        self,
        input: str | Sequence[Any],  # noqa: A002 - the API's name
        *,
        watchdog: Watchdog = DEFAULT_WATCHDOG,
        **fields: Any,
    ) -> SessionStream:
        """The next turn as a stream, in a ``with`` block; it joins the conversation once it is read to its end.

        Raises:
            InvalidRequestError: a field is wrong.
        """
        open_stream = partial(self._responses.stream, watchdog=watchdog)
        return SessionStream(open_stream, self._conversation, self._conversation.begin(input, fields))


class AsyncResponseSession(_Session):
    """The same for ``AsyncClient``."""

    def __init__(self, client: HasAsyncResponses, *, state: State = "auto", **fields: Any) -> None:
        super().__init__(state, fields)
        self._responses = client.responses

    async def create(self, input: str | Sequence[Any], **fields: Any) -> ResponsesReply:  # noqa: A002 - the API's name
        """The next turn; a background response is waited for.

        Raises:
            NxlogError: see ``nxlog.errors``; the conversation is as it was before.
        """
        step = self._conversation.begin(input, fields)

        async def send(request: ResponsesRequest) -> ResponsesReply:
            reply = await self._responses.create(request)
            return await self._responses.wait(reply) if reply.is_running else reply

        reply = self._conversation.finish(step, await adrive(self._conversation.answered(step), send))
        step.emit(stacklevel=2)
        return reply

    def stream(
        self,
        input: str | Sequence[Any],  # noqa: A002 - the API's name
        *,
        watchdog: Watchdog = DEFAULT_WATCHDOG,
        **fields: Any,
    ) -> AsyncSessionStream:
        """The next turn as a stream, in an ``async with`` block; read to its end it joins the conversation.

        Raises:
            InvalidRequestError: a field is wrong.
        """
        open_stream = partial(self._responses.stream, watchdog=watchdog)
        return AsyncSessionStream(open_stream, self._conversation, self._conversation.begin(input, fields))


class _SessionStream(Generic[StreamT]):
    """What a turn knows while it streams."""

    def __init__(self, conversation: Conversation, step: Step) -> None:
        self._conversation = conversation
        self._step = step
        self._stream: StreamT | None = None
        self._reply: ResponsesReply | None = None

    def _opened(self) -> StreamT:
        if self._stream is None:
            raise InvalidRequestError("enter the stream first: with session.stream(...) as stream: ...")
        return self._stream

    @property
    def warnings(self) -> list[ParameterWarning]:
        """Those of the stream and those of the session."""
        return [*self._opened().warnings, *self._step.warnings]

    @property
    def response(self) -> ResponsesReply:
        """What has arrived so far; whole, with its warnings, once the stream has ended."""
        return self._opened().response if self._reply is None else self._reply

    def _settle(self) -> None:
        if self._reply is None:
            self._reply = self._conversation.finish(self._step, self._opened().response)
            self._step.emit(stacklevel=3)


class SessionStream(_SessionStream["ResponsesStream"]):
    """A turn as a stream: ``with session.stream(...) as stream: for event in stream: ...``."""

    def __init__(
        self, open_stream: Callable[[ResponsesRequest], ResponsesStream], conversation: Conversation, step: Step
    ) -> None:
        super().__init__(conversation, step)
        self._open_stream = open_stream

    def __enter__(self) -> Self:
        flow = self._conversation.opened(self._step)
        self._stream = drive(flow, lambda request: self._open_stream(request).__enter__())
        self._step.emit(stacklevel=2)
        return self

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        for event in self._opened():
            return event
        self._settle()
        raise StopIteration

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened().close()


class AsyncSessionStream(_SessionStream["AsyncResponsesStream"]):
    """The same for ``AsyncClient``."""

    def __init__(
        self, open_stream: Callable[[ResponsesRequest], AsyncResponsesStream], conversation: Conversation, step: Step
    ) -> None:
        super().__init__(conversation, step)
        self._open_stream = open_stream

    async def __aenter__(self) -> Self:
        flow = self._conversation.opened(self._step)
        self._stream = await adrive(flow, lambda request: self._open_stream(request).__aenter__())
        self._step.emit(stacklevel=2)
        return self

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await anext(self._opened())
        except StopAsyncIteration:
            self._settle()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened().aclose()
