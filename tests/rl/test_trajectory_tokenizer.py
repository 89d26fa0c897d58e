"""Causes with a real tokenizer: a byte-level BPE that ``tokenizers`` trains on the spot.

Real: the tokenizer, so the texts of half characters, merges and special tokens are as trainers meet them. The sampled
ids are cuts of a text that the tokenizer itself would not make, which is what sampling does.
"""

from __future__ import annotations

import functools
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from nxlog.trajectory import PrefixCause, PrefixCheck, PrefixVerdict, Trajectory
from tests.rl.trajectory_turns import sampled

END, THINK, END_THINK = "<|im_end|>", "<think>", "</think>"
TEXTS = (
    "It is true that the weather in Zürich is fine today; the answer is 42.",
    'I look it up: {"name": "search", "arguments": {"query": "naïve café 東京", "limit": false}}',
    "Emoji are pieces of characters: 🙂🙃 and so are 東京都の天気。",
)


@functools.cache
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, THINK, END_THINK, "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def encode(text: str) -> list[int]:
    return tokenizer().encode(text).ids


def decode(ids: list[int]) -> str:
    return tokenizer().decode(ids, skip_special_tokens=False)


def as_sampled(text: str, seed: int) -> list[int]:
    """The same bytes in other tokens: some merges are undone, as a model may sample them."""
    cut = random.Random(seed)
    vocabulary = tokenizer().get_vocab()
    ids: list[int] = []
    for token in encode(text):
        piece = tokenizer().id_to_token(token)
        single = len(piece) > 1 and piece not in {END, THINK, END_THINK, "<|im_start|>"} and cut.random() < 0.3
        ids += [vocabulary[character] for character in piece] if single else [token]
    return ids


PROMPT = encode(f"<|im_start|>user\nhi{END}\n<|im_start|>assistant\n")
STOP = encode(END)
NEXT = encode(f"\n<|im_start|>user\nand?{END}\n<|im_start|>assistant\n")


def check_of(output: list[int], history: list[int], **more: object) -> PrefixCheck:
    first = sampled(PROMPT, output, **({"stop_token_included": True} | more))
    trajectory = Trajectory([first, sampled([*PROMPT, *history, *NEXT], [*encode("so."), *STOP])], decode=decode)
    check = trajectory.steps[1].check
    assert check is not None
    return check


@given(st.sampled_from(TEXTS), st.integers(0, 1000))
def test_text_that_is_tokenized_again_is_recognized(text: str, seed: int) -> None:
    output = [*as_sampled(text, seed), *STOP]
    again = [*encode(decode(output[:-1])), *STOP]
    assume(again != output)
    check = check_of(output, again)
    assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.RETOKENIZATION)


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_ids_are_no_break(text: str) -> None:
    output = [*encode(text), *STOP]
    assert check_of(output, output).verdict is PrefixVerdict.EXTEND


def test_a_boolean_that_python_wrote_is_the_template() -> None:
    output = [*encode(TEXTS[1]), *STOP]
    history = [*encode(TEXTS[1].replace("false", "False")), *STOP]
    check = check_of(output, history)
    assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.TEMPLATE)
    assert check.found is not None
    assert "False" in check.found


def test_reasoning_that_is_left_out() -> None:
    output = [*encode(f"{THINK}\n{TEXTS[0]}\n{END_THINK}\n\n{TEXTS[2]}"), *STOP]
    more = {"reasoning": TEXTS[0], "content": TEXTS[2]}
    for history in (TEXTS[2], f"{THINK}\n\n{END_THINK}\n\n{TEXTS[2]}"):
        check = check_of(output, [*encode(history), *STOP], **more)
        assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.STRIPPED_REASONING)


def test_a_stop_token_that_the_history_replaces() -> None:
    output = [*encode(TEXTS[0]), *encode(END_THINK)]
    check = check_of(output, [*encode(TEXTS[0]), *STOP])
    assert (check.verdict, check.cause) == (PrefixVerdict.REALIGN, PrefixCause.STOP_TOKEN)


def test_an_answer_that_was_cut_and_ends_in_half_a_character() -> None:
    """Finished by ``length``: the history has a replacement character and a stop token that were not sampled."""
    whole = as_sampled(TEXTS[2], 3)
    cut = next(end for end in range(8, len(whole)) if decode(whole[:end]).endswith("\ufffd"))
    check = check_of(
        whole[:cut], [*encode(decode(whole[:cut])), *STOP], finish_reason="length", stop_token_included=False
    )
    assert check.verdict is PrefixVerdict.REALIGN
    assert check.cause is PrefixCause.RETOKENIZATION
