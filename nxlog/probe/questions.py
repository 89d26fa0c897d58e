"""What a probe asks: a small fixed set of requests, each of which can show one thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nxlog.request import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ROOM = 1024
"""Tokens added to every answer of a model that thinks before it says a word."""

HOT, COLD, NUCLEUS = 1.3, 0.3, 0.5
"""Temperatures above and below 1, and the ``top_p``, that are compared with plain sampling."""

SEED = 7
"""A run can be repeated, where the server takes a seed."""

LENGTH = 24
"""``max_tokens`` of the answers that are meant to be cut off."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request.

    Attributes:
        name: what answers are known by, and cassettes are named after.
        fields: the fields of the ``ChatRequest``, except for the model.
        stream: whether the answer is streamed.
        needs: names of claims that the wire format must have a place for; otherwise the question is not asked.
        optional: fields that may go when the server refuses them, because they only make the answer handier.
        unchecked: fields whose value no ``ChatRequest`` can hold.
    """

    name: str
    fields: Mapping[str, Any]
    stream: bool = False
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("temperature",)
    unchecked: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def special(self) -> dict[str, Any]:
        """What the question is about: its fields without the conversation and what every question has."""
        fields = {**self.fields, **self.unchecked}
        return {name: value for name, value in fields.items() if name not in {"messages", "max_tokens"}}

    def without(self, names: Collection[str]) -> Question:
        """The same without those of its optional fields."""
        gone = set(names) & set(self.optional)
        return replace(self, fields={name: value for name, value in self.fields.items() if name not in gone})

    def with_room(self, tokens: int) -> Question:
        """The same with a longer answer allowed."""
        return replace(self, fields={**self.fields, "max_tokens": self.fields["max_tokens"] + tokens})

    def request(self, model: str) -> ChatRequest:
        """The request, as far as a request can hold it."""
        return ChatRequest.model_validate({"model": model, **self.fields})


def questions_for(wire: str, lacks: Collection[str]) -> tuple[Question, ...]:
    """Every question, in order, in the words of a wire format.

    Args:
        wire: name of the format.
        lacks: claims that it has no place for.
    """
    chat = "system_messages" not in lacks
    own = (
        _about("prompt_logprobs", PROMPT_OPTIONS.get(wire), needs=("prompt_logprobs",)),
        _about("token_ids", ID_OPTIONS.get(wire), needs=("token_ids",)),
    )
    found = (*_ASKING, *_emoji(_ECHO if chat else _ECHO_TEXT), *(one for one in own if one), *_SAMPLING)
    return tuple(question.without(lacks) for question in found)


PROMPT_OPTIONS: dict[str, dict[str, Any]] = {
    "openai-chat": {"prompt_logprobs": 1},
    "openai-completions": {"prompt_logprobs": 1},
    "sglang-generate": {"logprob_start_len": 0},
}
"""Keys by which engines are asked for the log-probabilities of the prompt; they are no fields of ``ChatRequest``."""

ID_OPTIONS: dict[str, dict[str, Any]] = {
    "openai-chat": {"return_token_ids": True},
    "openai-completions": {"return_token_ids": True},
    "llamacpp": {"return_tokens": True},
}
"""Keys by which engines are asked for token ids; without an entry the ids come by themselves, or not at all."""


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


# Ends by itself after a few tokens.
_CAPITAL = {"messages": [_user("Name the capital of France in one word.")], "max_tokens": 48, "temperature": 0}
# Has many good beginnings, so that the alternatives of the first token are all of some weight.
_ANIMAL = {
    "messages": [_user("Name any animal.")],
    "max_tokens": 16,
    "seed": SEED,
    "logprobs": True,
    "top_logprobs": 5,
}
# Nothing is likely, so that what is sampled at a high temperature is seldom what is likeliest.
_WORDS = {
    "messages": [_user("Write a line of made-up words.")],
    "max_tokens": LENGTH,
    "logprobs": True,
    "top_logprobs": 3,
}
_LAKE = {
    "messages": [_user("How high is the water of Lake Constance? Ask the tool.")],
    "max_tokens": 80,
    "temperature": 0,
    "logprobs": True,
    "top_logprobs": 1,
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "water_level",
                "description": "The water level of a lake in meters",
                "parameters": {"type": "object", "properties": {"lake": {"type": "string"}}, "required": ["lake"]},
            },
        }
    ],
    "tool_choice": "required",
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    # No model says this unless it is made to.
    "properties": {"verdict": {"type": "string", "enum": ["plover", "curlew"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
"""What the answer to ``json_schema`` must look like."""

_TURNS = ("\U0001f99c", "\U0001f916", "\U0001f389", "\U0001f980")
_LAST = "\U0001f40d"
_ECHO = [
    message
    for emoji in _TURNS
    for message in (_user(f"Echo this emoji: {emoji}"), {"role": "assistant", "content": emoji * 3})
] + [_user(f"Echo this emoji: {_LAST}")]
# For formats that complete one text.
_ECHO_TEXT = [_user("".join(f"echo {emoji} -> {emoji * 3}\n" for emoji in _TURNS) + f"echo {_LAST} -> ")]


def _top(name: str, count: int, *, stream: bool = False) -> Question:
    return Question(name=name, fields={**_CAPITAL, "logprobs": True, "top_logprobs": count}, stream=stream)


def _emoji(messages: list[dict[str, Any]]) -> tuple[Question, Question]:
    fields = {"messages": messages, "max_tokens": LENGTH, "temperature": 0, "logprobs": True, "top_logprobs": 5}
    return Question(name="emoji", fields=fields), Question(name="emoji_stream", fields=fields, stream=True)


def _about(name: str, options: dict[str, Any] | None, *, needs: tuple[str, ...]) -> Question | None:
    if options is None:
        return None
    fields = {**_CAPITAL, "logprobs": True, "top_logprobs": 1, "provider_options": options}
    return Question(name=name, fields=fields, needs=needs)


_ASKING = (
    Question(name="plain", fields=_CAPITAL),
    Question(name="plain_stream", fields=_CAPITAL, stream=True),
    Question(name="logprobs", fields={**_CAPITAL, "logprobs": True}),
    _top("top0", 0),
    _top("top1", 1),
    _top("top5", 5),
    _top("top20", 20),
    _top("top21", 21),
    Question(name="top_minus1", fields={**_CAPITAL, "logprobs": True}, unchecked={"top_logprobs": -1}),
    _top("stream", 5, stream=True),
    Question(name="tools", fields=_LAKE, needs=("tools",), optional=("temperature", "tool_choice")),
    Question(name="tools_stream", fields=_LAKE, stream=True, needs=("tools",), optional=("temperature", "tool_choice")),
    Question(
        name="reasoning",
        # The temperature is left out: models that reason refuse it while they do.
        fields={
            "messages": [_user("How many legs do three spiders have?")],
            "max_tokens": 256,
            "logprobs": True,
            "top_logprobs": 1,
            "reasoning_effort": "low",
        },
        needs=("reasoning_effort",),
    ),
    Question(
        name="n2",
        fields={**_CAPITAL, "max_tokens": 16, "temperature": 1.0, "logprobs": True, "top_logprobs": 1, "n": 2},
        needs=("n",),
    ),
    Question(
        name="json_schema",
        fields={
            "messages": [_user("Is it raining? Answer in JSON.")],
            "max_tokens": 64,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 5,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA},
            },
        },
        needs=("json_schema",),
    ),
)

_SAMPLING = (
    Question(name="greedy", fields={**_WORDS, "temperature": 0}, needs=("temperature",), optional=()),
    Question(
        name="hot", fields={**_WORDS, "temperature": HOT, "seed": SEED}, needs=("temperature",), optional=("seed",)
    ),
    Question(name="warm", fields={**_ANIMAL, "temperature": 1.0}, optional=("temperature", "seed")),
    Question(name="cold", fields={**_ANIMAL, "temperature": COLD}, needs=("temperature",), optional=("seed",)),
    Question(
        name="nucleus",
        fields={**_ANIMAL, "temperature": 1.0, "top_p": NUCLEUS},
        needs=("temperature", "top_p"),
        optional=("seed",),
    ),
)
