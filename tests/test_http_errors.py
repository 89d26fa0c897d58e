"""Every error of httpx has its place in the tree of nxlog, and none of them tells the key."""

from __future__ import annotations

import builtins
import inspect
import traceback
from typing import Any

import aiohttp
import anyio
import httpcore
import httpx
import multidict
import pytest
import yarl

from nxlog import errors
from nxlog.exchange import HttpRequest
from nxlog.http.errors import Place, bare_url, mapped, translate
from nxlog.timeout import Timeout
from tests.fault_server import CLOSE, RESET, SILENCE, FaultServer, Received, chunk, chunked_head, refused_url, response
from tests.http_modes import KEY, MODES, send

PUBLIC = sorted(
    {
        member
        for name, member in vars(httpx).items()
        if not name.startswith("_") and inspect.isclass(member) and issubclass(member, Exception)
    },
    key=lambda cls: cls.__name__,
)

EXPECTED: dict[str, type[errors.NxlogError]] = {
    "CloseError": errors.NetworkError,
    "ConnectError": errors.ConnectError,
    "ConnectTimeout": errors.TimeoutError,
    "CookieConflict": errors.InvalidRequestError,
    "DecodingError": errors.DecodeError,
    "HTTPError": errors.TransportError,
    "HTTPStatusError": errors.RateLimitError,
    "InvalidURL": errors.InvalidRequestError,
    "LocalProtocolError": errors.InvalidRequestError,
    "NetworkError": errors.NetworkError,
    "PoolTimeout": errors.TimeoutError,
    "ProtocolError": errors.ProtocolError,
    "ProxyError": errors.ConnectError,
    "ReadError": errors.NetworkError,
    "ReadTimeout": errors.TimeoutError,
    "RemoteProtocolError": errors.ProtocolError,
    "RequestError": errors.TransportError,
    "RequestNotRead": errors.InvalidRequestError,
    "ResponseNotRead": errors.InvalidRequestError,
    "StreamClosed": errors.InvalidRequestError,
    "StreamConsumed": errors.InvalidRequestError,
    "StreamError": errors.InvalidRequestError,
    "TimeoutException": errors.TimeoutError,
    "TooManyRedirects": errors.RedirectError,
    "TransportError": errors.TransportError,
    "UnsupportedProtocol": errors.InvalidRequestError,
    "WriteError": errors.NetworkError,
    "WriteTimeout": errors.TimeoutError,
}

URL = f"https://me:{KEY}@api.example.com:8443/v1/models?key={KEY}&alt=sse#{KEY}"


def place(**limits: float | None) -> Place:
    timeout = Timeout(connect=1, read=2, write=3, pool=4, total=5)
    names = ("connect", "read", "write", "pool")
    own = {name: getattr(timeout, name) for name in names}
    return Place(URL, {"Authorization": f"Bearer {KEY}"}, timeout, own | limits)


def make(cls: type[Exception], text: str) -> Exception:
    if issubclass(cls, httpx.HTTPStatusError):
        return cls(text, request=httpx.Request("POST", URL), response=httpx.Response(429))
    if "message" in inspect.signature(cls).parameters:
        return cls(text)
    return cls()


def test_the_table_knows_every_class() -> None:
    assert {cls.__name__ for cls in PUBLIC} == set(EXPECTED)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_mapping_of_every_httpx_exception(cls: type[Exception]) -> None:
    original = make(cls, f"failed with Bearer {KEY} for {URL}")
    with pytest.raises(EXPECTED[cls.__name__]) as caught, mapped(place()):
        raise original
    error = caught.value
    assert type(error) is EXPECTED[cls.__name__]
    assert "https://api.example.com:8443/v1/models" in error.message
    assert error.__cause__ is None
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in repr(error)
    if isinstance(error, errors.InvalidRequestError):
        assert error.param in {"base_url", "headers", "http_client"}
    if isinstance(error, errors.StatusError):
        assert error.status_code == 429


@pytest.mark.parametrize("cls", [OSError, ConnectionResetError, anyio.BrokenResourceError, anyio.ClosedResourceError])
def test_what_the_backends_let_through(cls: type[Exception]) -> None:
    assert type(translate(cls(), place())) is errors.NetworkError


@pytest.mark.parametrize("cls", [ValueError, KeyError, AssertionError, httpcore.UnsupportedProtocol])
def test_what_is_not_of_httpx_is_not_touched(cls: type[Exception]) -> None:
    with pytest.raises(cls), mapped(place()):
        raise cls("mine")


def test_errors_of_nxlog_pass() -> None:
    mine = errors.DecodeError("mine")
    with pytest.raises(errors.DecodeError) as caught, mapped(place()):
        raise mine
    assert caught.value is mine


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Server disconnected without sending a response.", errors.NetworkError),
        ("peer closed connection without sending complete message body", errors.NetworkError),
        ("illegal status line", errors.ProtocolError),
    ],
)
def test_a_peer_that_hangs_up_is_no_peer_that_speaks_nonsense(text: str, error: type[Exception]) -> None:
    assert type(translate(httpx.RemoteProtocolError(text), place())) is error


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (httpx.ConnectTimeout, "no connection in timeout.connect=1 s"),
        (httpx.ReadTimeout, "nothing to read in timeout.read=2 s"),
        (httpx.WriteTimeout, "could not write in timeout.write=3 s"),
        (httpx.PoolTimeout, "no free connection in timeout.pool=4 s"),
    ],
)
def test_timeouts_name_the_limit(cls: type[httpx.TimeoutException], message: str) -> None:
    error = translate(cls(""), place())
    assert error is not None
    assert error.message.startswith(message)
    assert error.retryable
    kind = message.partition("timeout.")[2].partition("=")[0]
    shrunk = translate(cls(""), place(**{kind: 0.5}))
    assert shrunk is not None
    assert "timeout.total=5 s" in shrunk.message, "the limit was shrunk by the total one"
    assert not shrunk.retryable


def test_aiohttp_calls_lost_connections_timeouts() -> None:
    for cause, expected in [
        (aiohttp.ServerDisconnectedError(), errors.NetworkError),
        (aiohttp.ConnectionTimeoutError(), errors.TimeoutError),
        (builtins.TimeoutError(), errors.TimeoutError),
        (None, errors.TimeoutError),
    ]:
        wrapped = httpx.ConnectTimeout("")
        wrapped.__cause__ = cause
        assert type(translate(wrapped, place())) is expected
    url, none = yarl.URL(URL), multidict.CIMultiDictProxy(multidict.CIMultiDict[str]())
    info = aiohttp.RequestInfo(url, "POST", none, url)
    error = translate(aiohttp.ClientResponseError(info, (), message="bad"), place())
    assert type(error) is errors.ProtocolError
    assert KEY not in error.message


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        (URL, "https://api.example.com:8443/v1/models"),
        ("http://[::1]:8000/v1?key=x", "http://[::1]:8000/v1"),
        ("http://a@b@host/v1", "http://host/v1"),
        ("http://[::1", "(not a URL)"),
        ("mailto:me", "mailto:(no host)"),
    ],
)
def test_bare_url(url: str, bare: str) -> None:
    assert bare_url(url) == bare


# -- the key, end to end


def echo(request: Received) -> list[Any]:
    return [f"NOT HTTP {request.headers['authorization']}\r\n\r\n".encode(), CLOSE]


def echo_body(request: Received) -> list[Any]:
    return [chunked_head(), chunk(b"x"), f"{request.headers['authorization']}\r\n".encode(), CLOSE]


@pytest.mark.network
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "script", [[RESET], [CLOSE], [SILENCE], [chunked_head(), SILENCE], echo, echo_body, response(200, b"x" * 99)]
)
def test_no_traceback_tells_the_key(mode: str, script: Any) -> None:
    with FaultServer(script) as server:
        url = f"{server.url.replace('//', f'//me:{KEY}@')}/v1?key={KEY}"
        request = HttpRequest(url, {"Authorization": f"Bearer {KEY}"}, b"{}")
        with pytest.raises(errors.NxlogError) as caught:
            send(mode, request, timeout=Timeout(read=0.05), max_response_bytes=50)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}\n"},
        {"Authorization": f"Bearer {KEY} "},
        {"Authorization": f"Bearer {KEY}\r\nX-Other: 1"},
        {"Authorization": f"Bearer {KEY}…"},
        {f"X {KEY}": "1"},
        {f"X-{KEY}:": "1"},
        {"": "1"},
    ],
)
def test_headers_that_http_does_not_allow(mode: str, headers: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        send(mode, HttpRequest(refused_url(), headers, b"{}"))
    assert caught.value.param == "headers"
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None, "nothing of the key is chained either"


# -- Timeout


def test_timeout_forms() -> None:
    assert Timeout.of(Timeout(read=7)) == Timeout(read=7)
    assert Timeout.of(None) == Timeout(None, None, None, None, None)
    assert Timeout.of(300) == Timeout(total=300.0)
    assert Timeout.of(5) == Timeout(5.0, 5.0, 5.0, 5.0, 5.0)
    assert Timeout().deadline() is None
    assert Timeout(total=5).deadline() is not None


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "5"])
@pytest.mark.parametrize("name", ["connect", "read", "write", "pool", "total", None])
def test_timeouts_that_are_none(value: Any, name: str | None) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        Timeout.of(value) if name is None else Timeout(**{name: value})
    assert caught.value.param == "timeout"
    assert f"timeout.{name}" in caught.value.message if name else "timeout must" in caught.value.message
