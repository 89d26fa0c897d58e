"""Parts of the kit by themselves: counting in the raw JSON, and asking in every wire's words.

Real here: the recorded and hand-written exchanges of ``fixtures/``; the requests as they are encoded.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from nxlog.conformance import CHECKS, Verdict, check, raw
from nxlog.conformance.questions import CONVERSATION_KEYS, borrowed, call_stream, wrong_field
from nxlog.errors import ConnectError
from nxlog.probe.answer import Answer, Exchange
from nxlog.probe.ask import ask
from nxlog.probe.questions import Question
from nxlog.wire import NAMES, get_wire
from tests.conformance.cassettes import CASES
from tests.probe.exchanges import Script, answer_to, question, record, reply, respond, target

SPOKEN = [name for name in NAMES if name != "vllm-generate"]


def test_the_raw_count_is_that_of_the_readers() -> None:
    """Two counts that share nothing, over every exchange of the wires that are counted."""
    counted: Counter[str] = Counter()
    for case in CASES:
        if case.status >= 300 or case.wire not in raw.COUNTED | raw.COUNTED_WHOLE:
            continue
        asked = Question(name="q", fields={"messages": [{"role": "user", "content": "q"}]}, stream=case.stream)
        answer = Answer(question=asked)
        answer.__dict__["events"] = case.events()
        found = raw.count(answer, case.wire)
        if found is None:
            continue
        assert found == case.record_count(), case
        counted[case.wire] += found
    assert counted.keys() == raw.COUNTED | raw.COUNTED_WHOLE
    assert min(counted.values()) > 0


@pytest.mark.parametrize("wire", SPOKEN)
def test_the_wrong_field_is_wrong_on_every_wire(wire: str) -> None:
    """It replaces the conversation, which has the right shape otherwise."""
    spoken = get_wire(wire)
    here = replace(target(), wire=spoken, lacks=spoken.lacks)
    sent: list[dict[str, object]] = []

    class Line:
        last: Exchange | None = None

        def send(self, request: object) -> object:
            sent.append(json.loads(request.content))  # type: ignore[attr-defined]
            raise ConnectError("nobody there")

    wrong = wrong_field(wire)
    assert wrong is not None
    key = CONVERSATION_KEYS[wire]
    plain = replace(wrong, fields={name: value for name, value in wrong.fields.items() if name != "provider_options"})
    for one in (wrong, plain):
        ask(one.without(spoken.lacks), here, Line())  # type: ignore[arg-type]
    assert sent[0][key] == {"wrong": True}
    assert sent[1][key]
    assert sent[1][key] != {"wrong": True}
    assert {**sent[0], key: None} == {**sent[1], key: None}


def test_the_questions_are_those_of_the_probe() -> None:
    assert {one.name for one in borrowed("openai-chat", ())} >= {"plain", "stream", "tools_stream", "n2", "hot"}
    plain_call, call = call_stream("openai-chat", ()), question("tools_stream")
    assert plain_call.fields.items() <= call.fields.items()
    assert call.fields.keys() - plain_call.fields.keys() == {"logprobs", "top_logprobs"}


def test_without_answers_nothing_is_said() -> None:
    found = check([], wire="openai-chat")
    assert [finding.name for finding in found] == [one.name for one in CHECKS]
    assert {finding.verdict for finding in found} == {Verdict.NOT_APPLICABLE}


def test_a_server_that_refuses_logprobs_breaks_no_rule() -> None:
    no = respond({"error": {"message": "`logprobs` is not supported with this model"}}, 400)
    names = ("logprobs", "top0", "top5", "stream", "emoji", "hot")
    answers = [answer_to(question(name), no) for name in names]
    answers.append(answer_to(question("plain"), respond(reply("Paris", generated=1))))
    found = {finding.name: finding for finding in check(answers, wire="openai-chat")}
    assert not [name for name, finding in found.items() if finding.verdict is Verdict.FAIL]
    assert found["records-come"].seen.startswith("refused: ")
    assert found["whole-reply"].verdict is Verdict.PASS


def test_a_server_that_does_not_repeat_itself_is_not_blamed_for_its_streams() -> None:
    answers = [
        answer_to(question("plain"), respond(reply("Paris"))),
        answer_to(question("top5"), respond(reply("It is Paris", [record("It is Paris", -0.1)]))),
        ask(question("plain_stream"), target(), Script(lambda _: respond(_events("Lyon")))),
    ]
    found = {finding.name: finding for finding in check(answers, wire="openai-chat")}
    assert found["stream-agrees"].verdict is Verdict.NOT_APPLICABLE
    assert "2 different whole replies" in found["stream-agrees"].seen


def _events(text: str) -> list[dict[str, object]]:
    return [{"model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}]


def test_a_token_with_a_line_separator_is_one_record() -> None:
    """U+2028 ends a line for Python, and not on the wire."""
    line = {"model": "m", "choices": [{"index": 0, "delta": {"content": "a\u2028b"}, "finish_reason": "stop"}]}
    line["choices"][0]["logprobs"] = {"content": [record("a\u2028b", -0.1)]}  # type: ignore[index]
    body = f"data: {json.dumps(line, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()
    response = replace(respond([]), content=body)
    answer = answer_to(question("stream"), response)
    assert len(answer.all_records) == raw.count(answer, "openai-chat") == 1
