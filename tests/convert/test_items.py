"""Chat answers as responses and back: A-09 to A-12, A-16, A-21 and A-22 of the checklist.

Real here: the recordings of every provider, decoded by the wires, and hypothesis.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxlog import (
    AlignmentKind,
    ChatResponse,
    Choice,
    LogprobsData,
    TokenLogprob,
    ToolCall,
    Usage,
    WarningCode,
    WarningSeverity,
)
from nxlog.convert import chat_to_responses, responses_to_chat
from nxlog.distribution import Distribution
from nxlog.logprobs import CHANNELS
from nxlog.responses import FunctionCall, Message, OutputText, Reasoning, Refusal
from nxlog.wire import get_wire
from tests.conformance.cassettes import CASES, Case

WHOLE = [case for case in CASES if case.status == 200 and not case.stream and case.name[:4] != "err_"]
HI = [TokenLogprob.build("Hi", -0.5, bytes=b"Hi"), TokenLogprob.build(" there", -0.25)]
CALL = ToolCall.model_validate({"id": "call_7", "function": {"name": "f", "arguments": '{"a": 1}'}})


def answer(*choices: Choice, **fields: Any) -> ChatResponse:
    return ChatResponse(id="chatcmpl-1", model="m", provider="mock", created=7, choices=list(choices), **fields)


def numbered() -> Any:
    count = itertools.count()
    return lambda prefix: f"{prefix}_{next(count)}"


# -- to items ----------------------------------------------------------------------------------------------------------


def test_the_first_text_of_the_first_message_has_the_records() -> None:
    """A-10, A-01: all of them, as they are, in one place."""
    data = LogprobsData(HI)
    chat = answer(Choice(text="Hi there", refusal="no", tool_calls=[CALL], finish_reason="tool_calls", logprobs=data))
    converted = chat_to_responses(chat, new_id=numbered())
    message, call = converted.reply.output
    assert isinstance(message, Message)
    text, refusal = message.content
    assert isinstance(text, OutputText)
    assert text.text == "Hi there"
    assert text.logprobs == HI
    assert [mine is theirs for mine, theirs in zip(text.logprobs or (), HI, strict=True)] == [True, True]
    assert refusal == Refusal(refusal="no")
    assert call == FunctionCall(id="fc_1", call_id="call_7", name="f", arguments='{"a": 1}', status="completed")
    assert message.id == "msg_0"
    assert converted.logprobs is data
    assert converted.reply.warnings == []


@pytest.mark.parametrize(
    "choices",
    [
        [],
        [Choice(text="Hi")],
        [Choice(text="Hi", logprobs=LogprobsData())],
        [Choice(text="Hi", logprobs=LogprobsData([]))],
    ],
    ids=["no choice", "no logprobs", "no content", "no records"],
)
def test_without_records_nothing_is_attached(choices: list[Choice]) -> None:
    """A-09."""
    converted = chat_to_responses(answer(*choices))
    assert [item.text for item in converted.reply.output if isinstance(item, Message)] == [c.text for c in choices]
    assert converted.reply.logprobs is None
    assert converted.reply.warnings == []
    parts = [part for item in converted.reply.output if isinstance(item, Message) for part in item.content]
    assert all(isinstance(part, OutputText) and part.logprobs is None for part in parts)


@pytest.mark.parametrize("shown", [{"refusal": "no"}, {"tool_calls": [CALL]}, {}], ids=["refusal", "call", "nothing"])
def test_without_a_text_the_records_are_kept_beside_the_items(shown: dict[str, Any]) -> None:
    """A-10, A-16: not attached to anything else, and said."""
    chat = answer(Choice(**shown, logprobs=LogprobsData(HI)))
    converted = chat_to_responses(chat)
    assert converted.reply.logprobs is None
    assert converted.logprobs is not None
    assert list(converted.logprobs) == HI
    (warning,) = converted.reply.warnings
    assert (warning.parameter, warning.code) == ("logprobs", WarningCode.NO_PLACE)
    assert (warning.severity, warning.requested) == (WarningSeverity.WARNING, 2)
    assert "content 2" in warning.message
    assert (warning.provider, warning.model) == ("mock", "m")


def test_records_of_other_channels_have_items_of_their_own() -> None:
    """A-16, A-21: a refusal and a reasoning keep theirs, by channel."""
    thought, sorry = [TokenLogprob.build("so", -1.0)], [TokenLogprob.build("no", -2.0)]
    chat = answer(Choice(refusal="no", reasoning="so", logprobs=LogprobsData(refusal=sorry, reasoning=thought)))
    converted = chat_to_responses(chat)
    reasoning, message = converted.reply.output
    assert isinstance(reasoning, Reasoning)
    assert (reasoning.text, reasoning.logprobs) == ("so", thought)
    assert isinstance(message, Message)
    assert message.content == [Refusal(refusal="no", logprobs=sorry)]
    assert converted.reply.logprobs == chat.logprobs
    assert converted.reply.warnings == []


def test_further_choices_are_kept_and_said() -> None:
    """A-16: whole, with their records, by their index."""
    others = [Choice(index=i, text=text, logprobs=LogprobsData(HI)) for i, text in [(1, "b"), (2, "c")]]
    converted = chat_to_responses(answer(Choice(text="a"), *others))
    assert converted.reply.text == "a"
    assert converted.choices == others
    (warning,) = converted.reply.warnings
    assert (warning.parameter, warning.code, warning.requested) == ("n", WarningCode.NO_PLACE, 2)


def test_a_response_has_no_logprobs_of_its_own() -> None:
    """A-11: they are on the text only, and the id is the server's own."""
    reply = chat_to_responses(answer(Choice(text="Hi there", logprobs=LogprobsData(HI)))).reply
    assert "logprobs" not in reply.model_dump()
    assert reply.id == "chatcmpl-1"


def test_ids_are_unique() -> None:
    """A-15, better: no placeholder that all items share."""
    choice = Choice(text="a", reasoning="b", tool_calls=[CALL, CALL])
    replies = [chat_to_responses(ChatResponse(choices=[choice])).reply for _ in range(2)]
    ids = [reply.id for reply in replies] + [item.id for reply in replies for item in reply.output]  # type: ignore[union-attr]
    assert len(set(ids)) == len(ids) == 10
    assert [str(item_id).partition("_")[0] for item_id in ids[2:6]] == ["rs", "msg", "fc", "fc"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        (None, "completed", None),
        ("eos_token", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_the_end(reason: str | None, status: str, details: str | None) -> None:
    reply = chat_to_responses(answer(Choice(text="Hi", finish_reason=reason))).reply
    assert reply.status == status
    assert (reply.incomplete_details and reply.incomplete_details.reason) == details
    assert [item.status for item in reply.output if isinstance(item, Message)] == [status]


def test_bytes_that_are_not_the_text_are_flagged() -> None:
    """A-12, better: they pass, and the report says that they do not spell the text."""
    odd = [TokenLogprob.build("a", -1.0, bytes=b"\x01"), TokenLogprob.build("b", -1.0, bytes=b"\x02")]
    reply = chat_to_responses(answer(Choice(text="ab", logprobs=LogprobsData(odd)))).reply
    assert [token.bytes for token in reply.logprobs or ()] == [b"\x01", b"\x02"]
    channel = reply.delivery.channel("content")
    assert channel is not None
    assert channel.alignment.kind is AlignmentKind.MISMATCH


# -- and back ----------------------------------------------------------------------------------------------------------

texts = st.text(alphabet="ab \n\u00e9\U0001f30d", max_size=6)
records = st.lists(
    st.builds(TokenLogprob.build, texts, st.none() | st.floats(-20, 0), bytes=st.none() | st.binary(max_size=3)),
    max_size=3,
)
calls = st.builds(
    lambda i, name, arguments: ToolCall.model_validate(
        {"id": f"call_{i}", "function": {"name": name, "arguments": arguments}}
    ),
    st.integers(0, 9),
    texts,
    texts,
)


def _choice(channels: tuple[Any, Any, Any], **fields: Any) -> Choice:
    content, refusal, reasoning = (part or None for part in channels)
    data = LogprobsData(content, refusal=refusal, reasoning=reasoning)
    return Choice(**fields, logprobs=data or None)


choices = st.builds(
    _choice,
    st.tuples(records, records, records),
    text=texts,
    refusal=st.none() | texts.filter(bool),
    reasoning=st.none() | texts.filter(bool),
    tool_calls=st.lists(calls, max_size=2),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "eos", None]),
)
answers = st.builds(
    lambda found, usage: answer(*(c.model_copy(update={"index": i}) for i, c in enumerate(found)), usage=usage),
    st.lists(choices, min_size=1, max_size=3),
    st.none() | st.builds(Usage, prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9)),
)


@given(answers)
@settings(deadline=None)
def test_there_and_back(chat: ChatResponse) -> None:
    """A-22: whatever a chat answer has, of any number of choices."""
    assert responses_to_chat(chat_to_responses(chat)) == chat


@given(choices)
@settings(deadline=None)
def test_the_response_alone_knows_what_has_a_place_in_it(choice: Choice) -> None:
    """A-22: without what was kept beside it, everything but that."""
    chat = answer(choice)
    back = responses_to_chat(chat_to_responses(chat).reply)
    assert (back.text, back.refusal, back.reasoning) == (chat.text, chat.refusal, chat.reasoning)
    assert (back.tool_calls, back.usage, back.id, back.created) == (chat.tool_calls, chat.usage, chat.id, chat.created)
    for text, channel in [(chat.text, "content"), (chat.refusal, "refusal"), (chat.reasoning, "reasoning")]:
        had = None if chat.logprobs is None else chat.logprobs.channel(channel)  # type: ignore[arg-type]
        has = None if back.logprobs is None else back.logprobs.channel(channel)  # type: ignore[arg-type]
        assert list(has or ()) == (list(had or ()) if text else [])


def test_the_label_of_the_numbers_comes_back() -> None:
    data = LogprobsData(HI).with_distribution("raw")
    back = responses_to_chat(chat_to_responses(answer(Choice(text="Hi there", logprobs=data))))
    assert back.logprobs is not None
    assert back.logprobs.distribution is Distribution.RAW


def count(data: LogprobsData | None) -> int:
    return 0 if data is None else sum(len(data.channel(name) or ()) for name in CHANNELS)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: f"{case.provider}-{case.name}")
def test_every_recorded_answer_comes_back(case: Case) -> None:
    """A-22, on what servers really send."""
    chat = get_wire(case.wire).decode(case.reply)
    converted = chat_to_responses(chat)
    assert responses_to_chat(converted) == chat
    kept = sum(warning.requested for warning in converted.reply.warnings if warning.parameter == "logprobs")
    assert count(converted.reply.logprobs) + kept == count(chat.logprobs)
