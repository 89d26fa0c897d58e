"""Chat templates of model families, written for these tests, with tokenizers of the families' kinds, trained here.

Each template does what makes its family hard: where tools stand, what becomes of reasoning in earlier turns, which
token ends a turn, which roles are refused.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from nxlog.rendering import ChatTemplate, Renderer
from tests.tools.tiny_gguf import CORPUS

QWEN = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'Tools:' }}
    {%- for tool in tools %}{{- '\\n' + tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set asked = namespace(last=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set asked.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set text = message.content %}
        {%- if '</think>' in text and loop.index0 < asked.last %}
            {%- set text = text.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' + text }}
        {%- for call in message.tool_calls or [] %}
            {%- if text or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""

LLAMA3 = """\
{{- bos_token }}
{%- set first = messages[0] %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if first.role == 'system' %}{{- first.content | trim }}{%- set messages = messages[1:] %}{%- endif %}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content | tojson + '<|eot_id|>' }}
    {%- elif message.tool_calls %}
        {%- if message.tool_calls | length != 1 %}{{ raise_exception('one call at a time') }}{%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson + '}' + ('<|eom_id|>' if tools else '<|eot_id|>') }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {%- if tools and loop.first %}
            {{- 'Functions:' }}
            {%- for tool in tools %}{{- '\\n' + tool | tojson(indent=4) }}{%- endfor %}
            {{- '\\n\\n' }}
        {%- endif %}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
"""

MISTRAL = """\
{{- bos_token }}
{%- set users = messages | selectattr('role', 'equalto', 'user') | list %}
{%- set turn = namespace(user=true) %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
        {%- if (message.role == 'user') != turn.user %}{{ raise_exception('roles must alternate') }}{%- endif %}
        {%- set turn.user = not turn.user %}
    {%- endif %}
    {%- if message.role == 'user' %}
        {%- if tools and message == users[-1] %}
            {{- '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST] ' + message.content + '[/INST]' }}
    {%- elif message.tool_calls %}
        {{- '[TOOL_CALLS] [' }}
        {%- for call in message.tool_calls %}
            {%- if call.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{%- endif %}
            {{- '{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson }}
            {{- ', "id": "' + call.id + '"}' + ('' if loop.last else ', ') }}
        {%- endfor %}
        {{- ']' + eos_token }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content | trim + eos_token }}
    {%- elif message.role == 'tool' %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | tojson + ', "call_id": "' + message.tool_call_id }}
        {{- '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{ raise_exception('only user, assistant and tool') }}
    {%- endif %}
{%- endfor %}
"""

MISTRAL_TOKENS = (
    *("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    *("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
)

GEMMA = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{%- endif %}
{%- for message in messages %}
    {%- set expected = 'assistant' if loop.index0 % 2 else 'user' %}
    {%- if message.role != expected %}{{ raise_exception('roles must alternate') }}{%- endif %}
    {%- set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}
"""

SMOLLM2 = """\
{% for message in messages %}{% if loop.first and message.role != 'system' %}\
{{ '<|im_start|>system\\nA helpful assistant<|im_end|>\\n' }}{% endif %}\
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

GLM = """\
[gMASK]<sop>
{%- if tools %}{{- '<|system|>\\n' }}{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|observation|>' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
    {%- else %}
        {{- '<|' + message.role + '|>\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\\n<tool_call>' + call.function.name }}
            {%- for key, value in call.function.arguments.items() %}
                {{- '\\n<arg_key>' + key + '</arg_key>\\n<arg_value>' }}
                {{- (value if value is string else value | tojson) + '</arg_value>' }}
            {%- endfor %}
            {{- '\\n</tool_call>' }}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
"""

DEEPSEEK = """\
{{- bos_token }}
{%- for message in messages if message.role == 'system' %}{{- message.content }}{%- endfor %}
{%- set after = namespace(result=false) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|User|>' + message.content + ('' if loop.last else '<|Assistant|>') }}
    {%- elif message.role == 'assistant' %}
        {{- message.content.split('</think>')[-1] }}
        {%- for call in message.tool_calls or [] %}
            {{- '<|tool_call_begin|>' + call.function.name + '\\n' + call.function.arguments | tojson }}
            {{- '<|tool_call_end|>' }}
        {%- endfor %}
        {{- eos_token }}
    {%- elif message.role == 'tool' %}
        {{- '<|tool_output_begin|>' + message.content + '<|tool_output_end|>' }}
    {%- endif %}
    {%- set after.result = message.role == 'tool' %}
{%- endfor %}
{%- if add_generation_prompt and not after.result %}{{- '<|Assistant|>' }}{%- endif %}
"""

HARMONY = """\
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if not messages[loop.index0 - 1].tool_calls and messages[loop.index0 - 1].role != 'tool' %}
            {{ raise_exception('a result of no call') }}
        {%- endif %}
        {{- '<|start|>functions.tool to=assistant<|message|>' + message.content + '<|end|>' }}
    {%- elif message.tool_calls %}
        {%- for call in message.tool_calls %}
            {{- '<|start|>assistant to=functions.' + call.function.name + '<|channel|>commentary json<|message|>' }}
            {{- call.function.arguments | tojson + '<|call|>' }}
        {%- endfor %}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}
"""

KIMI = """\
{%- for message in messages %}
    {{- '<|im_' + message.role + '|>' + message.role + '<|im_middle|>' }}
    {%- if message.role == 'tool' %}{{- '## Return of ' + message.tool_call_id + '\\n' }}{%- endif %}
    {{- message.content }}
    {%- if message.tool_calls %}
        {{- '<|tool_calls_section_begin|>' }}
        {%- for call in message.tool_calls %}
            {{- '<|tool_call_begin|>' + call.id + '<|tool_call_argument_begin|>' + call.function.arguments | tojson }}
            {{- '<|tool_call_end|>' }}
        {%- endfor %}
        {{- '<|tool_calls_section_end|>' }}
    {%- endif %}
    {{- '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_assistant|>assistant<|im_middle|>' }}{%- endif %}
"""


@dataclass(frozen=True)
class Family:
    """A template and what its tokenizer knows.

    Attributes:
        special: special tokens.
        closing: what ends a turn.
        stops: all that may end one.
        added: added tokens that are not special.
        words: whether the tokenizer is of the kind that marks the starts of words, not of the kind of bytes.
        roles: roles that may follow an answer.
    """

    name: str
    template: str
    special: tuple[str, ...]
    closing: str
    stops: tuple[str, ...]
    added: tuple[str, ...] = ()
    words: bool = False
    roles: tuple[str, ...] = ("user", "tool", "system")
    bos: str | None = None

    def renderer(self) -> Renderer:
        return _renderer(self)


def marked(*names: str) -> tuple[str, ...]:
    return tuple(f"<|{name}|>" for name in names)


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "qwen",
            QWEN,
            ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
            "<|im_end|>",
            ("<|im_end|>", "<|endoftext|>"),
            ("<tool_call>", "</tool_call>", "<think>", "</think>"),
        ),
        Family(
            "llama3",
            LLAMA3,
            ("<|begin_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>"),
            "<|eot_id|>",
            ("<|eot_id|>", "<|eom_id|>"),
            bos="<|begin_of_text|>",
        ),
        Family(
            "mistral",
            MISTRAL,
            MISTRAL_TOKENS,
            "</s>",
            ("</s>",),
            words=True,
            roles=("user", "tool"),
            bos="<s>",
        ),
        Family(
            "gemma",
            GEMMA,
            ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
            "<end_of_turn>",
            ("<end_of_turn>", "<eos>"),
            words=True,
            roles=("user",),
            bos="<bos>",
        ),
        Family("smollm2", SMOLLM2, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|im_end|>", ("<|im_end|>",)),
        Family(
            "glm",
            GLM,
            ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
            "<|user|>",
            ("<|user|>", "<|observation|>"),
            ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
            roles=("user", "tool"),
        ),
        Family(
            "deepseek",
            DEEPSEEK,
            marked("bos", "eos", "User", "Assistant", "tool_call_begin", "tool_call_end")
            + marked("tool_output_begin", "tool_output_end"),
            "<|eos|>",
            ("<|eos|>",),
            roles=("user", "tool"),
            bos="<|bos|>",
        ),
        Family(
            "kimi",
            KIMI,
            marked("im_system", "im_user", "im_assistant", "im_tool", "im_middle", "im_end")
            + marked("tool_calls_section_begin", "tool_calls_section_end")
            + marked("tool_call_begin", "tool_call_argument_begin", "tool_call_end"),
            "<|im_end|>",
            ("<|im_end|>",),
        ),
    )
}

GPT_OSS = Family(
    "harmony",
    HARMONY,
    marked("start", "end", "message", "channel", "call", "return"),
    "<|end|>",
    ("<|return|>", "<|call|>"),
)
"""Answers end with another token than the one they have in a history."""


@functools.cache
def _renderer(family: Family) -> Renderer:
    tokenizer = train(words=family.words)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in family.special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in family.added])
    variables = {"bos_token": family.bos, "eos_token": family.closing}
    template = ChatTemplate(family.template, variables=variables)
    return Renderer(tokenizer, template, stop_ids=[tokenizer.token_to_id(text) for text in family.stops])


def train(*, words: bool = False) -> Any:
    """A tokenizer of the kind of GPT-2, or of the kind of SentencePiece."""
    corpus = [CORPUS] * 4
    if not words:
        tokenizer: Any = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(
            corpus, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
        )
        return tokenizer
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<0x00>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=600, special_tokens=bytes_, show_progress=False)
    )
    # The trainer makes special tokens of the bytes, which they are not in such a vocabulary.
    trained = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps({**trained, "added_tokens": []}))
