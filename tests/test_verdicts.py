"""Verdicts by themselves: what is remembered, for how long, for whom, and in which file. The clock is a fake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nxlog import InvalidRequestError, VerdictKind, Verdicts
from nxlog.verdicts import HOUR, Place, bare

if TYPE_CHECKING:
    from pathlib import Path

HERE = Place("acme", "https://api.acme.example/v1/chat/completions", "acme-1", "whole")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kind(verdicts: Verdicts, place: Place = HERE) -> VerdictKind | None:
    found = verdicts.get(place)
    return None if found is None else found.kind


def test_a_refusal_holds_for_its_place_and_its_time(clock: Clock) -> None:
    verdicts = Verdicts(clock=clock)
    assert kind(verdicts) is None
    verdicts.refused(HERE, "no logprobs here")
    found = verdicts.get(HERE)
    assert found is not None
    assert (found.kind, found.message, found.learned) == ("refused", "no logprobs here", 1000.0)
    for other in (HERE._replace(mode="stream"), HERE._replace(model="acme-2"), HERE._replace(url="https://b.example")):
        assert kind(verdicts, other) is None
    clock.now += HOUR - 1
    assert kind(verdicts) is VerdictKind.REFUSED
    assert len(verdicts) == 1
    clock.now += 1
    assert kind(verdicts) is None
    assert len(verdicts) == 0


def test_three_replies_without_a_record_are_a_verdict(clock: Clock) -> None:
    verdicts = Verdicts(clock=clock)
    verdicts.ignored(HERE, "acme-1")
    verdicts.ignored(HERE, "acme-1")
    verdicts.delivered(HERE, "acme-1")  # so it does give them
    for _ in range(2):
        verdicts.ignored(HERE, "acme-1")
        assert kind(verdicts) is None
    verdicts.ignored(HERE, "acme-1")
    assert kind(verdicts) is VerdictKind.IGNORED


def test_the_served_model_decides(clock: Clock) -> None:
    """Two names for one model share a verdict; a name that leads to another model loses it."""
    verdicts = Verdicts(clock=clock)
    for _ in range(3):
        verdicts.ignored(HERE, "acme-1-2026-01")
    assert kind(verdicts) is VerdictKind.IGNORED
    latest = HERE._replace(model="acme-latest")
    assert kind(verdicts, latest) is None
    verdicts.ignored(latest, "acme-1-2026-01")
    assert kind(verdicts, latest) is VerdictKind.IGNORED
    verdicts.delivered(latest, "acme-2")
    assert kind(verdicts, latest) is None
    assert kind(verdicts) is VerdictKind.IGNORED


def test_forget(clock: Clock) -> None:
    verdicts = Verdicts(clock=clock)
    verdicts.refused(HERE, "no")
    other = HERE._replace(mode="stream")
    verdicts.limited(other, 5, "at most 5")
    verdicts.forget(HERE)
    assert (kind(verdicts), kind(verdicts, other)) == (None, VerdictKind.LIMITED)
    verdicts.forget()
    assert len(verdicts) == 0


def test_export_and_import(clock: Clock) -> None:
    one, two = Verdicts(clock=clock), Verdicts(clock=clock)
    one.refused(HERE, "no")
    one.limited(HERE._replace(mode="stream"), 5, "at most 5")
    clock.now += 10
    two.limited(HERE, 8, "at most 8")
    two.update(one.to_json())
    assert kind(two) is VerdictKind.LIMITED  # the later one
    limit = two.get(HERE._replace(mode="stream"))
    assert limit is not None
    assert limit.limit == 5
    assert json.loads(one.to_json())["verdicts"][0]["url"] == HERE.url
    clock.now += HOUR
    assert json.loads(one.to_json())["verdicts"] == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version":1}', '{"version":1,"verdicts":[{}]}', '{"version":1,"verdicts":[1]}', b"\xff"],
)
def test_something_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidRequestError, match="verdicts: not what"):
        Verdicts().update(text)


def test_a_later_version_is_none_of_ours() -> None:
    assert len(Verdicts().update('{"version":2,"verdicts":"another shape"}')) == 0


@pytest.mark.parametrize("ttl", [0, -1, True, "1h", None])
def test_time_to_live_is_a_positive_number(ttl: Any) -> None:
    with pytest.raises(InvalidRequestError, match="ttl"):
        Verdicts(ttl=ttl)


def test_processes_share_a_file(tmp_path: Path, clock: Clock) -> None:
    """Two objects stand for two processes: what one learns, the other knows at its next question."""
    path = tmp_path / "cache" / "verdicts.json"
    one, two = Verdicts(path, clock=clock), Verdicts(path, clock=clock)
    one.refused(HERE, "no")
    assert kind(two) is VerdictKind.REFUSED
    two.limited(HERE._replace(mode="stream"), 5, "at most 5")
    assert kind(one, HERE._replace(mode="stream")) is VerdictKind.LIMITED
    assert len(Verdicts(path, clock=clock)) == 2
    assert [file.name for file in path.parent.iterdir()] == ["verdicts.json"]


def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("my notes")
    with pytest.raises(InvalidRequestError, match="verdicts"):
        Verdicts(path)
    assert path.read_text() == "my notes"


def test_an_address_keeps_no_secret() -> None:
    assert bare("https://me:secret@h.example:8/v1/x?key=secret#y") == "https://h.example:8/v1/x"
