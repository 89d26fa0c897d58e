"""The bridge from one turn to the next: ids that were sampled stay as they are, and only what follows is rendered.

Rendering a whole conversation again need not give the ids it had: texts are tokenized otherwise than they were sampled,
templates drop reasoning and rewrite calls. So nothing is rendered again. A made-up conversation with the new messages
at its end is rendered, and what the template writes after the words of its assistant is put behind the ids. That is
proven right where

- the template writes the same for two conversations that have nothing else in common,
- it leaves what came before the assistant as it was without the new messages,
- it ends the assistant's turn with a special token, before which no tokenizer looks when it tokenizes what follows,
- and the ids end as that template opens, and as it ends, a turn.
"""

from __future__ import annotations

import contextlib
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import InvalidRequestError
from nxlog.rendering.messages import template_messages, template_tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nxlog.rendering.renderer import Renderer

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bridge:
    """What became of a bridge.

    Attributes:
        ids: the prompt of the next turn, which begins with the prompt and the output of the last one; None without
            proof.
        reason: what could not be proven; None with ``ids``.
    """

    ids: array[int] | None
    reason: str | None = None


class _UnprovenError(Exception):
    """Its text is the reason."""


def bridge(
    renderer: Renderer,
    prompt: Sequence[int],
    output: Sequence[int],
    new_messages: Iterable[object],
    tools: Iterable[object] | None,
    variables: Mapping[str, Any],
) -> Bridge:
    """See ``Renderer.bridge``.

    Raises:
        InvalidRequestError: the messages are none.
    """
    messages = template_messages(new_messages)
    settings = {**variables, "tools": template_tools(tools)}
    try:
        _check(renderer, prompt, output, messages)
        made_up = _MadeUp(renderer, settings, _unused(messages))
        made_up.check_opening(prompt)
        rest = made_up.rest(messages)
        _check_end(renderer, output, rest[0])
    except _UnprovenError as error:
        return Bridge(None, str(error))
    except InvalidRequestError as error:
        return Bridge(None, error.message)
    ids = array("i", prompt)
    ids.extend(output)
    ids.extend(rest[1:] if output[-1] == rest[0] else rest)
    return Bridge(ids)


def _check(renderer: Renderer, prompt: Sequence[int], output: Sequence[int], messages: Messages) -> None:
    if not output:
        raise _UnprovenError("the last turn has no output ids")
    if not messages:
        raise _UnprovenError("there is no new message")
    if any(message["role"] == "assistant" for message in messages):
        raise _UnprovenError("an assistant message is new, which must be sampled, not rendered")
    if any(ids and not 0 <= min(ids) <= max(ids) < renderer.size for ids in (prompt, output)):
        raise _UnprovenError("the last turn has ids that the tokenizer has not")


def _check_end(renderer: Renderer, output: Sequence[int], closing: int) -> None:
    """Whether the output may be followed by the token that closes a turn, or is closed by it."""
    stops = renderer.stop_ids | {closing}
    if any(token in stops for token in output[:-1]):
        raise _UnprovenError("the output goes on after a token that ends a turn")
    if output[-1] != closing and output[-1] in renderer.special_ids | stops:
        ended, closes = renderer.added_tokens.get(output[-1]), renderer.added_tokens.get(closing)
        raise _UnprovenError(f"the output ends with {ended!r}, and the template ends a turn with {closes!r}")


def _unused(messages: Messages) -> str:
    """A word that is in none of the messages."""
    word = "Wordthatnobodysays"
    while word in str(messages):
        word += "x"
    return word


class _MadeUp:
    """Conversations that nobody had, under one template."""

    def __init__(self, renderer: Renderer, settings: dict[str, Any], word: str) -> None:
        self._renderer = renderer
        self._settings = settings
        self._word = word
        user = {"role": "user", "content": "A question."}
        said = {"role": "assistant", "content": "An answer."}
        self._short: Messages = [user]
        self._long: Messages = [{"role": "user", "content": "Something else,\nin two lines."}, said, user]

    def check_opening(self, prompt: Sequence[int]) -> None:
        """Whether the prompt ends as the template opens a turn of the assistant: for a question, or for a result."""
        result = {"role": "tool", "content": "A result.", "name": "tool", "tool_call_id": "call00000"}
        called = {"role": "assistant", "content": "", "tool_calls": self._calls([result])}
        for before in (self._short, [*self._short, called, result]):
            with contextlib.suppress(InvalidRequestError):  # some templates have no tools
                opening = self._opening(before)
                if opening and opening == array("i", prompt[-len(opening) :]):
                    return
        raise _UnprovenError("the prompt does not end as the template opens a turn")

    def _opening(self, before: Messages) -> array[int] | None:
        """The ids that open a turn, or the last before it where nothing does; None where no special token is first.

        Only from a special token on is tokenizing alone the same as tokenizing in place.
        """
        closed, opened = self._text(before, opened=False), self._text(before, opened=True)
        if not opened.startswith(closed):
            return None
        ids = self._renderer.encode(opened[len(closed) :]) or self._renderer.encode(closed)[-1:]
        return ids if ids and ids[0] in self._renderer.special_ids else None

    def rest(self, messages: Messages) -> array[int]:
        """What follows the words of the assistant: the token that closes its turn, and the new messages."""
        if messages[0]["role"] == "tool":
            try:
                return self._rest(messages, calls=self._calls(messages))
            except InvalidRequestError:
                pass  # some templates refuse several calls in one turn, though not their results
        return self._rest(messages)

    def _rest(self, messages: Messages, calls: Messages | None = None) -> array[int]:
        tail = self._tail(self._short, self._word, messages, calls)
        if tail != self._tail(self._long, f"<think>\nHm.\n</think>\n\n{self._word}", messages, calls):
            raise _UnprovenError("what the template writes next depends on what was said before")
        ids = self._renderer.encode(tail)
        if calls is None:
            if not ids or ids[0] not in self._renderer.special_ids:
                raise _UnprovenError("the template does not end a turn with a special token")
            return ids
        # Behind the last word of a call its markup comes first.
        stops = self._renderer.stop_ids | {self._rest(self._short)[0]}
        at = next((at for at, token in enumerate(ids) if token in stops), None)
        if at is None:
            raise _UnprovenError("the template does not end a turn with calls with a token that ends turns")
        return ids[at:]

    def _tail(self, before: Messages, answer: str, messages: Messages, calls: Messages | None) -> str:
        said = {"role": "assistant", "content": answer, **({} if calls is None else {"tool_calls": calls})}
        stem = self._text(before, opened=False)
        whole = self._text([*before, said, *messages], opened=True)
        if not whole.startswith(stem):
            raise _UnprovenError("the template writes earlier messages otherwise when new ones follow")
        at = whole.rfind(self._word)
        if at < len(stem):
            raise _UnprovenError("the template does not write what the assistant said")
        return whole[at + len(self._word) :]

    def _calls(self, messages: Messages) -> Messages:
        """The calls that the first messages are results of."""
        calls: Messages = []
        for message in messages:
            if message["role"] != "tool":
                break
            function = {"name": message.get("name", "tool"), "arguments": {"of": self._word}}
            calls.append({"id": message.get("tool_call_id", ""), "type": "function", "function": function})
        return calls

    def _text(self, messages: Messages, *, opened: bool) -> str:
        settings = cast("dict[str, Any]", {**self._settings, "add_generation_prompt": opened})
        return self._renderer.template.render(messages, **settings)
