"""Rollouts against a scripted server of ids.

Real: sockets on loopback, the client, streams that break, files, the tokenizer and the template of a tiny model, and
both event loops. Made up: what is sampled, by ``id_server``.
"""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest

from nxlog import AsyncClient, Client
from nxlog.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    NxlogError,
    PermissionDeniedError,
    ServerError,
)
from nxlog.rendering import load
from nxlog.retry import RetryPolicy
from nxlog.rollout import Conversation, Ended, Rollout, RolloutResult, read_rollouts, rollout, rollout_sync
from nxlog.turn import CheckCode, TurnPart
from tests.fault_server import CLOSE, LAST_CHUNK, RESET, FaultServer, chunk, chunked_head, response
from tests.rl.id_server import STOP, Crowd, asked, broken, continuation, events, events_of, logprob, whole
from tests.tools.tiny_gguf import train_vocabulary, write_tiny_gguf

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from pathlib import Path

    from nxlog.rendering import Renderer
    from nxlog.turn import TurnTokenData
    from tests.fault_server import Received

pytestmark = [pytest.mark.network, pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory")]

QUICK = RetryPolicy(attempts=5, first_delay=0.001, factor=1.0)
REQUEST = {"model": "tiny", "temperature": 1.0, "max_tokens": 12, "top_logprobs": 2}


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    vocabulary = train_vocabulary(ascii_only=True)
    return load(write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", vocabulary=vocabulary))


async def run(server: FaultServer, renderer: Renderer, tasks: Any = ("Hello",), **options: Any) -> Rollout:
    request = {**REQUEST, **options.pop("request", {})}
    async with client_of(server) as client:
        return await rollout(client, tasks, request=request, renderer=renderer, retries=QUICK, **options)


def client_of(server: FaultServer, wire: str = "llamacpp") -> AsyncClient:
    return AsyncClient(provider="llamacpp", base_url=f"{server.url}/v1", wire=wire, retries=0)


def only(run: Rollout) -> RolloutResult:
    (result,) = run
    return result


def sampled(result: RolloutResult) -> list[TurnTokenData]:
    trajectory = result.trajectory
    return [trajectory.turn(step.index) for step in trajectory.steps if step.turn.role == "assistant"]


def say(*texts: str) -> Any:
    """An environment that says these things, one after each turn."""

    def environment(conversation: Conversation) -> list[dict[str, Any]] | None:
        said = texts[conversation.turns - 1 : conversation.turns]
        return [{"role": "user", "content": text} for text in said] or None

    return environment


# -- turns -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_conversation_is_a_trajectory_with_its_report(renderer: Renderer) -> None:
    with FaultServer(whole) as server:
        result = only(await run(server, renderer, [[*SYSTEM, USER]], environment=say("More", "And?")))
    turns = sampled(result)
    assert [step.turn.role for step in result.trajectory.steps] == [
        *("system", "user", "assistant", "user", "assistant", "user", "assistant")
    ]
    assert [body["prompt"] for body in asked(server)] == [turn.prompt_ids.tolist() for turn in turns]
    for turn in turns:
        assert turn.output_ids.tolist() == continuation(turn.prompt_ids, 12)
        assert turn.output_logprobs.tolist() == [logprob(token) for token in turn.output_ids]
        assert turn.trainable, turn.reason
        assert turn.parts == ()
    # What was sampled is in the next prompt, id for id.
    assert {str(step.check.verdict) for step in result.trajectory.steps if step.check} == {"clean", "extend"}
    report = result.report
    assert (report.ended, report.turns, report.requests, report.resumed) == (Ended.DONE, 3, 3, False)
    assert report.tokens == sum(len(turn.output_ids) for turn in turns)
    assert report.rendered_anew == {}


SYSTEM = [{"role": "system", "content": "Be brief."}]
USER = {"role": "user", "content": "Hello"}


@pytest.mark.anyio
async def test_the_last_turn_that_is_allowed_ends_it(renderer: Renderer) -> None:
    with FaultServer(whole) as server:
        result = only(await run(server, renderer, environment=say("a", "b", "c"), max_turns=2))
    assert (result.report.ended, result.report.turns) == (Ended.MAX_TURNS, 2)


@pytest.mark.anyio
async def test_the_score_is_the_reward(renderer: Renderer) -> None:
    async def score(conversation: Conversation) -> float:
        return conversation.task.metadata["answer"] / 2

    with FaultServer(whole) as server:
        result = only(await run(server, renderer, [{"prompt": "2 + 2", "answer": 4}], score=score))
    assert result.trajectory.reward == 2.0
    assert result.trajectory.metadata["answer"] == 4


# -- turns that break off --------------------------------------------------------------------------------------------

BREAKS: dict[str, tuple[Any, ...]] = {
    "reset": (RESET,),
    "closed": (CLOSE,),
    "ended": (LAST_CHUNK,),
    "error": (chunk(b'data: {"error": {"code": 500, "message": "out of luck"}}\n\n'), LAST_CHUNK),
}


@pytest.mark.anyio
@pytest.mark.parametrize("how", BREAKS.values(), ids=BREAKS)
async def test_a_turn_that_breaks_goes_on_from_its_ids(renderer: Renderer, how: tuple[Any, ...]) -> None:
    with FaultServer(whole) as server:
        unbroken = only(await run(server, renderer))
    (turn,) = sampled(unbroken)
    assert len(turn.output_ids) > 6
    with FaultServer(broken(2, *how), broken(0, *how), broken(3, *how), whole) as server:
        result = only(await run(server, renderer))
    (resumed,) = sampled(result)
    assert resumed.output_ids == turn.output_ids
    assert resumed.output_logprobs == turn.output_logprobs
    assert resumed.top == turn.top
    assert resumed.content == turn.content
    assert (resumed.finish_reason, resumed.stop_token_included) == (turn.finish_reason, turn.stop_token_included)
    assert resumed.sampling == turn.sampling
    assert resumed.trainable, resumed.reason
    assert [(part.start, part.end) for part in resumed.parts] == [(0, 2), (2, 5), (5, len(turn.output_ids))]
    prompt = resumed.prompt_ids.tolist()
    output = resumed.output_ids.tolist()
    bodies = asked(server)
    assert [body["prompt"] for body in bodies] == [prompt + output[:at] for at in (0, 2, 2, 5)]
    assert [body["n_predict"] for body in bodies] == [12, 10, 10, 7]
    report = result.report
    assert (report.requests, report.retries, report.resumed_turns, report.lost_tokens) == (4, 3, 1, 0)


@pytest.mark.anyio
async def test_a_turn_whose_last_token_came_is_whole(renderer: Renderer) -> None:
    with FaultServer(broken(12, RESET)) as server:
        result = only(await run(server, renderer, request={"max_tokens": 3}))
        assert len(server.requests) == 1
    assert (sampled(result)[0].finish_reason, len(sampled(result)[0].output_ids)) == ("length", 3)
    # A prompt whose answer ends by itself: nothing may be sampled behind the stop token.
    prompts = (f"Hello {number}" for number in count())
    ending = next(text for text in prompts if STOP in continuation(ids_of(renderer, text), 12)[1:])
    with FaultServer(broken(12, RESET)) as server:
        result = only(await run(server, renderer, [ending]))
        assert len(server.requests) == 1
    (turn,) = sampled(result)
    assert (turn.output_ids[-1], turn.finish_reason, turn.stop_token_included) == (STOP, "stop", True)


def ids_of(renderer: Renderer, text: str) -> array[int]:
    return renderer.render([{"role": "user", "content": text}]).token_ids


@pytest.mark.anyio
async def test_a_server_that_cuts_off_for_new_weights_goes_on(renderer: Renderer) -> None:
    """vLLM's ``/pause?mode=abort``: the reply ends with what there is, and the weights may be others afterwards."""

    def reply(ids: list[int], finish: str, version: str) -> bytes:
        records = [{"token": f"token_id:{token}", "token_id": token, "logprob": logprob(token)} for token in ids]
        choice = {
            "index": 0,
            "finish_reason": finish,
            "token_ids": ids,
            "logprobs": {"content": records},
            "weight_versions": [{"version": version, "start": 0, "end": len(ids)}],
        }
        return response(body=json.dumps({"request_id": version, "model": "tiny", "choices": [choice]}).encode())

    with FaultServer(
        reply([40, 41], "abort", "7"), reply([42], "abort", "8"), reply([43, STOP], "stop", "8")
    ) as server:
        async with AsyncClient(provider="vllm", base_url=f"{server.url}/v1", wire="vllm-generate", retries=0) as client:
            result = only(
                await rollout(
                    client, ["Hello"], request=REQUEST, renderer=renderer, retries=QUICK, stream=False, max_pause=1.0
                )
            )
    (turn,) = sampled(result)
    assert turn.output_ids.tolist() == [40, 41, 42, 43, STOP]
    assert [(version.version, version.start, version.end) for version in turn.weight_versions] == [
        *(("7", 0, 2), ("8", 2, 3), ("8", 3, 5))
    ]
    assert turn.parts == (TurnPart(0, 2, "abort", "7"), TurnPart(2, 3, "abort", "8"), TurnPart(3, 5, "stop", "8"))
    assert turn.trainable, turn.reason
    assert turn.stop_token_included
    assert turn.content == renderer.decode([40, 41, 42, 43])
    assert result.report.pauses == 2
    assert [body["sampling_params"]["max_tokens"] for body in asked(server)] == [12, 10, 9]


@pytest.mark.anyio
async def test_messages_cannot_go_on_within_a_turn(renderer: Renderer) -> None:
    """The words would be tokenized once more, so the turn starts over and what came is counted as lost."""

    def stream(words: int, *, end: bool) -> list[Any]:
        choices: list[dict[str, Any]] = []
        for token in range(40, 40 + words):
            record = {"id": token, "token": "a", "bytes": [97], "logprob": -0.5}
            choices.append({"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [record]}})
        choices[-1]["finish_reason"] = "length" if end else None
        lines = [chunk(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n") for choice in choices]
        return [chunked_head(), *lines, *([chunk(b"data: [DONE]\n\n"), LAST_CHUNK] if end else [RESET])]

    with FaultServer(stream(2, end=False), stream(3, end=True)) as server:
        async with client_of(server, wire="openai-chat") as client:
            result = only(await rollout(client, ["Hello"], request=REQUEST, retries=QUICK))
    (turn,) = sampled(result)
    assert (turn.output_ids.tolist(), turn.parts) == ([40, 41, 42], ())
    assert (result.report.lost_tokens, result.report.resumed_turns, result.report.retries) == (2, 0, 1)
    assert asked(server)[0] == asked(server)[1]


# -- seeds -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_every_request_has_a_seed_of_its_own_and_the_same_one_again(renderer: Renderer) -> None:
    seeds: list[list[int]] = []
    for _ in range(2):
        with FaultServer(broken(2, RESET), whole) as server:
            options: Any = {"environment": say("More"), "request": {"seed": 5}, "concurrency": 1}
            await run(server, renderer, ["Hello", "Hello"], **options)
        seeds.append([body["seed"] for body in asked(server)])
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == len(set(seeds[0])) == 5


# -- pauses and failures -----------------------------------------------------------------------------------------------

PAUSES = {
    "vllm": response(503, b'{"error": "paused"}'),
    "retry_after": response(503, retry_after="0.01"),
    "agent-lightning": response(429, retry_after="0.01", x_agl_paused="1"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("pause", PAUSES.values(), ids=PAUSES)
async def test_a_paused_server_is_waited_for(renderer: Renderer, pause: bytes) -> None:
    # More often than there are attempts: a pause is none.
    with FaultServer(*[pause] * 8, whole) as server:
        result = only(await run(server, renderer))
    assert (result.report.pauses, result.report.retries, result.report.requests) == (8, 0, 9)


@pytest.mark.anyio
async def test_a_pause_that_takes_too_long_is_a_failure(renderer: Renderer) -> None:
    with FaultServer(response(503, retry_after="0.01")) as server:
        found = await run(server, renderer, max_pause=0.025)
    assert len(server.requests) == 3
    (error,) = found.failures.values()
    assert isinstance(error, ServerError)


ODD = {
    "500": response(500),
    "400": response(400, b'{"error": {"message": "worker is not ready"}}'),
    "422": response(422),
    "429": response(429),
    "not json": response(200, b"<html>", content_type="text/html"),
    "reset": [RESET],
}


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ODD.values(), ids=ODD)
async def test_nearly_everything_is_asked_again(renderer: Renderer, fault: Any) -> None:
    with FaultServer(*[fault] * 4, whole) as server:
        found = await run(server, renderer)
    assert found.tally.retries == only(found).report.retries == 4
    with FaultServer(fault) as server:
        found = await run(server, renderer)
        assert len(server.requests) == QUICK.attempts
    assert (found.tally.failed, list(found)) == (1, [])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError)]
)
async def test_what_no_request_can_change_ends_the_run(
    renderer: Renderer, status: int, kind: type[NxlogError], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    with FaultServer(whole, response(status)) as server:
        with pytest.raises(kind):
            await run(server, renderer, ["a", "b", "c"], concurrency=1, path=path)
        assert len(server.requests) == 2
    assert len(list(read_rollouts(path))) == 1  # what was done is kept


TOO_LONG = {
    "vllm": {"error": {"message": "This model's maximum context length is 8 tokens. However, ...", "code": 400}},
    "openai": {"error": {"message": "Too much.", "code": "context_length_exceeded"}},
    "llamacpp": {
        "error": {"message": "request exceeds the available context size", "type": "exceed_context_size_error"}
    },
    "sglang": {"object": "error", "message": "The input is longer than the model's context length (8 tokens)."},
}


@pytest.mark.anyio
@pytest.mark.parametrize("body", TOO_LONG.values(), ids=TOO_LONG)
async def test_a_conversation_that_no_longer_fits_has_ended(renderer: Renderer, body: dict[str, Any]) -> None:
    with FaultServer(whole, response(400, json.dumps(body).encode()), whole) as server:
        options: Any = {"environment": say("More"), "concurrency": 1}
        found = await run(server, renderer, ["a", "b"], **options)
    assert [result.report.ended for result in found] == [Ended.CONTEXT_LENGTH, Ended.DONE]
    assert [result.report.turns for result in found] == [1, 2]
    assert len(server.requests) == 4  # asked once


@pytest.mark.anyio
async def test_too_many_failures_end_the_run(renderer: Renderer) -> None:
    with FaultServer(response(500)) as server:
        with pytest.raises(ServerError):
            await run(server, renderer, [str(i) for i in range(50)], concurrency=1, max_failures=2)
        assert len(server.requests) == 3 * QUICK.attempts


@pytest.mark.anyio
async def test_what_failed_is_taken_up_by_the_next_run(renderer: Renderer, tmp_path: Path) -> None:
    options: Any = {"path": tmp_path / "run.jsonl", "environment": say("More")}
    with FaultServer(whole, response(500)) as server:
        first = await run(server, renderer, **options)
    assert (first.tally.failed, first.tally.turns, list(first)) == (1, 1, [])
    with FaultServer(whole) as server:
        second = await run(server, renderer, **options)
        assert len(server.requests) == 1  # the first turn is not sampled again
    result = only(second)
    assert (result.report.resumed, len(sampled(result))) == (True, 2)
    assert first.failures.keys() == {result.trajectory.id}
    with FaultServer(whole) as server:
        third = await run(server, renderer, **options)
        assert not server.requests
    assert (third.tally.skipped, third.tally.done) == (1, 0)


# -- the window ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_so_many_at_a_time_and_tasks_as_they_are_needed(renderer: Renderer) -> None:
    crowd = Crowd(3)
    taken = 0
    ahead: list[int] = []

    def tasks() -> Iterator[str]:
        nonlocal taken
        for number in range(12):
            taken += 1
            yield f"Hello {number}"

    def look(conversation: Conversation) -> None:
        ahead.append(taken)

    with FaultServer(crowd.entry()) as server:
        found = await run(server, renderer, tasks(), concurrency=3, environment=look)
    assert (crowd.most, found.tally.done, taken) == (3, 12, 12)
    assert ahead[0] == 3
    assert all(seen <= place + 3 for place, seen in enumerate(ahead, 1))


@pytest.mark.anyio
async def test_an_error_of_the_environment_comes_out_bare(renderer: Renderer) -> None:
    def environment(conversation: Conversation) -> None:
        raise LookupError("no such game")

    with FaultServer(whole) as server, pytest.raises(LookupError, match="no such game"):
        await run(server, renderer, ["a", "b"], environment=environment)


@pytest.mark.anyio
async def test_replies_are_texts_of_others(renderer: Renderer) -> None:
    with FaultServer(whole) as server, pytest.raises(InvalidRequestError):
        await run(server, renderer, environment=lambda _: [{"role": "assistant", "content": "I am the model"}])


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{"concurrency": 0}, {"max_turns": 0}, {"request": {"messages": []}}], ids=str)
async def test_options_that_cannot_be_are_refused(renderer: Renderer, options: dict[str, Any]) -> None:
    with FaultServer(whole) as server, pytest.raises(InvalidRequestError):
        await run(server, renderer, **options)
    assert not server.requests


@pytest.mark.anyio
async def test_a_task_may_have_fields_of_its_own(renderer: Renderer) -> None:
    with FaultServer(whole) as server:
        await run(server, renderer, [{"prompt": "Hello", "request": {"max_tokens": 3, "seed": 4}}, "Hello"])
    bodies = sorted(asked(server), key=lambda body: body["n_predict"])
    assert [body["n_predict"] for body in bodies] == [3, 12]
    assert ["seed" in body for body in bodies] == [True, False]


def test_code_that_is_not_async(renderer: Renderer) -> None:
    with FaultServer(whole) as server:
        found = rollout_sync(client_of(server), ["Hello"], request=REQUEST, renderer=renderer, retries=QUICK)
    assert only(found).report.turns == 1


# -- prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_ids_that_are_not_all_there_are_not_gone_on_from(renderer: Renderer) -> None:
    """llama.cpp leaves ids out of streams where several tokens are one character."""

    def some(request: Received) -> list[Any]:
        sent, end = events(request)
        return [chunked_head(), *sent[:1], *sent[2:], end, LAST_CHUNK]

    with FaultServer(some, whole) as server:
        result = only(await run(server, renderer, environment=say("More")))
    first, second = sampled(result)
    assert first.checks.codes[0] is CheckCode.COUNT
    assert result.report.rendered_anew == {"1": "not all ids of the last turn are known"}
    assert (
        second.prompt_ids
        == renderer.render(
            [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": "More"},
            ]
        ).token_ids
    )
    assert second.trainable


CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>'


@pytest.mark.anyio
async def test_calls_are_read_out_of_ids(renderer: Renderer) -> None:
    """What is sampled here is a call, in the format of Qwen and Hermes."""
    spoken = [*renderer.encode(f"So.\n{CALL}"), STOP]

    def call(request: Received) -> list[Any]:
        return [chunked_head(), *events_of(spoken), LAST_CHUNK]

    definition = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    options: Any = {"request": {"tools": [definition], "max_tokens": 200}, "tool_format": "hermes"}
    with FaultServer(call, whole) as server:
        result = only(await run(server, renderer, tools={"add": lambda a: a + 1}, **options))
    first, second = sampled(result)
    assert (first.content, first.finish_reason) == ("So.", "tool_calls")
    assert [(call.name, call.arguments) for call in first.tool_calls] == [("add", '{"a": 2}')]
    assert result.trajectory.steps[2].turn.content == "3"
    assert first.tool_calls[0].id.startswith("call_0_")
    # The ids of the call are in the next prompt as they were sampled, and the result behind them.
    prompt = second.prompt_ids.tolist()
    assert prompt[: len(first.prompt_ids) + len(spoken)] == [*first.prompt_ids, *spoken]
    assert "3" in renderer.decode(prompt[len(first.prompt_ids) + len(spoken) :])
    assert "tools" not in asked(server)[0]


def test_a_client_that_cannot_wait_is_refused() -> None:
    with (
        Client(provider="vllm", base_url="http://127.0.0.1:1/v1") as client,
        pytest.raises(InvalidRequestError) as error,
    ):
        rollout_sync(cast("AsyncClient", client), ["Hello"], request={"model": "m"})
    assert error.value.param == "client"
