"""The wire vectors: bytes of whole replies and of streams, and the records that must come out of them.

Real here: the wires' decoders and ``accumulate``. Every stream is fed whole, byte by byte, and at cuts that hypothesis
draws; the result may not depend on them.
"""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxlog import errors
from nxlog.accumulate import Accumulator
from nxlog.wire import NAMES, get_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog.logprobs import LogprobsData
    from nxlog.response import ChatResponse, Choice

VECTORS = Path(__file__).parent.parent / "fixtures" / "vectors"
Json = dict[str, Any]


def read(wire: str, kind: str) -> list[Any]:
    tests = json.loads((VECTORS / f"{wire}.json").read_text(encoding="utf-8"))["tests"]
    return [pytest.param(wire, test, id=f"{wire}-{test['id']}") for test in tests if test["kind"] == kind]


WIRES = [name for name in NAMES if (VECTORS / f"{name}.json").is_file()]
UNARY = [param for wire in WIRES for param in read(wire, "unary")]
STREAMS = [param for wire in WIRES for param in read(wire, "stream")]


def data_of(test: Json) -> bytes:
    return base64.b64decode(test["input_base64"]) if "input_base64" in test else test["input"].encode()


# -- from nxlog's types to the form of the vectors -------------------------------------------------------------------


def shown(response: ChatResponse) -> Json:
    usage = response.usage
    return {
        "choices": [shown_choice(choice) for choice in response.choices],
        "usage": None if usage is None else usage.model_dump(exclude_none=True),
    }


def shown_choice(choice: Choice) -> Json:
    out = choice.model_dump(include={"index", "text", "finish_reason", "reasoning", "refusal"})
    out["logprobs"] = None if choice.logprobs is None else shown_logprobs(choice.logprobs)
    if choice.tool_calls:
        out["tool_calls"] = [
            {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
            for call in choice.tool_calls
        ]
    return out


def shown_logprobs(logprobs: LogprobsData) -> Json:
    dumped = logprobs.model_dump(mode="json")
    channels = {
        name: None if (part := dumped.get(name)) is None else [shown_record(record) for record in part]
        for name in ("content", "refusal", "reasoning")
    }
    return channels | {"content": channels["content"] or []}


def shown_record(record: Json) -> Json:
    out = {name: record.get(name) for name in ("token", "logprob", "bytes", "token_id")}
    if "top_logprobs" in record:
        out["top_logprobs"] = [shown_record(top) for top in record["top_logprobs"]]
    return out


def read_stream(wire: str, parts: Iterable[bytes]) -> Json:
    """The stream as a vector shows it: the accumulated reply, or the class of the error that ended it."""
    decoder = get_wire(wire).stream_decoder()
    whole = Accumulator()
    try:
        for part in parts:
            for chunk in decoder.feed(part):
                whole.add(chunk)
        for chunk in decoder.close():
            whole.add(chunk)
    except errors.NxlogError as error:
        return {"error": type(error).__name__}
    return shown(whole.response())


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(at), len(data)]
    return [data[first:last] for first, last in itertools.pairwise(bounds)]


# -- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "test"), UNARY)
def test_whole_reply(wire: str, test: Json) -> None:
    if "error" in test["expected"]:
        with pytest.raises(errors.NxlogError) as caught:
            get_wire(wire).decode(data_of(test))
        assert type(caught.value).__name__ == test["expected"]["error"]
    else:
        assert shown(get_wire(wire).decode(data_of(test))) == test["expected"], test["comment"]


@pytest.mark.parametrize(("wire", "test"), STREAMS)
def test_stream_in_one_packet(wire: str, test: Json) -> None:
    assert read_stream(wire, [data_of(test)]) == test["expected"], test["comment"]


@pytest.mark.parametrize(("wire", "test"), STREAMS)
def test_stream_byte_by_byte(wire: str, test: Json) -> None:
    data = data_of(test)
    assert read_stream(wire, cut(data, range(1, len(data)))) == test["expected"], test["comment"]


@given(st.data())
def test_stream_cut_anywhere(data: st.DataObject) -> None:
    wire, test = data.draw(st.sampled_from(STREAMS)).values
    stream = data_of(test)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert read_stream(wire, cut(stream, cuts)) == test["expected"], test["comment"]


@pytest.mark.parametrize(("wire", "test"), [param for param in STREAMS if "error" not in param.values[1]["expected"]])
def test_stream_with_its_last_event_missing_is_never_another_answer(wire: str, test: Json) -> None:
    """Cut before any event: either the answer is known to be incomplete, or its text and records are all there."""
    stream = data_of(test)
    ends = [at for at in range(len(stream)) if stream[:at].endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))]
    for end in ends:
        seen = read_stream(wire, [stream[:end]])
        if "error" not in seen:
            # Not strict: nothing in a stream says that another choice is still to come.
            for got, expected in zip(seen["choices"], test["expected"]["choices"], strict=False):
                assert got | {"finish_reason": None} == expected | {"finish_reason": None}
