"""AWS credentials and signatures: found and refreshed by botocore, checked without it.

botocore is real, and so are the files, the environment and the process that it takes credentials from. The server is
real, on the loopback interface; each signature is computed again from what arrived there.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any

import anyio
import botocore.exceptions
import botocore.session
import httpx
import pytest

from nxlog import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectError,
    InvalidRequestError,
    MissingKeyError,
    NxlogError,
)
from nxlog.auth.aws import region_in
from tests.auth.asking import (
    ASYNC_MODES,
    AUTHS,
    MODES,
    REPLY,
    REQUEST,
    STREAMED,
    ask,
    ask_async,
    ask_sync,
    registry_of,
    sent,
)
from tests.auth.sigv4 import Authorization, signature_of
from tests.fault_server import FaultServer, Received, response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.network

ACCESS_KEY = "AKIDNXLOGTESTEXAMPLE"
SECRET_KEY = "never/travels+0123456789abcdefghijklmnop"
SESSION_TOKEN = "session-token-" + "0123456789+/" * 20
REGION = {"variables": {"region": "eu-central-1"}}

WITH_REGION: dict[str, Any] = {
    "base_url": "https://bedrock-runtime.{region}.amazonaws.com",
    "variables": {"region": {"note": "the AWS region", "env": ["HERE_REGION"]}},
}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


def signed(mode: str, server: FaultServer, **options: Any) -> None:
    """A call that is signed."""
    given = {"registry": registry_of("aws", **WITH_REGION)} | REGION | options
    ask(mode, server, **given)


def test_the_check_agrees_with_a_published_example() -> None:
    """``post-vanilla`` of the test suite that AWS published."""
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    headers = {
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}",
    }
    example = Received("POST", "/", headers, b"")
    assert signature_of(example, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY") == signature


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", MODES)
def test_a_request_is_signed(mode: str, stream: bool) -> None:
    with FaultServer(STREAMED if stream else REPLY) as server:
        signed(mode, server, stream=stream)
    [request] = server.requests
    carried = Authorization.of(request)
    assert (carried.access_key, carried.region, carried.service) == (ACCESS_KEY, "eu-central-1", "bedrock")
    assert carried.signed_headers == ["content-type", "host", "x-amz-date"]
    assert carried.signature == signature_of(request, SECRET_KEY)
    assert request.headers["x-amz-date"].startswith(carried.date)
    assert "x-amz-security-token" not in request.headers
    assert SECRET_KEY not in str(request)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("model", ["vendor.model-v1:0", "arn:aws:bedrock:eu-central-1:1:inference/x.y", "é ü~'()"])
def test_the_path_that_arrives_is_the_one_that_was_signed(model: str) -> None:
    wires = {"openai-chat": {"path": "/model/{model}/invoke?b=2&a=1"}}
    registry = registry_of("aws", **WITH_REGION, wires=wires)
    with (
        FaultServer(REPLY) as server,
        Client(provider="here", base_url=server.url + "/base", registry=registry, **REGION) as client,
    ):
        client.chat(REQUEST.model_copy(update={"model": model}))
    [request] = server.requests
    assert request.target.startswith("/base/model/")
    assert Authorization.of(request).signature == signature_of(request, SECRET_KEY)


@pytest.mark.usefixtures("keys")
def test_each_attempt_is_signed_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth  # noqa: PLC0415 - the clock of the signer

    hours = iter(range(24))
    moment = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment.replace(hour=next(hours)))
    with FaultServer(response(503), REPLY) as server:
        signed("sync", server)
    assert sent(server, "x-amz-date") == ["20260102T000000Z", "20260102T010000Z"]
    for request in server.requests:
        assert Authorization.of(request).signature == signature_of(request, SECRET_KEY)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("mode", MODES)
def test_the_token_of_temporary_credentials_is_signed_too(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    with FaultServer(REPLY) as server:
        signed(mode, server)
    [request] = server.requests
    carried = Authorization.of(request)
    assert request.headers["x-amz-security-token"] == SESSION_TOKEN
    assert "x-amz-security-token" in carried.signed_headers
    assert carried.signature == signature_of(request, SECRET_KEY)


def test_a_profile_says_key_and_region(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    (home / ".aws").mkdir()
    lines = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    (home / ".aws" / "credentials").write_text(f"[mine]\n{lines}")
    (home / ".aws" / "config").write_text("[profile mine]\nregion = ap-south-1\n")
    with FaultServer(REPLY) as server:
        signed("sync", server, variables=None)
    carried = Authorization.of(server.requests[0])
    assert (carried.access_key, carried.region) == (ACCESS_KEY, "ap-south-1")
    assert carried.signature == signature_of(server.requests[0], SECRET_KEY)


# Refresh, by botocore's own code: a process that gives credentials and says when they end


@pytest.fixture
def process(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Path]:
    """Configures a process whose n-th run gives the token ``session-n``, good for so many seconds; returns its log."""

    def configure(seconds: float) -> Path:
        log, script = home / "runs", home / "process.py"
        until = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).isoformat()
        script.write_text(
            "import json, pathlib\n"
            f"log = pathlib.Path({str(log)!r})\n"
            "log.write_text((log.read_text() if log.exists() else '') + 'x')\n"
            f"keys = {{'Version': 1, 'AccessKeyId': {ACCESS_KEY!r}, 'SecretAccessKey': {SECRET_KEY!r}, "
            f"'Expiration': {until!r}}}\n"
            "print(json.dumps(keys | {'SessionToken': f'session-{len(log.read_text())}'}))\n"
        )
        config = home / "config"
        config.write_text(f"[default]\ncredential_process = {sys.executable} -S {script}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        return log

    return configure


def three_calls() -> list[str | None]:
    """The session tokens of three calls of one client."""
    with (
        FaultServer(REPLY) as server,
        Client(provider="here", base_url=server.url, registry=registry_of("aws", **WITH_REGION), **REGION) as client,
    ):
        for _ in range(3):
            ask_sync(client)
    return sent(server, "x-amz-security-token")


def test_credentials_are_kept_while_they_hold(process: Callable[[float], Path]) -> None:
    log = process(3600)
    assert three_calls() == ["session-1"] * 3
    assert log.read_text() == "x"


def test_credentials_that_end_in_a_moment_are_refreshed(process: Callable[[float], Path]) -> None:
    process(30)
    first, second, third = three_calls()
    assert len({first, second, third}) == 3


def test_new_credentials_are_not_asked_for_at_every_call(process: Callable[[float], Path]) -> None:
    """botocore wants new ones ten minutes before the end; those that come may be no better."""
    process(300)
    first, second, third = three_calls()
    assert first == second == third


@pytest.mark.parametrize("mode", MODES)
def test_expired_credentials_are_an_error_of_ours(mode: str, process: Callable[[float], Path]) -> None:
    process(-10)
    with FaultServer(REPLY) as server, pytest.raises(AuthenticationError, match=r"cannot be had \(\w+\)") as caught:
        signed(mode, server)
    assert caught.value.__cause__ is not None
    assert not server.requests


def test_a_process_that_fails_is_an_error_of_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = home / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} -S {home / 'no-such-script.py'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with FaultServer(REPLY) as server, pytest.raises(AuthenticationError, match="CredentialRetrievalError") as caught:
        signed("sync", server)
    assert "no-such-script" not in str(caught.value)


# The region


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("vpce-0a1b2c3d4e5f60718-abcdefgh.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-mantle.eu-west-3.api.aws", "eu-west-3"),
        ("us-east-1.example.com", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_the_host_says_the_region(host: str, region: str | None) -> None:
    assert region_in(host) == region


@pytest.mark.usefixtures("keys")
def test_the_region_of_the_environment_is_used_where_the_host_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_REGION", "sa-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with FaultServer(REPLY) as server:
        signed("sync", server, variables=None)
        signed("sync", server, variables=None, registry=registry_of("aws"))
    assert [Authorization.of(request).region for request in server.requests] == ["sa-east-1", "us-west-2"]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("mode", MODES)
def test_a_missing_region_is_said(mode: str) -> None:
    with FaultServer(REPLY) as server, pytest.raises(InvalidRequestError, match=r"variables=\{'region': ") as caught:
        signed(mode, server, variables=None)
    assert caught.value.param == "variables"
    assert not server.requests


# Nothing found, and nothing shown


@pytest.mark.parametrize("mode", MODES)
def test_without_credentials_the_ways_to_get_some_are_named(mode: str) -> None:
    """botocore really looks, in a home without files."""
    ways = r"AWS_BEARER_TOKEN_BEDROCK.*AWS_ACCESS_KEY_ID.*AWS_PROFILE.*api_key"
    with FaultServer(REPLY) as server, pytest.raises(MissingKeyError, match=ways) as caught:
        signed(mode, server)
    assert caught.value.provider == "here"
    assert not server.requests


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"AWS_ACCESS_KEY_ID": ACCESS_KEY}, "PartialCredentialsError"),
        ({"AWS_PROFILE": "nobody"}, "ProfileNotFound"),
    ],
)
def test_half_of_it_is_as_good_as_nothing(
    variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with FaultServer(REPLY) as server, pytest.raises(MissingKeyError, match=name):
        signed("sync", server)


def test_a_service_that_cannot_be_reached_is_a_connection_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: object) -> None:
        raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(botocore.session.Session, "get_credentials", unreachable)
    with FaultServer(REPLY) as server, pytest.raises(ConnectError, match="cannot be reached"):
        signed("sync", server, retries=0)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", MODES)
def test_what_was_signed_with_is_in_no_text(mode: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS answers a wrong signature with everything that was signed."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)

    def quoting(request: Received) -> bytes:
        said = "\n".join(f"{name}:{value}" for name, value in request.headers.items())
        return response(403, json.dumps({"message": f"The signature does not match. {said}"}).encode())

    with FaultServer(quoting) as server, pytest.raises(NxlogError, match="does not match") as caught:
        signed(mode, server, stream=stream)
    error = caught.value
    texts = " ".join([str(error), repr(error), *(str(value) for value in vars(error).values())])
    signature = Authorization.of(server.requests[0]).signature
    assert "[key]" in texts
    for secret in (SESSION_TOKEN[:20], SECRET_KEY, signature[:20], ACCESS_KEY):
        assert secret not in texts


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("module", ["botocore.exceptions", "botocore.auth", "botocore.session"])
def test_without_the_extra_it_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with FaultServer(REPLY) as server, pytest.raises(InvalidRequestError, match=r'pip install "nxlog\[bedrock\]"'):
        signed("sync", server)
    assert not server.requests


def test_the_service_of_the_provider_is_signed_for(keys: None) -> None:
    auth = AUTHS["aws"] | {"service": "other-service"}
    with FaultServer(REPLY) as server:
        signed("sync", server, registry=registry_of("aws", **WITH_REGION, auth=auth))
    assert Authorization.of(server.requests[0]).service == "other-service"


PATH = "/model/vendor.model-v1%3A0/a%2Fb%20c/~d?b=2&a=1"


@pytest.mark.usefixtures("keys")
def test_an_httpx_client_of_ones_own_changes_nothing_that_is_signed() -> None:
    registry = registry_of("aws", **WITH_REGION, wires={"openai-chat": {"path": PATH}})
    with FaultServer(response(503, retry_after="0"), REPLY) as server, httpx.Client() as own:
        signed("sync", server, registry=registry, http_client=own)
    assert [request.target for request in server.requests] == [PATH] * 2
    for request in server.requests:
        assert Authorization.of(request).signature == signature_of(request, SECRET_KEY)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_an_async_one_neither(mode: str) -> None:
    async def main() -> None:
        registry = registry_of("aws", **WITH_REGION, wires={"openai-chat": {"path": PATH}})
        async with (
            httpx.AsyncClient() as own,
            AsyncClient(provider="here", base_url=server.url, registry=registry, http_client=own, **REGION) as client,
        ):
            await ask_async(client)

    with FaultServer(REPLY) as server:
        anyio.run(main, backend=mode)
    [request] = server.requests
    assert request.target == PATH
    assert Authorization.of(request).signature == signature_of(request, SECRET_KEY)


@pytest.mark.usefixtures("keys")
def test_aiohttp_sends_a_plain_path_as_it_was_signed() -> None:
    path = PATH.replace("%3A", "-")
    registry = registry_of("aws", **WITH_REGION, wires={"openai-chat": {"path": path}})
    with FaultServer(response(503, retry_after="0"), REPLY) as server:
        signed("asyncio", server, registry=registry, http_client="aiohttp")
    assert [request.target for request in server.requests] == [path] * 2
    for request in server.requests:
        assert Authorization.of(request).signature == signature_of(request, SECRET_KEY)


@pytest.mark.usefixtures("keys")
def test_what_aiohttp_would_send_otherwise_is_not_signed() -> None:
    registry = registry_of("aws", **WITH_REGION, wires={"openai-chat": {"path": "/model/vendor.model-v1%3A0"}})
    with FaultServer(REPLY) as server:
        with pytest.raises(InvalidRequestError, match="the signature would not hold"):
            signed("asyncio", server, registry=registry, http_client="aiohttp")
        assert not server.requests
        signed("asyncio", server, registry=registry, http_client="aiohttp", api_key="a key is good for any spelling")
    assert server.requests[0].target == "/model/vendor.model-v1:0"
