"""Scripts of the OpenAI SDK after their migration, run against a recorded reply of OpenAI on the loopback interface.

Where the SDK itself is installed, the script before is run as well, and both must print the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nxlog.migrate import Outcome, migrate_source
from tests.docs_server import DocsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = Path(__file__).parent / "cases"
SCRIPTS = ["openai_script", "openai_script_async"]


@pytest.fixture(scope="module")
def server() -> Iterator[DocsServer]:
    with DocsServer() as running:
        yield running


def printed(path: Path) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        namespace = runpy.run_path(str(path), run_name="__main__")
    if "client" in namespace:
        # Scripts leave that to their end.
        namespace["client"].close()
    return out.getvalue()


@pytest.fixture(autouse=True)
def environment(server: DocsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-script")


@pytest.mark.network
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_new_script_runs(name: str, server: DocsServer) -> None:
    del server.served[:]
    text = printed(CASES / name / "after.py")
    assert server.served == [("openai", "chat_logprobs")]
    assert "spruce" in text or "stop" in text
    assert text.count("\n") > 5


@pytest.mark.network
@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="the OpenAI SDK is not installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_both_scripts_print_the_same(name: str) -> None:
    assert printed(CASES / name / "before.py") == printed(CASES / name / "after.py")


SCRIPT = (CASES / "openai_script/before.py").read_text(encoding="utf-8")
ASK = """client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "hi"}],
    logprobs=True,
)"""


def test_the_script_of_the_tests_below_is_simple() -> None:
    assert migrate_source(SCRIPT).changed
    assert migrate_source(f"from openai import OpenAI\nclient = OpenAI()\nr = {ASK}\nprint(r.model)\n").changed


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("from openai import OpenAI\n", "from openai import OpenAI, OpenAIError\n", "more of openai is imported"),
        ("from openai import OpenAI\n", "import openai\nfrom openai import OpenAI\n", "more of openai is imported"),
        ("import math\n", "import math\nClient = 1\n", "the name Client is taken"),
        ("import math\n", "import math\nos = 1\n", "the name os is taken"),
        ("import math\n", "import math\n__all__ = ['client']\n", "client is exported"),
        ("OpenAI()\n", "OpenAI(base_url='http://127.0.0.1:8000/v1')\n", "made with options"),
        ("OpenAI()\n", "OpenAI()\nclient = client\n", "in several places"),
        ("OpenAI()\n", "OpenAI()\nprint(client.models.list())\n", "more than chat.completions.create"),
        ('"gpt-4o-mini"', "input()", "not a plain name"),
        ('"gpt-4o-mini"', '"org/model"', "not a plain name"),
        ("max_tokens=20", "max_completion_tokens=20", "is not simple"),
        ("max_tokens=20", "stream=True", "is not simple"),
        ("max_tokens=20", "**{}", "is not simple"),
        ("max_tokens=20", "max_tokens=int(input())", "max_tokens is not written there"),
        ("max_tokens=20", "extra_body={'top_k': 3}", "more than logprobs"),
        ("logprobs=True", "logprobs=1", "not given as a bool"),
        ('"role": "user"', '"role": "tool"', "more than a role and a content"),
        ('"role": "user"', '"name": "me", "role": "user"', "more than a role and a content"),
        ("print(response.usage.completion_tokens)", "print(response)", "used as `response`"),
        ("print(response.usage.completion_tokens)", "print(response.usage)", "used as `response.usage`"),
        ("completion_tokens)", "completion_tokens_details)", "used as"),
        ("token.logprob", "token.bytes[0]", "of a token record more is used"),
        ("repr(token.token)", "repr(token)", "of a token record more is used"),
        ("[top.token for top in token.top_logprobs]", "sorted(token.top_logprobs)", "handed on"),
        (
            "print(response.choices[0].message.content)",
            "print(response.choices[0].message.content is None)",
            "is compared",
        ),
        ("print(response.choices[0].message.content)", "print(response.choices[-1].message)", "used as"),
        ("print(response.choices[0].message.content)", "print(lambda: response.model)", "another scope"),
    ],
)
def test_one_thing_that_is_not_simple_and_nothing_is_rewritten(old: str, new: str, why: str) -> None:
    assert old in SCRIPT
    code = SCRIPT.replace(old, new)
    migration = migrate_source(code)
    assert not migration.changed
    (finding,) = migration.findings
    assert finding.outcome is Outcome.BY_HAND
    assert why in finding.message
    assert finding.write is not None
    assert finding.write.startswith("client.")


@pytest.mark.parametrize(
    ("around", "why"),
    [
        ("try:\n    {}\nexcept Exception:\n    raise\n", "try statement"),
        ("def ask():\n    {}\n", "callers of ask"),
        ("class A:\n    {}\n", "inside a class"),
        ("@retry\ndef _ask():\n    {}\n", "callers of _ask"),
    ],
)
def test_places_that_are_not_simple(around: str, why: str) -> None:
    lines = "client = OpenAI()\nr = " + ASK.replace("\n", " ") + "\nprint(r.model)"
    migration = migrate_source("from openai import OpenAI\n" + around.format(lines.replace("\n", "\n    ")))
    assert not migration.changed
    assert why in migration.findings[0].message


@pytest.mark.parametrize("name", ["main", "_ask"])
def test_functions_of_the_module_itself_are_simple(name: str) -> None:
    lines = "client = OpenAI()\n    r = " + ASK.replace("\n", " ") + "\n    print(r.model)"
    migration = migrate_source(f"from openai import OpenAI\n\n\ndef {name}():\n    {lines}\n\n\n{name}()\n")
    assert migration.changed
    assert "r = client.chat(" in migration.after


def test_a_script_that_asks_for_no_logprobs_is_left_alone() -> None:
    code = SCRIPT.replace("    logprobs=True,\n    top_logprobs=3,\n", "")
    migration = migrate_source(code)
    assert not migration.changed
    assert not migration.findings
