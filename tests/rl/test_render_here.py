"""Prompts in this process: templates, tokenizers, files. Checklist C-10 (tools in the prompt), C-11, C-12.

Real here: ``tokenizers`` and Jinja; llama.cpp, in process, tokenizes what a GGUF holds, on vocabularies made on the
spot and on SmolLM2 where it is installed; vLLM's ids of two conversations were recorded.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import random
import shutil
import sys
import threading
import weakref
from array import array
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nxlog import Client, InvalidRequestError, LocalEngineError, Message
from nxlog.local import LocalEngine, find_model
from nxlog.rendering import (
    ChatTemplate,
    Renderer,
    RenderSource,
    load,
    tool_response,
    tool_result_text,
    with_text_tools,
)
from nxlog.rendering import load as load_function
from tests.rl.families import FAMILIES, QWEN, train
from tests.rl.test_render_by_server import CAPITAL_IDS, CHAT
from tests.tools.tiny_gguf import CHATML, Vocabulary, train_vocabulary, write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}


# -- templates ---------------------------------------------------------------------------------------------------------


def shown(expression: str, messages: Any = QUESTION, **variables: Any) -> str:
    return ChatTemplate("{{ " + expression + " }}").render(messages, **variables)


def test_messages_are_dicts_or_objects() -> None:
    """C-11: converted to OpenAI's form first; message objects and dicts are both accepted."""
    as_objects = [Message.model_validate(message) for message in [*CHAT, {"role": "assistant", "tool_calls": [CALL]}]]
    as_dicts = [*CHAT, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    template = ChatTemplate(QWEN)
    text = template.render(as_objects, tools=TOOLS)
    assert text == template.render(as_dicts, tools=TOOLS)
    assert '<tool_call>\n{"name": "now", "arguments": {"zone": "UTC"}}\n</tool_call>' in text


def test_parts_are_one_text_and_what_is_no_text_is_refused() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert shown("messages[0].content", [{"role": "user", "content": parts}]) == "one\ntwo"
    image = {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}
    with pytest.raises(InvalidRequestError, match=r"messages\.0\.content\.1.*'image_url'"):
        shown("messages", [{"role": "user", "content": [parts[0], image]}])
    for odd in (42, [{"content": "no role"}], [object()]):
        with pytest.raises((InvalidRequestError, TypeError)):
            shown("messages", odd)


def test_arguments_are_objects_and_what_is_no_json_stays() -> None:
    for written, read in (('{"a": 1}', "{'a': 1}"), ("{a}", "{a}"), ("[1]", "[1]"), ("", "{}")):
        call = {"id": "1", "function": {"name": "f", "arguments": written}}
        said = [{"role": "assistant", "tool_calls": [call]}]
        assert shown("messages[0].tool_calls[0].function.arguments", said) == read


def test_what_templates_ask_for() -> None:
    assert shown("tools is none") == "True"
    assert shown("tools[0].function.name", tools=TOOLS) == "now"
    assert shown("{'a': '<é>'} | tojson") == '{"a": "<é>"}'
    assert shown("[1] | tojson(indent=1)") == "[\n 1\n]"
    assert shown("strftime_now('%Y') | length") == "4"
    assert shown("enable_thinking", enable_thinking=False) == "False"
    assert ChatTemplate("{{ bos_token }}", variables={"bos_token": "<s>"}).render(QUESTION) == "<s>"
    assert ChatTemplate("a{% generation %}b{% endgeneration %}c").render(QUESTION) == "abc"
    assert ChatTemplate("{% for m in messages %}x{% break %}{% endfor %}").render(QUESTION * 3) == "x"
    assert ChatTemplate("plain", tool_source="tools").render(QUESTION) == "plain"
    assert ChatTemplate("plain", tool_source="tools").render(QUESTION, tools=TOOLS) == "tools"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('no such role') }}", "refuses: no such role"),
        ("{{ messages[0].content + 1 }}", "fails: TypeError"),
        ("{{ 1 / 0 }}", "fails: ZeroDivisionError"),
        ("{{ messages.append(1) }}", "refuses"),
        ("{{ ''.__class__.__mro__ }}", "refuses"),
        ("{{ undefined_function() }}", "refuses"),
        ("{{ range(10**9) | list }}", "fails: OverflowError"),
    ],
)
def test_a_template_that_fails_is_an_error_of_ours(source: str, message: str) -> None:
    """Also one that tries to leave its sandbox."""
    with pytest.raises(InvalidRequestError, match=message):
        ChatTemplate(source).render(QUESTION)


def test_a_template_with_an_error_in_it_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequestError, match="line 2"):
        ChatTemplate("{{ 1 }}\n{% if %}")


@pytest.mark.parametrize("name", ["jinja2", "tokenizers"])
def test_without_the_extra_the_error_names_it(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save(tmp_path)
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "nxlog.rendering._jinja", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {name}.*pip install 'nxlog\[rl\]'"):
        load(tmp_path)


# -- tools as text -----------------------------------------------------------------------------------------------------


def test_tools_calls_and_results_as_text() -> None:
    """C-10: tools in the prompt, results as <tool_response> inside user messages, those of one turn in one."""
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "tool", "tool_call_id": "c2", "content": "night"},
        {"role": "user", "content": "Which?"},
        {"role": "tool", "tool_call_id": "c3", "content": "late"},
    ]
    written = with_text_tools(conversation, TOOLS)
    assert [message["role"] for message in written] == ["system", "user", "assistant", "user", "user", "user"]
    system, _, answer, results, question, late = (message["content"] for message in written)
    assert system.startswith("Be brief.\n\n# Tools")
    assert json.loads(system.split("<tools>\n")[1].split("\n</tools>")[0]) == TOOLS[0]
    call = '<tool_call>\n{"name": "now", "arguments": {"zone": "UTC"}}\n</tool_call>'
    assert answer == f"I look.\n{call}\n{call}"
    assert results == f"{tool_response('noon')}\n{tool_response('night')}"
    assert results.startswith("<tool_response>\nnoon\n</tool_response>\n<tool_response>")
    assert (question, late) == ("Which?", tool_response("late"))
    assert "tool_calls" not in str(written)
    assert conversation[3]["role"] == "tool", "the caller's own messages stay"


def test_tools_need_a_system_message_and_no_tools_need_none() -> None:
    assert [message["role"] for message in with_text_tools(QUESTION, TOOLS)] == ["system", "user"]
    assert with_text_tools(QUESTION) == QUESTION
    broken = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "now", "arguments": "{oh"}}]}
    assert '"arguments": {oh}' in with_text_tools([broken])[0]["content"]


@dataclass
class ToolReturn:
    """As agents keep it: what the function returned, with what else is known of it."""

    func_response: Any
    status: str = "success"
    stdout: tuple[str, ...] = ("printed",)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        (ToolReturn("42"), "42"),
        (ToolReturn({"n": 1}), '{"n": 1}'),
        ({"status": "OK", "time": "noon", "func_response": "42"}, "42"),
        ({"role": "tool", "tool_call_id": "1", "content": "42"}, "42"),
        (Message(role="tool", tool_call_id="1", content="42"), "42"),
        ({"role": "tool", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": "42"}, '{"content": "42"}'),
        ([1, "é"], '[1, "é"]'),
        (None, "null"),
        (True, "true"),
        (float("nan"), '"NaN"'),
    ],
)
def test_the_text_of_a_result_is_what_the_function_returned(result: object, text: str) -> None:
    """C-12: from the function response, not from what it is wrapped in."""
    assert tool_result_text(result) == text
    assert tool_response(result) == f"<tool_response>\n{text}\n</tool_response>"


def test_a_result_without_json_is_an_error() -> None:
    with pytest.raises(InvalidRequestError):
        tool_result_text(object())
    with pytest.raises(InvalidRequestError):
        tool_result_text({"a": object()})


# -- folders -----------------------------------------------------------------------------------------------------------


def save(folder: Path, *, config: dict[str, Any] | None = None, **files: Any) -> Path:
    """A folder with a model's tokenizer, as they are published."""
    folder.mkdir(parents=True, exist_ok=True)
    FAMILIES["qwen"].renderer().tokenizer.save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    given = {"eos_token": "<|im_end|>", "chat_template": QWEN} if config is None else config
    (folder / "tokenizer_config.json").write_text(json.dumps(given), encoding="utf-8")
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def test_a_folder_gives_what_its_parts_give(tmp_path: Path) -> None:
    """C-11: the tokenizer's own chat template is preferred."""
    renderer = load(save(tmp_path, generation_config={"eos_token_id": [1, 2]}))
    known = FAMILIES["qwen"].renderer()
    prompt = renderer.render(CHAT, tools=TOOLS)
    assert prompt == known.render(CHAT, tools=TOOLS)
    assert prompt.source is RenderSource.LOCAL
    assert isinstance(prompt.token_ids, array)
    assert renderer.decode(prompt.token_ids) == prompt.text
    assert "<|im_end|>" not in renderer.decode(prompt.token_ids, skip_special_tokens=True)
    assert renderer.stop_ids == {1, 2, known.tokenizer.token_to_id("<|im_end|>")}  # type: ignore[attr-defined]


def test_where_templates_are(tmp_path: Path) -> None:
    two = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"}]
    renderer = load(save(tmp_path / "two", config={"chat_template": two}))
    assert renderer.render(QUESTION).text == "plain"
    assert renderer.render(QUESTION, tools=TOOLS).text == "with tools"
    own = save(tmp_path / "own", config={"chat_template": "old", "bos_token": {"content": "<b>"}})
    (own / "chat_template.jinja").write_text("{{ bos_token }} own", encoding="utf-8")
    assert load(own).render(QUESTION).text == "<b> own"
    assert load(own, chat_template="given").render(QUESTION).text == "given"
    assert load(tmp_path / "two", chat_template="given").render(QUESTION, tools=TOOLS).text == "given"


def test_without_a_template_there_is_chatml_with_tools_as_text(tmp_path: Path) -> None:
    """C-11: manual formatting is the fallback, where the vocabulary has the tokens for it."""
    renderer = load(save(tmp_path / "chatml", config={}))
    prompt = renderer.render(CHAT, tools=TOOLS)
    start = renderer.tokenizer.token_to_id("<|im_start|>")  # type: ignore[attr-defined]
    assert prompt.token_ids.tolist().count(start) == 3
    assert prompt.text is not None
    assert "# Tools" in prompt.text
    result = {"role": "tool", "tool_call_id": "1", "content": "noon"}
    longer = renderer.bridge_to_next_turn(prompt.token_ids, renderer.encode("ok<|im_end|>"), [result], TOOLS)
    assert longer is not None
    tail = "user\n<tool_response>\nnoon\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    assert renderer.decode(longer).endswith(tail)
    bare = tmp_path / "bare"
    bare.mkdir()
    train().save(str(bare / "tokenizer.json"))
    with pytest.raises(InvalidRequestError, match="no chat template"):
        load(bare)
    assert load(bare, chat_template="x").render(QUESTION).text == "x"


def test_a_tokenizer_that_was_saved_while_it_cut_does_not_cut(tmp_path: Path) -> None:
    folder = save(tmp_path)
    tokenizer = train()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(folder / "tokenizer.json"))
    renderer = load(folder, chat_template="{{ messages[0].content }}")
    text = "A token has a probability. " * 9
    ids = renderer.render([{"role": "user", "content": text}]).token_ids
    assert renderer.decode(ids) == text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", None, "has no tokenizer.json"),
        ("tokenizer.json", "{}", "is no tokenizer"),
        ("tokenizer_config.json", "{", "is no JSON"),
        ("tokenizer_config.json", '{"chat_template": 5}', "must be text"),
    ],
)
def test_damaged_folders(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    folder = save(tmp_path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=message):
        load(folder)


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_files_are_read_once_until_they_change(tmp_path: Path) -> None:
    """C-11: the tokenizer is cached."""
    folder = save(tmp_path)
    first = load(folder)
    assert load(str(folder)) is first
    assert load(folder, chat_template="x") is not first
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "changed"}), encoding="utf-8")
    os.utime(config, ns=(1, 1))
    assert load(folder) is not first
    assert load(folder).render(QUESTION).text == "changed"


def test_the_least_recently_used_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[load_function.__module__]
    monkeypatch.setattr(module, "CACHED", 2)
    folder = save(tmp_path)
    kept, dropped = load(folder, chat_template="a"), load(folder, chat_template="b")
    gone = weakref.ref(dropped)
    assert load(folder, chat_template="a") is kept
    load(folder, chat_template="c")
    assert load(folder, chat_template="a") is kept
    del dropped
    gc.collect()
    assert gone() is None


def test_threads_load_once_and_encode_one_at_a_time(tmp_path: Path) -> None:
    """A tokenizer caches while it encodes, so two threads must never be inside of it."""
    folder = save(tmp_path)

    class Watched:
        """A tokenizer that says when it is entered twice."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner
            self._inside = threading.Lock()

        def encode(self, text: str, *, add_special_tokens: bool) -> Any:
            assert self._inside.acquire(blocking=False), "two threads are encoding"
            try:
                return self._inner.encode(text, add_special_tokens=add_special_tokens)
            finally:
                self._inside.release()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    watched = Renderer(Watched(load(folder).tokenizer), QWEN)
    texts = [f"{i} " * 300 for i in range(8)]
    expected = [load(folder).encode(text) for text in texts]
    found: dict[int, Any] = {}
    start = threading.Barrier(8)

    def work(i: int) -> None:
        start.wait()
        found[i] = (load(folder, chat_template="t"), [watched.encode(texts[i]) for _ in range(20)])

    threads = [threading.Thread(target=partial(work, i)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(renderer) for renderer, _ in found.values()}) == 1
    assert all(ids == [expected[i]] * 20 for i, (_, ids) in found.items())


# -- GGUF --------------------------------------------------------------------------------------------------------------


@dataclass
class Twin:
    """A vocabulary here and in llama.cpp."""

    here: Renderer
    there: Client

    def same(self, text: str) -> None:
        text = text.replace("\0", "")  # where llama.cpp takes a text to end
        ids = self.here.encode(text)
        assert ids == self.there.tokenize(text, model="m")
        assert self.here.decode(ids) == text


# Everything that a splitting may look at: cases, digits, spaces, line breaks, scripts, and the special tokens.
PIECES = (
    *("It's", "WE'LL", "don't", "'T", "the", " capital", "1", "234567", "½", "٣", " ", "   ", "\n", "\r\n", "\t"),
    *("é", "水", "🌍", "👩\u200d🚀", "ß", "\u00a0", "\u3000", "!?", "...", "<|im_start|>", "<|im_end|>", "<|", "|>"),
    *(" unmerged", "unmerged"),
)
SPLITTINGS = ["gpt-2", "smollm", "qwen2", "llama-bpe"]


@functools.cache
def careless_vocabulary() -> Vocabulary:
    """One whose merges know no words, so that ids tell where a text was cut; and tokens that no merge makes."""
    dice = random.Random(6)
    learned = [piece for piece in PIECES if not piece.startswith(("<|im", " un", "un"))]
    corpus = "".join(dice.choices(learned, k=6000))
    vocabulary = train_vocabulary(corpus, size=1200, across_words=True)
    return vocabulary._replace(tokens=[*vocabulary.tokens, "Ġunmerged", "unmerged"])


@pytest.fixture(scope="module", params=SPLITTINGS)
def twin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    path = tmp_path_factory.mktemp("model") / f"{request.param}.gguf"
    write_tiny_gguf(path, vocabulary=careless_vocabulary(), splitting=request.param, add_bos=None)
    with (
        LocalEngine(path) as engine,
        Client(provider="llamacpp", base_url=engine.base_url, api_key=engine.api_key) as client,
    ):
        yield Twin(load(path), client)


@pytest.mark.model
@pytest.mark.network
@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30))
def test_ids_of_a_gguf_are_those_of_llamacpp(twin: Twin, text: str) -> None:
    twin.same(text)


@pytest.mark.model
@pytest.mark.network
def test_prompts_of_a_gguf_are_those_of_llamacpp(twin: Twin) -> None:
    """Also the token that llama.cpp puts before a prompt, and only where it does."""
    prompt = twin.here.render(CHAT)
    by_server = twin.there.render(model="m", messages=CHAT)
    assert prompt.token_ids == by_server.token_ids
    assert prompt.text == by_server.text


@pytest.fixture(scope="module")
def smollm2() -> Path:
    try:
        return find_model()
    except LocalEngineError as error:
        pytest.skip(str(error))


@pytest.mark.model
def test_smollm2_is_rendered_as_vllm_renders_it(smollm2: Path) -> None:
    """The ids are those that a vLLM with the same model answered, see ``test_render_by_server``."""
    renderer = load(smollm2)
    assert renderer.render(CHAT).token_ids.tolist() == CAPITAL_IDS
    assert renderer.encode("naïve café 🦜").tolist() == [3546, 46494, 37366, 15107, 116, 246]
    assert renderer.added_tokens[2] == "<|im_end|>"
    assert renderer.stop_ids == {2}


@pytest.mark.model
@pytest.mark.network
def test_smollm2_is_rendered_as_llamacpp_renders_it(smollm2: Path) -> None:
    with (
        LocalEngine(smollm2) as engine,
        Client(provider="llamacpp", base_url=engine.base_url, api_key=engine.api_key) as client,
    ):
        twin = Twin(load(smollm2), client)
        conversation = [*CHAT, {"role": "assistant", "content": "Paris"}, {"role": "user", "content": "Grüße 🌍 12345"}]
        assert twin.here.render(conversation).token_ids == client.render(model="m", messages=conversation).token_ids
        for text in ("A 12345 b", "it's\n\n  fine", "<|im_start|>user\n<|im_end|>", "ελπίδα 水と火", "x" * 999):
            twin.same(text)
        # Two turns, by ids alone: the second prompt begins with the first and with what was sampled.
        reply = client.chat(model="m", messages=CHAT, max_tokens=24, temperature=0, logprobs=True)
        assert reply.logprobs is not None
        output = [token.token_id for token in reply.logprobs if token.token_id is not None]
        prompt = twin.here.render(CHAT).token_ids
        longer = twin.here.bridge_to_next_turn(prompt, output, [{"role": "user", "content": "And of Spain?"}])
        assert longer is not None
        assert longer[: len(prompt) + len(output)].tolist() == [*prompt, *output]
        said = {"role": "assistant", "content": reply.text}
        again = client.render(model="m", messages=[*CHAT, said, {"role": "user", "content": "And of Spain?"}])
        assert twin.here.decode(longer) == again.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is no GGUF file"),
        (lambda data: b"PK" + data[2:], "does not begin with GGUF"),
        (lambda data: data[:4] + b"\x09" + data[5:], "version 9"),
        (lambda data: data[:300], "damaged"),
        (lambda data: data.replace(b"gpt2", b"bert", 1), "kind 'bert'.*tokenizer.json"),
        (lambda data: data.replace(b"gpt-2", b"gpt-9", 1), "kind 'gpt-9'.*smollm"),
        (lambda data: data.replace(b"tokenizer.ggml.tokens", b"tokenizer.ggml.nothing"[:21]), "damaged"),
    ],
)
def test_damaged_ggufs(damage: Any, message: str, tmp_path: Path) -> None:
    whole = write_tiny_gguf(tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "damaged.gguf"
    path.write_bytes(damage(whole))
    with pytest.raises(InvalidRequestError, match=message):
        load(path)


@settings(max_examples=200)
@given(st.integers(0, 9000), st.binary(min_size=1, max_size=8))
def test_a_gguf_with_any_bytes_changed_loads_or_is_an_error_of_ours(tiny: Path, at: int, noise: bytes) -> None:
    whole = tiny.read_bytes()
    path = tiny.with_name("noisy.gguf")
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    with contextlib.suppress(InvalidRequestError):
        load(path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot read"):
        load(tmp_path / "absent.gguf")


def test_a_gguf_may_be_given_another_template(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    assert load(path).template.source == CHATML
    assert load(path, chat_template="x").render(QUESTION).text == "x"
    shutil.copy(path, tmp_path / "other.gguf")
    assert load(tmp_path / "other.gguf") is not load(path)
