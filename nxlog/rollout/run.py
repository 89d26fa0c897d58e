"""``rollout``: many conversations with an endpoint at a time, each kept turn by turn."""

from __future__ import annotations

import time
from collections.abc import Sized
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio
import anyio.lowlevel

from nxlog.client import AsyncClient
from nxlog.errors import InvalidRequestError, NxlogError
from nxlog.retry import RetryPolicy
from nxlog.rollout.conversation import Conversation
from nxlog.rollout.pausing import PATIENT, is_hopeless, is_too_long
from nxlog.rollout.progress import Tally, progress_bar
from nxlog.rollout.prompting import MessagePrompter, TokenPrompter
from nxlog.rollout.report import KEY, Ended, RolloutResult
from nxlog.rollout.sampling import Sampler
from nxlog.rollout.store import FileStore, MemoryStore, read_rollouts, shard_path
from nxlog.rollout.task import Shard, digest, rows
from nxlog.rollout.tools import ToolBox, call
from nxlog.trajectory import PrefixPolicy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from nxlog.rendering import Renderer, ToolFormat
    from nxlog.rollout.progress import Show
    from nxlog.rollout.prompting import Prompter
    from nxlog.rollout.store import Store
    from nxlog.rollout.task import Message, Task, TaskLike
    from nxlog.rollout.tools import Tools
    from nxlog.turn import TurnTokenData

Environment: TypeAlias = "Callable[[Conversation], object]"
Score: TypeAlias = "Callable[[Conversation], object]"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A run that came to its end. Iterating over it gives a ``RolloutResult`` for each conversation that has ended.

    Attributes:
        tally: what was done.
        failures: why conversations were given up, by the id of their row. Running again takes them up.
        path: the file with the trajectories; those of earlier runs are in it too.
    """

    tally: Tally
    failures: dict[str, NxlogError]
    path: Path | None
    _kept: list[RolloutResult] = field(repr=False)

    def __iter__(self) -> Iterator[RolloutResult]:
        return iter(self._kept) if self.path is None else read_rollouts(self.path)


async def rollout(  # noqa: PLR0913 - what a job is made of
    client: AsyncClient,
    tasks: Iterable[TaskLike],
    *,
    request: Mapping[str, Any],
    tools: Tools | None = None,
    environment: Environment | None = None,
    score: Score | None = None,
    renderer: Renderer | None = None,
    tool_format: ToolFormat | str | None = None,
    max_turns: int = 8,
    concurrency: int = 16,
    path: str | os.PathLike[str] | None = None,
    shard: Shard | str | tuple[int, int] | None = None,
    policy: PrefixPolicy | str = PrefixPolicy.FORK,
    stream: bool = True,
    retries: int | RetryPolicy = PATIENT,
    max_pause: float = 3600.0,
    max_failures: int = 100,
    progress: bool | None = None,
) -> Rollout:
    """Run conversations, so many at a time, and keep each as a ``Trajectory``.

    The same call with the same file goes on where the last one was killed: what has ended is not run again, and what
    was under way goes on behind its last whole turn.

    Args:
        client: whom to ask. Its own ``retries`` come first; 0 leaves them to the rollout.
        tasks: how the conversations begin: prompts, lists of messages, rows of a data set, or ``Task``. They are read
            as they are needed.
        request: the fields of every request: ``model``, ``temperature``, ``max_tokens``, ``tools``, ... ``logprobs``
            and ``return_token_ids`` are on. From a ``seed`` every request gets one of its own.
        tools: functions by name, which get the arguments of a call, or one function, which gets the ``TurnToolCall``;
            async, or run in threads. What they return or raise is what the model reads.
        environment: what is said to the model when it called no tool, or there are no ``tools``: a function of the
            ``Conversation`` that returns messages, or None when it is over. It is asked again after a kill.
        score: a function of the finished ``Conversation`` that returns its reward, or None.
        renderer: renders prompts here and sends ids, so that what was sampled is never tokenized again. Without it
            messages are sent, and the server renders them.
        tool_format: how the model writes tool calls; with a ``renderer``.
        max_turns: how often the model speaks at most in a conversation.
        concurrency: how many conversations run at a time.
        path: the file, ``.jsonl`` or ``.arrow``; without it the trajectories stay in memory.
        shard: ``"i/n"``: run this part of the tasks, with a file of its own beside ``path``.
        policy: what becomes of a turn whose prompt departs from the ids before it; with ``raise`` the conversation is
            given up.
        stream: whether to ask for streams, which leave something when they break.
        retries: how often a request that failed is sent again, and how long apart.
        max_pause: how many seconds in all a turn waits for a server that says it is paused.
        max_failures: how many conversations may be given up before the run is.
        progress: whether to show a bar; None: on a terminal.

    Raises:
        NxlogError: the key, the address, the model or the request is wrong, or too much failed. What was done is kept.
    """
    _check_client(client)
    _check(request, max_turns=max_turns, concurrency=concurrency)
    part = Shard.of(shard)
    prefixes = PrefixPolicy(policy)
    decode = None if renderer is None else renderer.decode
    limiter = anyio.CapacityLimiter(concurrency)
    where = None if path is None else shard_path(path, part)
    memory = MemoryStore(policy=prefixes, decode=decode)
    store = memory if where is None else FileStore(where, policy=prefixes, decode=decode)
    run = _Run(
        prompter=MessagePrompter(request) if renderer is None else TokenPrompter(request, renderer, tool_format),
        sampler=Sampler(
            client=client,
            retries=RetryPolicy.of(retries),
            max_pause=max_pause,
            stop_ids=frozenset() if renderer is None else renderer.stop_ids,
            stream=stream,
        ),
        store=store,
        tools=None if tools is None else ToolBox(tools, limiter),
        ask=partial(call, limiter=limiter),
        environment=environment,
        score=score,
        max_turns=max_turns,
        max_failures=max_failures,
        seed=request.get("seed"),
    )
    total = len(tasks) if isinstance(tasks, Sized) and part.count == 1 else None
    settings = {"request": dict(request), "max_turns": max_turns, "tool_format": tool_format}
    try:
        with progress_bar(total, wanted=progress) as show:
            await run.window(rows(tasks, settings, part), concurrency, show)
    finally:
        store.close()
    return Rollout(run.tally, run.failures, where, [RolloutResult.of(found) for found in memory.trajectories])


def _check_client(client: object) -> None:
    if not isinstance(client, AsyncClient):
        raise InvalidRequestError(f"client: must be an AsyncClient, got {type(client).__name__}", param="client")


def _check(request: Mapping[str, Any], **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InvalidRequestError(f"{name}: must be 1 or more, got {count}", param=name)
    if own := [name for name in ("messages", "input_ids") if name in request]:
        raise InvalidRequestError(f"request: {own[0]} come from the tasks", param="request")


def rollout_sync(client: AsyncClient, tasks: Iterable[TaskLike], **options: Any) -> Rollout:
    """The same for code that is not async. The client must be new, and is closed at the end. Options as of ``rollout``.

    Raises:
        NxlogError: see ``rollout``.
    """
    _check_client(client)

    async def run() -> Rollout:
        async with client:
            return await rollout(client, tasks, **options)

    return anyio.run(run)


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run on its way."""

    prompter: Prompter
    sampler: Sampler
    store: Store
    tools: ToolBox | None
    ask: Callable[..., Any]
    environment: Environment | None
    score: Score | None
    max_turns: int
    max_failures: int
    seed: int | None
    tally: Tally = field(default_factory=Tally)
    failures: dict[str, NxlogError] = field(default_factory=dict[str, NxlogError])
    fatal: Exception | None = None

    async def window(self, tasks: Iterator[tuple[str, Task]], size: int, show: Show) -> None:
        """Run the tasks, so many at a time.

        Raises:
            Exception: what ended the run; what was done is kept.
        """
        async with anyio.create_task_group() as group:

            async def worker() -> None:
                try:
                    for row, task in tasks:  # one iterator for all
                        await self._row(row, task)
                        show(self.tally)
                except Exception as error:  # noqa: BLE001 - it goes to the caller, bare and not in a group
                    self.fatal = self.fatal or error
                    group.cancel_scope.cancel()

            for _ in range(size):
                group.start_soon(worker)
        if self.fatal is not None:
            raise self.fatal

    async def _row(self, row: str, task: Task) -> None:
        if self.store.has(row):
            self.tally.skipped += 1
            await anyio.lowlevel.checkpoint()
            return
        trajectory = self.store.open(row)
        trajectory.metadata.update(task.metadata)
        conversation = Conversation(task, trajectory)
        self.store.write(trajectory)
        began = time.monotonic()
        try:
            ended = await self._talk(conversation)
        except NxlogError as error:
            if is_hopeless(error):
                raise
            if not is_too_long(error):
                self._give_up(row, error)
                return
            ended = Ended.CONTEXT_LENGTH
        conversation.report.ended = ended
        conversation.report.seconds = round(time.monotonic() - began, 3)
        reward = None if self.score is None else cast("float | None", await self.ask(self.score, conversation))
        trajectory.finish(reward=reward, **{KEY: conversation.report.dump()})
        self.store.write(trajectory)
        self.tally.done += 1

    def _give_up(self, row: str, error: NxlogError) -> None:
        """Leave a conversation as it is, for the next run."""
        self.tally.failed += 1
        self.failures[row] = error
        if len(self.failures) > self.max_failures:
            raise error

    async def _talk(self, conversation: Conversation) -> Ended:
        while True:
            if conversation.last is not None:
                if conversation.turns >= self.max_turns:
                    return Ended.MAX_TURNS if self._would_go_on(conversation.last) else Ended.DONE
                missing = await self._replies(conversation)
                conversation.reply(missing)
                self.store.write(conversation.trajectory)
                if not conversation.replies:
                    return Ended.DONE
            await self._turn(conversation)

    def _would_go_on(self, last: TurnTokenData) -> bool:
        return bool(last.tool_calls and self.tools) or self.environment is not None

    async def _turn(self, conversation: Conversation) -> None:
        """Have the model speak."""
        report, number = conversation.report, conversation.turns
        given = conversation.task.request.get("seed", self.seed)

        def seed(part: int) -> int | None:
            return None if given is None else int(digest(given, conversation.id, number, part)[:7], 16)

        before = (report.retries, report.pauses)
        try:
            turn = await self.sampler.sample(self.prompter.request(conversation), report, seed=seed)
        finally:
            self.tally.retries += report.retries - before[0]
            self.tally.pauses += report.pauses - before[1]
        conversation.add(self.prompter.read(turn, conversation))
        self.store.write(conversation.trajectory)
        sampled = len(turn.output_ids or ())
        report.turns += 1
        report.tokens += sampled
        self.tally.turns += 1
        self.tally.tokens += sampled

    async def _replies(self, conversation: Conversation) -> list[Message]:
        """What is said to the model next, without what was recorded before the process was killed."""
        last, known = conversation.last, conversation.replies
        if last is not None and last.tool_calls and self.tools is not None:
            told = {message.get("tool_call_id") for message in known}
            return [
                {
                    "role": "tool",
                    "tool_call_id": wanted.id,
                    "name": wanted.name,
                    "content": await self.tools.answer(wanted, conversation.report),
                }
                for wanted in last.tool_calls
                if wanted.id not in told
            ]
        if self.environment is None:
            return []
        said: list[Message] = [*(await self.ask(self.environment, conversation) or ())]
        return said[len(known) :]
