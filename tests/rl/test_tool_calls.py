"""Tool calls out of text and out of ids: checklist C-10, and what it does better than to guess.

Nothing is made up but the texts; the last part tokenizes with the real library.
"""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken

from nxlog.rendering import ParsedOutput, Renderer, ToolFormat, parse_tool_call_ids, parse_tool_calls, parse_turn
from nxlog.turn import ToolCallStatus, TurnTokenData, TurnToolCall
from tests.rl.families import FAMILIES, train

OK, INVALID = ToolCallStatus.OK, ToolCallStatus.INVALID_JSON
UNCLOSED, UNKNOWN = ToolCallStatus.UNCLOSED_BLOCK, ToolCallStatus.UNKNOWN_TOOL

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "metric": {"type": "boolean"},
                "at": {"type": ["string", "null"]},
                "tags": {"type": "array"},
            },
        },
    },
}
NOW = {"type": "function", "function": {"name": "now"}}
TOOLS = [WEATHER, NOW]


def parsed(text: str, tool_format: str, tools: Any = TOOLS) -> ParsedOutput:
    return parse_tool_calls(text, tool_format, tools=tools)


def calls(text: str, tool_format: str, tools: Any = TOOLS) -> list[tuple[str, str, ToolCallStatus]]:
    return [(call.name, call.arguments, call.status) for call in parsed(text, tool_format, tools).tool_calls]


PARIS = '{"city": "Paris"}'
# One call to weather with PARIS, and one to now, as each format writes them.
WRITTEN = {
    "hermes": (
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',
        '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    ),
    "qwen-xml": (
        "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>\n<function=now>\n</function>\n</tool_call>",
    ),
    "glm": (
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>",
        "<tool_call>now\n</tool_call>",
    ),
    "kimi": (
        '<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>',
        "<|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
    ),
    "llama3-json": ('{"name": "weather", "parameters": {"city": "Paris"}}', '; {"name": "now", "parameters": {}}'),
}
every_format = pytest.mark.parametrize("tool_format", list(WRITTEN))


def test_every_format_is_tested() -> None:
    assert set(WRITTEN) == {form.value for form in ToolFormat}


@every_format
def test_parallel_calls_are_all_kept_in_order(tool_format: str) -> None:
    """C-10: the ids that were sampled hold all of them, so all of them are calls."""
    first, second = WRITTEN[tool_format]
    found = parsed(first + second, tool_format)
    assert [(c.name, c.arguments, c.status) for c in found.tool_calls] == [("weather", PARIS, OK), ("now", "{}", OK)]
    assert found.content == ""
    assert found.reasoning is None
    if tool_format != "kimi":
        assert [call.id for call in found.tool_calls] == ["call_0000", "call_0001"]
    assert all(call.raw and call.raw in first + second for call in found.tool_calls)


@every_format
def test_a_call_of_an_unknown_tool_keeps_its_name_and_arguments(tool_format: str) -> None:
    written = WRITTEN[tool_format][0]
    assert calls(written, tool_format, [NOW]) == [("weather", PARIS, UNKNOWN)]
    assert calls(written, tool_format, []) == [("weather", PARIS, UNKNOWN)]
    assert calls(written, tool_format, None) == [("weather", PARIS, OK)]


@every_format
def test_reasoning_is_taken_off_first(tool_format: str) -> None:
    """A call that the model only thinks of is none."""
    first, second = WRITTEN[tool_format]
    found = parsed(f"<think>\nShall I {second.lstrip('; ')} ?\n</think>\n\n{first}", tool_format)
    assert found.reasoning == f"Shall I {second.lstrip('; ')} ?"
    assert [call.name for call in found.tool_calls] == ["weather"]


@every_format
@given(st.data())
def test_a_call_cut_off_anywhere_is_never_ok(tool_format: str, data: st.DataObject) -> None:
    """The status of what a length limit cuts is never OK, and the text is not lost."""
    first = WRITTEN[tool_format][0]
    end = data.draw(st.integers(1, len(first.rstrip()) - 1))
    cut = first[:end]
    found = parsed(cut, tool_format)
    assert all(call.status is not OK for call in found.tool_calls)
    kept = found.content + "".join(call.raw or "" for call in found.tool_calls)
    assert "".join(kept.split()) == "".join(cut.split())
    started = cut.startswith(("<tool_call>", "<|tool_call_begin|>", '{"name"'))
    assert [call.status for call in found.tool_calls] == [UNCLOSED] * started


@every_format
@given(st.text())
def test_no_text_breaks_it(tool_format: str, text: str) -> None:
    parsed(text, tool_format)


markup = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<think>", "</think>", "<function=now>", "</function>", "<parameter=a>"),
        *("</parameter>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<|tool_call_begin|>"),
        *("<|tool_call_argument_begin|>", "<|tool_call_end|>", "<|python_tag|>", '{"name": "now", "arguments": {}}'),
        *('{"name": "now", "parameters": {', "}", "{", '"', ";", "now", "\n", " ", "functions.now:0"),
    ]
)


@every_format
@given(st.lists(markup, max_size=12))
def test_no_markup_breaks_it_and_ok_is_always_an_object(tool_format: str, pieces: list[str]) -> None:
    found = parsed("".join(pieces), tool_format)
    for call in found.tool_calls:
        if call.status in {OK, UNKNOWN}:
            assert isinstance(json.loads(call.arguments), dict)
            assert call.name
        assert call.raw is not None
        assert call.raw in "".join(pieces)
    assert len({call.id for call in found.tool_calls}) == len(found.tool_calls)


# -- hermes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('{"name": "weather", "arguments": {"city": Paris}}', ("", "", INVALID)),
        ('{"name": "weather", "arguments": {"metric": False}}', ("", "", INVALID)),
        ('{"name": "weather", "arguments": ["Paris"]}', ("", "", INVALID)),
        ('{"name": "weather"}', ("", "", INVALID)),
        ('{"arguments": {}}', ("", "", INVALID)),
        ('{"name": "weather", "arguments": {}} and more', ("", "", INVALID)),
        ("", ("", "", INVALID)),
        ('{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}', ("weather", PARIS, OK)),
        ('{"arguments":  {"days":1e2}  ,"name":"weather"}', ("weather", '{"days":1e2}', OK)),
        ('{"name": "weather", "arguments": {"city": "</tool_call>"}}', ("weather", '{"city": "</tool_call>"}', OK)),
    ],
)
def test_arguments_stay_as_they_were_written(inside: str, expected: tuple[str, str, ToolCallStatus]) -> None:
    """C-10: what cannot be read is an error with its text, never ``{}``."""
    text = f"Well.\n<tool_call>{inside}</tool_call>\n"
    assert calls(text, "hermes") == [expected]
    found = parsed(text, "hermes")
    assert found.tool_calls[0].raw == f"<tool_call>{inside}</tool_call>"
    assert found.content == "Well."


def test_a_block_that_is_not_closed_does_not_take_the_next_with_it() -> None:
    good = WRITTEN["hermes"][0]
    assert calls('<tool_call>{"name": "now"' + good, "hermes") == [("", "", UNCLOSED), ("weather", PARIS, OK)]
    whole = '<tool_call>{"name": "now", "arguments": {}}'
    assert calls(whole + good, "hermes") == [("now", "{}", UNCLOSED), ("weather", PARIS, OK)]


def test_text_without_calls_is_left_alone() -> None:
    for text in ("", " Paris.\n", "a < b", "</tool_call>"):
        found = parsed(text, "hermes")
        assert (found.content, found.reasoning, found.tool_calls) == (text, None, ())


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n<think>\na\n</think>\n\nb", "a", "b"),
        ("a\n</think>\n\nb", "a", "b"),  # the prompt opened it
        ("<think>a", "a", ""),  # and it was cut off
        ("<think></think>b", "", "b"),
        ("b", None, "b"),
    ],
)
def test_reasoning(text: str, reasoning: str | None, content: str) -> None:
    found = parsed(text, "hermes")
    assert (found.reasoning, found.content) == (reasoning, content)


def test_the_end_of_reasoning_inside_an_argument_is_no_end() -> None:
    text = '<tool_call>{"name": "weather", "arguments": {"city": "</think>"}}</tool_call>'
    assert calls(text, "hermes") == [("weather", '{"city": "</think>"}', OK)]


def test_ids_sort_as_the_calls_came() -> None:
    text = WRITTEN["hermes"][1] * 12
    ids = [call.id for call in parse_tool_calls(text, "hermes", id_prefix="t3_").tool_calls]
    assert ids[:2] == ["t3_0000", "t3_0001"]
    assert ids == sorted(ids)


def test_the_finish_reason_is_tool_calls_only_where_a_call_can_be_made() -> None:
    """C-10: finish_reason "tool_calls" when any call was made."""
    good, bad = WRITTEN["hermes"][0], "<tool_call>{</tool_call>"
    assert parsed(bad + good, "hermes").finish_reason("stop") == "tool_calls"
    assert [call.name for call in parsed(bad + good, "hermes").ok_calls] == ["weather"]
    for text in (bad, "Paris.", good.replace("weather", "other")):
        assert parsed(text, "hermes").finish_reason("stop") == "stop"
    assert parsed(good, "hermes").finish_reason("length") == "length"
    assert parsed(good, "hermes").finish_reason(None) is None


def test_there_is_no_other_format() -> None:
    with pytest.raises(ValueError, match="pythonic"):
        parse_tool_calls("", "pythonic")


# -- the formats with tags ---------------------------------------------------------------------------------------------


def tagged(tool_format: str, **values: str) -> str:
    if tool_format == "glm":
        pairs = "".join(f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in values.items())
        return f"<tool_call>weather\n{pairs}</tool_call>"
    pairs = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function=weather>\n{pairs}</function>\n</tool_call>"


@pytest.mark.parametrize("tool_format", ["qwen-xml", "glm"])
@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("city", "5", "5"),
        ("city", "true", "true"),
        ("city", " a\n  b ", " a\n  b "),
        ("days", "5", 5),
        ("days", " 5\n", 5),
        ("metric", "true", True),
        ("metric", "False", False),
        ("at", "null", None),
        ("at", "noon", "noon"),
        ("tags", '["a", 1]', ["a", 1]),
        ("other", "5", "5"),  # no schema, no guess
    ],
)
def test_values_are_what_the_schema_says(tool_format: str, key: str, value: str, read: object) -> None:
    ((_, arguments, status),) = calls(tagged(tool_format, **{key: value}), tool_format)
    assert status is OK
    assert json.loads(arguments) == {key: read}


@pytest.mark.parametrize("tool_format", ["qwen-xml", "glm"])
@pytest.mark.parametrize(("key", "value"), [("days", "five"), ("metric", "yes"), ("tags", "('a',)")])
def test_a_value_that_the_schema_does_not_have_is_an_error(tool_format: str, key: str, value: str) -> None:
    assert calls(tagged(tool_format, **{key: value}), tool_format) == [("weather", "", INVALID)]


@pytest.mark.parametrize("tool_format", ["qwen-xml", "glm"])
def test_without_tools_values_are_text(tool_format: str) -> None:
    ((_, arguments, _),) = calls(tagged(tool_format, days="5"), tool_format, None)
    assert json.loads(arguments) == {"days": "5"}


@pytest.mark.parametrize(
    ("tool_format", "inside", "name"),
    [
        ("qwen-xml", "\n<function=weather>\n<parameter=city>\nParis\n</function>\n", "weather"),
        ("qwen-xml", "\n<function=weather>\nParis\n</function>\n", "weather"),
        ("qwen-xml", '{"name": "weather"}', ""),
        ("glm", "weather\n<arg_key>city</arg_key>", "weather"),
        ("glm", "weather\n<arg_key>city</arg_key>\n<arg_value>Paris", "weather"),
        ("glm", "what is this\n", ""),
    ],
)
def test_tags_that_do_not_fit_are_an_error(tool_format: str, inside: str, name: str) -> None:
    assert calls(f"<tool_call>{inside}</tool_call>", tool_format) == [(name, "", INVALID)]


def test_qwen_may_forget_the_first_tag() -> None:
    bare = "<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>"
    found = parsed(f"I look.\n{bare}\n</tool_call>", "qwen-xml")
    assert [(call.name, call.arguments, call.status) for call in found.tool_calls] == [("weather", PARIS, OK)]
    assert (found.tool_calls[0].raw, found.content) == (bare, "I look.")
    assert calls("<function=weather>\n<parameter=city>\nPa", "qwen-xml") == [("weather", "", UNCLOSED)]


# -- kimi and llama ----------------------------------------------------------------------------------------------------


def test_kimi_keeps_the_ids_of_the_model() -> None:
    first, second = WRITTEN["kimi"]
    text = f"I look.<|tool_calls_section_begin|>{first}{second}{first}<|tool_calls_section_end|>"
    found = parsed(text, "kimi")
    assert found.content == "I look."
    # Two of the same id would answer to each other's results.
    assert [call.id for call in found.tool_calls] == ["functions.weather:0", "functions.now:1", "call_0002"]


def test_kimi_arguments_that_are_no_object() -> None:
    text = "<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>Paris<|tool_call_end|>"
    assert calls(text, "kimi") == [("weather", "", INVALID)]


@pytest.mark.parametrize(
    "text", ["Paris.", '{"city": "Paris"}', '{"name": "Ada", "born": 1815}', "[1]", '{"a": {"name": "weather"}}']
)
def test_llama_may_answer_in_json(text: str) -> None:
    found = parsed(text, "llama3-json")
    assert (found.content, found.tool_calls) == (text, ())


def test_llama_behind_its_tag_there_is_a_call() -> None:
    good = '{"name": "weather", "parameters": {"city": "Paris"}}'
    assert calls(f"<|python_tag|>{good}", "llama3-json") == [("weather", PARIS, OK)]
    assert calls("<|python_tag|>print(1)", "llama3-json") == [("", "", INVALID)]
    assert calls('{"name": "weather", "parameters": {"metric": True}}', "llama3-json") == [("", "", INVALID)]
    assert calls(f'{good}{good}; {{"name": "now", "para', "llama3-json") == [
        ("weather", PARIS, OK),
        ("weather", PARIS, OK),
        ("", "", UNCLOSED),
    ]


# -- by ids ------------------------------------------------------------------------------------------------------------


def spelled_out(text: str) -> list[int]:
    """The ids of a text with no token of more than one character."""
    renderer = FAMILIES["qwen"].renderer()
    return [id_ for letter in text for id_ in renderer.encode(letter)]


def test_only_the_token_marks_a_call() -> None:
    """The same letters, sampled one by one, are an argument or an answer."""
    renderer = FAMILIES["qwen"].renderer()
    inside = '{"name": "weather", "arguments": {"city": "'
    ids = [
        *renderer.encode("<think>\nhm\n</think>\n\nI look.<tool_call>" + inside),
        *spelled_out("</tool_call> </think> <tool_call>"),
        *renderer.encode('"}}</tool_call><|im_end|>'),
    ]
    found = parse_tool_call_ids(ids, renderer, "hermes", tools=TOOLS)
    assert found.reasoning == "hm"
    assert found.content == "I look."
    argument = '{"city": "</tool_call> </think> <tool_call>"}'
    raw = f'<tool_call>{{"name": "weather", "arguments": {argument}}}</tool_call>'
    assert found.tool_calls == (TurnToolCall("call_0000", "weather", argument, OK, raw),)
    quoted = parse_tool_call_ids(spelled_out("Write <tool_call>{}</tool_call>."), renderer, "hermes")
    assert (quoted.content, quoted.tool_calls) == ("Write <tool_call>{}</tool_call>.", ())


def test_where_a_marker_is_no_token_its_letters_mark() -> None:
    renderer = FAMILIES["smollm2"].renderer()
    ids = renderer.encode(WRITTEN["hermes"][0] + "<|im_end|>")
    assert [call.name for call in parse_tool_call_ids(ids, renderer, "hermes").tool_calls] == ["weather"]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs")), min_size=1))
def test_ids_say_what_the_text_says(city: str) -> None:
    renderer = FAMILIES["glm"].renderer()
    text = tagged("glm", city=city)
    by_ids = parse_tool_call_ids(renderer.encode(text + "<|observation|>"), renderer, "glm", tools=TOOLS)
    if not any(mark in city for mark in renderer.added_tokens.values()):
        assert by_ids == parsed(text, "glm")


def test_a_turn_is_taken_apart_by_its_ids_or_by_its_text() -> None:
    """C-10: what a server left in one text becomes reasoning, content, calls and the finish reason."""
    renderer = FAMILIES["qwen"].renderer()
    text = f"<think>\nhm\n</think>\n\nI look.\n{WRITTEN['hermes'][0]}"
    ids = array("i", renderer.encode(text + "<|im_end|>"))
    turn = TurnTokenData(role="assistant", content=text, output_ids=ids, finish_reason="stop")
    by_text = parse_turn(turn, "hermes", tools=TOOLS, id_prefix="t0_")
    assert by_text == parse_turn(turn, "hermes", renderer=renderer, tools=TOOLS, id_prefix="t0_")
    assert (by_text.reasoning, by_text.content, by_text.finish_reason) == ("hm", "I look.", "tool_calls")
    assert [(call.id, call.name) for call in by_text.tool_calls] == [("t0_0000", "weather")]
    assert by_text.output_ids is ids
    plain = parse_turn(TurnTokenData(role="assistant", content="Yes", reasoning="kept"), "hermes")
    assert (plain.content, plain.reasoning, plain.tool_calls) == ("Yes", "kept", ())


def test_a_decoder_that_drops_spaces_drops_none_inside() -> None:
    """Decoders of the SentencePiece kind leave out the space before the first word they are given."""
    tokenizer = train(words=True)
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in ("<tool_call>", "</tool_call>")])
    renderer = Renderer(tokenizer, "")
    text = 'The sky <tool_call> {"name": "now", "arguments": {}}</tool_call> is blue'
    found = parse_tool_call_ids(renderer.encode(text), renderer, "hermes")
    assert found.tool_calls[0].raw == '<tool_call> {"name": "now", "arguments": {}}</tool_call>'
    assert found.content == "The sky  is blue"
