"""What nxlog reads of a reply or an event of ``sglang-generate``; the rest stays reachable through ``raw``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Raw, Struct

from nxlog._json import NULL, integer, loads, loads_anything
from nxlog.response import Usage
from nxlog.wire._flat_alternatives import FlatAlternatives, flat_alternatives
from nxlog.wire._token_ids import prompt_logprobs_of_tuples, versions_of
from nxlog.wire._tuple_records import items_of, unite
from nxlog.wire.base import not_the_shape
from nxlog.wire.errors import event_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nxlog.logprobs import LogprobsData
    from nxlog.turn import WeightVersion

NAME = "sglang-generate"


class Meta(FlatAlternatives, gc=False, kw_only=True):
    """``meta_info``. In a stream the counts are of all tokens so far, also where an event has only the new ones."""

    id: str | None = None
    finish_reason: Raw = NULL
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    output_token_logprobs: Raw = NULL
    output_token_logprobs_length: int | None = None
    output_top_logprobs: Raw = NULL
    output_token_ids_logprobs: Raw = NULL
    input_token_logprobs: Raw = NULL
    input_top_logprobs: Raw = NULL
    weight_version: Raw = NULL
    weight_versions: Raw = NULL

    @property
    def ending(self) -> dict[str, Any]:
        """Why the answer ended: ``{"type": "length", "length": 6}``; empty while it has not."""
        value = None if self.finish_reason == NULL else loads_anything(self.finish_reason)
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        return {"type": value} if isinstance(value, str) else {}

    @property
    def finish_word(self) -> str | None:
        """The type of the ending, whose ``stop`` and ``length`` are those of OpenAI."""
        word = self.ending.get("type")
        return word if isinstance(word, str) else None

    @property
    def stop_reason(self) -> str | int | None:
        """The stop text or the stop token's id."""
        matched = self.ending.get("matched")
        return matched if isinstance(matched, str) else integer(matched)

    @property
    def versions(self) -> tuple[WeightVersion, ...]:
        """The weights that generated the answer."""
        return versions_of(self.weight_versions, self.weight_version, generated=self.completion_tokens)

    @property
    def prompt_logprobs(self) -> LogprobsData | None:
        """The records of the prompt, as far as they were asked for."""
        return prompt_logprobs_of_tuples(self.input_token_logprobs, self.input_top_logprobs)

    def prompt_ids(self, records: LogprobsData | None) -> list[int] | None:
        """The ids of the prompt, where the records are those of all of it."""
        ids = [record.token_id for record in records or ()]
        return None if None in ids or not ids or len(ids) != self.prompt_tokens else cast("list[int]", ids)

    @property
    def alternatives(self) -> Sequence[Raw]:
        """The alternatives of every token record."""
        ranked = items_of(self.output_top_logprobs) or flat_alternatives(self)
        return unite(ranked, items_of(self.output_token_ids_logprobs))


class Reply(Struct, gc=False):
    """The answer to one prompt, or an event about one."""

    text: str | None = None
    output_ids: Raw = NULL
    meta_info: Meta | None = None
    index: int | None = None
    error: Raw = NULL


decoder = msgspec.json.Decoder(Reply)


def raise_error(reply: Reply, data: bytes) -> None:
    """Raise for what is an error in place of an answer.

    Raises:
        StatusError: the server says that something went wrong.
        DecodeError: this is no answer.
    """
    text = data.decode("utf-8", "replace")
    if reply.error != NULL and (error := loads(reply.error)):
        raise event_error({"error": error}, text)
    if reply.meta_info is None and reply.text is None and reply.output_ids == NULL:
        value = loads_anything(Raw(data))
        if isinstance(value, dict) and "message" in value:
            raise event_error(cast("object", value), text)
        raise not_the_shape(NAME, data, "it has neither text nor meta_info")


def raise_abort(meta: Meta, data: bytes) -> None:
    """Raise for an answer that the server gave up, unless it did so because somebody asked for it.

    Raises:
        StatusError: the ending has an error status.
    """
    ending = meta.ending
    status = ending.get("status_code")
    if ending.get("type") == "abort" and isinstance(status, int) and status >= 400:
        error = {"message": ending.get("message"), "type": ending.get("err_type"), "code": status}
        raise event_error({"error": error}, data.decode("utf-8", "replace"))


def usage_of(metas: Sequence[Meta]) -> Usage | None:
    """The counts of all answers to one prompt, each of which counts the prompt."""
    prompt = metas[0].prompt_tokens
    completion = _sum([meta.completion_tokens for meta in metas])
    if prompt is None and completion is None:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        reasoning_tokens=_sum([meta.reasoning_tokens for meta in metas]),
        cached_tokens=metas[0].cached_tokens,
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
