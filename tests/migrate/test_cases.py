"""``nxlog migrate`` on a tree of cases: code before, code after, and what is reported.

The cases are files, ``cases/<name>/{before.py,after.py,report.txt}``. Those named ``nxlog_*`` are run as well, before
and after, with clients that keep the requests they are given: what the new code asks for must be what the gate, at run
time, tells the old code to ask for.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import runpy
import tokenize
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

import nxlog
import nxlog.client
from nxlog import ChatRequest, WarningCode
from nxlog._config import as_request
from nxlog.migrate import Migration, Outcome, migrate_source
from nxlog.parameter_adapter import adapt

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = sorted(path.parent for path in Path(__file__).parent.glob("cases/*/before.py"))
RUN = [case for case in CASES if case.name.startswith("nxlog_")]
UNREADABLE = [case for case in CASES if case.name.startswith("unreadable_")]


def name_of(case: Path) -> str:
    return case.name


def migrated(case: Path) -> Migration:
    return migrate_source((case / "before.py").read_text(encoding="utf-8"))


def report(migration: Migration) -> Iterator[str]:
    for finding in migration.findings:
        yield f"{finding.line}:{finding.column}: {finding.outcome.value}: {finding.message}"
        if finding.write:
            yield f"    write: {finding.write}"


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40
    assert len(RUN) >= 20


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_code(case: Path) -> None:
    assert migrated(case).after == (case / "after.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_report(case: Path) -> None:
    assert list(report(migrated(case))) == (case / "report.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_second_run_changes_nothing(case: Path) -> None:
    first = migrated(case)
    second = migrate_source(first.after)
    assert second.after == first.after
    assert all(finding.outcome is not Outcome.REWRITTEN for finding in second.findings)
    # What was to be done by hand still is, and nothing has been added to it.
    left = Counter(f.message for f in first.findings if f.outcome is not Outcome.REWRITTEN)
    assert Counter(finding.message for finding in second.findings) == left


@pytest.mark.parametrize("case", sorted({*CASES} - {*UNREADABLE}), ids=name_of)
def test_comments_and_strings_survive(case: Path) -> None:
    before, after = ((case / name) for name in ("before.py", "after.py"))
    ast.parse(after.read_text(encoding="utf-8"))
    assert tokens(before, tokenize.COMMENT) == tokens(after, tokenize.COMMENT)
    # Strings that are gone were keys of the options, or the words of the Responses API.
    gone = tokens(before, tokenize.STRING) - tokens(after, tokenize.STRING)
    for text in gone:
        assert re.fullmatch(r"""f?(["']).*(prob|Prob|n_tokens|generation|include|options|[ab]).*\1""", text), text


def tokens(path: Path, kind: int) -> Counter[str]:
    with path.open("rb") as file:
        return Counter(token.string for token in tokenize.tokenize(file.readline) if token.type == kind)


# -- the code, run -----------------------------------------------------------------------------------------------------


class Recorder:
    """In the place of ``Client`` and ``AsyncClient``; requests are made as they make them, and kept."""

    requests: list[ChatRequest]

    def __init__(self, **options: Any) -> None:
        del options

    def chat(self, request: ChatRequest | None = None, /, **fields: Any) -> Any:
        self.requests.append(as_request(request, fields, ChatRequest))
        return Reply()

    stream = chat

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


class Reply:
    """What the recorder answers: awaitable, a stream of no chunks of both kinds, and a text."""

    text = "fine"

    def __await__(self) -> Iterator[None]:
        yield from ()

    def __iter__(self) -> Iterator[None]:
        return iter(())

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> None:
        raise StopAsyncIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...


def requests_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ChatRequest]:
    """Every request that a module makes, in order: those a client is given, and those in its variables."""
    sent: list[ChatRequest] = []
    client = type("Client", (Recorder,), {"requests": sent})
    with monkeypatch.context() as patch:
        for module in (nxlog, nxlog.client):
            patch.setattr(module, "Client", client)
            patch.setattr(module, "AsyncClient", client)
        namespace = runpy.run_path(str(path))
        main = namespace.get("main")
        result = asyncio.run(main()) if inspect.iscoroutinefunction(main) else main() if main else None
    kept = [*namespace.values(), result]
    found = [value for values in kept for value in flat(values) if isinstance(value, ChatRequest)]
    return sent + found


def flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else [value]


def as_the_gate_says(request: ChatRequest) -> ChatRequest:
    """The request without logprobs in its options, and with the fields that the migration warning names."""
    adapted, warnings = adapt(request, nxlog.capabilities("vllm/any"))
    told = [warning.message for warning in warnings if warning.code is WarningCode.MIGRATION]
    if not told:
        return request
    written = re.search(r"ChatRequest\((.*)\) instead", told[0])
    assert written, told
    fields = eval(f"dict({written[1]})")
    if request.logprobs is not None:
        fields = {"logprobs": request.logprobs, **fields}
    return request.model_copy(update={"provider_options": adapted.provider_options, **fields})


@pytest.mark.parametrize("case", RUN, ids=name_of)
def test_requests_ask_for_the_same(case: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    after = requests_of(case / "after.py", monkeypatch)
    assert after
    for request in after:
        _, warnings = adapt(request, nxlog.capabilities("vllm/any"))
        assert not [warning for warning in warnings if warning.code is WarningCode.MIGRATION]
    if "with_provider_options" in (case / "before.py").read_text(encoding="utf-8"):
        return  # nxlog has no such method, so there is nothing to run
    before = requests_of(case / "before.py", monkeypatch)
    assert [plain(request) for request in after] == [plain(as_the_gate_says(request)) for request in before]


def plain(request: ChatRequest) -> dict[str, Any]:
    """The request as it counts: no options are the same as empty ones, and False is not to ask."""
    dumped = request.model_dump(exclude_none=True)
    return {name: value for name, value in dumped.items() if value != {} and value is not False}
