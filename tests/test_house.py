"""The house: which module may know which, what is public, and what a wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import nxlog
from nxlog import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nxlog"
MODULES = sorted(PACKAGE.rglob("*.py"))

TYPES = {
    "request",
    "response",
    "logprobs",
    "distribution",
    "alignment",
    "delivery_report",
    "warnings",
    "errors",
    "_json",
    "_tuples",
    "_record_json",
    "_records",
    "_columns",
    "_secret",
    "_spelling",
    "spans",
    "exchange",
    "_extensions",
    "rendered",
    "timeout",
    "turn",
    "turn_build",
    "turn_check",
    "turn_dump",
    "turns",
    "usage",
    "_version",
}
"""What the types may import of nxlog: each other."""
RESPONSES_TYPES = {"items", "request", "reply", "events"}
"""What of ``nxlog.responses`` is types, which the wire reads replies into; the rest stands on top of the calls."""
RESPONSES_NAMES = {"conversation", "jobs", "session", "watchdog"}
"""What users import beside the types, and which needs a call only once it is used."""

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(TYPES, TYPES),
    "wire": TYPES | {"wire", "responses"},
    "registry": {"registry", "errors", "distribution"},
    "verdicts": {"errors"},
    "_trials": {"verdicts"},
    "_gate": TYPES | {"registry", "verdicts"},
    "parameter_adapter": TYPES | {"registry", "_gate", "verdicts"},
    "delivery": TYPES,
    "measures": TYPES,
    "compare": TYPES | {"measures"},
    "accumulate": TYPES,
    "retry": TYPES | {"http"},
    "http": TYPES | {"http"},
    "_address": TYPES | {"registry"},
    "auth": TYPES | {"auth", "registry", "_address"},
    "call": TYPES
    | {"auth", "parameter_adapter", "registry", "wire", "delivery", "accumulate", "retry", "verdicts", "_trials"},
    "_drive": TYPES,
    "_render": TYPES | {"wire", "call"},
    "_watch": TYPES | {"call"},
    "telemetry": TYPES | {"telemetry", "_watch", "call"},
    "local": {"local", "errors"},
    "migrate": {"migrate"},
    "rendering": TYPES | {"rendering"},
    "testing": TYPES | {"testing", "measures", "http", "registry", "auth", "call", "client", "streams"},
    "probe": TYPES
    | {"probe", "call", "registry", "wire", "http", "retry", "auth", "local", "_config", "_address", "_drive"},
    "trajectory": {"trajectory", "turn", "errors"},
    "export": TYPES | {"export", "trajectory"},
    "convert": TYPES | {"convert", "responses", "wire", "accumulate"},
    "conformance": TYPES | {"conformance", "probe", "registry", "http", "retry", "auth"},
}
"""Part of the house -> parts it may import. Parts that are not listed stand on top and may import anything."""

OPENAI_TYPES = {PACKAGE / "convert" / "openai.py", PACKAGE / "convert" / "_openai_shapes.py"}
"""What may know the package openai, beside ``nxlog.integrations``."""

HTTP_LIBRARIES = {"httpx", "httpcore", "httpx_aiohttp", "h11", "aiohttp"}


def part_of(path: Path) -> str:
    """The part of the house a file belongs to: its module, or its package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also for type checking and inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            if node.module == "nxlog":
                found |= {f"nxlog.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    part, imports = part_of(path), imports_of(path)
    if part != "http":
        assert not {name.partition(".")[0] for name in imports} & HTTP_LIBRARIES
    if part == "wire":
        assert not {name.partition(".")[0] for name in imports} & {"anyio", "asyncio", "trio", "socket"}
    if part != "migrate":
        # An extra, and a heavy one.
        assert "libcst" not in {name.partition(".")[0] for name in imports}
    if part != "export":
        assert not {name.partition(".")[0] for name in imports} & {"pyarrow", "safetensors"}
    if part != "rendering":
        assert not {name.partition(".")[0] for name in imports} & {"jinja2", "tokenizers"}
    if part != "telemetry":
        assert "opentelemetry" not in {name.partition(".")[0] for name in imports}
    if part != "integrations" and path not in OPENAI_TYPES:
        assert not {name.partition(".")[0] for name in imports} & {"openai", "agents"}
    if part in ALLOWED:
        inner = {name.split(".")[1] for name in imports if name.startswith("nxlog.")}
        assert inner <= ALLOWED[part] | {part}


def knowing(part: str) -> set[str]:
    """The parts of the house that import this one."""
    return {part_of(path) for path in MODULES if any(name.startswith(f"nxlog.{part}") for name in imports_of(path))}


def test_types_of_the_responses_api_are_types() -> None:
    for name in RESPONSES_TYPES | {"__init__"}:
        known = {n for n in imports_of(PACKAGE / "responses" / f"{name}.py") if n.startswith("nxlog.")}
        own = {n.split(".")[2] for n in known if n.startswith("nxlog.responses.")}
        assert own <= RESPONSES_TYPES | (RESPONSES_NAMES if name == "__init__" else set())
        assert {n.split(".")[1] for n in known} <= TYPES | {"responses"}
    for path in (PACKAGE / "wire").glob("*.py"):
        known = {n for n in imports_of(path) if n.startswith("nxlog.responses.")}
        assert {n.split(".")[2] for n in known} <= RESPONSES_TYPES


def test_only_the_command_line_knows_the_probe() -> None:
    assert knowing("probe") == {"probe", "conformance", "cli"}
    assert knowing("conformance") == {"conformance", "cli"}


@pytest.mark.parametrize("name", ["finding", "raw", "replies", "records", "manners", "checks"])
def test_the_checks_of_the_kit_do_no_io(name: str) -> None:
    """They are functions of the answers; only ``run`` asks."""
    imports = imports_of(PACKAGE / "conformance" / f"{name}.py")
    assert not {one for one in imports if one.startswith(("nxlog.http", "nxlog.probe.ask", "nxlog.probe.reach"))}
    assert "nxlog.conformance.run" not in imports


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_knows_its_tests(path: Path) -> None:
    if part_of(path) != "testing":
        imports = imports_of(path)
        assert not {name for name in imports if name.startswith(("nxlog.testing", "nxlog.http.intercept"))}
        assert not {name.partition(".")[0] for name in imports} & {"pytest", "vcr"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_all_is_what_is_public() -> None:
    members = {name: value for name, value in vars(nxlog).items() if not name.startswith("_")}
    public = {name for name, value in members.items() if not isinstance(value, ModuleType)} - {"annotations"}
    assert public | {"__version__"} == set(nxlog.__all__)
    assert sorted(nxlog.__all__) == sorted(set(nxlog.__all__))


def test_every_error_is_exported() -> None:
    tree = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, nxlog.NxlogError)
    }
    assert tree <= set(nxlog.__all__)


def test_import_loads_no_extra() -> None:
    code = (
        "import sys, nxlog; "
        # Not rich: httpx itself imports it where it is installed.
        "extras = {'typer', 'xllamacpp', 'vcr', 'pytest', 'numpy', 'httpx_aiohttp', 'aiohttp', 'yaml', 'botocore', "
        "'google.auth', 'requests', 'nxlog.testing', 'libcst', 'opentelemetry', 'nxlog.telemetry', "
        "'openai', 'agents', 'pyarrow', 'safetensors', 'jinja2', 'tokenizers', 'nxlog.rendering'}; "
        "print(sorted(extras & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout without fetching anything."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


def test_wheel_has_one_top_level_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"nxlog"}
    assert {"nxlog/py.typed", "nxlog/registry/data.json"} <= set(names)


def test_wheel_works_without_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import nxlog; "
        "print(nxlog.__file__); print(nxlog.capabilities('openai/gpt-4o').max_top_logprobs)"
    )
    # -P: the current directory stays out of the path; PYTHONPATH and the editable install come after ours.
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    where, most = found.stdout.split()
    assert Path(where).is_relative_to(target)
    assert most == "20"
