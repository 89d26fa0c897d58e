"""When two requests are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxlog.testing.match import differences, is_loopback, same_place
from nxlog.testing.scrub import HIDDEN


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ('{"temperature": 1}', '{"temperature": 1.0}'),
        ('{"temperature": 0.7}', '{"temperature": 0.70}'),
        ('{"temperature": 0.7}', '{"temperature": 0.699999988079071}'),
        ('{"a": "\\u00e9"}', '{"a": "é"}'),
        ('{"a": 1, "stream_options": {"include_usage": true}}', '{"a": 1}'),
        ('{"a": ["the key is abc, yes"]}', f'{{"a": ["the key is {HIDDEN}, yes"]}}'),
        ("no json", "no json"),
        (f"me={HIDDEN}&b=1", f"me={HIDDEN}&b=1"),
    ],
)
def test_the_same(asked: str, recorded: str) -> None:
    assert differences(asked.encode(), recorded.encode()) == []


@pytest.mark.parametrize(
    ("asked", "recorded", "said"),
    [
        ({"a": 1}, {"a": 2}, ["a: 1, recorded 2"]),
        ({"a": True}, {"a": 1}, ["a: true, recorded 1"]),
        ({"a": 0}, {"a": False}, ["a: 0, recorded false"]),
        ({"a": None}, {}, ["a: null, recorded absent"]),
        ({}, {"a": None}, ["a: absent, recorded null"]),
        ({"seed": 1_000_000_001}, {"seed": 1_000_000_002}, ["seed: 1000000001, recorded 1000000002"]),
        ({"t": 0.7}, {"t": 0.71}, ["t: 0.7, recorded 0.71"]),
        ({"a": {"b": [1, {"c": "x"}]}}, {"a": {"b": [1, {"c": "y"}]}}, ['a.b[1].c: "x", recorded "y"']),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a[0]: 1, recorded 2", "a[1]: 2, recorded 1"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: 1 items, recorded 2"]),
        ([], {}, ["body: [], recorded {}"]),
        ({"inner": {"stream_options": 1}}, {"inner": {}}, ["inner.stream_options: 1, recorded absent"]),
    ],
)
def test_not_the_same(asked: Any, recorded: Any, said: list[str]) -> None:
    assert differences(json.dumps(asked).encode(), json.dumps(recorded).encode()) == said


def test_no_more_than_five_places_are_named() -> None:
    found = differences(json.dumps(list(range(9))).encode(), json.dumps([None] * 9).encode())
    assert len(found) == 6
    assert found[-1] == "and 4 more"


@pytest.mark.parametrize(
    ("asked", "recorded", "same"),
    [
        ("https://a.example/v1?x=1&y=2", "https://a.example/v1?y=2&x=1", True),
        ("https://a.example/v1?key=abc", f"https://a.example/v1?key={HIDDEN}", True),
        ("https://acme.example/v1/p/x", f"https://{HIDDEN}.example/v1/p/x", True),
        ("https://a.example/v1/projects/me/x", f"https://a.example/v1/projects/{HIDDEN}/x", True),
        ("http://127.0.0.1:4000/v1", "http://localhost:5000/v1", True),
        ("http://[::1]:4000/v1", "http://localhost:5000/v1", True),
        ("http://127.0.0.1:4000/v1", "http://127.0.0.1:4000/v2", False),
        ("https://a.example/v1", "http://a.example/v1", False),
        ("https://a.example/v1", "https://b.example/v1", False),
        ("https://a.example:8443/v1", "https://a.example/v1", False),
        ("https://a.example/v1", "https://a.example/v1?x=1", False),
    ],
)
def test_places(asked: str, recorded: str, same: bool) -> None:
    assert same_place(asked, recorded) is same


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", b"127.8.0.1", "::1", "[::1]"])
def test_this_machine(host: object) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "0.0.0.0", "localhost.example.com", b"1.1.1.1"])
def test_other_machines(host: object) -> None:
    assert not is_loopback(host)
