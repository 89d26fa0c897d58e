"""``nxlog migrate``: its options, the files, the diff, and the report."""

from __future__ import annotations

import difflib
import enum
import json
from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from nxlog.cli import text
from nxlog.cli.exits import Status, reporting
from nxlog.cli.text import visible, write_error
from nxlog.migrate import Finding, Migration, Outcome, UnreadableError, python_files, read
from nxlog.migrate import write as write_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nxlog.migrate import Source

STATUSES: dict[int, str] = {
    0: "done; with --check, nothing is to be done",
    1: "--check: something would change or must be done by hand; --write: a file could not be written",
    2: "the command was used wrongly, or libcst is not installed",
}
"""Exit statuses of this command; 130 and 141 mean what they mean everywhere."""

EPILOG = "\b\nExit status:\n" + "\n".join(f"  {status:3}  {text}" for status, text in STATUSES.items())


class Mode(enum.Enum):
    """What is done with the new code."""

    LIST = enum.auto()
    DIFF = enum.auto()
    WRITE = enum.auto()
    CHECK = enum.auto()


class _File(NamedTuple):
    path: Path
    source: Source | None
    migration: Migration


def migrate(
    paths: Annotated[
        list[Path],
        typer.Argument(exists=True, metavar="PATH...", help="Files, and directories with *.py.", show_default=False),
    ],
    *,
    diff: Annotated[bool, typer.Option("--diff", help="Print the changes; the report goes to stderr.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Change the files.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with status 1 where something is to be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Turn logprobs hidden in provider_options into fields, and list what other libraries are asked for."""
    chosen = [mode for mode, given in ((Mode.DIFF, diff), (Mode.WRITE, write), (Mode.CHECK, check)) if given]
    if len(chosen) > 1 or (diff and as_json):
        raise typer.BadParameter("give one of --diff, --write and --check; a diff is not JSON")
    with reporting():
        try:
            status = run(paths, chosen[0] if chosen else Mode.LIST, as_json=as_json)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "libcst":
                raise
            write_error("nxlog: migrate needs libcst: run `pip install 'nxlog[migrate]'`")
            raise typer.Exit(Status.USAGE) from error
        if status:
            raise typer.Exit(status)


def run(paths: list[Path], mode: Mode, *, as_json: bool) -> int:
    """Migrate the files and say so; the exit status.

    Raises:
        ModuleNotFoundError: libcst is not installed.
    """
    from nxlog.migrate import migrate_source  # noqa: PLC0415 - loads libcst

    files = [_migrated(path, migrate_source) for path in python_files(paths)]
    failed = _write(files) if mode is Mode.WRITE else 0
    if as_json:
        text.write(json.dumps(list(_records(files)), indent=2) + "\n")
    elif mode is Mode.DIFF:
        # The diff alone goes to stdout, fit for `git apply`.
        for file in files:
            text.write("".join(_diff(file)))
        _report(files, write_error, written=False)
    else:
        _report(files, lambda line: text.write(line + "\n"), written=mode is Mode.WRITE)
    if mode is Mode.CHECK:
        return int(not all(file.migration.clean for file in files))
    return int(failed > 0)


def _migrated(path: Path, migrate: Callable[[str], Migration]) -> _File:
    try:
        source = read(path)
    except UnreadableError as error:
        return _File(path, None, Migration("", "", (Finding(1, 1, Outcome.UNREADABLE, str(error)),)))
    found = migrate(source.text)
    try:
        source.encode(found.after)
    except UnicodeEncodeError as error:
        # The comments and strings are those of the file, so this takes a new word in an old encoding.
        found = Migration(found.before, found.before, (Finding(1, 1, Outcome.UNREADABLE, str(error)),))
    return _File(path, source, found)


def _write(files: list[_File]) -> int:
    failed = 0
    for file in files:
        if file.source is not None and file.migration.changed:
            try:
                write_source(file.source, file.migration.after)
            except OSError as error:
                failed += 1
                write_error(f"nxlog: {visible(str(file.path))}: not written: {error.strerror or error}")
    return failed


def _diff(file: _File) -> Iterator[str]:
    before, after = (_lines(code) for code in (file.migration.before, file.migration.after))
    for line in difflib.unified_diff(before, after, f"a/{file.path.as_posix()}", f"b/{file.path.as_posix()}"):
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _lines(code: str) -> list[str]:
    # Not splitlines: a form feed or U+2028 ends no line in a diff.
    lines = [line + "\n" for line in code.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines


def _report(files: list[_File], say: Callable[[str], None], *, written: bool) -> None:
    counts: Counter[Outcome] = Counter()
    for file in files:
        for finding in file.migration.findings:
            counts[finding.outcome] += 1
            say(visible(f"{file.path}:{finding.line}:{finding.column}: {_word(finding, written)}: {finding.message}"))
            if finding.write is not None:
                say(visible(f"    write: {finding.write}"))
    changed = sum(file.migration.changed for file in files)
    verb = "rewritten" if written else "would change"
    parts = [f"{len(files)} files read", f"{changed} {verb}", f"{counts[Outcome.BY_HAND]} to do by hand"]
    parts += [f"{counts[Outcome.UNSEEN]} not seen"] if counts[Outcome.UNSEEN] else []
    parts += [f"{counts[Outcome.UNREADABLE]} unreadable"] if counts[Outcome.UNREADABLE] else []
    say(", ".join(parts))


def _word(finding: Finding, written: bool) -> str:  # noqa: FBT001 - two words of one sentence
    if finding.outcome is Outcome.REWRITTEN and not written:
        return "can be rewritten"
    return finding.outcome.value


def _records(files: list[_File]) -> Iterator[dict[str, object]]:
    for file in files:
        for finding in file.migration.findings:
            yield {
                "path": str(file.path),
                "line": finding.line,
                "column": finding.column,
                "outcome": finding.outcome.value,
                "message": finding.message,
                "write": finding.write,
            }
