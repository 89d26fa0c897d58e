"""The types that a user's checker sees. ``typing/api.py`` is checked by ``make check``; here is what it cannot say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

MISTAKES = {
    "missing is not a number": "def f(token: nxlog.TokenLogprob) -> float:\n    return -token.logprob\n",
    "no logprobs is not an empty list": "def f(reply: nxlog.ChatResponse) -> int:\n    return len(reply.logprobs)\n",
    "a record cannot be changed": "def f(token: nxlog.TokenLogprob) -> None:\n    token.logprob = 0.0\n",
    "a misspelt option": "client = nxlog.Client(on_unsuported='raise')\n",
    "an option that does not exist": "client = nxlog.Client(on_unsupported='ignore')\n",
    "a misspelt field": "def f(chunk: nxlog.StreamChunk) -> str:\n    return chunk.txt\n",
}


def pyright(*arguments: str, cwd: Path) -> dict[str, Any]:
    """What pyright says, with this checkout and this environment's libraries in its path."""
    here = str(Path(sys.executable).parent)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}
    command = [sys.executable, "-m", "pyright", "--outputjson", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def completeness(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # Outside the checkout, whose own configuration would be read.
    found = pyright("--verifytypes", "nxlog", "--ignoreexternal", cwd=tmp_path_factory.mktemp("verify"))
    return found["typeCompleteness"]


def test_no_public_type_is_unknown(completeness: dict[str, Any]) -> None:
    """Strict programs fail on the first unknown type of a library."""
    counts = completeness["exportedSymbolCounts"]
    assert counts["withKnownType"] > 500, "pyright did not find the package"
    unknown = [
        symbol["name"]
        for symbol in completeness["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    ]
    assert unknown == []
    assert completeness["completenessScore"] == 1, "a public name needs an annotation"


def test_mistakes_are_found(tmp_path: Path) -> None:
    """Each on a line of its own file; what a checker would accept, a user would find out at night."""
    for number, code in enumerate(MISTAKES.values()):
        (tmp_path / f"mistake_{number}.py").write_text(f"import nxlog\n\n{code}")
    (tmp_path / "right.py").write_text("import nxlog\n\nclient = nxlog.Client(on_unsupported='raise')\n")
    found = pyright(".", cwd=tmp_path)
    files = {Path(error["file"]).stem for error in found["generalDiagnostics"] if error["severity"] == "error"}
    assert files == {f"mistake_{number}" for number in range(len(MISTAKES))}
