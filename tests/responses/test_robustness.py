"""What a broken or hostile server may send: typed replies and events, or an error of nxlog, never another exception.

Real here: the decoders and the types. The replies are those of the wire's vectors, damaged by hypothesis.
"""

from __future__ import annotations

import contextlib
import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from nxlog.errors import NxlogError
from nxlog.responses import ResponsesReply, as_input
from nxlog.wire._openai_responses_reply import decode_reply
from nxlog.wire._openai_responses_stream import EventDecoder
from nxlog.wire.openai_responses import OpenAIResponses
from tests.test_wire_robustness import damaged

DAMAGED = damaged("openai-responses")


def touch(reply: ResponsesReply) -> None:
    """Look at everything."""
    assert ResponsesReply.model_validate_json(reply.model_dump_json()).text == reply.text
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert repr(reply)
    for item in reply.output:
        json.dumps(as_input(item))
    assert reply.to_chat().text == reply.text
    assert reply.delivery.records == (0 if reply.logprobs is None else sum(map(len, channels(reply))))


def channels(reply: ResponsesReply) -> list[list[object]]:
    data = reply.logprobs
    assert data is not None
    return [list(data.channel(name) or ()) for name in ("content", "refusal", "reasoning")]


@given(DAMAGED)
def test_a_reply_with_one_wrong_value(body: dict[str, object]) -> None:
    data = json.dumps(body).encode()
    with contextlib.suppress(NxlogError):
        reply = decode_reply(data)
        touch(reply)
        # As a chat answer it is the same, or the same error.
        with contextlib.suppress(NxlogError):
            assert OpenAIResponses().decode(data) == reply.to_chat()


@given(st.lists(DAMAGED, max_size=6))
def test_a_stream_of_events_with_wrong_values(bodies: list[dict[str, object]]) -> None:
    decoder = EventDecoder()
    for body in bodies:
        with contextlib.suppress(NxlogError):
            for event in decoder.feed(b"data: " + json.dumps(body).encode() + b"\n\n"):
                json.dumps(event.model_dump())
    touch(decoder.merger.response())
    assert all(warning.message for warning in decoder.warnings)
