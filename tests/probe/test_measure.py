"""From answers to claims and traits.

Real here: recordings of vLLM, llama.cpp, SGLang and transformers serve stand in for the answers to a probe's questions.
Made up: replies that are wrong in one way each.
"""

from __future__ import annotations

from typing import Any

import pytest

from nxlog.errors import TimeoutError as NxlogTimeoutError
from nxlog.probe import Answer, Measured, Measurement, measure
from nxlog.probe.ask import ask
from nxlog.registry import Posture, Requirement
from tests.probe.exchanges import Script, answer_to, events, question, record, recorded, reply, respond, target

RECORDED = {
    "plain": "chat_no_logprobs",
    "logprobs": "chat_logprobs_only",
    "top0": "chat_logprobs_top0",
    "top5": "chat_logprobs",
    "top20": "chat_logprobs_top20",
    "top21": "err_top21",
    "top_minus1": "err_top_minus1",
    "stream": "chat_logprobs_stream",
    "tools": "chat_tools_required",
    "tools_stream": "chat_tools_required_stream",
    "n2": "chat_n2",
    "emoji": "emoji_chat",
    "emoji_stream": "emoji_chat_stream",
    "prompt_logprobs": "chat_prompt_logprobs",
    "token_ids": "chat_token_ids",
    "hot": "chat_temp1_seeded",
}
"""Question to the recording of an engine that asks the same."""


def of_recordings(provider: str, *without: str) -> Measurement:
    names = {name: fixture for name, fixture in RECORDED.items() if name not in without}
    return measure([recorded(name, f"{provider}/{fixture}") for name, fixture in names.items()])


def said(found: Measurement, **values: str) -> None:
    assert {name: str(found.all[name].value) for name in values} == values


# -- recordings --------------------------------------------------------------------------------------------------------


def test_vllm() -> None:
    found = of_recordings("vllm")
    said(
        found,
        logprobs="yes",
        streaming_logprobs="yes",
        top_logprobs="yes",
        token_ids="yes",
        prompt_logprobs="yes",
        tools="yes",
        n="yes",
        max_tokens="yes",
        chosen_in_top="always",
        top_sorted="no",
        bytes="exact",
        entries_per_token="exact",
        # There is one temperature too few.
        temperature="unknown",
        distribution="unknown",
    )
    top = found.claims["top_logprobs"]
    assert (top.min, top.max, top.default, top.posture) == (0, 20, None, None)
    assert {"top0", "top21"} <= set(top.shown_by)
    assert found.posture is Posture.REFUSES
    assert found.claims["token_ids"].json_key == "token_ids"
    assert (found.traits["top_sorted"].note or "").startswith("the sampled token comes first")
    assert found.remarks == (
        "in whole replies the token that ends the turn has a record, '<|im_end|>' (top5)",
        "in streams the token that ends the turn has a record, '<|im_end|>' (stream)",
        "top_logprobs -1 is refused (top_minus1)",
        "46 records for 46 tokens of a streamed call (tools_stream)",
    )


def test_llamacpp() -> None:
    found = of_recordings("llamacpp", "prompt_logprobs", "token_ids")
    said(
        found,
        logprobs="yes",
        streaming_logprobs="partial",
        top_logprobs="yes",
        token_ids="yes",
        tools="unknown",
        n="partial",
        top_sorted="yes",
        bytes="exact",
        entries_per_token="merged",
    )
    top = found.claims["top_logprobs"]
    assert (top.min, top.max, top.default, top.least_max) == (None, None, 20, 21)  # 1 was not asked
    assert top.posture is Posture.IGNORES
    assert found.claims["streaming_logprobs"].requires == (Requirement.NO_TOOLS_IN_STREAM,)
    assert "tools_stream" in found.claims["streaming_logprobs"].shown_by
    assert found.claims["token_ids"].json_key == "id"
    assert "4 records for 10 tokens" in (found.traits["entries_per_token"].note or "")
    assert "in streams the token that ends the turn has no record (stream)" in found.remarks
    assert "top_logprobs -1 switches log-probabilities off (top_minus1)" in found.remarks


def test_sglang() -> None:
    found = of_recordings("sglang", "prompt_logprobs", "token_ids")
    said(found, logprobs="yes", streaming_logprobs="partial", entries_per_token="lossy-stream", top_logprobs="yes")
    assert "in streams the token that ends the turn has no record (stream)" in found.remarks
    assert "in whole replies the token that ends the turn has a record" in found.remarks[0]


def test_transformers_serve() -> None:
    names = ("plain", "logprobs", "top0", "top5", "top21", "emoji", "stream", "emoji_stream")
    found = measure([recorded(name, f"transformers-serve/{RECORDED[name]}") for name in names])
    said(found, logprobs="no", streaming_logprobs="no", top_logprobs="no", distribution="unknown")
    assert found.posture is Posture.IGNORES
    assert found.claims["logprobs"].posture is None  # as in general


def test_the_masks_of_a_grammar() -> None:
    """The recordings ask for another schema, so the value of the claim is not theirs to show; the masks are."""
    from nxlog.probe.claims import masks  # noqa: PLC0415

    assert "masked, as -9999.0" in (masks(recorded("json_schema", "vllm/chat_json_schema")) or "")
    assert "-3.4028234663852886e+38" in (masks(recorded("json_schema", "sglang/chat_json_schema")) or "")
    assert (masks(recorded("json_schema", "llamacpp/chat_json_schema")) or "").startswith("no value is masked")


def test_reasoning() -> None:
    mixed = measure([recorded("reasoning", "vllm/think_11_reasoning_chat")])
    said(mixed, reasoning_logprobs="partial")
    own = measure([recorded("reasoning", "deepseek/chat_reasoning_logprobs")])
    said(own, reasoning_logprobs="yes")


# -- one thing wrong at a time -----------------------------------------------------------------------------------------

YES = [record("Yes", -0.1, {"Yes": -0.1, "No": -2.5}), record(".", -0.2, {".": -0.2, "!": -1.9})]


def answer(name: str, value: Any, status: int = 200) -> Answer:
    return answer_to(question(name), respond(value, status))


def claim(name: str, *answers: Answer) -> Measured:
    return measure(list(answers)).all[name]


def refused(message: str, status: int = 400) -> tuple[Any, int]:
    return {"error": {"message": message, "code": status}}, status


def test_nothing_asked_is_nothing_known() -> None:
    found = measure([])
    assert not any(measured.known for measured in found.all.values())
    assert found.posture is Posture.UNKNOWN
    assert found.remarks == ()


def test_refused_everywhere_is_no_in_the_words_of_the_server() -> None:
    no = refused("`logprobs` is not supported with this model")
    found = claim("logprobs", answer("logprobs", *no), answer("top5", *no))
    assert (found.value, found.shown_by) == ("no", ("logprobs", "top5"))
    assert found.note == "HTTP 400: `logprobs` is not supported with this model"


def test_ignored_is_no_only_where_the_reply_says_something() -> None:
    assert claim("logprobs", answer("top5", reply("Yes."))).value == "no"
    empty = claim("logprobs", answer("top5", reply("", generated=48, finish="length")))
    assert (empty.value, empty.note) == ("unknown", "the replies say nothing")


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_failure_says_nothing_about_the_claim(status: int) -> None:
    found = claim("logprobs", answer("top5", *refused("out of order", status)))
    assert (found.value, found.note) == ("unknown", "the questions got no answer")


def test_a_timeout_says_nothing_about_the_claim() -> None:
    late = ask(question("top5"), target(), Script(lambda _: NxlogTimeoutError("too slow")))
    assert claim("logprobs", late).value == "unknown"


def test_one_refusal_does_not_outweigh_a_delivery() -> None:
    found = claim(
        "logprobs",
        answer("top20", *refused("top_logprobs must be between 0 and 8")),
        answer("top5", reply("Yes.", YES)),
    )
    assert found.value == "yes"


def test_records_only_with_alternatives() -> None:
    found = claim("logprobs", answer("logprobs", reply("Yes.")), answer("top1", reply("Yes.", YES)))
    assert found.requires == (Requirement.TOP_LOGPROBS,)
    assert found.shown_by == ("logprobs", "top1")


def test_records_only_without_reasoning() -> None:
    no = refused("logprobs are not supported with reasoning models")
    found = claim("logprobs", answer("top1", reply("Yes.", YES)), answer("reasoning", *no))
    assert found.requires == (Requirement.REASONING_OFF,)


def test_records_of_another_text_are_partial() -> None:
    found = claim("logprobs", answer("top1", reply("No.", YES)))
    assert (found.value, found.note) == ("partial", "the records are not those of the text")


def test_streams_alone_contradict_the_registry_and_are_told() -> None:
    found = measure([answer("top5", reply("Yes.")), answer("stream", events([("Yes", YES[:1]), (".", YES[1:])]))])
    assert found.claims["logprobs"].value == "no"
    assert found.claims["streaming_logprobs"] == Measured(note="in streams yes, although not in whole replies")


def test_a_stream_with_lost_records_is_partial() -> None:
    short = events([("Yes", YES[:1]), (".", [])], generated=2)
    found = claim("streaming_logprobs", answer("top5", reply("Yes.", YES)), answer("stream", short))
    assert (found.value, found.note) == ("partial", "records are missing: 1 of 2 tokens in stream")


def test_an_error_event_in_a_stream_is_a_refusal() -> None:
    no = [*events([("", [])])[:-1], refused("logprobs are not supported in streaming mode")[0]]
    found = claim("streaming_logprobs", answer("stream", no))
    assert (found.value, found.shown_by) == ("no", ("stream",))


def alternatives(count: int) -> dict[str, Any]:
    tops = {chr(ord("a") + i): -0.5 - i for i in range(count)}
    return reply("a", [record("a", -0.5, tops)])


def tops(**counts: int | tuple[Any, int]) -> Measured:
    found = [
        answer(name, *(given if isinstance(given, tuple) else (alternatives(given),))) for name, given in counts.items()
    ]
    return claim("top_logprobs", *found)


def test_the_server_names_its_maximum() -> None:
    no = refused("Invalid value for 'top_logprobs': must be less than or equal to 8.")
    found = tops(top0=0, top1=1, top5=5, top20=no, top21=no)
    assert (found.min, found.max, found.least_max) == (0, 8, None)


def test_a_refusal_without_a_number_leaves_a_range() -> None:
    found = tops(top5=5, top20=refused("top_logprobs is too large"), top21=refused("top_logprobs is too large"))
    assert (found.max, found.least_max) == (None, 5)
    assert found.note == "the maximum is between 5 and 19: 20 is refused"


def test_a_refusal_next_to_a_success_is_a_maximum() -> None:
    found = tops(top5=5, top20=20, top21=refused("top_logprobs is too large"))
    assert (found.max, found.least_max) == (20, None)


def test_fewer_than_asked_is_a_maximum() -> None:
    found = tops(top1=1, top5=5, top20=5, top21=5)
    assert (found.max, found.posture, found.note) == (5, None, "20 asked for, 5 came")


def test_never_as_many_as_asked_is_partial() -> None:
    found = tops(top5=1, top20=1)
    assert (found.value, found.max) == ("partial", 1)


def test_no_alternatives_at_all() -> None:
    assert tops(top1=0, top5=0).value == "no"


def test_no_limit_is_not_a_maximum() -> None:
    found = tops(top20=20, top21=21)
    assert (found.max, found.least_max) == (None, 21)


def test_zero_that_switches_off_is_a_minimum() -> None:
    found = claim("top_logprobs", answer("top0", reply("a")), answer("top1", alternatives(1)))
    assert (found.min, found.shown_by[:2]) == (1, ("top0", "top1"))


def test_keys_that_do_nothing_are_no_proof_of_absence() -> None:
    plain = reply("Yes.", YES)
    assert claim("token_ids", answer("token_ids", plain)) == Measured(note="return_token_ids is ignored")
    found = claim("prompt_logprobs", answer("prompt_logprobs", *refused("unknown field prompt_logprobs")))
    assert found == Measured(note="prompt_logprobs is refused: HTTP 400: unknown field prompt_logprobs")


def test_the_id_of_a_reply_is_no_token_id() -> None:
    found = claim("token_ids", answer("top1", {"id": "chatcmpl-1", **reply("Yes.", YES)}))
    assert not found.known
    ids = [record("Yes", -0.1, {"Yes": -0.1}, token_id=7)]
    assert claim("token_ids", answer("top1", {"id": "c", **reply("Yes", ids)})).json_key == "token_id"


def test_an_answer_of_another_shape_means_that_the_schema_is_ignored() -> None:
    assert claim("json_schema", answer("json_schema", reply('{"verdict": "plover"}', YES))).value == "yes"
    assert claim("json_schema", answer("json_schema", reply("It does not rain."))).value == "no"
    assert claim("json_schema", answer("json_schema", reply('{"verdict": "rain"}'))).value == "no"
    assert claim("json_schema", answer("json_schema", reply('{"verdict": "plo', finish="length"))).value == "unknown"


def test_one_choice_where_two_were_asked_for() -> None:
    assert claim("n", answer("n2", reply("Yes."))).value == "no"


def sampled(rows: list[tuple[str, float, dict[str, float]]]) -> Answer:
    return answer("hot", reply("".join(row[0] for row in rows), [record(*row) for row in rows]))


FULL = {"a": -0.01, "b": -5.0, "c": -6.0}
FLAT = {"a": -3.0, "b": -3.1, "c": -3.2}


def test_likely_tokens_in_their_lists_prove_nothing() -> None:
    """Lists that add up to nearly 1 hold every sampled token of any server."""
    assert not claim("chosen_in_top", sampled([("a", -0.01, FULL)] * 8)).known
    assert claim("chosen_in_top", sampled([("c", -3.2, FLAT)] * 8)).value == "always"


def test_missing_from_its_list() -> None:
    assert claim("chosen_in_top", sampled([("a", -3.0, FLAT), ("z", -4.0, FLAT)])).value == "sometimes"
    assert claim("chosen_in_top", sampled([("z", -4.0, FLAT)] * 3)).value == "never"


def test_order_shows_only_where_the_unlikely_was_sampled() -> None:
    assert not claim("top_sorted", sampled([("a", -0.01, FULL)] * 8)).known
    assert claim("top_sorted", sampled([("b", -3.1, FLAT)])).value == "yes"
    mixed = {"c": -3.2, "a": -3.0, "b": -3.1}
    assert (claim("top_sorted", sampled([("c", -3.2, mixed)])).note or "").startswith("the sampled token comes first")
    assert "in no order" in (claim("top_sorted", sampled([("b", -3.1, mixed)])).note or "")


SNAKE = "\U0001f40d"


def test_bytes() -> None:
    exact = [record(SNAKE, -0.1), {"token": "<end>", "logprob": -0.1, "bytes": list(b"<end>"), "top_logprobs": []}]
    assert claim("bytes", answer("emoji", reply(SNAKE, exact))).value == "exact"
    none = [{**one, "bytes": None} for one in exact]
    assert claim("bytes", answer("emoji", reply(SNAKE, none))).value == "missing"
    marks = [{**one, "token": "\ufffd", "bytes": list("\ufffd".encode())} for one in exact]
    assert claim("bytes", answer("emoji", reply(SNAKE, marks))).value == "unreliable"
    assert not claim("bytes", answer("emoji", reply("snake", [record("snake", -0.1)]))).known


def test_a_count_of_tokens_is_needed_to_count_records() -> None:
    uncounted = {key: value for key, value in reply("Yes.", YES).items() if key != "usage"}
    assert not claim("entries_per_token", answer("top5", uncounted)).known
    assert claim("entries_per_token", answer("top5", reply("Yes.", YES, generated=9))).value == "unknown"
    # One that is missing is the end of the turn.
    assert claim("entries_per_token", answer("top5", reply("Yes.", YES, generated=3))).value == "exact"


def test_a_cut_answer_has_no_end_of_turn() -> None:
    assert measure([answer("top5", reply("Yes.", YES, finish="length"))]).remarks == ()


def test_a_stream_in_one_piece_is_not_seen_to_stream() -> None:
    assert not claim("streaming", answer("plain_stream", events([("Yes.", [])]))).known
    assert claim("streaming", answer("plain_stream", events([("Yes", []), (".", [])]))).value == "yes"
    assert claim("streaming", answer("plain_stream", reply("Yes."))).value == "unknown"
