"""The file: a VCR cassette as vcrpy itself reads and writes it, and beside each response how it came in pieces.

``pieces`` of a response has ``sizes``, the lengths in bytes, and ``seconds``, the pauses before them; vcrpy passes over
it, and a cassette without it plays as one piece. ``cut: true`` says that the recording test stopped reading there. The
file is ASCII, because vcrpy opens cassettes in the encoding of the locale; YAML escapes stand for other characters.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Row(list[Any]):
    """A list that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Bodies of several lines, and JSON, as literal blocks; everything else as PyYAML likes it."""


def _represent_text(_dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML falls back to double quotes by itself where a literal block could not hold the text.
    style = "|" if "\n" in text or text.startswith(("{", "data:")) else None
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


def _represent_row(dumper: yaml.SafeDumper, row: Row) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", row, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Row, _represent_row)


def render(interactions: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> str:
    """The text of a cassette. The sha256 of the body is added to the metadata, or those of the bodies.

    Raises:
        ValueError: reading the text back does not give the same.
    """
    digests = [_digest(one["response"]["body"]["string"]) for one in interactions]
    document = {
        "version": 1,
        "metadata": {**metadata, "body_sha256": digests[0] if len(digests) == 1 else digests},
        "interactions": list(interactions),
    }
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=float("inf"))
    if load(text)["interactions"] != document["interactions"]:
        raise ValueError("the cassette would not keep the bytes of the exchange")
    return text


def text_or_bytes(body: bytes) -> str | bytes:
    """A body as a cassette holds it."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def load(text: str) -> dict[str, Any]:
    """A cassette read back."""
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return loaded


def pieces_of(response: Mapping[str, Any]) -> list[tuple[float, bytes]]:
    """The body of a recorded response in its pieces, each with the seconds before it.

    Raises:
        ValueError: the sizes of the pieces do not add up to the body.
    """
    body: bytes = response["body"]["string"] or b""
    pieces = response.get("pieces")
    if pieces is None:
        return [(0.0, body)] if body else []
    sizes: list[int] = list(pieces["sizes"])
    seconds: list[float] = list(pieces.get("seconds") or ())
    if sum(sizes) != len(body) or min(sizes, default=0) < 0:
        raise ValueError(
            f"the pieces have {sum(sizes)} bytes and the body {len(body)}; take 'pieces' out of a response you edit"
        )
    found: list[tuple[float, bytes]] = []
    start = 0
    for position, size in enumerate(sizes):
        pause = seconds[position] if position < len(seconds) else 0.0
        found.append((pause, body[start : start + size]))
        start += size
    return found


def _digest(body: str | bytes) -> str:
    return hashlib.sha256(body if isinstance(body, bytes) else body.encode()).hexdigest()
