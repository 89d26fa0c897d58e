"""together-columns: openai-chat whose logprobs are columns, records, or in a stream one number beside the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.readers import Json, Part, Reader, table
from tests.conformance.readers import openai_chat as chat
from tests.conformance.readers.openai_completions import records

if TYPE_CHECKING:
    from collections.abc import Iterator


def parts(event: Json) -> Iterator[Part]:
    for choice in event.get("choices", ()):
        said = table(choice.get("message") or choice.get("delta"))
        value: Any = choice.get("logprobs")
        found = [_number(choice, said)] if isinstance(value, int | float) else _columns(value) if value else []
        yield Part(
            own=choice,
            index=choice["index"],
            said={key: text for key, text in said.items() if isinstance(text, str)},
            logprobs={"content": found},
            tool_calls=bool(said.get("tool_calls")),
            ending=choice.get("finish_reason"),
        )


def _columns(value: Json) -> list[Json]:
    """The records, each with the id that the columns have for it."""
    found, ids = records(value), value.get("token_ids") or []
    return [{**record, "token_ids": one} for record, one in zip(found, ids, strict=True)] if ids else found


def _number(choice: Json, said: Json) -> Json:
    tops = table(choice.get("top_logprobs")).items()
    return {
        "token": said.get("content"),
        "logprob": choice["logprobs"],
        "token_id": said.get("token_id"),
        "top_logprobs": [{"token": text, "logprob": value} for text, value in tops],
    }


def request(body: Json) -> Json:
    count = body.get("logprobs")
    asked = {} if count is None else {"logprobs": True, "top_logprobs": count}
    return chat.request({key: value for key, value in body.items() if key != "logprobs"} | asked)


READER = Reader(parts, chat.usage, request)
