"""Tokens from a function: asked at every attempt, sent in the provider's way, in no text.

The server is real, on the loopback interface.
"""

from __future__ import annotations

import functools
import itertools
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from nxlog import (
    AsyncClient,
    AuthenticationError,
    InvalidRequestError,
    MissingKeyError,
    NxlogError,
    RedirectError,
    ServerError,
    TimeoutError,  # noqa: A004 - nxlog's own
)
from tests.auth.asking import (
    ASYNC_MODES,
    MODES,
    REPLY,
    REQUEST,
    STREAMED,
    UNAUTHORIZED,
    ask,
    ask_async,
    registry_of,
    sent,
)
from tests.fault_server import FaultServer, response
from tests.test_secrets import KEY, REPLIES, TELLTALE, assert_hidden

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.network

BUSY = response(503, b'{"error":{"message":"later"}}')


def numbered() -> Callable[[], str]:
    """A callback that returns another token each time."""
    numbers = itertools.count(1)
    return lambda: f"token-{next(numbers)}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", MODES)
def test_every_attempt_asks_for_a_token(mode: str, stream: bool) -> None:
    with FaultServer(BUSY, STREAMED if stream else REPLY) as server:
        assert ask(mode, server, stream=stream, api_key=numbered()).text == "x"
    assert sent(server) == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("bearer", "authorization", "Bearer token-1"),
        ("header", "x-own-key", "token-1"),
        ("entra", "authorization", "Bearer token-1"),
        ("google", "authorization", "Bearer token-1"),
        ("aws", "authorization", "Bearer token-1"),
        ("none", "authorization", "Bearer token-1"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_token_travels_in_the_providers_way(auth: str, name: str, value: str, mode: str) -> None:
    with FaultServer(REPLY) as server:
        ask(mode, server, auth, api_key=numbered())
    assert sent(server, name) == [value]
    assert not {"authorization", "x-own-key", "api-key"} - {name} & server.requests[0].headers.keys()


async def atoken() -> str:
    await anyio.lowlevel.checkpoint()
    return "token-a"


class Provider:
    async def __call__(self) -> str:
        return await atoken()

    async def method(self, text: str) -> str:
        return text + await atoken()


ASYNC_CALLBACKS: dict[str, Callable[[], Any]] = {
    "function": atoken,
    "object": Provider(),
    "partial": functools.partial(Provider().method, ""),
    "lambda": lambda: Provider().method(""),
}


@pytest.mark.parametrize("callback", ASYNC_CALLBACKS.values(), ids=list(ASYNC_CALLBACKS))
@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_callback_may_be_async(mode: str, callback: Callable[[], Any]) -> None:
    with FaultServer(REPLY) as server:
        ask(mode, server, api_key=callback)
    assert sent(server) == ["Bearer token-a"]


@pytest.mark.parametrize("callback", ASYNC_CALLBACKS.values(), ids=list(ASYNC_CALLBACKS))
def test_a_sync_client_refuses_an_async_callback(callback: Callable[[], Any]) -> None:
    with FaultServer(REPLY) as server, pytest.raises(InvalidRequestError, match="needs AsyncClient"):
        ask("sync", server, api_key=callback)
    assert not server.requests


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_that_may_block_does_not_run_on_the_event_loop(mode: str) -> None:
    threads: list[int] = []

    def callback() -> str:
        threads.append(threading.get_ident())
        return "token"

    with FaultServer(REPLY) as server:
        ask(mode, server, api_key=callback)
    assert (threads[0] == threading.get_ident()) is (mode == "sync")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", MODES)
def test_a_refused_token_is_renewed_once(mode: str, stream: bool) -> None:
    with FaultServer(UNAUTHORIZED, STREAMED if stream else REPLY) as server:
        assert ask(mode, server, stream=stream, api_key=numbered()).text == "x"
    assert sent(server) == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("mode", MODES)
def test_a_token_that_stays_refused_is_an_error(mode: str) -> None:
    with FaultServer(UNAUTHORIZED) as server, pytest.raises(AuthenticationError, match="who are you") as caught:
        ask(mode, server, api_key=numbered())
    assert caught.value.status_code == 401
    assert len(server.requests) == 2


def test_a_refused_key_is_not_sent_again() -> None:
    with FaultServer(UNAUTHORIZED) as server, pytest.raises(AuthenticationError):
        ask("sync", server, api_key=KEY)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_error_in_a_callback_is_one_of_ours_with_its_cause(mode: str) -> None:
    cause = LookupError(f"no {KEY} in the vault")

    def callback() -> str:
        raise cause

    with (
        FaultServer(REPLY) as server,
        pytest.raises(AuthenticationError, match="callback raised LookupError") as caught,
    ):
        ask(mode, server, api_key=callback)
    assert caught.value.__cause__ is cause
    assert caught.value.provider == "here"
    assert caught.value.status_code is None
    assert TELLTALE not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert not server.requests


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_an_error_in_an_async_callback_too(mode: str) -> None:
    async def callback() -> str:
        await anyio.lowlevel.checkpoint()
        raise LookupError

    with (
        FaultServer(REPLY) as server,
        pytest.raises(AuthenticationError, match="callback raised LookupError") as caught,
    ):
        ask(mode, server, api_key=callback)
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("mode", MODES)
def test_an_error_of_ours_is_passed_on(mode: str) -> None:
    def callback() -> str:
        raise MissingKeyError(f"no token in place of {KEY}")

    with FaultServer(REPLY) as server, pytest.raises(MissingKeyError, match="no token in place of"):
        ask(mode, server, api_key=callback)


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (None, MissingKeyError),
        (" ", MissingKeyError),
        (5, InvalidRequestError),
        (KEY.encode(), InvalidRequestError),
        (f"{KEY}\n{KEY}", InvalidRequestError),
        (f"{KEY}é", InvalidRequestError),
    ],
    ids=["None", "blank", "number", "bytes", "two lines", "not ASCII"],
)
@pytest.mark.parametrize("mode", MODES)
def test_what_a_callback_returns_is_checked_like_a_key(mode: str, token: Any, error: type[NxlogError]) -> None:
    with FaultServer(REPLY) as server, pytest.raises(error, match="callback") as caught:
        ask(mode, server, api_key=lambda: token)
    assert caught.value.param == "api_key"
    assert_hidden(caught.value)
    assert not server.requests


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=list(REPLIES))
def test_a_token_is_in_no_error(reply: bytes, stream: bool) -> None:
    with FaultServer(reply) as server, pytest.raises(NxlogError) as caught:
        ask("asyncio", server, stream=stream, api_key=lambda: KEY, retries=0)
    assert sent(server)[0] == f"Bearer {KEY}"
    assert_hidden(caught.value)


def test_tokens_of_all_attempts_are_hidden() -> None:
    tokens = [f"{number}-first-of-many-{number}" for number in range(3)]
    said = response(503, f'{{"error":{{"message":"not {" nor ".join(tokens)}"}}}}'.encode())
    with FaultServer(said) as server, pytest.raises(ServerError) as caught:
        ask("sync", server, api_key=iter(tokens).__next__)
    assert len(server.requests) == 3
    assert str(caught.value).count("[key]") == 3
    assert "first-of-many" not in f"{caught.value} {caught.value.body}"


def test_a_token_does_not_follow_a_redirect() -> None:
    with (
        FaultServer(REPLY) as other,
        FaultServer(response(307, b"", location=other.url)) as server,
        pytest.raises(RedirectError),
    ):
        ask("sync", server, api_key=numbered())
    assert len(server.requests) == 1
    assert not other.requests


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_callback_that_hangs_ends_with_the_call(mode: str) -> None:
    async def callback() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    with FaultServer(REPLY) as server, pytest.raises(TimeoutError, match=r"total=0\.05"):
        ask(mode, server, api_key=callback, timeout=0.05)
    assert not server.requests


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_blocked_callback_does_not_hold_up_the_event_loop(mode: str) -> None:
    go = threading.Event()

    def callback() -> str:
        assert go.wait(10)
        return "token"

    async def main() -> None:
        options: dict[str, Any] = {"provider": "here", "registry": registry_of("bearer"), "api_key": callback}
        async with AsyncClient(base_url=server.url, **options) as client, anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask_async, client)
            await anyio.wait_all_tasks_blocked()
            go.set()

    with FaultServer(REPLY) as server:
        anyio.run(main, backend=mode)
    assert sent(server) == ["Bearer token"] * 3


def test_the_request_is_the_same_as_with_a_key() -> None:
    with FaultServer(REPLY) as server:
        ask("sync", server, api_key="token-1")
        ask("sync", server, api_key=numbered())
    first, second = server.requests
    assert first == second
    assert b"token" not in first.body
    assert REQUEST.model.encode() in first.body
