"""Promises of the migration that no single case shows: bytes that stay, tables that agree, any options at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog.migrate import Outcome, migrate_source, spellings
from nxlog.migrate.source import _damage
from nxlog.migrate.suggest import PROVIDERS
from nxlog.parameter_adapter import _LEGACY_OPTIONS
from nxlog.registry import Registry
from nxlog.request import INCLUDE_LOGPROBS
from tests.migrate.test_cases import as_the_gate_says, plain

if TYPE_CHECKING:
    from nxlog import ChatRequest

HEAD = "from nxlog import ChatRequest\n"
CALL = 'r = ChatRequest(model="m", messages=[], provider_options={"logprobs": True})\n'
NEW = 'r = ChatRequest(model="m", messages=[], logprobs=True)\n'


def test_the_spellings_are_those_of_the_gate() -> None:
    assert spellings.MEANINGS.keys() == _LEGACY_OPTIONS
    assert spellings.INCLUDE == INCLUDE_LOGPROBS
    assert spellings.ZERO_IS_NONE <= _LEGACY_OPTIONS


def test_every_spelling_is_worth_reading_the_file() -> None:
    for key in (
        *spellings.MEANINGS,
        "n_probs",
        "top_n_tokens",
        "responseLogprobs",
        "provider_options",
        "openai_logprobs",
    ):
        assert spellings.mentioned(f"x = '{key}'")
    assert not spellings.mentioned("print('hello')")


def test_suggested_providers_exist() -> None:
    known = {provider.id for provider in Registry.builtin()}
    assert known >= PROVIDERS


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((HEAD + CALL).replace("\n", "\r\n"), (HEAD + NEW).replace("\n", "\r\n")),
        ((HEAD + "x = 1\r\n" + CALL), (HEAD + "x = 1\r\n" + NEW)),
        ((HEAD + CALL).rstrip("\n"), (HEAD + NEW).rstrip("\n")),
        (HEAD + "\f\n" + CALL + "\n\n\n", HEAD + "\f\n" + NEW + "\n\n\n"),
        (HEAD + "x = 'é\u2028🌲'; " + CALL, HEAD + "x = 'é\u2028🌲'; " + NEW),
        (HEAD + "if 1:\n\t" + CALL, HEAD + "if 1:\n\t" + NEW),
        (HEAD + "x = '''\r\n'''\n" + CALL, HEAD + "x = '''\r\n'''\n" + NEW),
    ],
    ids=["crlf", "mixed", "no-last-newline", "form-feed", "unicode", "tab", "newline-in-string"],
)
def test_everything_else_stays(before: str, after: str) -> None:
    assert migrate_source(before).after == after


def test_new_lines_end_as_the_others_do() -> None:
    code = 'from nxlog import ChatRequest\nr = ChatRequest(\n    model="m",\n    messages=[],\n    provider_options={\n'
    code += '        "logprobs": True,  # one\n        "top_logprobs": 5,\n    },\n)\n'
    after = migrate_source(code.replace("\n", "\r\n")).after
    assert after.count("\r\n") == after.count("\n") == code.count("\n") - 2
    assert "    logprobs=True,  # one\r\n    top_logprobs=5,\r\n)" in after


@pytest.mark.parametrize(
    "code", ["", "\n", "# logprobs", "logprobs", "def f(:\n  logprobs\n", "'logprobs\n", "\0logprobs"]
)
def test_code_of_little_sense(code: str) -> None:
    migration = migrate_source(code)
    assert migration.after == code
    assert {finding.outcome for finding in migration.findings} <= {Outcome.UNREADABLE}


def test_code_that_is_nested_too_deeply_is_reported() -> None:
    migration = migrate_source("logprobs = " + "-" * 20_000 + "1\n")
    assert not migration.changed
    assert [finding.outcome for finding in migration.findings] in ([], [Outcome.UNREADABLE])


def test_the_last_word_before_a_file_is_changed() -> None:
    assert _damage("x = 1  # why\n", "x = 2  # why\n") is None
    assert "why" in str(_damage("x = 1  # why\n", "x = 2\n"))
    assert "not be Python" in str(_damage("x = 1\n", "x = (\n"))


def test_code_that_would_break_is_withdrawn() -> None:
    """A key with the quotes of the string around it: before Python 3.12, that is no expression in an f-string."""
    code = HEAD + "r = f\"{ChatRequest.model_validate(dict({'provider_options': {'logprobs': True}}))}\"\n"
    migration = migrate_source(code)
    assert migration.after == code
    code = HEAD + "r = f\"{ChatRequest.model_validate({'model': 'm', 'provider_options': {'logprobs': True}})}\"\n"
    migration = migrate_source(code)
    compile(migration.after, "after", "exec")
    assert migrate_source(migration.after).after == migration.after


# -- any options -------------------------------------------------------------------------------------------------------

KEYS = ["logprobs", "top_logprobs", "responseLogprobs", "return_logprob", "n_probs", "top_n_tokens", "topLogprobs"]
SCALARS = st.one_of(st.booleans(), st.integers(0, 6), st.none(), st.text("ab", max_size=2))
INCLUDES = st.lists(st.sampled_from(["message.output_text.logprobs", "reasoning", "b"]), max_size=3)
OPTIONS = st.recursive(
    st.dictionaries(st.sampled_from([*KEYS, "seed", "store"]), SCALARS, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from(["generationConfig", "options", *KEYS[:2], "x"]), inner | SCALARS),
    max_leaves=4,
)


@given(OPTIONS, st.none() | INCLUDES, st.sampled_from(["inline", "lines", "dict", "variable"]))
def test_any_options_mean_what_the_gate_says(options: dict, include: list | None, layout: str) -> None:
    """Where they are rewritten at all; the rest is as it was, and reported if it asks for logprobs."""
    options = options if include is None else {**options, "include": include}
    written = repr(options)
    if layout == "dict":
        written = "dict(" + ", ".join(f"{key}={value!r}" for key, value in options.items()) + ")"
    elif layout == "lines":
        written = "{\n" + "".join(f"    {key!r}: {value!r},  # {key}\n" for key, value in options.items()) + "}"
    given_as = "o" if layout == "variable" else written
    before = HEAD + (f"o = {written}\n" if layout == "variable" else "")
    before += f"r = ChatRequest(model='m', messages=[dict(role='user', content='q')], provider_options={given_as})\n"
    migration = migrate_source(before)
    expected = as_the_gate_says(request_of(before))
    asks = expected != request_of(before)
    if migration.changed:
        assert plain(request_of(migration.after)) == plain(expected)
        assert migrate_source(migration.after).after == migration.after
    assert bool(migration.findings) == asks


def request_of(code: str) -> ChatRequest:
    namespace: dict = {}
    exec(code, namespace)
    return namespace["r"]
