"""What the kit asks: some of the probe's questions, and a few of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nxlog.probe.questions import Question
from nxlog.probe.questions import questions_for as probe_questions

if TYPE_CHECKING:
    from collections.abc import Collection

BORROWED = (
    "plain",
    "plain_stream",
    "logprobs",
    "top0",
    "top5",
    "stream",
    "tools",
    "tools_stream",
    "n2",
    "emoji",
    "emoji_stream",
    "hot",
)
"""Questions of the probe, in its order."""

NO_MODEL = "nxlog-conformance-no-such-model"
"""A model that no server has."""

CONVERSATION_KEYS = {
    "openai-chat": "messages",
    "openai-completions": "prompt",
    "openai-responses": "input",
    "anthropic-messages": "messages",
    "gemini": "contents",
    "cohere-chat": "messages",
    "bedrock-converse": "messages",
    "ollama": "messages",
    "llamacpp": "prompt",
    "sglang-generate": "text",
    "tgi": "inputs",
    "together-columns": "messages",
}
"""Where a request has the conversation, without which there is nothing to answer."""

WORDS = ("heron", "granite", "violin", "thunder")
"""What the requests that are asked at the same time are about."""


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


_PLAIN: dict[str, Any] = {"messages": _user("Name the capital of France in one word."), "max_tokens": 48}

UNKNOWN_MODEL = Question(name="unknown_model", fields=_PLAIN, optional=())
HANG_UP = Question(
    name="hang_up",
    fields={"messages": _user("Write a long story about the sea."), "max_tokens": 256},
    stream=True,
)
AFTERWARDS = Question(name="afterwards", fields={**_PLAIN, "temperature": 0})


def borrowed(wire: str, lacks: Collection[str]) -> tuple[Question, ...]:
    """The probe's questions that the kit asks too."""
    return tuple(question for question in probe_questions(wire, lacks) if question.name in BORROWED)


def call_stream(wire: str, lacks: Collection[str]) -> Question:
    """The probe's ``tools_stream`` without log-probabilities, which not every server gives beside it."""
    question = next(one for one in probe_questions(wire, lacks) if one.name == "tools_stream")
    fields = {name: value for name, value in question.fields.items() if name not in {"logprobs", "top_logprobs"}}
    return replace(question, name="call_stream", fields=fields)


def wrong_field(wire: str) -> Question | None:
    """A request whose conversation is none; None where nothing is known of the wire."""
    key = CONVERSATION_KEYS.get(wire)
    if key is None:
        return None
    return Question(name="wrong_field", fields={**_PLAIN, "provider_options": {key: {"wrong": True}}}, optional=())


def alone() -> tuple[Question, ...]:
    """One after the other."""
    return tuple(_about(word, "alone") for word in WORDS)


def together() -> tuple[Question, ...]:
    """The same, at the same time."""
    return tuple(_about(word, "together") for word in WORDS)


def _about(word: str, how: str) -> Question:
    fields = {
        "messages": _user(f"Write one line about this word: {word}"),
        "max_tokens": 16,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 5,
    }
    return Question(name=f"{how}_{word}", fields=fields, stream=True)
