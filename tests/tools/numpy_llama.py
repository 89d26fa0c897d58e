"""The truth: log-probabilities of a Llama GGUF, computed with NumPy in 64-bit floats and nothing of llama.cpp.

``NumpyLlama(path).logprobs(ids)[i]`` is the natural-log distribution of the token that follows ``ids[: i + 1]``, at
temperature 1 and before any sampling filter. ``pieces`` are the bytes of each token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class NumpyLlama:
    """A Llama with grouped-query attention and rotary positions, read from a GGUF of any tensor type."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)

        def value(key: str) -> Any:
            return reader.fields[key].contents()

        if value("general.architecture") != "llama":
            raise ValueError(f"{path}: not a Llama")
        self.layers: int = value("llama.block_count")
        self.heads: int = value("llama.attention.head_count")
        self.kv_heads: int = value("llama.attention.head_count_kv")
        self.head: int = value("llama.embedding_length") // self.heads
        self.epsilon: float = value("llama.attention.layer_norm_rms_epsilon")
        self.rope_base: float = value("llama.rope.freq_base")
        self.pieces = _pieces(value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type"))
        self._weights: dict[str, Array] = {}
        for tensor in reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            # A GGUF lists dimensions from the innermost.
            self._weights[tensor.name] = values.reshape(tensor.shape[::-1]).astype(np.float64)

    def logprobs(self, ids: Sequence[int]) -> Array:
        """One row per position: the log-softmax over the vocabulary for the next token."""
        x = self._weights["token_embd.weight"][list(ids)]
        angles = self._angles(len(ids))
        for layer in range(self.layers):
            x = x + self._attention(layer, self._norm(f"blk.{layer}.attn_norm", x), angles)
            x = x + self._feed_forward(layer, self._norm(f"blk.{layer}.ffn_norm", x))
        head = self._weights.get("output.weight", self._weights["token_embd.weight"])
        logits = self._norm("output_norm", x) @ head.T
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def _linear(self, name: str, x: Array) -> Array:
        return x @ self._weights[f"{name}.weight"].T

    def _norm(self, name: str, x: Array) -> Array:
        scale = np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + self.epsilon)
        return x / scale * self._weights[f"{name}.weight"]

    def _angles(self, length: int) -> Array:
        frequencies = self.rope_base ** -(np.arange(self.head // 2) * 2 / self.head)
        return np.outer(np.arange(length), frequencies)[:, None, :]

    @staticmethod
    def _rotate(x: Array, angles: Array) -> Array:
        # A GGUF stores query and key rows so that neighbors form the pairs that turn together.
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = np.empty_like(x)
        turned[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
        turned[..., 1::2] = odd * np.cos(angles) + even * np.sin(angles)
        return turned

    def _attention(self, layer: int, x: Array, angles: Array) -> Array:
        name, length = f"blk.{layer}.attn", len(x)
        query = self._rotate(self._linear(f"{name}_q", x).reshape(length, self.heads, self.head), angles)
        key = self._rotate(self._linear(f"{name}_k", x).reshape(length, self.kv_heads, self.head), angles)
        value = self._linear(f"{name}_v", x).reshape(length, self.kv_heads, self.head)
        future = np.triu(np.ones((length, length), bool), k=1)
        mixed = np.empty_like(query)
        for head in range(self.heads):
            shared = head * self.kv_heads // self.heads
            scores = query[:, head] @ key[:, shared].T / self.head**0.5
            scores[future] = -np.inf
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, head] = weights / weights.sum(axis=1, keepdims=True) @ value[:, shared]
        return self._linear(f"{name}_output", mixed.reshape(length, -1))

    def _feed_forward(self, layer: int, x: Array) -> Array:
        gate = self._linear(f"blk.{layer}.ffn_gate", x)
        swish = gate / (1 + np.exp(-gate))
        return self._linear(f"blk.{layer}.ffn_down", swish * self._linear(f"blk.{layer}.ffn_up", x))


def _pieces(tokens: Sequence[str], types: Sequence[int]) -> list[bytes]:
    """The bytes each token adds to an answer; control tokens add none."""
    alphabet = _byte_alphabet()
    return [
        b"" if kind == gguf.TokenType.CONTROL else bytes(alphabet[character] for character in token)
        for token, kind in zip(tokens, types, strict=True)
    ]


def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE writes a printable byte as itself and the others, in order, as the characters from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(0x100) if byte not in printable)
    return alphabet | {chr(0x100 + position): byte for position, byte in enumerate(others)}
