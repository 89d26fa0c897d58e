"""From the templates of a provider to the URL of a request: variables, environment, paths and models.

The functions are called as they are, and through ``Config``, which both clients use; nothing is sent.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import ValidationError

from nxlog import Client, InvalidRequestError, NxlogError
from nxlog._address import base_url_of, check_base_url, checked_variable, fill, url_of
from nxlog._config import Config
from nxlog.registry import Provider, Registry

ACCOUNT = {"note": "the account id", "env": ["HERE_ACCOUNT", "HERE_ACCOUNT_ID"]}
REGION = {"note": "the region", "env": "HERE_REGION", "default": "eu"}


def provider_of(**fields: Any) -> Provider:
    table: dict[str, Any] = {
        "id": "here",
        "display_name": "Here",
        "kind": "hosted",
        "docs": "https://example.org",
        "base_url": "https://{region}.example.com/accounts/{account}/v1",
        "variables": {"account": ACCOUNT, "region": REGION},
        "wires": {"openai-chat": {"path": "/chat/completions"}},
    }
    return Provider.model_validate(table | fields)


def config_of(provider: Provider, **options: Any) -> Config:
    table = {name: value for name, value in provider.model_dump(exclude_unset=True).items() if name != "id"}
    given: dict[str, Any] = {
        "provider": "here",
        "base_url": None,
        "api_key": "key",
        "wire": None,
        "on_unsupported": "warn",
        "on_unknown": "try",
        "registry": Registry.builtin().with_(providers={"here": table}),
        "variables": None,
    }
    return Config(**given | options)


# Variables


def test_a_variable_comes_from_the_client_before_the_environment_before_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = provider_of()
    monkeypatch.setenv("HERE_ACCOUNT_ID", "second")
    assert base_url_of(provider, {}) == "https://eu.example.com/accounts/second/v1"
    monkeypatch.setenv("HERE_ACCOUNT", "first")
    assert base_url_of(provider, {}) == "https://eu.example.com/accounts/first/v1"
    monkeypatch.setenv("HERE_REGION", "us-1")
    assert base_url_of(provider, {"account": "given"}) == "https://us-1.example.com/accounts/given/v1"


def test_an_empty_variable_of_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_ACCOUNT", "")
    monkeypatch.setenv("HERE_ACCOUNT_ID", "second")
    monkeypatch.setenv("HERE_REGION", "")
    assert base_url_of(provider_of(), {}) == "https://eu.example.com/accounts/second/v1"


def test_a_missing_variable_names_every_way_to_give_it() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        config_of(provider_of()).target("m")
    assert caught.value.param == "variables"
    assert caught.value.provider == "here"
    assert caught.value.message == (
        "variables: here needs 'account' (the account id); give Client(variables={'account': ...}) or "
        "the environment variable HERE_ACCOUNT or the environment variable HERE_ACCOUNT_ID"
    )


def test_a_variable_that_the_provider_does_not_have_is_refused() -> None:
    config = config_of(provider_of(), variables={"account": "a", "acount": "b"})
    with pytest.raises(InvalidRequestError, match="here has no 'acount'; its variables: account, region"):
        config.target("m")


def test_a_provider_without_variables_says_so() -> None:
    client = Client(provider="openai", api_key="key", variables={"region": "eu"})
    with client, pytest.raises(InvalidRequestError, match="openai has no 'region'; its variables: none"):
        client.chat(model="gpt-4o", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize("value", ["", "a/b", "a?b", "a@b", "a:1", "a b", "a#", "ü", "a\n", "%2e", "{model}"], ids=repr)
def test_a_value_cannot_change_the_address_around_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequestError, match="'account' must be a string of letters, digits") as caught:
        Client(provider="openai", api_key="key", variables={"account": value})
    assert caught.value.param == "variables"
    if value:
        monkeypatch.setenv("HERE_ACCOUNT", value)
        with pytest.raises(InvalidRequestError, match="'account' must be a string of letters, digits"):
            base_url_of(provider_of(), {})


@pytest.mark.parametrize("value", [None, 5, b"a"], ids=repr)
def test_the_kind_of_a_value_that_is_no_string_is_said(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"got {type(value).__name__}"):
        checked_variable("account", value)


def test_values_are_kept_as_they_are() -> None:
    assert checked_variable("account", "Az09._-") == "Az09._-"


# Base URLs


def test_the_environment_may_hold_another_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = provider_of(base_url_env=["HERE_BASE_URL", "HERE_ENDPOINT"])
    monkeypatch.setenv("HERE_BASE_URL", "")
    monkeypatch.setenv("HERE_ENDPOINT", "http://127.0.0.1:1/x/")
    # No account is needed: it was part of the address that is not used.
    assert base_url_of(provider, {}) == "http://127.0.0.1:1/x"
    assert config_of(provider).target("m").url == "http://127.0.0.1:1/x/chat/completions"
    monkeypatch.setenv("HERE_BASE_URL", "http://127.0.0.1:2")
    assert base_url_of(provider, {}) == "http://127.0.0.1:2"
    given = config_of(provider, base_url="http://127.0.0.1:3/v1")
    assert given.target("m").url == "http://127.0.0.1:3/v1/chat/completions"


def test_a_wrong_base_url_of_the_environment_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_BASE_URL", "user:password@host")
    with pytest.raises(InvalidRequestError, match=r"^HERE_BASE_URL: must be a string that starts with") as caught:
        base_url_of(provider_of(base_url_env="HERE_BASE_URL"), {})
    assert "password" not in str(caught.value)


def test_a_provider_without_an_address_needs_one() -> None:
    provider = provider_of(base_url=None, variables={}, kind="engine")
    assert base_url_of(provider, {}) is None
    with pytest.raises(InvalidRequestError, match=r"Client\(provider='here', base_url=\.\.\.\)"):
        config_of(provider).target("m")


@pytest.mark.parametrize("value", [5, "ftp://host", "host/v1", "//host"])
def test_a_base_url_is_an_http_url(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a string that starts with http"):
        check_base_url(value)


def test_slashes_and_spaces_at_the_end_are_no_part_of_it() -> None:
    assert check_base_url("http://host/v1// ") == "http://host/v1"
    assert check_base_url(None) is None


# Paths


def url(base_url: str, path: str, *, model: str = "m", strip: str | None = None, **variables: str) -> str:
    provider = provider_of(wires={"openai-chat": {"path": path, "strip": strip}})
    return url_of(base_url, path, provider.wires["openai-chat"], model, provider, variables)


@pytest.mark.parametrize(
    ("model", "quoted"),
    [
        ("gpt-4o", "gpt-4o"),
        ("vendor/model", "vendor%2Fmodel"),
        ("vendor.model-v1:0", "vendor.model-v1%3A0"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a b%20", "a%20b%2520"),
        ("{account}", "%7Baccount%7D"),
        ("é", "%C3%A9"),
    ],
)
def test_a_model_in_a_path_is_one_segment(model: str, quoted: str) -> None:
    found = url("https://host/v1", "/models/{model}:generate", model=model)
    assert found == f"https://host/v1/models/{quoted}:generate"
    assert unquote(urlsplit(found).path).removesuffix(":generate") == f"/v1/models/{model}"


def test_a_path_may_hold_variables() -> None:
    found = url("https://host", "/{account}/{region}/{model}?account={account}", account="a")
    assert found == "https://host/a/eu/m?account=a"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://host/v1", "http://host/native"),
        ("http://host/v1/?a=b", "http://host/native?a=b"),
        ("http://host", "http://host/native"),
        ("http://host/v1/x", "http://host/v1/x/native"),
        ("http://host/x/v1", "http://host/x/native"),
    ],
)
def test_a_route_beside_the_end_of_the_base_url(base_url: str, expected: str) -> None:
    assert url(base_url, "/native", strip="/v1") == expected


@pytest.mark.parametrize(
    ("base_url", "path", "expected"),
    [
        ("http://host/v1?api-version=1", "/chat", "http://host/v1/chat?api-version=1"),
        ("http://host/v1?api-version=1", "/chat?alt=sse", "http://host/v1/chat?alt=sse&api-version=1"),
    ],
)
def test_a_query_of_the_base_url_stands_behind_the_path(base_url: str, path: str, expected: str) -> None:
    assert url(base_url, path) == expected


def test_streams_may_go_elsewhere() -> None:
    wire = {"path": "/{model}:generate", "stream_path": "/{model}:stream?alt=sse"}
    config = config_of(provider_of(wires={"openai-chat": wire}), variables={"account": "a"})
    target = config.target("m")
    assert target.url == "https://eu.example.com/accounts/a/v1/m:generate"
    assert target.stream_url == "https://eu.example.com/accounts/a/v1/m:stream?alt=sse"
    same = config_of(provider_of(), variables={"account": "a"}).target("m")
    assert same.stream_url == same.url


def test_names_are_filled_in_once() -> None:
    """What a value holds is not a template."""
    provider = provider_of()
    assert fill("{model}/{account}", provider, {"account": "a"}, model="{account}") == "%7Baccount%7D/a"


# What a file may say


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"base_url": "https://{where}.example.com"}, "{where} in an address is not in"),
        ({"base_url": "https://example.com"}, "variable '(account|region)' is in no address"),
        ({"base_url": "https://{account}{region}.com/{model}"}, "{model} belongs into a path"),
        ({"wires": {"openai-chat": {"path": "chat"}}}, "path"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_when_it_is_read(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        provider_of(**fields)


def test_every_provider_has_an_address_or_says_what_is_missing() -> None:
    registry = Registry.builtin()
    for provider in registry:
        try:
            base_url = base_url_of(provider, {})
        except NxlogError as error:
            assert error.param == "variables"  # noqa: PT017 - which of them raise depends on the files
        else:
            assert base_url is None or urlsplit(base_url).hostname
