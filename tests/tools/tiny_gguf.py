"""A chat model of half a megabyte, made on the spot: random weights, a tokenizer of its own, a ChatML template.

llama.cpp serves it in 20 milliseconds. What it says is noise, and that is the point: half of its tokens are single
bytes, so its answers are full of split and broken UTF-8, and its exact log-probabilities can be computed without
llama.cpp (``numpy_llama.py``). The same versions of gguf, numpy and tokenizers write the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import gguf
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CORPUS = """\
A token has a probability, and its logarithm is what a program wants to know.
Name the capital of France in one word. The capital of France is Paris.
Yes. No. Maybe. One, two, three: 1 2 3. Is the sky blue? The sky is blue.
Grüße, façade, Ångström, ελπίδα, правда, 水と火, 🌍🌱🔥 👩‍🚀
"""
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BOS, EOS = 0, 2
CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


class Shape(NamedTuple):
    """Sizes of the network."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 160
    context: int = 2048

    @property
    def head(self) -> int:
        return self.width // self.heads


class Vocabulary(NamedTuple):
    """Byte-level BPE as a GGUF wants it: tokens in the order of their ids, merges as pairs of tokens."""

    tokens: list[str]
    merges: list[str]


def write_tiny_gguf(
    path: Path,
    *,
    seed: int = 20,
    vocabulary: Vocabulary | None = None,
    splitting: str = "gpt-2",
    add_bos: bool | None = False,
) -> Path:
    """Write the model to ``path`` and return it.

    Args:
        path: where to.
        seed: of the weights.
        vocabulary: another than the one of ``train_vocabulary``.
        splitting: llama.cpp's name for how texts are cut before they are tokenized.
        add_bos: whether a prompt begins with the first token; None leaves it to llama.cpp.
    """
    shape = Shape()
    vocabulary = vocabulary or train_vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    _write_header(writer, shape, vocabulary)
    writer.add_tokenizer_pre(splitting)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    for name, tensor in random_weights(shape, len(vocabulary.tokens), seed).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def train_vocabulary(
    corpus: str = CORPUS, *, size: int = 352, across_words: bool = False, ascii_only: bool = False
) -> Vocabulary:
    """Every byte is a token; the most frequent pairs of the corpus are merged on top of that.

    With ASCII only, no token is a part of a character.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if ascii_only:
        # Bytes that can be printed stand for themselves; U+0100 to U+0121 stand for the other ones below 0x80.
        alphabet = [character for character in alphabet if not 0x7F <= ord(character) < 0x100 and character <= "\u0121"]
        corpus = "".join(character for character in corpus if character.isascii())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not across_words)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=CONTROL,
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator([corpus] * 4, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(trained["vocab"], key=trained["vocab"].__getitem__)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in trained["merges"]]
    return Vocabulary(tokens, merges)


def random_weights(shape: Shape, vocabulary: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Normal weights, scaled so that the next-token distribution is neither flat nor a single spike."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, gain: float) -> NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * (gain / columns**0.5)).astype(np.float32)

    kv = shape.kv_heads * shape.head
    weights = {"token_embd.weight": matrix(vocabulary, shape.width, 6.0)}
    for layer in range(shape.layers):
        block = {
            "attn_norm": np.ones(shape.width, np.float32),
            "attn_q": matrix(shape.width, shape.width, 1.4),
            "attn_k": matrix(kv, shape.width, 1.4),
            "attn_v": matrix(kv, shape.width, 1.4),
            "attn_output": matrix(shape.width, shape.width, 1.4),
            "ffn_norm": np.ones(shape.width, np.float32),
            "ffn_gate": matrix(shape.hidden, shape.width, 1.4),
            "ffn_up": matrix(shape.hidden, shape.width, 1.4),
            "ffn_down": matrix(shape.width, shape.hidden, 1.4),
        }
        weights |= {f"blk.{layer}.{name}.weight": tensor for name, tensor in block.items()}
    weights["output_norm.weight"] = np.ones(shape.width, np.float32)
    weights["output.weight"] = matrix(vocabulary, shape.width, 2.2)
    return weights


def _write_header(writer: gguf.GGUFWriter, shape: Shape, vocabulary: Vocabulary) -> None:
    writer.add_name("nxlog tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(10_000.0)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_merges(vocabulary.merges)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in CONTROL else gguf.TokenType.NORMAL for token in vocabulary.tokens]
    )
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_chat_template(CHATML)
