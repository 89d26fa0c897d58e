"""The key in what a hostile server sends back: it gets into no part of an error, a warning or a repr.

The server is real, on the loopback interface; its replies are made up.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

from nxlog import ChatRequest, Client, NxlogError
from nxlog.exchange import HttpRequest
from tests.fault_server import LAST_CHUNK, Entry, FaultServer, chunk, chunked_head, response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

KEY = "sk-proj-" + "0123456789-secret-" * 9
"""As long as real ones are, so that it does not fit into a bounded quotation of a reply."""

TELLTALE = KEY[4:16]
"""A part that no text may hold; what stands before it is the same in all keys."""


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
OBJECT = {"error": {"message": f"no {KEY}", "code": KEY, "type": KEY, "param": KEY}}
LONG = {"error": {"message": "m" * 480 + KEY}}
FULL = as_json({"error": {"message": "m" * 4000 + KEY}})

REPLIES = {
    "an error status": response(401, as_json(OBJECT), x_request_id=KEY),
    "an error status, escaped": response(401, as_json(OBJECT).replace(KEY.encode(), ESCAPED.encode())),
    "an error in a success": response(200, as_json(OBJECT)),
    "an error in a success, escaped": response(200, as_json(OBJECT).replace(KEY.encode(), ESCAPED.encode())),
    "a message cut at its bound": response(200, as_json(LONG)),
    "a body cut at its bound": response(200, FULL),
    "no JSON": response(200, f"Bearer {KEY}".encode(), content_type="text/html"),
    "a redirect": response(302, b"", location=f"http://127.0.0.1/{KEY}?{KEY}"),
    "a refusal of logprobs": response(400, as_json({"error": f"`logprobs` is not enabled here: {KEY}"})),
}


def assert_hidden(error: NxlogError) -> None:
    texts = [str(error), repr(error), *traceback.format_exception(error), pickle.dumps(error).decode("latin-1")]
    texts += [str(value) for value in vars(error).values()]
    assert all(TELLTALE not in text and ESCAPED[24:60] not in text for text in texts)


@contextlib.contextmanager
def connected(*script: Entry) -> Generator[Client]:
    with FaultServer(*script) as server, Client(base_url=server.url, api_key=KEY, retries=0) as client:
        yield client
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "x"}], logprobs=True)


def streamed(client: Client) -> None:
    with client.stream(REQUEST) as stream:
        list(stream)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=list(REPLIES))
@pytest.mark.parametrize("ask", [lambda client: client.chat(REQUEST), streamed], ids=["whole", "stream"])
def test_the_key_is_in_no_error(reply: bytes, ask: Callable[[Client], object]) -> None:
    with connected(reply) as client, pytest.raises(NxlogError) as error:
        ask(client)
    assert_hidden(error.value)


def test_the_key_is_in_no_error_of_an_event() -> None:
    event = chunk(b"data: " + as_json(OBJECT) + b"\n\n")
    with connected([chunked_head(), event, LAST_CHUNK]) as client, pytest.raises(NxlogError) as error:
        streamed(client)
    assert_hidden(error.value)


def test_the_key_is_in_no_warning_about_a_refusal() -> None:
    refusal = as_json({"error": {"message": "`logprobs` is not supported with this model " + KEY}})
    refused = response(400, refusal.replace(KEY.encode(), ESCAPED.encode()))
    reply = response(200, as_json({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}))
    with connected(refused, reply) as client, pytest.warns(match="refused") as caught:
        answer = client.chat(REQUEST)
    assert [warning.code for warning in answer.warnings] == ["refused"]
    assert not any(TELLTALE in str(text) for text in [*answer.warnings, *(w.message for w in caught)])


def test_the_repr_of_a_request_has_neither_user_nor_query() -> None:
    request = HttpRequest("https://user:password@example.com:8443/v1/chat?key=secret", {"authorization": KEY}, b"{}")
    assert repr(request) == "HttpRequest('https://example.com:8443/v1/chat', 2 bytes, stream=False)"
