"""Options of the clients that a user gets wrong, or spells in a way of his own.

The server is real, on the loopback interface.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from nxlog import AsyncClient, Client, InvalidRequestError, RetryPolicy
from tests.fault_server import FaultServer, response

REPLY = response(200, b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}')
FIELDS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("/v1?api-version=1", "/v1/chat/completions?api-version=1"),
        ("/v1/?a=b/&c=d", "/v1/chat/completions?a=b/&c=d"),
        ("/v1/\n", "/v1/chat/completions"),
        ("", "/chat/completions"),
    ],
)
def test_the_path_goes_before_the_query_of_the_base_url(base: str, target: str) -> None:
    with FaultServer(REPLY) as server, Client(base_url=server.url + base) as client:
        client.chat(**FIELDS)
    assert server.requests[0].target == target


@pytest.mark.parametrize("url", ["http://", "http://:80/v1", "http://h:99999/v1", "http://h:x/v1", "http://h/v1#x"])
def test_a_base_url_that_is_none_is_refused_at_once_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url: must have a host") as caught:
        Client(base_url=url)
    assert caught.value.param == "base_url"
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"provider": 123}, "provider: must be a string, got int"),
        ({"provider": b"openai"}, "provider: must be a string, got bytes"),
        ({"registry": "directory"}, "registry: must be a Registry, got str"),
    ],
    ids=str,
)
def test_the_kind_of_a_wrong_option_is_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as caught:
        Client(**options)
    assert caught.value.param in options


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": "3"},
        {"attempts": 2.5},
        {"attempts": None},
        {"first_delay": None},
        {"max_delay": "60"},
        {"factor": True},
        {"jitter": 0.5},
        {"jitter": (1,)},
        {"jitter": (0, None)},
    ],
    ids=str,
)
def test_a_wrong_retry_policy_names_the_field_and_the_kind(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(InvalidRequestError, match=rf"^retries: {name} must be .*, got ") as caught:
        RetryPolicy(**fields)
    assert caught.value.param == "retries"


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["Event loop is closed", "Task x got Future y attached to a different loop"])
async def test_a_connection_of_another_event_loop_says_so(text: str) -> None:
    """What asyncio says when a client is used in a second asyncio.run()."""

    def send(request: httpx.Request) -> httpx.Response:
        raise RuntimeError(text)

    async with httpx.AsyncClient(transport=httpx.MockTransport(send)) as own:
        client = AsyncClient(base_url="http://127.0.0.1:9", http_client=own)
        with pytest.raises(InvalidRequestError, match="make one in each") as caught:
            await client.chat(**FIELDS)
    assert caught.value.param == "client"
