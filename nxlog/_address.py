"""From a provider's templates to the URL of one model on one wire."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from nxlog.errors import InvalidRequestError
from nxlog.registry import names_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.registry import Provider, Wire

_URL_SAFE = re.compile(r"[A-Za-z0-9._-]+")


def check_base_url(value: object, *, field: str = "base_url") -> str | None:
    """The URL without a slash at its end.

    Raises:
        InvalidRequestError: it is no URL.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise InvalidRequestError(
            f"{field}: must be a string that starts with http:// or https://, "
            f"such as 'http://127.0.0.1:8000/v1'; got {type(value).__name__}",
            param=field,
        )
    try:
        parts = urlsplit(value.strip())
        complete = parts.hostname is not None and parts.port != 0
    except ValueError:
        complete = False
    # The value is not shown: it may hold a password.
    if not complete or "#" in value:
        raise InvalidRequestError(
            f"{field}: must have a host, a port from 1 to 65535 if any, and no '#' part", param=field
        )
    return value.strip().rstrip("/")


def base_url_of(provider: Provider, variables: Mapping[str, str]) -> str | None:
    """The provider's address: from the environment, else from its file; None when neither says.

    Raises:
        InvalidRequestError: the address has a variable without a value.
    """
    for name in provider.base_url_env:
        if found := check_base_url(os.environ.get(name) or None, field=name):
            return found
    return None if provider.base_url is None else fill(provider.base_url, provider, variables)


def url_of(base_url: str, path: str, wire: Wire, model: str, provider: Provider, variables: Mapping[str, str]) -> str:
    """Where a model's requests go.

    Raises:
        InvalidRequestError: the path has a variable without a value.
    """
    address, mark, query = base_url.partition("?")
    address = address.rstrip("/")
    address = address.removesuffix(wire.strip) if wire.strip else address
    url = address + fill(path, provider, variables, model=model)
    # A query such as ?api-version=1 belongs to the whole address, behind the path.
    return f"{url}{'&' if '?' in url else '?'}{query}" if mark else url


def fill(template: str, provider: Provider, variables: Mapping[str, str], *, model: str = "") -> str:
    """The template with every name in braces replaced by its value."""
    names = names_in(template)
    values = {name: quote(model, safe="") if name == "model" else _value(name, provider, variables) for name in names}
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _value(name: str, provider: Provider, variables: Mapping[str, str]) -> str:
    variable = provider.variables[name]
    found = variables.get(name) or next(filter(None, map(os.environ.get, variable.env)), None) or variable.default
    if found is None:
        ways = [f"Client(variables={{{name!r}: ...}})", *(f"the environment variable {env}" for env in variable.env)]
        raise InvalidRequestError(
            f"variables: {provider.id} needs {name!r} ({variable.note}); give {' or '.join(ways)}",
            provider=provider.id,
            param="variables",
        )
    return checked_variable(name, found)


def checked_variable(name: str, value: object) -> str:
    """The value, if it can be a part of a host name or path.

    Raises:
        InvalidRequestError: it would change the address around it.
    """
    if not isinstance(value, str) or not _URL_SAFE.fullmatch(value):
        kind = "" if isinstance(value, str) else f", got {type(value).__name__}"
        raise InvalidRequestError(
            f"variables: {name!r} must be a string of letters, digits, '.', '_' and '-'{kind}", param="variables"
        )
    return value
