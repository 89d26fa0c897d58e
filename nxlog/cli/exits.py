"""How a command ends: exit statuses, and errors as one line on stderr."""

from __future__ import annotations

import contextlib
import enum
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING

import typer

from nxlog import errors
from nxlog.cli.text import one_line, write_error
from nxlog.warnings import ParameterWarningCategory

if TYPE_CHECKING:
    from collections.abc import Generator

TRACEBACK_VARIABLE = "NXLOG_TRACEBACK"
"""Set it to see where an unexpected error comes from."""


class Status(enum.IntEnum):
    """Exit statuses; stable, for scripts."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REQUEST = 3
    AUTHENTICATION = 4
    NOT_FOUND = 5
    NETWORK = 6
    SERVER = 7
    LOCAL = 8
    CONTRADICTED = 9
    NONCONFORMANT = 10
    INTERRUPTED = 130
    CLOSED_PIPE = 141


MEANINGS: dict[Status, str] = {
    Status.OK: "the answer is there",
    Status.UNEXPECTED: "an unexpected error",
    Status.USAGE: "the command was used wrongly",
    Status.REQUEST: "the request is wrong, or asks for what the provider cannot do",
    Status.AUTHENTICATION: "no key, a wrong key, or a key that may not",
    Status.NOT_FOUND: "no such provider or model",
    Status.NETWORK: "no connection, or too slow",
    Status.SERVER: "the server failed, is too busy, or cannot be understood",
    Status.LOCAL: "the embedded engine or its model is missing or broken",
    Status.CONTRADICTED: "probe --check: the registry says something that is not so",
    Status.NONCONFORMANT: "conformance: the server breaks a rule",
    Status.INTERRUPTED: "interrupted with Ctrl-C",
    Status.CLOSED_PIPE: "whoever read the output has stopped reading",
}

_BY_ERROR: tuple[tuple[type[errors.NxlogError], Status], ...] = (
    # The first that matches: classes before their bases.
    (errors.MissingKeyError, Status.AUTHENTICATION),
    (errors.AuthenticationError, Status.AUTHENTICATION),
    (errors.PermissionDeniedError, Status.AUTHENTICATION),
    (errors.UnknownProviderError, Status.NOT_FOUND),
    (errors.NotFoundError, Status.NOT_FOUND),
    (errors.RequestError, Status.REQUEST),
    (errors.BadRequestError, Status.REQUEST),
    (errors.TransportError, Status.NETWORK),
    (errors.StatusError, Status.SERVER),
    (errors.ResponseError, Status.SERVER),
    (errors.LocalEngineError, Status.LOCAL),
)


def status_of(error: errors.NxlogError) -> Status:
    """The exit status for an error."""
    return next((status for kind, status in _BY_ERROR if isinstance(error, kind)), Status.UNEXPECTED)


@contextlib.contextmanager
def reporting() -> Generator[None]:
    """Turn whatever stops a command into one line on stderr and its exit status."""
    try:
        with warnings.catch_warnings():
            # Commands print the warnings of a result themselves.
            warnings.simplefilter("ignore", ParameterWarningCategory)
            yield
        sys.stdout.flush()
    except errors.NxlogError as error:
        write_error(f"nxlog: {one_line(str(error))}")
        raise typer.Exit(status_of(error)) from error
    except BrokenPipeError as error:
        _forget_stdout()
        raise typer.Exit(Status.CLOSED_PIPE) from error
    except KeyboardInterrupt as error:
        write_error("nxlog: interrupted")
        raise typer.Exit(Status.INTERRUPTED) from error
    except (typer.Exit, typer.TyperException):
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        write_error(
            f"nxlog: unexpected error: {one_line(f'{type(error).__name__}: {error}')}"
            f" (set {TRACEBACK_VARIABLE}=1 to see where)"
        )
        raise typer.Exit(Status.UNEXPECTED) from error


def _forget_stdout() -> None:
    """Nobody reads any more: keep the interpreter from failing when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
