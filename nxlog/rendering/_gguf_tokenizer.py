"""The tokenizer that a GGUF file describes, built from the parts of ``tokenizers``.

A GGUF holds the vocabulary and the merges of a byte-level BPE, and only the name of how text is split before. The
names here are those whose splitting was compared with llama.cpp's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

_CONTRACTIONS = r"'s|'t|'re|'ve|'m|'ll|'d"
_ANY_CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_GPT2 = rf"{_CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
_LATER = rf"{_ANY_CASE}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class _Splitting(NamedTuple):
    patterns: tuple[str, ...]
    whole_words: bool = False
    """Whether a piece that is a token is taken before any merge is tried."""
    adds_bos: bool = False
    """Whether prompts begin with the first token where the file does not say."""


_SPLITTINGS = {
    "gpt-2": _Splitting((_GPT2,)),
    "smollm": _Splitting((r"\p{N}", _GPT2)),
    "qwen2": _Splitting((_LATER % r"\p{N}",)),
    "llama-bpe": _Splitting((_LATER % r"\p{N}{1,3}",), whole_words=True, adds_bos=True),
}
_SPECIAL, _USER_DEFINED = 3, 4
_STOPS = ("eos_token_id", "eot_token_id", "eom_token_id")


def bpe_tokenizer(tokenizers: Any, fields: dict[str, Any], path: Path) -> Any:
    """The tokenizer.

    Raises:
        InvalidRequestError: it is of another kind, or split in a way that is not known here.
    """
    kind, splitting = fields.get("tokenizer.ggml.model"), _splitting(fields)
    if kind != "gpt2" or splitting is None:
        name = fields.get("tokenizer.ggml.pre") if kind == "gpt2" else kind
        raise InvalidRequestError(
            f"{path} has a tokenizer of kind {name!r}; those that can be read from a GGUF are "
            f"{', '.join(_SPLITTINGS)}. Use the folder with the model's tokenizer.json",
            param="path",
        )
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: id_ for id_, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab=vocabulary, merges=merges, ignore_merges=splitting.whole_words)
    )
    split, bytes_ = tokenizers.pre_tokenizers.Split, tokenizers.pre_tokenizers.ByteLevel
    pieces = [split(tokenizers.Regex(pattern), "isolated") for pattern in splitting.patterns]
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*pieces, bytes_(add_prefix_space=False, use_regex=False)])
    made.decoder = tokenizers.decoders.ByteLevel()
    for kind_of_token, special in ((_SPECIAL, True), (_USER_DEFINED, False)):
        texts = [text for text, number in zip(tokens, types, strict=True) if number == kind_of_token]
        added = [tokenizers.AddedToken(text, special=special, normalized=False) for text in texts]
        (made.add_special_tokens if special else made.add_tokens)(added)
    return made


def special_tokens(fields: dict[str, Any]) -> dict[str, str]:
    """The tokens that templates ask for by name."""
    tokens = fields["tokenizer.ggml.tokens"]
    ids = {name: fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    return {f"{name}_token": tokens[id_] for name, id_ in ids.items() if id_ is not None}


def stop_tokens(fields: dict[str, Any]) -> set[int]:
    """The ids of the tokens that end a turn."""
    ids = (fields.get(f"tokenizer.ggml.{name}") for name in _STOPS)
    return {id_ for id_ in ids if id_ is not None}


def added_bos(fields: dict[str, Any]) -> int | None:
    """The token that the tokenizer puts before every prompt."""
    splitting = _splitting(fields)
    adds = fields.get("tokenizer.ggml.add_bos_token", splitting is not None and splitting.adds_bos)
    return fields.get("tokenizer.ggml.bos_token_id") if adds else None


def _splitting(fields: dict[str, Any]) -> _Splitting | None:
    return _SPLITTINGS.get(fields.get("tokenizer.ggml.pre", ""))
