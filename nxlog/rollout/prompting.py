"""What is sent for the next turn of a conversation: its messages, or its ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from nxlog._config import as_request
from nxlog.rendering import Bridge, parse_tool_call_ids, parse_tool_calls
from nxlog.request import ChatRequest
from nxlog.rollout.parts import has_all_ids

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

    from nxlog.rendering import Renderer, ToolFormat
    from nxlog.rollout.conversation import Conversation
    from nxlog.turn import TurnTokenData

_ASKED: dict[str, Any] = {"logprobs": True, "return_token_ids": True}
"""What a rollout is for, unless the user says otherwise."""

_SOME_IDS = "not all ids of the last turn are known"


class Prompter(Protocol):
    """Between conversations and requests."""

    def request(self, conversation: Conversation) -> ChatRequest:
        """The request for the next turn."""
        ...

    def read(self, turn: TurnTokenData, conversation: Conversation) -> TurnTokenData:
        """What came, understood."""
        ...


@dataclass(frozen=True, slots=True)
class MessagePrompter:
    """Sends messages. The server renders them, anew for every turn.

    Attributes:
        fields: of every request.
    """

    fields: Mapping[str, Any]

    def request(self, conversation: Conversation) -> ChatRequest:
        """The request for the next turn.

        Raises:
            InvalidRequestError: a field is wrong.
        """
        said = {**_ASKED, **self.fields, **conversation.task.request, "messages": conversation.messages}
        return as_request(None, said, ChatRequest)

    def read(self, turn: TurnTokenData, conversation: Conversation) -> TurnTokenData:
        """What came, as it is."""
        del conversation
        return turn


@dataclass(frozen=True, slots=True)
class TokenPrompter:
    """Sends ids. What was sampled stays as it was, and what follows is rendered behind it.

    Attributes:
        fields: of every request.
        renderer: makes ids of messages.
        tool_format: how the model writes tool calls; None where it writes none.
    """

    fields: Mapping[str, Any]
    renderer: Renderer
    tool_format: ToolFormat | str | None = None

    def _tools(self, conversation: Conversation) -> Sequence[Any] | None:
        return {**self.fields, **conversation.task.request}.get("tools") or None

    def request(self, conversation: Conversation) -> ChatRequest:
        """The request for the next turn.

        Raises:
            InvalidRequestError: a field is wrong, or the template refuses the messages.
        """
        fields = {**_ASKED, **self.fields, **conversation.task.request, "input_ids": self._ids(conversation)}
        for name in ("tools", "tool_choice"):  # they are in the prompt
            fields.pop(name, None)
        return as_request(None, fields, ChatRequest)

    def _ids(self, conversation: Conversation) -> list[int]:
        last = conversation.last
        if last is not None:
            found = self._bridge(conversation) if has_all_ids(last) else Bridge(None, _SOME_IDS)
            if found.ids is not None:
                return found.ids.tolist()
            conversation.report.rendered_anew[str(conversation.turns)] = found.reason or ""
        rendered = self.renderer.render(conversation.messages, tools=self._tools(conversation))
        return rendered.token_ids.tolist()

    def _bridge(self, conversation: Conversation) -> Bridge:
        return self.renderer.bridge(*conversation.ids, conversation.replies, self._tools(conversation))

    def read(self, turn: TurnTokenData, conversation: Conversation) -> TurnTokenData:
        """What came, with its text, which servers of ids need not send, and the calls in it."""
        ids = turn.output_ids
        stops = self.renderer.stop_ids
        if ids and turn.stop_token_included is None and turn.finish_reason == "stop" and ids[-1] in stops:
            turn = replace(turn, stop_token_included=True)
        # Ids that are not all there spell less than the server's text.
        known = ids if ids and has_all_ids(turn) else None
        if self.tool_format is None:
            return turn if known is None else replace(turn, content=self._decode(known))
        # A call's id is that of no other in the conversation.
        options: Any = {"tools": self._tools(conversation), "id_prefix": f"call_{conversation.turns}_"}
        if known is None:
            parsed = parse_tool_calls(turn.content or "", self.tool_format, **options)
        else:
            parsed = parse_tool_call_ids(known, self.renderer, self.tool_format, **options)
        return replace(
            turn,
            content=parsed.content,
            reasoning=parsed.reasoning,
            tool_calls=parsed.tool_calls,
            finish_reason=parsed.finish_reason(turn.finish_reason),
        )

    def _decode(self, ids: array[int]) -> str:
        return self.renderer.decode(token for token in ids if token not in self.renderer.stop_ids)
