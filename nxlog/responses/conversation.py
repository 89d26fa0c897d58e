"""A conversation over several responses, without I/O: what the next request is, and what the reply means for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import ValidationError

from nxlog.errors import BadRequestError, InvalidRequestError, ResponseNotFoundError, StatusError
from nxlog.request import describe_errors
from nxlog.responses.items import FunctionCall, InputMessage, Message, Reasoning
from nxlog.responses.request import ResponsesRequest
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource, emit

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from nxlog.responses.items import InputItem, OutputItem
    from nxlog.responses.reply import ResponsesReply

State = Literal["server", "client", "auto"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One finished turn.

    Attributes:
        request: as it was sent: with ``previous_response_id``, or with the whole conversation as input.
        reply: what came back, at its end.
    """

    request: ResponsesRequest
    reply: ResponsesReply

    @property
    def state(self) -> Literal["server", "client"]:
        """Who kept the conversation that this turn went on with."""
        return "client" if self.request.previous_response_id is None else "server"


@dataclass(slots=True)
class Step:
    """One turn on its way."""

    given: str | Sequence[Any]
    fields: Mapping[str, Any]
    request: ResponsesRequest
    warnings: list[ParameterWarning] = field(default_factory=list[ParameterWarning])
    """What the reply alone would not say."""
    _emitted: int = 0

    def warn(self, warning: ParameterWarning) -> None:
        """Say it."""
        self.warnings.append(warning)

    def emit(self, *, stacklevel: int) -> None:
        """Pass what is new to ``warnings.warn``."""
        new = self.warnings[self._emitted :]
        self._emitted += len(new)
        emit(new, stacklevel=stacklevel + 1)


class Conversation:
    """What has been said, and who keeps it.

    Attributes:
        turns: the finished ones.
    """

    def __init__(self, state: State, fields: Mapping[str, Any]) -> None:
        if state not in get_args(State):
            raise InvalidRequestError(f"state: {state!r} is not one of 'server', 'client', 'auto'", param="state")
        self.turns: list[Turn] = []
        self._fields = dict(fields)
        self._previous: str | None = self._fields.pop("previous_response_id", None)
        self._history: list[InputItem] = []
        # Of what was said before the session only the server knows.
        self._knows_all = self._previous is None
        self._dropped_reasoning = False
        self._falls_back = state == "auto"
        self._by_server = state == "server" or (state == "auto" and self._fields.get("store") is not False)
        if not self._by_server and not self._knows_all:
            raise InvalidRequestError(
                f"previous_response_id: only the server knows what was said there, and state={state!r} keeps the "
                "conversation on the client",
                param="previous_response_id",
            )
        if state == "server" and self._fields.get("store") is False:
            raise InvalidRequestError("store: state='server' needs responses that are stored", param="store")

    @property
    def state(self) -> Literal["server", "client"]:
        """Who keeps the conversation now."""
        return "server" if self._by_server else "client"

    @property
    def previous_response_id(self) -> str | None:
        """The last finished response, to go on elsewhere; None before the first."""
        return self._previous

    def begin(self, given: str | Sequence[Any], fields: Mapping[str, Any]) -> Step:
        """The next turn.

        Raises:
            InvalidRequestError: a field is wrong.
        """
        fields = {**self._fields, **fields}
        for name in ("input", "previous_response_id"):
            if name in fields:
                raise InvalidRequestError(f"{name}: a session sets it", param=name)
        return Step(given, fields, self._request(given, fields))

    def _request(self, given: str | Sequence[Any], fields: Mapping[str, Any]) -> ResponsesRequest:
        by_id = self._by_server and self._previous is not None
        whole: str | list[Any] = given if isinstance(given, str) else list(given)
        if self._history and not by_id:
            new = [{"role": "user", "content": given}] if isinstance(given, str) else given
            whole = [*self._history, *new]
        given_id = {"previous_response_id": self._previous} if by_id else {}
        try:
            return ResponsesRequest.model_validate({**fields, **given_id, "input": whole})
        except ValidationError as error:
            param, message = describe_errors(list(error.errors()))
            raise InvalidRequestError(message, param=param) from None

    def opened(self, step: Step) -> Generator[ResponsesRequest, Any, Any]:
        """Yields what to send, and again where the server cannot go on from an id; returns what the caller made of it.

        Raises:
            StatusError: thrown in by the caller, and no matter of who keeps the conversation.
        """
        try:
            return (yield step.request)
        except StatusError as error:
            if not (self._may_fall_back(step) and _knows_no_id(error)):
                raise
            self._fall_back(step, f"the server cannot go on from it ({error.message})", WarningSource.SERVER, error)
        return (yield step.request)

    def answered(self, step: Step) -> Generator[ResponsesRequest, Any, ResponsesReply]:
        """The same for a whole reply, which also shows whether the server has just passed over the id."""
        reply: ResponsesReply = yield from self.opened(step)
        if _passed_over(step.request, reply) and self._may_fall_back(step):
            self._fall_back(step, "the server ignored it", WarningSource.RESPONSE, reply)
            reply = yield step.request
        return reply

    def _may_fall_back(self, step: Step) -> bool:
        return self._falls_back and self._knows_all and step.request.previous_response_id is not None

    def _fall_back(self, step: Step, why: str, source: WarningSource, told: StatusError | ResponsesReply) -> None:
        self._by_server = False
        message = f"{why}; sent the whole conversation, which is kept on the client from now on"
        step.warn(_not_stored(step.request, message, WarningSeverity.WARNING, source, told))
        step.request = self._request(step.given, step.fields)

    def finish(self, step: Step, reply: ResponsesReply) -> ResponsesReply:
        """The reply with what there is to say about it, taken into the conversation.

        One that failed or was cancelled is no part of it: the next turn goes on from the turn before.
        """
        if _passed_over(step.request, reply):
            message = "the server ignored it: the answer knows nothing of the conversation before"
            step.warn(_not_stored(step.request, message, WarningSeverity.ERROR, WarningSource.RESPONSE, reply))
            self._by_server = self._by_server and not self._may_fall_back(step)
        if self._dropped_reasoning and step.request.logprobs:
            step.warn(_rewritten(step.request, reply))
        reply = reply.model_copy(update={"warnings": [*reply.warnings, *step.warnings]})
        if reply.status in {None, "completed", "incomplete"}:
            self._history += _new_items(step)
            self._history += _carried(reply.output)
            thoughts = [item for item in reply.output if isinstance(item, Reasoning)]
            self._dropped_reasoning |= any(self._by_server or item.encrypted_content is None for item in thoughts)
            self._previous = reply.id
            self.turns.append(Turn(step.request, reply))
        return reply


def _knows_no_id(error: StatusError) -> bool:
    """Whether the server refuses to go on from a stored response, because there is none or never is one."""
    return isinstance(error, ResponseNotFoundError) or (
        isinstance(error, BadRequestError) and error.param == "previous_response_id"
    )


def _passed_over(request: ResponsesRequest, reply: ResponsesReply) -> bool:
    """Whether a server that repeats the fields of the request has not repeated the id."""
    if request.previous_response_id is None or reply.previous_response_id is not None:
        return False
    raw = reply.raw
    return raw is not None and "previous_response_id" in raw


def _new_items(step: Step) -> Sequence[InputItem]:
    """What this turn said, without what was said before."""
    said = step.request.input
    if isinstance(said, str):
        return [InputMessage(role="user", content=said)]
    return said[len(said) - (1 if isinstance(step.given, str) else len(step.given)) :]


def _carried(output: Sequence[OutputItem]) -> Iterator[InputItem]:
    """What a model put out, as the next turn's input: what a server's own store makes of it.

    A reasoning is left out, as servers leave it out, unless it is encrypted, which is for sending it back. Ids are left
    out where an item does without: a server that stored nothing knows none.
    """
    for item in output:
        if isinstance(item, Message):
            if item.text or item.refusal:
                yield InputMessage(role="assistant", content=[*item.content] if item.refusal else item.text)
        elif isinstance(item, FunctionCall):
            yield FunctionCall(call_id=item.call_id or item.id or "", name=item.name, arguments=item.arguments)
        elif not isinstance(item, Reasoning) or item.encrypted_content is not None:
            yield item


def _not_stored(
    request: ResponsesRequest,
    message: str,
    severity: WarningSeverity,
    source: WarningSource,
    told: StatusError | ResponsesReply,
) -> ParameterWarning:
    return ParameterWarning(
        parameter="previous_response_id",
        code=WarningCode.NOT_STORED,
        severity=severity,
        message=message,
        requested=request.previous_response_id,
        provider=told.provider,
        model=told.model,
        source=source,
    )


def _rewritten(request: ResponsesRequest, reply: ResponsesReply) -> ParameterWarning:
    return ParameterWarning(
        parameter="input" if request.previous_response_id is None else "previous_response_id",
        code=WarningCode.HISTORY_REWRITTEN,
        severity=WarningSeverity.INFO,
        message="the reasoning of earlier turns is no part of this prompt: turn by turn the tokens are those that were "
        "sampled, as one sequence they are not; do not train on them as one",
        provider=reply.provider,
        model=reply.model,
        source=WarningSource.REQUEST,
    )
