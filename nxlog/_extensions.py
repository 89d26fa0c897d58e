"""Fields that engines have and OpenAI's API has not: how a server says that it does not know one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nxlog.errors import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nxlog.errors import NxlogError
    from nxlog.request import ChatRequest

EXTENSIONS = ("return_token_ids", "prompt_logprobs", "logprob_token_ids", "stop_token_ids")


def refused_field(sent: ChatRequest, error: NxlogError, spelling: Mapping[str, str]) -> str | None:
    """The field that was sent and that the error names, if there is one.

    Only what the error says for people is read: many an error quotes the whole request beside it.
    """
    if not isinstance(error, StatusError) or error.status_code not in {400, 422}:
        return None
    told = f"{error.message} {error.param or ''}"
    for name in EXTENSIONS:
        words = {name, spelling.get(name) or name}
        if name == "return_token_ids" and spelling.get("return_prompt_token_ids"):
            words.add("return_prompt_token_ids")
        if getattr(sent, name) is not None and any(re.search(rf"\b{re.escape(word)}\b", told) for word in words):
            return name
    return None
