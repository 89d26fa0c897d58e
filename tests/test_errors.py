"""The error tree: its shape, what errors carry, and how they travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from nxlog import errors
from nxlog.errors import (
    MAX_BODY,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    NxlogError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StatusError,
    error_class,
)

ALL: list[type[NxlogError]] = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, NxlogError)
]

CONTEXT = {
    "provider": "openai",
    "model": "gpt-4o",
    "status_code": 429,
    "code": "rate_limit_exceeded",
    "param": "logprobs",
    "request_id": "req_1",
    "retry_after": 7.5,
    "body": '{"error": {}}',
}


def drawn_tree() -> dict[str, str | None]:
    """Name of each class in the module's docstring to the name of its parent there."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    (?P<lines>(?:│   |    )*(?:├── |└── )?)(?P<name>[A-Z]\w+)", line)
        if found:
            depth = len(found["lines"]) // 4
            parents[found["name"]] = path[depth - 1] if depth else None
            path[depth:] = [found["name"]]
    return parents


def test_the_drawn_tree_is_the_tree() -> None:
    real = {cls.__name__: cls.__bases__[0].__name__ if cls is not NxlogError else None for cls in ALL}
    assert drawn_tree() == real
    assert all(len(cls.__bases__) == 1 for cls in ALL)
    assert len(real) > 20


def test_no_error_hides_a_builtin_by_inheritance() -> None:
    """``except OSError`` or ``except TimeoutError`` of Python's must not catch ours unseen."""
    assert all(cls.__mro__[cls.__mro__.index(NxlogError) + 1] is Exception for cls in ALL)


@pytest.mark.parametrize("cls", ALL)
def test_every_error_carries_its_context_and_travels_b31(cls: type[NxlogError]) -> None:
    error = cls("it broke", **CONTEXT)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for again in (error, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is cls
        assert {name: getattr(again, name) for name in CONTEXT} == CONTEXT
        assert again.message == "it broke"
        assert again.args == ("it broke",)
        assert str(again) == "it broke [openai/gpt-4o]"
        assert again.retryable is cls.retryable


@pytest.mark.parametrize("cls", ALL)
def test_context_is_optional(cls: type[NxlogError]) -> None:
    error = pickle.loads(pickle.dumps(cls("it broke")))
    assert str(error) == "it broke"
    assert {name: getattr(error, name) for name in CONTEXT} == dict.fromkeys(CONTEXT)


def test_body_is_bounded() -> None:
    error = StatusError("it broke", body="x" * (MAX_BODY + 1))
    assert error.body == "x" * MAX_BODY
    assert len(pickle.dumps(error)) < MAX_BODY + 1000


def test_the_body_is_not_in_the_text() -> None:
    assert "secret" not in str(StatusError("it broke", body="secret")) + repr(StatusError("it broke", body="secret"))


def test_added_context_keeps_what_is_known_b31() -> None:
    error = NxlogError("it broke", model="gpt-4o")
    assert error.add_context(provider="openai", model="other") is error
    assert (error.provider, error.model) == ("openai", "gpt-4o")
    error.add_context(provider=None, model=None)
    assert (error.provider, error.model) == ("openai", "gpt-4o")
    assert str(NxlogError("x").add_context(provider=None, model="m")) == "x [m]"


@pytest.mark.parametrize(
    ("status", "cls", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (402, BadRequestError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (413, BadRequestError, False),
        (422, BadRequestError, False),
        (429, RateLimitError, True),
        (451, BadRequestError, False),
        (500, ServerError, True),
        (503, ServerError, True),
        (529, ServerError, True),
        (599, ServerError, True),
    ],
)
def test_class_of_a_status(status: int, cls: type[StatusError], retryable: bool) -> None:
    assert error_class(status) is cls
    assert cls.retryable is retryable


def test_which_errors_are_worth_another_try() -> None:
    assert {cls.__name__ for cls in ALL if cls.retryable} == {
        *("TransportError", "ConnectError", "NetworkError", "ProtocolError", "TimeoutError"),
        *("RateLimitError", "ServerError", "IncompleteStreamError"),
    }
