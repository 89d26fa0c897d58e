"""Cassettes as test cases: what was asked, what came back, read without nxlog's own parsers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nxlog.registry import Registry
from nxlog.request import ChatRequest

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
PROVIDERS = [provider for provider in Registry.builtin() if (FIXTURES / provider.id).is_dir()]

_SPELLINGS = {"max_completion_tokens": "max_tokens", "stop_sequences": "stop"}


@dataclass(frozen=True)
class Case:
    """One recorded exchange of one provider."""

    provider: str
    name: str
    path: Path
    wire: str
    body: dict[str, Any]
    status: int
    reply: str
    metadata: dict[str, Any]
    """Where it comes from: captured or documented, and the server's version."""

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def base_url(self) -> str:
        return self.uri.rpartition("/chat/completions")[0] or self.uri.rpartition("/messages")[0]

    @property
    def uri(self) -> str:
        return self._interaction["request"]["uri"]

    @property
    def _interaction(self) -> dict[str, Any]:
        return _load(self.path)["interactions"][0]

    def request(self) -> ChatRequest:
        """The request of the recording in nxlog's words; what is no field of ours goes into provider_options."""
        known = set(ChatRequest.model_fields)
        if self.wire == "anthropic-messages":
            known -= {"tools", "tool_choice"}  # another shape; the wire's own tests turn ours into it
        fields = {_SPELLINGS.get(key, key): value for key, value in self.body.items()}
        for key in ("stream", "stream_options"):
            fields.pop(key, None)
        options = {key: fields.pop(key) for key in list(fields) if key not in known}
        return ChatRequest.model_validate({**fields, **({"provider_options": options} if options else {})})

    def events(self) -> list[dict[str, Any]]:
        """The JSON objects of the reply: one for a whole reply, one per event of a stream."""
        if not self.stream:
            return [json.loads(self.reply)]
        lines = [line[5:].strip() for line in self.reply.split("\n") if line.startswith("data:")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    def record_count(self) -> int:
        """How many token records the reply holds, in every choice and channel."""
        choices = [choice for event in self.events() for choice in event.get("choices", ())]
        channels = [choice["logprobs"] for choice in choices if choice.get("logprobs")]
        return sum(len(part.get(key) or ()) for part in channels for key in ("content", "refusal", "reasoning_content"))


def _load(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _cases(provider: str) -> list[Case]:
    found: list[Case] = []
    for path in sorted((FIXTURES / provider).glob("*.yaml")):
        document = _load(path)
        interaction = document["interactions"][0]
        request, response = interaction["request"], interaction["response"]
        try:
            body = json.loads(request["body"])
        except ValueError:
            continue  # recorded with a body that is no JSON, which nxlog cannot send
        wire = "anthropic-messages" if request["uri"].endswith("/messages") else "openai-chat"
        found.append(
            Case(
                provider=provider,
                name=path.stem,
                path=path,
                wire=wire,
                body=body,
                status=response["status"]["code"],
                reply=response["body"]["string"],
                metadata=document["metadata"],
            )
        )
    return found


CASES = [case for provider in PROVIDERS for case in _cases(provider.id)]
