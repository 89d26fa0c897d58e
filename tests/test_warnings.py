"""Structured warnings: stable words, plain values, and the way into Python's own warnings."""

from __future__ import annotations

import inspect
import pickle
import warnings
from typing import Any

import pytest
from pydantic import ValidationError

from nxlog.warnings import (
    ParameterWarning,
    ParameterWarningCategory,
    WarningCode,
    WarningSeverity,
    WarningSource,
    emit,
)


def warning(**fields: object) -> ParameterWarning:
    given = {
        "parameter": "logprobs",
        "code": "unsupported",
        "severity": "info",
        "message": "not supported; dropped",
        "source": "manifest",
    }
    return ParameterWarning.model_validate(given | fields)


def test_words_are_stable() -> None:
    """Programs compare them: a word may be added, never changed."""
    assert [member.value for member in WarningSeverity] == ["info", "warning", "error"]
    assert [member.value for member in WarningSource] == ["manifest", "request", "response", "server", "learned"]
    assert {member.value for member in WarningCode} == {
        *("unsupported", "unsupported_streaming", "unknown_support", "reasoning_conflict", "mode_conflict"),
        *("clamped", "truncated", "out_of_range", "emulated", "downgraded", "migration"),
        *("refused", "not_delivered", "fewer_choices", "fewer_alternatives", "fewer_records", "masked"),
        *("missing_value", "missing_token_text", "positive", "degenerate", "misaligned"),
        *("events_lost", "events_repeated", "contradicted"),
        *("not_stored", "history_rewritten", "stalled", "no_place"),
    }
    assert all(member.name == member.value.upper() for member in WarningCode)


def test_words_compare_with_strings() -> None:
    assert warning().code == "unsupported"
    assert warning().severity is WarningSeverity.INFO
    assert f"{warning().severity}" == "info"


def test_a_warning_is_a_frozen_value() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        warning().parameter = "x"
    with pytest.raises(ValidationError, match="Extra inputs"):
        warning(rule="x")
    with pytest.raises(ValidationError, match="severity"):
        warning(severity="fatal")


@pytest.mark.parametrize("requested", [None, 5, True, {"logprobs": True, "top_logprobs": 5}, ["a"], "json_schema"])
def test_round_trips(requested: object) -> None:
    made = warning(requested=requested, applied=2, provider="openai", model="gpt-4o")
    assert ParameterWarning.model_validate_json(made.model_dump_json()) == made
    assert ParameterWarning.model_validate(made.model_dump()) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.model_dump(mode="json")["severity"] == "info"


def test_text_names_field_and_place() -> None:
    assert str(warning()) == "logprobs: not supported; dropped"
    made = warning(provider="anthropic", model="claude-sonnet-4-5")
    assert str(made) == "logprobs: not supported; dropped [anthropic/claude-sonnet-4-5]"
    assert str(warning(model="m")).endswith("[m]")


def test_each_is_emitted_once_at_the_callers_line() -> None:
    found = [warning(), warning(parameter="seed")]
    with pytest.warns(ParameterWarningCategory) as record:
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]  # pyright: ignore
        emit(found, stacklevel=1)
    assert [str(entry.message) for entry in record] == [str(made) for made in found]
    assert {(entry.filename, entry.lineno) for entry in record} == {(__file__, line)}


def test_stacklevel_counts_frames_above() -> None:
    def library() -> None:
        emit([warning()], stacklevel=2)

    with pytest.warns(ParameterWarningCategory) as record:
        library()
    assert record[0].lineno > (inspect.currentframe().f_lineno - 3)  # type: ignore[union-attr]  # pyright: ignore


def test_the_category_can_be_silenced_alone() -> None:
    assert issubclass(ParameterWarningCategory, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ParameterWarningCategory)
        emit([warning()], stacklevel=1)
        with pytest.raises(UserWarning, match="other"):
            warnings.warn("other", UserWarning, stacklevel=1)


def test_nothing_found_is_silent() -> None:
    emit([], stacklevel=1)


def test_warnings_can_be_in_a_set_whatever_was_asked_for() -> None:
    fields: dict[str, Any] = {"parameter": "logprobs", "code": "unsupported", "severity": "info", "message": "m"}
    one, two = (ParameterWarning(**fields, requested={"logprobs": True}, source="manifest") for _ in range(2))  # type: ignore[arg-type]
    assert len({one, two}) == 1
