"""A key in each provider's own way, where it comes from, and what is said when there is none.

The server is real, on the loopback interface, and records what arrives.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from nxlog import Client, InvalidRequestError, MissingKeyError
from nxlog.auth import Keys
from tests.auth.asking import AUTHS, MODES, REPLY, STREAMED, ask, registry_of, sent
from tests.fault_server import FaultServer

KEY = "sk-0123456789-abcdefghij"
WITHOUT_EXTRAS = ["google.auth", "google.auth.exceptions", "botocore", "botocore.exceptions", "requests"]

WAYS = {
    "bearer": ("authorization", f"Bearer {KEY}"),
    "header": ("x-own-key", KEY),
    "entra": ("api-key", KEY),
    "google": ("authorization", f"Bearer {KEY}"),
    "aws": ("authorization", f"Bearer {KEY}"),
    "none": ("authorization", f"Bearer {KEY}"),
}


@pytest.mark.network
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("auth", AUTHS)
def test_a_given_key_travels_in_the_providers_way(
    auth: str, mode: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in WITHOUT_EXTRAS:  # a key needs none of them
        monkeypatch.setitem(sys.modules, name, None)
    with FaultServer(STREAMED if stream else REPLY) as server:
        ask(mode, server, auth, stream=stream, api_key=f" {KEY}\n")
    name, value = WAYS[auth]
    assert sent(server, name) == [value]
    others = {"authorization", "x-own-key", "api-key", "x-amz-date"} - {name}
    assert not others & server.requests[0].headers.keys()


@pytest.mark.network
@pytest.mark.parametrize("auth", ["bearer", "header", "google", "aws"])
def test_the_first_variable_that_is_set_holds_the_key(auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_FIRST_KEY", "  ")
    monkeypatch.setenv("HERE_SECOND_KEY", KEY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a bearer key wins over signing")
    registry = registry_of(auth, key_env=["HERE_FIRST_KEY", "HERE_SECOND_KEY"])
    with FaultServer(REPLY) as server:
        ask("sync", server, registry=registry)
    name, value = WAYS[auth]
    assert sent(server, name) == [value]


@pytest.mark.network
def test_a_provider_without_keys_gets_none_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_KEY", KEY)
    with FaultServer(REPLY) as server:
        ask("sync", server, registry=registry_of("none", key_env="HERE_KEY"))
    assert sent(server) == [None]


@pytest.mark.parametrize("auth", ["bearer", "header", "entra"])
def test_a_missing_key_names_the_ways_to_give_one(auth: str) -> None:
    client = Client(provider="here", base_url="http://127.0.0.1:1", registry=registry_of(auth, key_env="HERE_KEY"))
    with client, pytest.raises(MissingKeyError, match=r"HERE_KEY, or give Client\(api_key=\.\.\.\)"):
        client.chat(model="m", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize("key", [5, b"bytes", ["list"], "two\nlines", "ключ"], ids=repr)
def test_what_cannot_be_a_key_is_refused_at_once_and_not_shown(key: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^api_key: ") as caught:
        Client(provider="openai", api_key=key)
    assert caught.value.param == "api_key"
    assert str(key) not in str(caught.value)


def test_a_callback_too_belongs_to_one_provider() -> None:
    with pytest.raises(InvalidRequestError, match="a key belongs to one provider"):
        Client(api_key=lambda: KEY)


def test_what_is_presented_has_no_key_in_its_repr() -> None:
    for auth in AUTHS:
        presented = Keys(KEY).of(registry_of(auth).provider("here"), {})
        assert presented.secret == KEY
        assert KEY not in repr(presented)


def test_models_of_a_provider_share_a_source() -> None:
    keys, provider = Keys(None), registry_of("google").provider("here")
    source = keys.of(provider, {}).source
    assert source is not None
    assert keys.of(provider, {}).source is source
