"""Rollouts with tools, and what is shown of them.

Real: the client up to the socket, and both event loops. Made up: the replies (``FakeProvider``).
"""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog.rollout import Ended, Report, rollout
from nxlog.rollout.conversation import Conversation
from nxlog.rollout.task import Task
from nxlog.rollout.tools import ToolBox
from nxlog.testing import FakeProvider, FakeReply
from nxlog.trajectory import Trajectory
from nxlog.turn import ToolCallStatus, TurnTokenData, TurnToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")

TOOLS = [{"function": {"name": name, "parameters": {"type": "object"}}} for name in ("add", "search")]
REQUEST = {"model": "mock/m", "tools": TOOLS}


def calling(*calls: tuple[str, Mapping[str, Any]]) -> FakeReply:
    return FakeReply(tool_calls=calls, finish_reason="tool_calls")


async def play(*replies: FakeReply | str, **options: Any) -> tuple[Any, list[list[dict[str, Any]]]]:
    fake = FakeProvider()
    for reply in replies:
        fake.reply(reply)
    async with fake.async_client() as client:
        run = await rollout(client, ["2 + 3?"], request=REQUEST, **options)
    (result,) = run
    assert not fake.left
    return result, [request.body["messages"] for request in fake.requests]


@pytest.mark.anyio
async def test_results_of_tools_are_read_by_the_model() -> None:
    threads: list[int] = []

    async def add(a: int, b: int) -> int:
        return a + b

    def search(text: str) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return {"found": text}

    first = calling(("add", {"a": 2, "b": 3}), ("search", {"text": "five"}))
    result, sent = await play(first, "5", tools={"add": add, "search": search})
    user, said, one, two = sent[1]
    assert sent[0] == [user]
    assert [call["function"]["name"] for call in said["tool_calls"]] == ["add", "search"]
    assert (one["content"], two["content"]) == ("5", '{"found": "five"}')
    assert [one["tool_call_id"], two["tool_call_id"]] == [call["id"] for call in said["tool_calls"]]
    assert threads != [threading.get_ident()]  # nobody waits for it
    roles = [step.turn.role for step in result.trajectory.steps]
    assert roles == ["user", "assistant", "tool", "tool", "assistant"]
    assert [step.turn.tool_name for step in result.trajectory.steps if step.turn.role == "tool"] == ["add", "search"]
    report = result.report
    assert (report.ended, report.turns, report.tool_calls, report.tool_errors) == (Ended.DONE, 2, 2, 0)


@pytest.mark.anyio
async def test_what_goes_wrong_is_read_too() -> None:
    def add(a: int) -> int:
        raise ZeroDivisionError("not today")

    first = calling(("add", {"a": 1}), ("add", {"c": 1}), ("sub", {}))
    result, sent = await play(first, "Oh.", tools={"add": add})
    raised, wrong, unknown = (message["content"] for message in sent[1][2:])
    assert raised == "Error: ZeroDivisionError: not today"
    assert wrong.startswith("Error: TypeError: ")
    assert unknown == "Error: there is no such tool"
    assert (result.report.tool_calls, result.report.tool_errors) == (3, 3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (TurnToolCall("1", "add", '{"a": 1', ToolCallStatus.INVALID_JSON), "the arguments are not a JSON object"),
        (TurnToolCall("1", "add", '{"a": 1'), "the arguments are not a JSON object"),
        (TurnToolCall("1", "add", "[1]"), "the arguments are not a JSON object"),
        (TurnToolCall("1", "", "", ToolCallStatus.UNCLOSED_BLOCK, "<tool_call>{"), "the call has no end"),
        (TurnToolCall("1", "sub", "{}", ToolCallStatus.UNKNOWN_TOOL), "there is no such tool"),
        (TurnToolCall("1", "sub", "{}"), "there is no tool 'sub'; there are: add"),
    ],
)
async def test_a_call_that_cannot_be_made_says_why(call: TurnToolCall, text: str) -> None:
    def add(**_: Any) -> None:
        pytest.fail("called")

    report = Report()
    box = ToolBox({"add": add}, anyio.CapacityLimiter(1))
    assert await box.answer(call, report) == f"Error: {text}"
    assert report.tool_errors == 1


@pytest.mark.anyio
async def test_one_function_may_take_every_call() -> None:
    def answer(call: TurnToolCall) -> str:
        return f"{call.name} of {call.arguments}"

    _, sent = await play(calling(("add", {"a": 2})), "Yes", tools=answer)
    assert sent[1][2]["content"] == 'add of {"a": 2}'


@pytest.mark.anyio
async def test_calls_that_nobody_answers_end_it() -> None:
    result, _ = await play(calling(("add", {"a": 2})))
    assert result.report.ended is Ended.DONE
    result, _ = await play(calling(("add", {"a": 2})), max_turns=1)
    assert result.report.ended is Ended.DONE
    result, _ = await play(calling(("add", {})), tools={"add": lambda: 1}, max_turns=1)
    assert (result.report.ended, result.report.tool_calls) == (Ended.MAX_TURNS, 0)


@pytest.mark.anyio
async def test_the_user_speaks_when_no_tool_was_called() -> None:
    def user(conversation: Conversation) -> list[dict[str, Any]] | None:
        return [{"role": "user", "content": "Sure?"}] if conversation.turns == 2 else None

    result, sent = await play(calling(("add", {})), "5", "Yes", tools={"add": lambda: 5}, environment=user)
    assert [message["role"] for message in sent[-1]] == ["user", "assistant", "tool", "assistant", "user"]
    assert result.report.turns == 3


# -- taken up again ----------------------------------------------------------------------------------------------------


def test_a_conversation_is_the_same_when_it_is_taken_up() -> None:
    task = Task([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "2 + 3?"}])
    conversation = Conversation(task, Trajectory(id="r"))
    calls = (
        TurnToolCall("c1", "add", '{"a": 2}'),
        TurnToolCall("c2", "add", "{", ToolCallStatus.INVALID_JSON, raw="<tool_call>{</tool_call>"),
    )
    turn = TurnTokenData(
        role="assistant", content="Hm.", tool_calls=calls, prompt_ids=array("i", [1]), output_ids=array("i", [2, 3])
    )
    conversation.add(turn)
    conversation.reply([{"role": "tool", "content": "5", "tool_call_id": "c1", "name": "add"}])
    again = Conversation(task, Trajectory([conversation.trajectory.turn(i) for i in range(4)], id="r"))
    assert again.messages == conversation.messages
    assert again.messages[2]["content"] == "Hm.\n<tool_call>{</tool_call>"
    assert [call["id"] for call in again.messages[2]["tool_calls"]] == ["c1"]
    assert again.replies == conversation.replies == conversation.messages[3:]
    assert (again.turns, again.last, again.ids) == (1, conversation.last, conversation.ids)
    assert (again.report.resumed, conversation.report.resumed) == (True, False)


@pytest.mark.anyio
async def test_a_tool_whose_result_is_recorded_is_not_called_again(tmp_path: Path) -> None:
    """The process dies between the results of one turn: the kernel may cut even a single write."""
    path = tmp_path / "run.jsonl"
    called: list[str] = []

    def tool(call: TurnToolCall) -> str:
        called.append(call.arguments)
        return call.arguments

    first = calling(("add", {"a": 1}), ("add", {"a": 2}))
    await play(first, "Done", tools=tool, path=path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 8  # format, start, user, call, two results, answer, end
    path.write_bytes(b"".join(lines[:5]) + lines[5][:9])
    called.clear()
    result, sent = await play("Done", tools=tool, path=path)
    assert called == ['{"a": 2}']
    assert [message["content"] for message in sent[0][2:]] == ['{"a": 1}', '{"a": 2}']
    assert result.report.resumed


# -- the bar -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_there_is_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    await play("Hi")
    assert capsys.readouterr() == ("", "")


@pytest.mark.anyio
async def test_a_bar_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    await play("Hi there", progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1/1" in shown.err
    assert "1 turns" in shown.err


@pytest.mark.anyio
async def test_a_bar_that_is_wanted_needs_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"nxlog\[rl\]"):
        await play("Hi", progress=True)
