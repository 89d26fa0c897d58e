"""Google's credentials: found, refreshed, shared and kept out of texts.

google-auth is real, and so are its service account (with a key made here), its HTTP and the signature of its
assertion; its token endpoint is a server on the loopback interface. Where a test must steer the moment of a refresh,
the credentials are a subclass of google-auth's with a refresh of its own.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
import google.auth
import google.auth.credentials
import google.auth.exceptions
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from nxlog import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectError,
    InvalidRequestError,
    MissingKeyError,
    NxlogError,
)
from nxlog.auth.google import SCOPE
from tests.auth.asking import ASYNC_MODES, MODES, REPLY, UNAUTHORIZED, ask, ask_async, ask_sync, registry_of, sent
from tests.fault_server import FaultServer, Received, refused_url, response
from tests.test_secrets import KEY, assert_hidden

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.network


class Fake(google.auth.credentials.Credentials):
    """Counts its refreshes; the token of the n-th is ``<name>-n``, good for ``seconds``."""

    def __init__(self, name: str = "token", seconds: float = 3600, before: Callable[[], object] = bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token: str | None = None
        self.name, self.seconds, self.before = name, seconds, before
        self.refreshes = 0

    def refresh(self, request: Any) -> None:
        assert request is not None
        self.before()
        self.refreshes += 1
        self.token = f"{self.name}-{self.refreshes}"
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        self.expiry = now + dt.timedelta(seconds=self.seconds)


@pytest.fixture
def lay(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Lays credentials where google-auth finds the default ones."""

    def lay(credentials: Any) -> Any:
        def default(scopes: list[str], request: object) -> tuple[Any, None]:
            assert scopes == [SCOPE]
            return credentials, None

        monkeypatch.setattr(google.auth, "default", default)
        return credentials

    return lay


@pytest.mark.parametrize("mode", MODES)
def test_a_token_is_kept_while_it_is_good(mode: str, lay: Callable[[Any], Fake]) -> None:
    fake = lay(Fake())
    with FaultServer(response(503, retry_after="0"), response(503, retry_after="0"), REPLY) as server:
        ask(mode, server, "google")
    assert sent(server) == ["Bearer token-1"] * 3
    assert fake.refreshes == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_token_that_is_about_to_expire_is_refreshed(mode: str, lay: Callable[[Any], Fake]) -> None:
    lay(Fake(seconds=1))
    with FaultServer(response(503, retry_after="0"), REPLY) as server:
        ask(mode, server, "google")
    assert sent(server) == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_token_is_refreshed_once(mode: str, lay: Callable[[Any], Fake]) -> None:
    fake = lay(Fake())
    with FaultServer(UNAUTHORIZED, REPLY) as server:
        assert ask(mode, server, "google").text == "x"
    assert sent(server) == ["Bearer token-1", "Bearer token-2"]
    assert fake.refreshes == 2


def test_the_same_token_again_is_good_until_it_is_refused(lay: Callable[[Any], Fake]) -> None:
    """As from a metadata server, which keeps the token itself."""
    fake = lay(Fake())
    fake.before = lambda: setattr(fake, "refreshes", 0)
    with (
        FaultServer(UNAUTHORIZED, REPLY) as server,
        Client(provider="here", base_url=server.url, registry=registry_of("google")) as client,
    ):
        ask_sync(client)
        fake.before = lambda: pytest.fail("refreshed though the token is good")
        ask_sync(client)
    assert sent(server) == ["Bearer token-1"] * 3


def test_the_project_that_is_billed_goes_along(lay: Callable[[Any], Fake]) -> None:
    fake = lay(Fake())
    fake._quota_project_id = "my-project"
    with FaultServer(REPLY) as server:
        ask("sync", server, "google")
    assert sent(server, "x-goog-user-project") == ["my-project"]


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_hundred_calls_at_once_refresh_once(mode: str, lay: Callable[[Any], Fake]) -> None:
    go = threading.Event()
    fake = lay(Fake(before=lambda: go.wait(10)))

    async def main() -> None:
        options: dict[str, Any] = {"provider": "here", "registry": registry_of("google")}
        async with AsyncClient(base_url=server.url, **options) as client, anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask_async, client)
            await anyio.wait_all_tasks_blocked()
            # Those who wait hold none of the threads that others need.
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            go.set()

    with FaultServer(REPLY) as server:
        anyio.run(main, backend=mode)
    assert sent(server) == ["Bearer token-1"] * 100
    assert fake.refreshes == 1


def test_threads_that_share_a_client_refresh_once(lay: Callable[[Any], Fake]) -> None:
    fake = lay(Fake())
    started = threading.Barrier(20)
    with (
        FaultServer(REPLY) as server,
        Client(provider="here", base_url=server.url, registry=registry_of("google")) as client,
        ThreadPoolExecutor(20) as pool,
    ):

        def one(_: int) -> None:
            started.wait(10)
            ask_sync(client)

        list(pool.map(one, range(20)))
    assert sent(server) == ["Bearer token-1"] * 20
    assert fake.refreshes == 1


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_call_that_is_cancelled_does_not_break_the_refresh_of_others(mode: str, lay: Callable[[Any], Fake]) -> None:
    go = threading.Event()
    fake = lay(Fake(before=lambda: go.wait(10)))

    async def main() -> None:
        options: dict[str, Any] = {"provider": "here", "registry": registry_of("google")}
        async with AsyncClient(base_url=server.url, **options) as client, anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as doomed:
                    doomed.start_soon(ask_async, client)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            tasks.start_soon(ask_async, client)
            await anyio.wait_all_tasks_blocked()
            go.set()

    with FaultServer(REPLY) as server:
        anyio.run(main, backend=mode)
    assert sent(server) == ["Bearer token-1"]
    assert fake.refreshes == 1


# A service account, with nothing of google-auth replaced


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def key_file(home: Path, private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the key file of a service account whose tokens come from that address."""

    def write(token_uri: str) -> Path:
        pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "robot@project.iam.gserviceaccount.com",
            "client_id": "2",
            "token_uri": token_uri,
        }
        path = home / "account.json"
        path.write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        return path

    return write


def token_reply(token: str) -> bytes:
    return response(200, json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode())


def claims_of(asked: Received, private_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """The assertion of a request for a token, its signature checked."""
    fields = parse_qs(asked.body.decode())
    assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    signed, _, signature = fields["assertion"][0].rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    private_key.public_key().verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))


@pytest.mark.parametrize("mode", MODES)
def test_a_service_account_gets_a_token_with_its_key(
    mode: str, key_file: Callable[[str], Path], private_key: rsa.RSAPrivateKey
) -> None:
    with FaultServer(token_reply(KEY)) as tokens, FaultServer(UNAUTHORIZED, REPLY) as server:
        key_file(f"{tokens.url}/token")
        ask(mode, server, "google")
    # The first token was refused, so another one was asked for.
    assert [asked.target for asked in tokens.requests] == ["/token", "/token"]
    claims = claims_of(tokens.requests[0], private_key)
    assert claims["iss"] == "robot@project.iam.gserviceaccount.com"
    assert claims["scope"] == SCOPE
    assert sent(server) == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("mode", MODES)
def test_a_token_is_in_no_error(mode: str, key_file: Callable[[str], Path]) -> None:
    quoting = response(403, f'{{"error":{{"message":"no {KEY}"}}}}'.encode())
    with FaultServer(token_reply(KEY)) as tokens, FaultServer(quoting) as server:
        key_file(f"{tokens.url}/token")
        with pytest.raises(NxlogError, match=r"no \[key\]") as caught:
            ask(mode, server, "google")
    assert_hidden(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_a_refusal_of_the_token_endpoint_is_an_error_of_ours(mode: str, key_file: Callable[[str], Path]) -> None:
    refusal = response(400, json.dumps({"error": "invalid_grant", "error_description": KEY}).encode())
    with FaultServer(refusal) as tokens, FaultServer(REPLY) as server:
        key_file(f"{tokens.url}/token")
        with pytest.raises(AuthenticationError, match=r"gave no token \(RefreshError\)") as caught:
            ask(mode, server, "google")
    assert isinstance(caught.value.__cause__, google.auth.exceptions.RefreshError)
    assert caught.value.provider == "here"
    assert KEY not in f"{caught.value} {vars(caught.value)}"
    assert not server.requests


def test_a_token_endpoint_that_is_not_there_is_a_connection_that_failed(key_file: Callable[[str], Path]) -> None:
    key_file(f"{refused_url()}/token")
    with FaultServer(REPLY) as server, pytest.raises(ConnectError, match="token endpoint cannot be reached") as caught:
        ask("sync", server, "google", retries=0)
    assert isinstance(caught.value.__cause__, google.auth.exceptions.TransportError)
    assert not server.requests


# Nothing found


@pytest.mark.parametrize("mode", MODES)
def test_without_credentials_the_ways_to_get_some_are_named(mode: str) -> None:
    """google-auth really looks, in a home without files."""
    ways = r"gcloud auth application-default login.*GOOGLE_APPLICATION_CREDENTIALS.*api_key"
    with FaultServer(REPLY) as server, pytest.raises(MissingKeyError, match=ways) as caught:
        ask(mode, server, "google")
    assert caught.value.provider == "here"
    assert not server.requests


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"type": "service_account", "private_key": "x"}'])
def test_a_key_file_that_is_none_is_an_error_of_ours(text: str, key_file: Callable[[str], Path]) -> None:
    with FaultServer(REPLY) as server:
        key_file(server.url).write_text(text)
        with pytest.raises(MissingKeyError):
            ask("sync", server, "google")


def test_a_private_key_that_is_none_is_an_error_of_ours(key_file: Callable[[str], Path]) -> None:
    with FaultServer(REPLY) as server:
        path = key_file(server.url)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"private_key": KEY}))
        with pytest.raises(NxlogError) as caught:
            ask("sync", server, "google")
    assert_hidden(caught.value)


@pytest.mark.parametrize("module", ["google.auth.exceptions", "google.auth.transport.requests"])
def test_without_the_extra_it_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with FaultServer(REPLY) as server, pytest.raises(InvalidRequestError, match=r'pip install "nxlog\[vertex\]"'):
        ask("sync", server, "google")
    assert not server.requests
