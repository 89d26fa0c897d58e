"""``nxlog conformance``: does a live server keep the rules? One line for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nxlog.cli.chat import key_of
from nxlog.cli.color import console
from nxlog.cli.probe import table
from nxlog.cli.text import one_line, visible, write, write_error
from nxlog.conformance import Conformance, Verdict, conformance
from nxlog.conformance import as_json as json_of
from nxlog.conformance.questions import HANG_UP
from nxlog.probe.report import came

if TYPE_CHECKING:
    from nxlog.probe import Answer

STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_APPLICABLE: "dim", Verdict.INFO: ""}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whom to ask."""

    provider: str
    model: str
    base_url: str | None
    wire: str | None
    api_key_env: str | None
    timeout: float


def run(options: Options, *, as_json: bool, color: bool) -> bool:
    """Ask, check and print; answers whether every rule is kept.

    Raises:
        NxlogError: the plain question got no answer.
    """
    found = conformance(
        f"{options.provider}/{options.model}",
        base_url=options.base_url,
        api_key=key_of(options.api_key_env),
        wire=options.wire,
        timeout=options.timeout,
        tell=_tell,
    )
    if as_json:
        write(json.dumps(json_of(found), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(found, color=color)
    return not found.failed


def _tell(answer: Answer) -> None:
    left = answer.name == HANG_UP.name and answer.exchange is not None and not answer.exchange.complete
    write_error(f"nxlog: {answer.name}: {'left early, on purpose' if left else one_line(came(answer))}")


def _print(found: Conformance, *, color: bool) -> None:
    screen = console(color=color)
    head = [f"{found.provider}/{found.model}", f"wire {found.wire}", *filter(None, [found.engine]), found.date]
    screen.print(visible(", ".join(head)), soft_wrap=True)
    rows = table("check", "", "rule", "seen")
    for finding in found.findings:
        rows.add_row(
            finding.name, finding.verdict.value, finding.rule, visible(finding.seen), style=STYLES[finding.verdict]
        )
    screen.print(rows)
    counts = {verdict: sum(finding.verdict is verdict for finding in found.findings) for verdict in Verdict}
    screen.print(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count))
