"""``Renderer``: prompts in this process, by a tokenizer and a chat template."""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING, Any, Protocol

from nxlog.rendered import Rendered, RenderSource
from nxlog.rendering.bridge import bridge
from nxlog.rendering.template import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nxlog.rendering.bridge import Bridge


class Encoding(Protocol):
    """What ``encode`` of a tokenizer gives."""

    @property
    def ids(self) -> list[int]:
        """The ids."""
        ...


class Tokenizer(Protocol):
    """What is asked of a ``tokenizers.Tokenizer``."""

    def encode(self, sequence: str, /, *, add_special_tokens: bool) -> Encoding:
        """Ids of a text."""
        ...

    def decode(self, ids: Sequence[int], /, *, skip_special_tokens: bool) -> str:
        """Text of ids."""
        ...

    def get_added_tokens_decoder(self) -> Mapping[int, Any]:
        """The tokens that are found in a text before it is tokenized, by id."""
        ...

    def get_vocab_size(self) -> int:
        """How many ids there are."""
        ...


class Renderer:
    """Renders conversations as a model reads them; safe to share between threads.

    ``nxlog.rendering.load`` makes one from a model's files.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``. It must not cut or pad.
        template: the chat template, as text or compiled.
        stop_ids: ids of the tokens that end a turn.
        bos_id: the token that begins every prompt, for a tokenizer that puts it there itself.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate | str,
        *,
        stop_ids: Iterable[int] = (),
        bos_id: int | None = None,
    ) -> None:
        self.tokenizer: Tokenizer = tokenizer
        self.template: ChatTemplate = ChatTemplate(template) if isinstance(template, str) else template
        self.stop_ids: frozenset[int] = frozenset(stop_ids)
        self.size: int = tokenizer.get_vocab_size()
        added = tokenizer.get_added_tokens_decoder()
        self.added_tokens: dict[int, str] = {id_: str(token.content) for id_, token in added.items()}
        self.special_ids: frozenset[int] = frozenset(id_ for id_, token in added.items() if token.special)
        self._bos_id = bos_id
        # A tokenizer caches while it encodes; decoding changes nothing.
        self._encoding = threading.Lock()

    def render(
        self,
        messages: Iterable[object],
        *,
        tools: Iterable[object] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> Rendered:
        """The conversation as a prompt; arguments as of ``ChatTemplate.render``.

        Raises:
            InvalidRequestError: the template refuses the messages, or they have what it cannot write.
        """
        text = self.template.render(messages, tools=tools, add_generation_prompt=add_generation_prompt, **variables)
        ids = self.encode(text)
        if self._bos_id is not None and ids[:1] != array("i", [self._bos_id]):
            ids.insert(0, self._bos_id)
        return Rendered(ids, text, RenderSource.LOCAL)

    def encode(self, text: str) -> array[int]:
        """The ids of a text in which special tokens are spelled out; none is added."""
        with self._encoding:
            return array("i", self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids; bytes that are no UTF-8 are replaced."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def bridge(
        self,
        prev_prompt_ids: Sequence[int],
        prev_output_ids: Sequence[int],
        new_messages: Iterable[object],
        tools: Iterable[object] | None = None,
        **variables: Any,
    ) -> Bridge:
        """The prompt of the next turn as an extension of the last one, or why that cannot be proven."""
        return bridge(self, prev_prompt_ids, prev_output_ids, new_messages, tools, variables)

    def bridge_to_next_turn(
        self,
        prev_prompt_ids: Sequence[int],
        prev_output_ids: Sequence[int],
        new_messages: Iterable[object],
        tools: Iterable[object] | None = None,
        **variables: Any,
    ) -> array[int] | None:
        """The same: ids that begin with the previous ones, id for id, or None.

        Args:
            prev_prompt_ids: the prompt of the last turn.
            prev_output_ids: what was sampled in it, with or without the stop token.
            new_messages: what is said next: the user, results of tools.
            tools: what the model may call, as in the last turn.
            variables: for the template, as in the last turn.
        """
        return self.bridge(prev_prompt_ids, prev_output_ids, new_messages, tools, **variables).ids
