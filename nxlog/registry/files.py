"""Reading a directory of TOML files, and saying what is wrong with one."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nxlog.errors import RegistryError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from nxlog.registry.expand import Raw

ENVIRONMENT = "NXLOG_REGISTRY"
"""Environment variable that names the user's directory."""


def user_directory() -> Path | None:
    """The user's directory: ``$NXLOG_REGISTRY``, else ``nxlog/`` in the XDG configuration directory.

    Raises:
        RegistryError: ``$NXLOG_REGISTRY`` is set and is not a directory.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        directory = Path(named).expanduser()
        if not directory.is_dir():
            raise RegistryError(f"{ENVIRONMENT} is {named!r}, which is not a directory; create it or unset it")
        return directory
    config = _configuration(os.environ.get("XDG_CONFIG_HOME"), os.environ.get("HOME"))
    if config is None or not any(map(os.path.isdir, _folders(config))):
        return None
    return config


@functools.cache
def _configuration(config: str | None, home: str | None) -> Path | None:  # noqa: ARG001 - what the answer depends on
    try:
        return (Path(config) if config else Path.home() / ".config") / "nxlog"
    except RuntimeError:  # no home directory: nothing of the user's to read
        return None


@functools.cache
def _folders(directory: Path) -> tuple[str, str]:
    # As strings, because every question to the default registry looks whether they are there.
    return str(directory / "providers"), str(directory / "capabilities")


def read_directory(directory: Path) -> tuple[dict[str, Raw], dict[str, Raw]]:
    """The tables of ``providers/*.toml`` and ``capabilities/*.toml``, by file stem.

    Raises:
        RegistryError: a file cannot be read, or is not TOML.
    """
    if not directory.is_dir():
        raise RegistryError(f"{directory} is not a directory")
    return _read(directory / "providers"), _read(directory / "capabilities")


def _read(folder: Path) -> dict[str, Raw]:
    return {path.stem: read_toml(path) for path in sorted(folder.glob("*.toml"))}


def read_toml(path: Path) -> Raw:
    """One file's table.

    Raises:
        RegistryError: it cannot be read, or is not TOML.
    """
    import tomllib  # noqa: PLC0415 - the built-in data is JSON

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path}: not TOML: {error}; fix that line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: cannot be read: {error}") from None


def complaint(error: ValidationError, origin: str, shape: type[BaseModel]) -> str:
    """One line per mistake: where it is, what is wrong, what to write instead."""
    lines = [f"{origin}: {_field(entry['loc'])}: {_fix(entry, shape)}" for entry in error.errors()]
    return "\n".join(lines)


def _field(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def _fix(entry: Any, shape: type[BaseModel]) -> str:
    message: str = entry["msg"].removeprefix("Value error, ")
    match entry["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            name = str(entry["loc"][-1])
            import difflib  # noqa: PLC0415 - for errors only

            near = difflib.get_close_matches(name, _names(shape), n=1)
            return f"is not a known field; {f'did you mean {near[0]!r}?' if near else 'remove it'}"
        case "value_error":
            return message
        case _:
            return f"{message}; got {entry['input']!r}"


def _names(shape: type[BaseModel]) -> list[str]:
    """Every field name anywhere in the shape, for the did-you-mean of a misspelt one."""
    found: list[str] = []

    def collect(schema: Any) -> None:
        for name, inner in schema.get("properties", {}).items():
            found.append(name)
            collect(inner)

    schema = shape.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        collect(part)
    return found
