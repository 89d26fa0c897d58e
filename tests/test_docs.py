"""The documentation is true: every fence of every page is executed, loaded or parsed.

What is real: the snippets as they are written, the client up to the socket, the bytes of the replies (recordings, see
``docs_server``), the command line, and llama.cpp for the embedded engine, on a model made on the spot. The lines
``#> ...`` of a snippet are what it prints, word for word; one that ends in a backslash goes on in the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import re
import shlex
import sys
import tomllib
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import nxlog
from nxlog import errors
from nxlog.cli.app import app
from nxlog.cli.exits import MEANINGS, Status
from nxlog.local import engine
from nxlog.registry import AuthScheme, Registry
from nxlog.registry.__main__ import main as registry_main
from tests.conformance.test_new_provider import files_of_the_page
from tests.docs_server import DocsServer
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
LANGUAGES = {"python", "sh", "toml", "text"}
STEPS = files_of_the_page()
"""What CONTRIBUTING has a reader write, which ``test_new_provider`` does."""
KEY = "key-of-the-documentation"


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Fence:
    """One block of code on a page; ``line`` is that of its first line of code, from 1."""

    page: Path
    language: str
    code: str
    line: int

    def __str__(self) -> str:
        return f"{page_id(self.page)}:{self.line}"


def tokens_of(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))


def fences(page: Path) -> list[Fence]:
    """Every fence, also inside lists and quotes."""
    return [
        Fence(page, token.info.strip(), token.content, (token.map or [0])[0] + 2)
        for token in tokens_of(page)
        if token.type == "fence"
    ]


FENCES = [fence for page in PAGES for fence in fences(page)]
WITH_CODE = [page for page in PAGES if any(fence.language in {"python", "toml"} for fence in fences(page))]
COMMANDS = [
    (fence, line.partition(" #")[0].strip())
    for fence in FENCES
    if fence.language == "sh"
    for line in fence.code.replace("\\\n", " ").splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]


# -- nothing escapes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_block_of_code_has_a_language_that_is_checked(page: Path) -> None:
    assert {fence.language for fence in fences(page) if fence.code not in STEPS.values()} <= LANGUAGES
    indented = [token.map for token in tokens_of(page) if token.type == "code_block"]
    assert not indented, "indented code would not be executed; use a fence"


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.language == "text"], ids=str)
def test_text_is_not_code(fence: Fence) -> None:
    """What is fenced as text is a drawing or output: nobody is to type it."""
    assert not re.search(r"^\s*(import|from|with|async|await|def|nxlog|pip|make|export) ", fence.code, re.MULTILINE)


def test_the_guide_and_the_readme_have_snippets() -> None:
    assert {page_id(page) for page in WITH_CODE} >= {"README.md", "docs/guide.md"}


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.language == "python"], ids=str)
def test_shown_output_is_checked_output(fence: Fence) -> None:
    """A formatter once made comments of it, and nothing was checked any more."""
    assert not re.search(r"^\s*# +>", fence.code, re.MULTILINE), "write #> in front of what is printed"


# -- python and toml -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[DocsServer]:
    with DocsServer() as running:
        yield running


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def outside(server: DocsServer, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory and an environment as a user has them; hosted providers are found on loopback."""
    overlay = tmp_path / "overlay"
    (overlay / "providers").mkdir(parents=True)
    for provider in Registry.builtin():
        if provider.base_url is not None and provider.base_url.startswith("https://"):
            text = f'base_url = "{server.url}/{provider.id}/v1"\n'
            (overlay / "providers" / f"{provider.id}.toml").write_text(text)
        if provider.auth.scheme is not AuthScheme.NONE:
            for name in provider.key_env[:1]:
                monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("NXLOG_REGISTRY", str(overlay))
    monkeypatch.setenv("NXLOG_MODEL", str(tiny_model))
    # An embedded engine of this test's own, stopped at its end.
    monkeypatch.setattr(engine, "_default", None)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    server.begin()
    with server.redirected(monkeypatch):
        yield work
    started = vars(engine)["_default"]
    if started is not None:
        started.close()
    assert not server.faults


@pytest.mark.model
@pytest.mark.network
@pytest.mark.parametrize("page", WITH_CODE, ids=page_id)
def test_snippets_run(page: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one namespace per page, as a reader would paste them."""
    module = types.ModuleType("snippets_of_a_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)
        try:
            for fence in fences(page):
                if fence.code in STEPS.values():
                    continue
                if fence.language == "toml":
                    save_toml(fence, outside)
                elif fence.language == "python":
                    run_python(fence, module)
        finally:
            for value in list(vars(module).values()):
                if isinstance(value, nxlog.Client):
                    value.close()


def save_toml(fence: Fence, directory: Path) -> None:
    """A file whose first line is a comment with its path is written there, for the snippets that follow."""
    tomllib.loads(fence.code)
    path = directory / fence.code.partition("\n")[0].removeprefix("#").strip()
    assert path.suffix == ".toml", f"{fence}: the first line must name the file"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fence.code, encoding="utf-8")


def run_python(fence: Fence, module: types.ModuleType) -> None:
    namespace = vars(module)
    before = dict(namespace)
    out = io.StringIO()
    # Tracebacks point into the page.
    code = compile("\n" * (fence.line - 1) + fence.code, str(fence.page), "exec")
    with contextlib.redirect_stdout(out):
        exec(code, namespace)
        for name, value in list(namespace.items()):
            own = inspect.iscoroutinefunction(value) and value.__module__ == module.__name__  # not an imported one
            if before.get(name) is not value and own:
                run_async(fence, value)
    said = "".join(re.findall(r"^[ \t]*#> ?(.*\n)", fence.code, re.MULTILINE)).replace("\\\n", "")
    if said:
        assert out.getvalue() == said, f"{fence} prints something else"


def run_async(fence: Fence, function: Any) -> None:
    assert not inspect.signature(function).parameters, f"{fence}: {function.__name__} needs arguments, so it is not run"
    asyncio.run(function())
    if "aiohttp" not in fence.code and "asyncio" not in fence.code:
        with contextlib.redirect_stdout(io.StringIO()):
            anyio.run(function, backend="trio")


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.network
@pytest.mark.parametrize(("fence", "command"), COMMANDS, ids=[f"{fence}-{line[:40]}" for fence, line in COMMANDS])
def test_commands_exist(fence: Fence, command: str, outside: Path) -> None:
    """A command that is not known here fails: it would not be checked."""
    words = shlex.split(command)
    while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
        check_variable(words.pop(0))
    match words:
        case ["export", assignment]:
            check_variable(assignment)
        case ["make", target, *_]:
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        case ["pip", "install", requirement]:
            check_requirement(requirement)
        case ["python", "-m", "nxlog.registry", *arguments]:
            assert set(arguments) <= {"--check", "--root"}
        case ["nxlog", *arguments]:
            check_nxlog(arguments)
        case ["python", script, _]:
            assert (ROOT / script).is_file()  # see tests/convert
        case ["pytest", *arguments]:
            assert set(arguments) <= {"--nxlog-record", "docs/example"}  # see tests/testing
        case _:
            pytest.fail(f"{fence}: nothing checks {command!r}")


def check_variable(assignment: str) -> None:
    known = {"NXLOG_REGISTRY", "NXLOG_MODEL"} | {name for provider in Registry.builtin() for name in provider.key_env}
    assert assignment.partition("=")[0] in known


def check_requirement(requirement: str) -> None:
    found = re.fullmatch(r"nxlog(?:\[([a-z,]+)\])?", requirement)
    assert found, requirement
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set((found[1] or "").split(",")) - {""} <= project["optional-dependencies"].keys()


def check_nxlog(arguments: list[str]) -> None:
    """Run for real where that needs no download; else parsed, which refuses options that do not exist."""
    arguments = [*arguments, "--help"] if "pull" in arguments else arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nxlog.ParameterWarningCategory)
        result = CliRunner().invoke(app, arguments)
    # The servers that are found here break rules: a recording answers, whatever it is asked.
    fine = {Status.OK, Status.NONCONFORMANT} if arguments[0] == "conformance" else {Status.OK}
    assert result.exit_code in fine, result.output
    if "--json" in arguments:
        json.loads(result.stdout)


# -- what pages say of the house ---------------------------------------------------------------------------------------


def links(page: Path) -> Iterator[str]:
    for token in tokens_of(page):
        for child in token.children or ():
            if child.type in {"link_open", "image"}:
                yield str(child.attrGet("href") or child.attrGet("src"))


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(path), link


def named_files(page: Path) -> Iterator[str]:
    """Paths in code spans: with a slash or a suffix of a file of ours, and without a placeholder."""
    for token in tokens_of(page):
        for child in token.children or ():
            if child.type == "code_inline" and re.fullmatch(
                r"(nxlog|tests|docs|fixtures|providers|capabilities|benchmarks)/[\w./-]*|[A-Z]+\.md|Makefile",
                child.content,
            ):
                yield child.content


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/guide.md"], ids=page_id)
def test_named_files_exist(page: Path) -> None:
    for name in set(named_files(page)) - STEPS.keys():
        assert (ROOT / name).exists(), name


def test_the_matrix_of_providers_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert registry_main(["--check"]) == 0, capsys.readouterr().out


def table_codes(text: str) -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


def test_the_guide_names_every_warning_code_and_error() -> None:
    guide = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    assert {code.value for code in nxlog.WarningCode} <= table_codes(guide)
    tree = (errors.__doc__ or "").partition("::")[2]
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", tree))
    assert drawn == {name for name in nxlog.__all__ if name.endswith("Error")}
    for name in drawn:
        assert name in guide, name


def test_the_guide_lists_the_exit_statuses() -> None:
    guide = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    words = " ".join(guide.split())
    assert "; ".join(f"{status.value} {meaning}" for status, meaning in MEANINGS.items()) in words


def test_the_guide_names_every_public_name() -> None:
    """A name nobody can read about is not public."""
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/guide.md", ROOT / "README.md"))
    missing = {name for name in set(nxlog.__all__) - {"__version__"} if not re.search(rf"\b{name}\b", text)}
    assert not missing
