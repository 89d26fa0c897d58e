"""``nxlog probe``: ask a live endpoint, print what was measured, and where the registry says otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from nxlog.cli.chat import key_of
from nxlog.cli.color import console
from nxlog.cli.text import one_line, visible, write, write_error
from nxlog.errors import InvalidRequestError
from nxlog.probe import as_json as json_of
from nxlog.probe import differences, entry, probe
from nxlog.probe import record as record_cassettes
from nxlog.probe.report import asked, came

if TYPE_CHECKING:
    from pathlib import Path

    from nxlog.probe import Answer, Difference, Probe


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whom to ask, and what to keep."""

    model: str
    base_url: str | None
    wire: str | None
    api_key_env: str | None
    engine: str | None
    record: Path | None
    timeout: float


def run(options: Options, *, as_json: bool, color: bool) -> bool:
    """Ask and print; answers whether the registry says something that is not so.

    Raises:
        NxlogError: the plain question got no answer, or the cassettes cannot be written.
    """
    found = probe(
        options.model,
        base_url=options.base_url,
        api_key=key_of(options.api_key_env),
        wire=options.wire,
        engine=options.engine,
        timeout=options.timeout,
        tell=_tell,
    )
    cassettes = {} if options.record is None else _record(found, options.record)
    differing = differences(found)
    if as_json:
        write(json.dumps(json_of(found, cassettes=cassettes), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(found, differing, recorded=bool(cassettes), color=color)
    return any(item.contradicts for item in differing)


def _tell(number: int, of: int, answer: Answer) -> None:
    write_error(f"nxlog: {number}/{of} {answer.name}: {one_line(came(answer))}")


def _record(found: Probe, directory: Path) -> dict[str, str]:
    try:
        written = record_cassettes(found, directory)
    except OSError as error:
        raise InvalidRequestError(f"--record: cannot write {error.filename}: {error.strerror}") from error
    write_error(f"nxlog: {len(written)} cassettes written to {directory}")
    return {name: str(path) for name, path in written.items()}


def _print(found: Probe, differing: list[Difference], *, recorded: bool, color: bool) -> None:
    screen = console(color=color)
    head = [f"{found.provider.id}/{found.model}", f"wire {found.wire}", *filter(None, [found.engine]), found.date]
    screen.print(visible(", ".join(head)), soft_wrap=True)
    rows = table("question", "asks for", "came")
    for answer in found.answers:
        rows.add_row(answer.name, asked(answer.question), visible(came(answer)))
    screen.print(rows)
    # Not through the console, which would wrap it.
    write(entry(found, recorded=recorded) + "\n")
    if not differing:
        screen.print("The registry says nothing else.")
        return
    screen.print("The registry says otherwise, or does not say:")
    rows = table("claim", "registry", "measured", "shown by")
    for item in differing:
        measured = item.measured + (" (contradicts)" if item.contradicts else "")
        rows.add_row(item.name, item.registry, visible(measured), ", ".join(item.shown_by))
    screen.print(rows)


def table(first: str, *columns: str) -> Table:
    """A table whose first column is never cut."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(first, no_wrap=True)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
