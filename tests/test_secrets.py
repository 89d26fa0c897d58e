"""The key in what a hostile server sends back: it gets into no part of an error, a warning or a repr.

The server is real, on the loopback interface; its replies are made up.
"""

from __future__ import annotations

import json
import pickle
import traceback
import warnings

import pytest

from nxlog import Client, NxlogError
from nxlog.exchange import HttpRequest
from tests.fault_server import LAST_CHUNK, FaultServer, chunk, chunked_head, response

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


@pytest.mark.parametrize("reply", REPLIES.values(), ids=list(REPLIES))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_key_is_in_no_error(reply: bytes, stream: bool) -> None:
    with FaultServer(reply) as server, Client(base_url=server.url, api_key=KEY, retries=0) as client:
        with warnings.catch_warnings(record=True) as caught, pytest.raises(NxlogError) as error:
            warnings.simplefilter("always")
            request = {"model": "m", "messages": [{"role": "user", "content": "x"}], "logprobs": True}
            if stream:
                with client.stream(**request):
                    pass
            else:
                client.chat(**request)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert_hidden(error.value)
    assert not any(TELLTALE in str(warning.message) for warning in caught)


def test_the_key_is_in_no_error_of_an_event() -> None:
    script = [chunked_head(), chunk(b"data: " + as_json(OBJECT) + b"\n\n"), LAST_CHUNK]
    with FaultServer(script) as server, Client(base_url=server.url, api_key=KEY, retries=0) as client:
        with client.stream(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
            with pytest.raises(NxlogError) as error:
                list(stream)
    assert_hidden(error.value)


def test_the_key_is_in_no_warning_about_a_refusal() -> None:
    refusal = as_json({"error": {"message": "`logprobs` is not supported with this model " + KEY}})
    reply = as_json({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
    refused = response(400, refusal.replace(KEY.encode(), ESCAPED.encode()))
    with FaultServer(refused, response(200, reply)) as server:
        with Client(base_url=server.url, api_key=KEY, retries=0) as client, pytest.warns(match="refused") as caught:
            answer = client.chat(model="m", messages=[{"role": "user", "content": "x"}], logprobs=True)
    assert [warning.code for warning in answer.warnings] == ["refused"]
    assert not any(TELLTALE in str(text) for text in [*answer.warnings, *(w.message for w in caught)])


def test_the_repr_of_a_request_has_neither_user_nor_query() -> None:
    request = HttpRequest("https://user:password@example.com:8443/v1/chat?key=secret", {"authorization": KEY}, b"{}")
    assert repr(request) == "HttpRequest('https://example.com:8443/v1/chat', 2 bytes, stream=False)"
