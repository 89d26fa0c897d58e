"""Cassettes as test cases: what was asked, what came back, read without nxlog's own parsers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import yaml

from nxlog.registry import Provider, Registry
from nxlog.request import ChatRequest
from tests.conformance.readers import reader

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


@dataclass(frozen=True)
class Place:
    """Where a request went: the address, taken apart by the provider's own templates."""

    wire: str
    base_url: str
    model: str | None
    """The model, where the address names it."""
    stream: bool | None
    """Whether it is the address of streams; None where both have one."""
    variables: dict[str, str]


@dataclass(frozen=True)
class Case:
    """One recorded exchange of one provider."""

    provider: str
    path: Path
    place: Place
    uri: str
    body: dict[str, Any]
    status: int
    reply: bytes
    metadata: dict[str, Any]
    """Where it comes from: captured or documented, and the server's version."""
    content_type: str = "application/json"

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def wire(self) -> str:
        return self.place.wire

    @property
    def model(self) -> str:
        """The model that was asked; engines with one model need no name."""
        return self.place.model or str(self.body.get("model") or self.body.get("model_id") or "the-only-one")

    @property
    def stream(self) -> bool:
        if self.place.stream is not None:
            return self.place.stream
        # There are servers that stream unless told not to.
        return bool(self.body.get("stream", self.content_type.startswith("text/event-stream")))

    def request(self) -> ChatRequest:
        """The request of the recording in nxlog's words; what is no field of ours goes into provider_options."""
        return ChatRequest.model_validate({"model": self.model, **reader(self.wire).request(self.body)})

    def events(self) -> list[Any]:
        """The objects of the reply: one for a whole reply, one per event of a stream."""
        if not self.stream or self.status >= 400:
            whole: Any = json.loads(self.reply)
            # A list is of choices, which have no numbers of their own.
            choices = cast("list[Any]", whole) if isinstance(whole, list) else []
            return [{"index": i, **choice} for i, choice in enumerate(choices)] or [whole]
        return reader(self.wire).events(self.reply)

    def record_count(self) -> int:
        """How many token records the reply holds, in every choice and channel."""
        events = self.events()[-1:] if self.stream and reader(self.wire).cumulative else self.events()
        parts = [part for event in events for part in reader(self.wire).parts(event)]
        return sum(len(records) for part in parts for records in part.logprobs.values())


def place_of(uri: str, provider: Provider, *, wire: str | None = None) -> Place | None:
    """The first wire of the provider whose address this is; None when it is none."""
    for name, reach in provider.wires.items():
        for path in (reach.path, reach.stream_path):
            found = re.fullmatch(_pattern(path), uri) if path is not None and wire in {None, name} else None
            if found is not None:
                groups = found.groupdict()
                model, base_url = groups.pop("model", None), groups.pop("base_url")
                stream = None if reach.stream_path is None else path == reach.stream_path
                return Place(name, base_url, None if model is None else unquote(model), stream, groups)
    return None


def _pattern(path: str) -> str:
    escaped = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    return r"(?P<base_url>https?://.*?)" + re.sub(r"{([a-z_]+)}", r"(?P<\1>[^/?&:]+)", escaped)


def _load(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_case(path: Path, provider: Provider) -> Case | None:
    """The cassette as a case; None for a body that is no JSON, which nxlog cannot send.

    Raises:
        ValueError: the request went to no address of the provider.
    """
    document = _load(path)
    interaction = document["interactions"][0]
    request, response, metadata = interaction["request"], interaction["response"], document["metadata"]
    try:
        body = json.loads(request["body"])
    except ValueError:
        return None
    place = place_of(request["uri"], provider, wire=metadata.get("wire"))
    if place is None:
        raise ValueError(f"{path}: {request['uri']} is no address of {provider.id}; see providers/{provider.id}.toml")
    reply = response["body"]["string"]
    return Case(
        provider=provider.id,
        path=path,
        place=place,
        uri=request["uri"],
        body=body,
        status=response["status"]["code"],
        reply=reply if isinstance(reply, bytes) else reply.encode(),
        metadata=metadata,
        content_type=response["headers"]["content-type"][0],
    )


def read_cases(provider: Provider, folder: Path) -> list[Case]:
    """The cassettes of one provider."""
    cases = [read_case(path, provider) for path in sorted((folder / provider.id).glob("*.yaml"))]
    return [case for case in cases if case is not None]


PROVIDERS = [provider for provider in Registry.builtin() if (FIXTURES / provider.id).is_dir()]
CASES = [case for provider in PROVIDERS for case in read_cases(provider, FIXTURES)]
