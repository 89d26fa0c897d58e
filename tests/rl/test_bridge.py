"""The bridge to the next turn: what is kept, what is added, and when it refuses.

Real here: the ``tokenizers`` library and Jinja. The templates and the vocabularies are of these tests (``families``),
one for each family; the last part runs SmolLM2 itself, in llama.cpp.
"""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxlog.rendering import Renderer
from tests.rl.families import FAMILIES, GPT_OSS, Family

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
SYSTEM_FREE: list[dict[str, Any]] = [{"role": "user", "content": "What is the capital of France?"}]
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)


def said(role: str, text: str, number: int = 0) -> dict[str, Any]:
    return {"role": role, "content": text, **({"tool_call_id": f"call{number:05d}"} if role == "tool" else {})}


def closed(family: Family, output: list[int]) -> list[int]:
    return [*output, family.renderer().tokenizer.token_to_id(family.closing)]


def new_messages(family: Family) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A question, or the results of some tools, and then perhaps a question."""
    question = words.map(lambda text: [said("user", text)])
    if "tool" not in family.roles:
        return question
    results = st.lists(words, min_size=1, max_size=3).map(
        lambda texts: [said("tool", text, i) for i, text in enumerate(texts)]
    )
    return question | results | st.tuples(results, question).map(lambda both: both[0] + both[1])


@every_family
@settings(max_examples=50)
@given(st.data())
def test_what_was_sampled_stays_whatever_it_is(family: Family, data: st.DataObject) -> None:
    """C-08 wants turns to add up: ids that no tokenizer would have chosen are kept, id for id."""
    renderer = family.renderer()
    prompt = renderer.render([said("user", data.draw(words))]).token_ids
    plain = st.sampled_from([id_ for id_ in range(renderer.size) if id_ not in renderer.special_ids])
    output = data.draw(st.lists(plain, min_size=1, max_size=12))
    if data.draw(st.booleans()):
        output = closed(family, output)
    messages = data.draw(new_messages(family))
    found = renderer.bridge(prompt, output, messages)
    if found.ids is None:
        # The only refusals: who ends a turn by naming the next speaker, and another speaks.
        assert family.name == "glm", found.reason
        assert messages[0]["role"] == "tool"
        assert renderer.added_tokens[output[-1]] == "<|user|>"
        return
    assert found.reason is None
    kept = [*prompt, *output]
    assert found.ids[: len(kept)].tolist() == kept
    # What is behind them does not depend on them: it is what follows any other answer.
    other = renderer.render([said("user", "Else?")]).token_ids
    answer = (
        [*renderer.encode("Yes"), output[-1]] if output[-1] in renderer.stop_ids else renderer.encode("Yes").tolist()
    )
    after_other = renderer.bridge_to_next_turn(other, answer, messages)
    assert after_other is not None
    assert found.ids[len(kept) :] == after_other[len(other) + len(answer) :]


@every_family
@settings(max_examples=50)
@given(st.data())
def test_it_is_the_template_where_the_template_changes_nothing(family: Family, data: st.DataObject) -> None:
    """For an answer that is tokenized as it was sampled, the bridge and the template give the same."""
    renderer = family.renderer()
    before = [said("user", data.draw(words))]
    answer = data.draw(st.sampled_from(["The capital is Paris.", "Yes", "Sky blue, 123", "Grüße 🌍"]))
    if family.name == "mistral":
        answer = f" {answer}"  # its template puts a space there, which its models sample
    prompt = renderer.render(before).token_ids
    whole = renderer.render([*before, said("assistant", answer)], add_generation_prompt=False).token_ids
    output = whole[len(prompt) :]
    if family.name == "glm":
        output = renderer.encode("\n" + answer)
    while output[-1] not in renderer.stop_ids and family.name != "glm":
        output.pop()  # what follows the token that ends a turn is not sampled
    messages = [said("user", data.draw(words))]
    expected = renderer.render([*before, said("assistant", answer), *messages]).token_ids
    assert renderer.bridge_to_next_turn(prompt, output, messages) == expected


@every_family
def test_a_turn_that_was_cut_off_is_closed(family: Family) -> None:
    renderer = family.renderer()
    prompt = renderer.render(SYSTEM_FREE).token_ids
    output = renderer.encode("The capi").tolist()
    cut = renderer.bridge_to_next_turn(prompt, output, [said("user", "Go on")])
    whole = renderer.bridge_to_next_turn(prompt, closed(family, output), [said("user", "Go on")])
    assert cut is not None
    assert cut == whole


def test_turn_after_turn_nothing_moves() -> None:
    """Ten turns with tools; each prompt begins with all that was before, at a cost that does not grow with it."""
    family = FAMILIES["qwen"]
    renderer = family.renderer()
    ids = renderer.render(SYSTEM_FREE, tools=TOOLS).token_ids
    for turn in range(10):
        output = closed(
            family, renderer.encode(f"<think>\nhm {turn}\n</think>\n\n<tool_call>\n{{}}\n</tool_call>").tolist()
        )
        role = "tool" if turn % 2 else "user"
        longer = renderer.bridge_to_next_turn(ids, output, [said(role, f"it is {turn}")], TOOLS)
        assert longer is not None
        assert longer[: len(ids) + len(output)].tolist() == [*ids, *output]
        ids = longer
    text = renderer.decode(ids)
    assert text.count("<think>") == 10, "a template would have dropped the reasoning of earlier turns"
    assert text.count("<tool_response>") == 5
    assert text.count("Tools:") == 1


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(family: str, output: list[int] | str, messages: list[dict[str, Any]], **options: Any) -> str:
    renderer = FAMILIES[family].renderer()
    prompt = options.pop("prompt", None) or renderer.render(SYSTEM_FREE, tools=options.get("tools")).token_ids
    ids = renderer.encode(output) if isinstance(output, str) else output
    found = renderer.bridge(prompt, ids, messages, **options)
    assert found.ids is None
    assert renderer.bridge_to_next_turn(prompt, ids, messages, **options) is None
    assert found.reason is not None
    return found.reason


ASK = [said("user", "And Spain?")]


def test_tools_that_move_cannot_be_proven() -> None:
    """Mistral's template has the tools before the last question, so a new question moves them."""
    assert "earlier messages" in refused("mistral", "Yes</s>", ASK, tools=TOOLS)
    renderer = FAMILIES["mistral"].renderer()
    prompt = renderer.render(SYSTEM_FREE, tools=TOOLS).token_ids
    assert renderer.bridge_to_next_turn(prompt, renderer.encode("Yes</s>"), [said("tool", "42")], TOOLS)


@pytest.mark.parametrize(
    ("family", "output", "messages", "reason"),
    [
        ("qwen", [], ASK, "no output ids"),
        ("qwen", "Paris<|im_end|>", [], "no new message"),
        ("qwen", "Paris<|im_end|>", [said("assistant", "no"), *ASK], "must be sampled"),
        ("qwen", [10**6], ASK, "has not"),
        ("qwen", [-1], ASK, "has not"),
        ("qwen", "Paris<|im_end|>\n", ASK, "goes on after"),
        ("qwen", "Paris<|endoftext|>", ASK, "ends with '<|endoftext|>'"),
        ("llama3", "{}<|eom_id|>", ASK, "ends with '<|eom_id|>'"),
        ("gemma", "Paris<end_of_turn>", [said("tool", "x")], "alternate"),
        ("mistral", "Paris</s>", [said("system", "x")], "only user"),
        ("glm", "Paris<|user|>", [said("tool", "x")], "ends with '<|user|>'"),
    ],
)
def test_what_cannot_be_proven_is_refused_with_a_reason(
    family: str, output: list[int] | str, messages: list[dict[str, Any]], reason: str
) -> None:
    assert reason in refused(family, output, messages)


def test_a_prompt_that_is_not_open_for_the_assistant_is_refused() -> None:
    renderer = FAMILIES["qwen"].renderer()
    prompt = renderer.render(SYSTEM_FREE, add_generation_prompt=False).token_ids
    assert "opens a turn" in refused("qwen", "Paris<|im_end|>", ASK, prompt=prompt)
    quiet = renderer.render(SYSTEM_FREE, enable_thinking=False).token_ids
    assert "opens a turn" in refused("qwen", "Paris<|im_end|>", ASK, prompt=quiet)
    output = renderer.encode("Paris<|im_end|>")
    longer = renderer.bridge_to_next_turn(quiet, output, ASK, enable_thinking=False)
    assert longer is not None
    assert renderer.decode(longer).endswith("assistant\n<think>\n\n</think>\n\n")


NUMBERED = (
    "{% for m in messages %}<|im_start|>{{ loop.index }} {{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
FORGETS = "{% for m in messages[-1:] %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
UNCLOSED = (
    "{% for m in messages %}<|im_start|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)
SILENT = (
    "{% for m in messages %}{% if m.role != 'assistant' %}<|im_start|>{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (NUMBERED, "depends on what was said before"),
        (PLAIN, "opens a turn"),
        (UNCLOSED, "special token"),
        (FORGETS, "earlier messages"),
        (SILENT, "does not write what the assistant said"),
    ],
)
def test_templates_that_prove_nothing(template: str, reason: str) -> None:
    known = FAMILIES["qwen"].renderer()
    renderer = Renderer(known.tokenizer, template, stop_ids=known.stop_ids)
    prompt = renderer.render(SYSTEM_FREE).token_ids
    found = renderer.bridge(prompt, renderer.encode("Paris"), ASK)
    assert found.ids is None
    assert reason in (found.reason or "")


def test_stop_tokens_need_not_be_told() -> None:
    """The token that ends a plain turn is seen in the template, also where calls come before it."""
    known = FAMILIES["qwen"].renderer()
    renderer = Renderer(known.tokenizer, known.template)
    prompt = renderer.render(SYSTEM_FREE).token_ids
    output = renderer.encode("<tool_call>\n{}\n</tool_call><|im_end|>")
    assert renderer.bridge_to_next_turn(prompt, output, [said("tool", "x")]) == known.bridge_to_next_turn(
        prompt, output, [said("tool", "x")]
    )


def test_calls_end_with_a_token_of_their_own() -> None:
    """Llama 3 ends a turn with calls by ``<|eom_id|>`` where there are tools."""
    renderer = FAMILIES["llama3"].renderer()
    prompt = renderer.render(SYSTEM_FREE, tools=TOOLS).token_ids
    output = renderer.encode('{"name": "look_up", "parameters": {}}<|eom_id|>')
    longer = renderer.bridge_to_next_turn(prompt, output, [said("tool", "x")], TOOLS)
    assert longer is not None
    assert renderer.decode(longer[len(prompt) + len(output) :]).startswith("<|start_header_id|>ipython")
    # Two results: the template writes no two calls, but their results.
    two = renderer.bridge_to_next_turn(prompt, renderer.encode("ok<|eot_id|>"), [said("tool", "x"), said("tool", "y")])
    assert two is not None


def test_an_answer_that_a_history_ends_otherwise_is_refused() -> None:
    """gpt-oss ends an answer by ``<|return|>``, where a history has ``<|end|>``; calls stay as they were sampled."""
    renderer = GPT_OSS.renderer()
    prompt = renderer.render(SYSTEM_FREE, tools=TOOLS).token_ids
    answer = renderer.encode("<|channel|>final<|message|>Paris<|return|>")
    assert "ends with '<|return|>'" in (renderer.bridge(prompt, answer, ASK, TOOLS).reason or "")
    call = renderer.encode(" to=functions.look_up<|channel|>commentary json<|message|>{}<|call|>")
    for results in ([said("tool", "x")], [said("tool", "x"), said("tool", "y", 1)]):
        longer = renderer.bridge_to_next_turn(prompt, call, results, TOOLS)
        assert longer is not None
        assert longer[: len(prompt) + len(call)].tolist() == [*prompt, *call]
        assert renderer.decode(longer).endswith("<|end|><|start|>assistant")
    assert "a result of no call" in (renderer.bridge(prompt, call, [*ASK, said("tool", "x")], TOOLS).reason or "")


def test_a_turn_may_open_otherwise_after_a_result() -> None:
    """DeepSeek's template opens no turn behind a result: the end of the result does."""
    renderer = FAMILIES["deepseek"].renderer()
    ids = renderer.render(SYSTEM_FREE).token_ids
    for message in (said("tool", "a"), said("tool", "b"), said("user", "c"), said("user", "d")):
        longer = renderer.bridge_to_next_turn(ids, renderer.encode("so<|eos|>"), [message])
        assert longer is not None
        ids = longer
    # A question that nothing opens is no prompt.
    assert renderer.bridge_to_next_turn(ids[:-1], renderer.encode("so<|eos|>"), ASK) is None


def test_the_word_that_marks_the_place_may_be_said() -> None:
    renderer = FAMILIES["qwen"].renderer()
    prompt = renderer.render(SYSTEM_FREE).token_ids
    messages = [said("user", "Wordthatnobodysays Wordthatnobodysaysx")]
    longer = renderer.bridge_to_next_turn(prompt, renderer.encode("No<|im_end|>"), messages)
    assert longer is not None
    assert renderer.decode(longer).count("Wordthatnobodysays") == 2


def test_ids_may_be_lists_or_arrays() -> None:
    renderer = FAMILIES["qwen"].renderer()
    prompt, output = renderer.render(SYSTEM_FREE).token_ids, renderer.encode("No<|im_end|>")
    longer = renderer.bridge_to_next_turn(prompt.tolist(), output.tolist(), ASK)
    assert longer == renderer.bridge_to_next_turn(prompt, output, ASK)
    assert isinstance(longer, array)
