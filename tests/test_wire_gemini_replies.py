"""``gemini``: replies, as far as the vectors do not say it. All bodies are written by hand but for the last test's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from nxlog._columns import CompactTokens
from nxlog.accumulate import accumulate
from nxlog.errors import ResponseTooLargeError, ServerError
from nxlog.wire._json_array import ObjectSplitter
from nxlog.wire.gemini import Gemini
from tests.test_hosted_recordings import FOLDER

WIRE = Gemini()


def reply(*candidates: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"candidates": list(candidates), **more}).encode()


def chosen(*values: tuple[str, float], **more: Any) -> dict[str, Any]:
    records = [
        {"token": token, "tokenId": i, "logProbability": value, **more} for i, (token, value) in enumerate(values)
    ]
    return {
        "content": {"parts": [{"text": "".join(token for token, _ in values)}]},
        "finishReason": "STOP",
        "logprobsResult": {"chosenCandidates": records, "topCandidates": [{"candidates": records}] * len(records)},
    }


def test_the_average_is_reachable_and_never_used() -> None:
    found = WIRE.decode(reply(chosen(("a", -0.5)) | {"avgLogprobs": -9.25}))
    assert found.raw is not None
    assert found.raw["candidates"][0]["avgLogprobs"] == -9.25
    assert found.logprobs is not None
    assert [token.logprob for token in found.logprobs] == [-0.5]
    assert "9.25" not in found.model_dump_json()


def test_masked_alternatives_are_flagged() -> None:
    found = WIRE.decode(reply(chosen(("{", 0), ("[", -1.2676506e30))))
    assert found.logprobs is not None
    forced, masked = found.logprobs.content
    assert (forced.logprob, forced.is_masked, forced.probability) == (0.0, False, 1.0)
    assert (masked.is_masked, masked.probability) == (True, 0.0)
    assert [top.is_masked for top in forced.top_logprobs] == [False, True]


def test_unknown_keys_of_a_record_stay_reachable() -> None:
    found = WIRE.decode(reply(chosen(("a", -0.5), rank=3)))
    assert found.logprobs is not None
    (token,) = found.logprobs.content
    assert token.extra == {"rank": 3}
    assert token.top_logprobs[0].extra == {"rank": 3}
    assert (token.token_id, token.bytes) == (0, None)


def test_records_hold_more_than_the_lists_say() -> None:
    """The columns and the compact form are made of the same renamed text."""
    found = WIRE.decode(reply(chosen(("a", -0.5), ("b", 0))))
    assert found.logprobs is not None
    columns = found.logprobs.columns()
    assert columns.tokens == ["a", "b"]
    assert columns.token_ids is not None
    assert list(columns.token_ids) == [0, 1]
    assert list(columns.top_logprobs) == [-0.5, 0.0, -0.5, 0.0]
    assert CompactTokens(found.logprobs.content) == found.logprobs.content


@pytest.mark.parametrize(
    ("said", "created"),
    [("2026-02-15T07:50:37.123456Z", 1771141837), ("2026-02-15T07:50:37Z", 1771141837), ("soon", None), (5, None)],
)
def test_names_of_the_reply(said: object, created: int | None) -> None:
    found = WIRE.decode(reply(chosen(("a", -0.5)), modelVersion="gemini-9-lark", responseId="r-1", createTime=said))
    assert (found.model, found.id, found.created) == ("gemini-9-lark", "r-1", created)


def test_an_error_in_a_stream_comes_after_the_chunks_before_it() -> None:
    decoder = WIRE.stream_decoder()
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    chunks = decoder.feed(
        b"data: " + reply({"content": {"parts": [{"text": "Lo"}]}}) + b"\n\n" + json.dumps(error).encode()
    )
    assert next(chunks).delta == "Lo"
    with pytest.raises(ServerError, match="overloaded") as caught:
        _ = [*chunks, *decoder.close()]
    assert caught.value.status_code == 503


def test_a_byte_order_mark_hides_neither_form() -> None:
    body = reply(chosen(("a", -0.5)))
    for stream in (b"\xef\xbb\xbfdata: " + body + b"\n\n", b"\xef\xbb\xbf[" + body + b"]"):
        decoder = WIRE.stream_decoder()
        chunks = [chunk for i in range(len(stream)) for chunk in decoder.feed(stream[i : i + 1])]
        assert accumulate([*chunks, *decoder.close()]) == WIRE.decode(body)


def test_one_item_of_an_array_is_bounded() -> None:
    splitter = ObjectSplitter(max_item=20)
    assert splitter.feed(b'[{"a":1},{"b":2},{"c":"' + b"x" * 30) == [b'{"a":1}', b'{"b":2}']
    with pytest.raises(ResponseTooLargeError):
        splitter.feed(b"x")


def test_what_stands_between_the_items_is_let_go() -> None:
    splitter = ObjectSplitter(max_item=20)
    for _ in range(10):
        assert splitter.feed(b' , \r\n"}{" {"a":"}"}\n') == [b'{"a":"}"}']


def test_recordings_of_others() -> None:
    """Real replies of Vertex, kept outside of the project: every token has its record, whole, streamed and as array."""
    files = sorted((FOLDER / "google").glob("*.yaml"))
    if not files:
        pytest.skip("the recordings are not here")
    for file in files:
        for interaction in yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]:
            body = json.dumps(interaction["response"]["parsed_body"], indent=2).encode()
            (candidate,) = json.loads(body)["candidates"]
            found = WIRE.decode(body)
            assert found.logprobs is not None
            said = [
                (t["token"], t["tokenId"], t["logProbability"]) for t in candidate["logprobsResult"]["chosenCandidates"]
            ]
            assert [(t.token, t.token_id, t.logprob) for t in found.logprobs] == said
            assert "".join(token.token for token in found.logprobs) == found.text
            assert found.usage is not None
            assert found.usage.completion_tokens is not None
            assert found.usage.completion_tokens - (found.usage.reasoning_tokens or 0) == len(said)
            for stream in (b"data: " + json.dumps(json.loads(body)).encode() + b"\r\n\r\n", b"[" + body + b"\n]"):
                decoder = WIRE.stream_decoder()
                assert accumulate([*decoder.feed(stream), *decoder.close()]) == found
