"""``FakeProvider``: a provider that says what a test wants it to say. Everything but the network is real.

The client adapts, encodes, sends, decodes and checks delivery as with any provider; only the last step, where httpx
would open a connection, is answered from a script. So the warnings and errors of a test are those of production.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from unittest import mock
from urllib.parse import urlsplit

from nxlog.client import AsyncClient, Client
from nxlog.registry import CLAIM_NAMES, Registry
from nxlog.testing.fake_reply import FakeReply, Token, stream_events, whole_body

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from nxlog.http.intercept import Answer, Asked, Headers, Step

MOCK, LOOPBACK = "mock", "loopback"
_HOSTS = {f"{MOCK}.invalid": MOCK, f"{LOOPBACK}.invalid": LOOPBACK}
_DOCS = "https://platform.openai.com/docs/api-reference/chat"
_LIMITS: dict[str, dict[str, Any]] = {"top_logprobs": {"max": 20}, "n": {"max": 128}}


@dataclass(frozen=True)
class FakeRequest:
    """What a client sent.

    Attributes:
        body: the JSON body.
        headers: by name in lower case.
        path: of the address.
    """

    body: dict[str, Any]
    headers: dict[str, str]
    path: str


@dataclass(frozen=True)
class _Failure:
    status: int
    body: dict[str, Any]
    headers: Headers


class FakeProvider:
    """The provider ``mock`` (scripted replies, in order) and the provider ``loopback`` (repeats what it is told).

    Args:
        claims: what is claimed about ``mock``, laid over "it can do everything, 20 alternatives": names of claims to
            ``"no"``, ``"unknown"`` or a whole claim such as ``{"value": "yes", "max": 5}``.

    Attributes:
        registry: the default one with both providers in it.
        requests: what was sent to either, in order.
    """

    def __init__(self, *, claims: Mapping[str, str | Mapping[str, Any]] | None = None) -> None:
        self.registry: Registry = _registry(claims or {})
        self.requests: list[FakeRequest] = []
        self._script: deque[tuple[FakeReply, ...] | _Failure] = deque()
        self._scripted = 0
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """How many scripted replies were not asked for."""
        return len(self._script)

    def reply(self, *choices: FakeReply | str | Sequence[Token], **fields: Any) -> None:
        """Script the next reply.

        Args:
            choices: one or, for ``n``, several: a text, of which every word becomes a token; token records; or a
                ``FakeReply``.
            fields: those of ``FakeReply``, for choices that are none.
        """
        self._add(tuple(_reply(choice, fields) for choice in choices) or (FakeReply(**fields),))

    def fail(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Script an error status as the next reply."""
        body = {"error": {"message": message, "type": "fake_error", "param": param, "code": code}}
        headers = [("content-type", "application/json")]
        headers += [] if retry_after is None else [("retry-after", f"{retry_after:g}")]
        self._add(_Failure(status, body, headers))

    def client(self, **options: Any) -> Client:
        """A client of ``mock``, with the options of ``Client``; it does not try again unless told to."""
        from nxlog.http.intercept import sync_client  # noqa: PLC0415 - httpx is loaded when it is used

        defaults: dict[str, Any] = {
            "provider": MOCK,
            "registry": self.registry,
            "retries": 0,
            "http_client": sync_client(self),
        }
        return Client(**{**defaults, **options})

    def async_client(self, **options: Any) -> AsyncClient:
        """The same for asyncio and trio."""
        from nxlog.http.intercept import async_client  # noqa: PLC0415 - as above

        defaults: dict[str, Any] = {
            "provider": MOCK,
            "registry": self.registry,
            "retries": 0,
            "http_client": async_client(self),
        }
        return AsyncClient(**{**defaults, **options})

    @contextlib.contextmanager
    def installed(self) -> Generator[FakeProvider]:
        """While it lasts, every new client knows both providers; the fixture ``nxlog_mock`` is this."""
        from nxlog.http.intercept import intercepting  # noqa: PLC0415 - as above

        def itself(_cls: type[Registry]) -> Registry:
            return self.registry

        default = mock.patch.object(Registry, "default", classmethod(itself))
        with default, intercepting(self):
            yield self

    # -- the other end of the wire: nxlog.http.intercept.Interceptor ---------------------------------------------

    def answer(self, asked: Asked) -> Answer | None:
        """The scripted answer, or the echo; None for requests to anybody else.

        Raises:
            AssertionError: nothing is scripted any more.
        """
        name = _HOSTS.get(urlsplit(asked.url).hostname or "")
        if name is None:
            return None
        body: dict[str, Any] = json.loads(asked.body)
        with self._lock:
            self.requests.append(FakeRequest(body, dict(asked.headers), urlsplit(asked.url).path))
            said = _echo(body) if name == LOOPBACK else self._next()
        return _answer(said, body)

    def listen(self, asked: Asked, status: int, headers: Headers) -> None:
        """Live answers are nothing to a fake."""

    def _add(self, said: tuple[FakeReply, ...] | _Failure) -> None:
        with self._lock:
            self._script.append(said)
            self._scripted += 1

    def _next(self) -> tuple[FakeReply, ...] | _Failure:
        if not self._script:
            raise AssertionError(
                f"{self._scripted} replies of the fake provider were scripted, and this request is one more; "
                "call reply() or fail() for each, or ask the provider 'loopback'"
            )
        return self._script.popleft()


def _reply(choice: FakeReply | str | Sequence[Token], fields: dict[str, Any]) -> FakeReply:
    if isinstance(choice, FakeReply):
        return choice
    if isinstance(choice, str):
        return FakeReply.of_text(choice, **fields)
    return FakeReply(tokens=choice, **fields)


def _answer(said: tuple[FakeReply, ...] | _Failure, asked: dict[str, Any]) -> Answer:
    from nxlog.http.intercept import Answer, break_connection  # noqa: PLC0415 - as above

    if isinstance(said, _Failure):
        return Answer(said.status, said.headers, [json.dumps(said.body).encode()])
    streamed = bool(asked.get("stream"))
    steps: list[Step] = list(stream_events(said, asked)) if streamed else [whole_body(said, asked)]
    if any(reply.ends == "broken" for reply in said):
        steps.append(break_connection)
    return Answer(200, [("content-type", "text/event-stream" if streamed else "application/json")], steps)


def _echo(asked: dict[str, Any]) -> tuple[FakeReply, ...]:
    """What the user said last, as long as it may be, in as many choices as are wanted."""
    said = [message["content"] for message in asked["messages"] if message["role"] == "user"]
    reply = FakeReply.of_text(_plain(said[-1]) if said else "")
    most = asked.get("max_tokens") or asked.get("max_completion_tokens")
    if most is not None and most < len(reply.tokens):
        words = [cast("tuple[str, float]", token)[0] for token in reply.tokens[:most]]
        reply = FakeReply.of_text("".join(words), finish_reason="length")
    return (reply,) * (asked.get("n") or 1)


def _plain(content: Any) -> str:
    """The text of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _registry(claims: Mapping[str, str | Mapping[str, Any]]) -> Registry:
    everything: dict[str, Any] = {name: {"value": "yes", **_LIMITS.get(name, {})} for name in CLAIM_NAMES}
    everything["prompt_logprobs"] = {"value": "no"}
    over: dict[str, Any] = {
        name: {"value": claim} if isinstance(claim, str) else dict(claim) for name, claim in claims.items()
    }
    if over.get("logprobs", {}).get("value") in {"no", "unknown"}:
        over.setdefault("streaming_logprobs", over["logprobs"])
    return Registry.default().with_(
        providers={name: _provider(name) for name in (MOCK, LOOPBACK)},
        capabilities={MOCK: {"claims": everything | over}, LOOPBACK: {"claims": everything}},
    )


def _provider(name: str) -> dict[str, Any]:
    return {
        "display_name": f"{name} (nxlog.testing)",
        "kind": "hosted",
        "docs": _DOCS,
        "base_url": f"http://{name}.invalid/v1",
        "auth": {"scheme": "none", "required": False},
        "wires": {"openai-chat": {"path": "/chat/completions"}},
    }
