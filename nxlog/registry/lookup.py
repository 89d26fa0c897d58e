"""The registry: providers by name, capabilities by model.

The built-in data is one JSON file, read once and kept as raw JSON per provider; a provider is validated
when it is first used. A user's own files (``providers/*.toml`` and ``capabilities/*.toml`` under
``$NXLOG_REGISTRY``, or under ``nxlog/`` in the XDG configuration directory) are laid over it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pydantic import ValidationError

from nxlog.errors import InvalidRequestError, RegistryError, UnknownProviderError
from nxlog.registry.capabilities import CapabilityManifest, ProviderCapabilities, derive, manifest_provider
from nxlog.registry.expand import Raw, fill_asserted, merge_capabilities, merge_provider
from nxlog.registry.files import complaint, read_directory, user_directory
from nxlog.registry.models import Auth, AuthScheme, Capabilities, Provider, ProviderKind, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DATA = Path(__file__).with_name("data.json")
"""The compiled built-in data."""

CUSTOM_ID = "custom"
"""Id of the provider that ``Registry.custom`` makes; nothing is claimed about it."""

CONVENTIONS = {
    "openai-chat": Wire(path="/chat/completions"),
    "openai-completions": Wire(path="/completions"),
    "openai-responses": Wire(path="/responses"),
    "anthropic-messages": Wire(path="/messages", headers={"anthropic-version": "2023-06-01"}),
    "gemini": Wire(path="/models/{model}:generateContent", stream_path="/models/{model}:streamGenerateContent?alt=sse"),
    "cohere-chat": Wire(path="/v2/chat", strip="/v2"),
    "bedrock-converse": Wire(path="/model/{model}/converse", stream_path="/model/{model}/converse-stream"),
    "ollama": Wire(path="/api/chat", strip="/v1"),
    "llamacpp": Wire(path="/completion", strip="/v1"),
    "sglang-generate": Wire(path="/generate", strip="/v1"),
    "vllm-generate": Wire(path="/inference/v1/generate", strip="/v1"),
    "tgi": Wire(path="/generate", stream_path="/generate_stream", strip="/v1"),
    "together-columns": Wire(path="/chat/completions"),
}
"""Where a server keeps a wire by convention, for servers that no file describes."""

CUSTOM_DOCS = "https://platform.openai.com/docs/api-reference/chat"
"""What a server that no file describes is supposed to speak."""

_CACHE_BOUND = 4096

M = TypeVar("M", Provider, Capabilities)


class _Data(msgspec.Struct):
    aliases: dict[str, str]
    providers: dict[str, msgspec.Raw]
    capabilities: dict[str, msgspec.Raw]


class _Entry:
    """One file's content: raw JSON until somebody looks, and where it came from."""

    __slots__ = ("origin", "raw")

    def __init__(self, raw: msgspec.Raw | Raw, origin: str) -> None:
        self.raw = raw
        self.origin = origin

    def table(self) -> Raw:
        if isinstance(self.raw, msgspec.Raw):
            self.raw = msgspec.json.decode(self.raw, type=dict[str, Any])
        return self.raw


class Registry:
    """Providers and what is true of them. Immutable; ``with_`` makes a changed copy."""

    def __init__(
        self, providers: Mapping[str, _Entry], capabilities: Mapping[str, _Entry], aliases: Mapping[str, str]
    ) -> None:
        self._providers = dict(sorted(providers.items()))
        self._capabilities = dict(capabilities)
        self._aliases = dict(aliases)
        self._validated_providers: dict[str, Provider] = {}
        self._validated_capabilities: dict[str, Capabilities] = {}
        self._answers: dict[tuple[str, str, str | None], ProviderCapabilities] = {}

    @classmethod
    def default(cls) -> Registry:
        """The built-in data with the user's own files over it.

        Raises:
            RegistryError: a file of the user's is broken; the message names file, field and fix.
        """
        return _default(user_directory())

    @classmethod
    def builtin(cls) -> Registry:
        """The built-in data alone."""
        return _builtin()

    @classmethod
    def load(cls, directory: str | Path) -> Registry:
        """The built-in data with the ``providers/`` and ``capabilities/`` of a directory over it.

        Raises:
            RegistryError: a file is broken; the message names file, field and fix.
        """
        return _over(_builtin(), Path(directory))

    @property
    def ids(self) -> tuple[str, ...]:
        """Every provider id, sorted."""
        return tuple(self._providers)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._id(name) is not None

    def __iter__(self) -> Iterator[Provider]:
        return (self.provider(id_) for id_ in self._providers)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self._providers)})"

    def provider(self, name: str) -> Provider:
        """The provider with that id or alias.

        Raises:
            UnknownProviderError: there is none; the message has the nearest names.
        """
        id_ = self._id(name)
        if id_ is None:
            raise UnknownProviderError(self._unknown(name), provider=name)
        if id_ not in self._validated_providers:
            entry = self._providers[id_]
            table = {**entry.table(), "id": id_}
            self._validated_providers[id_] = _validate(Provider, table, entry.origin)
        return self._validated_providers[id_]

    def capabilities(self, provider: str, model: str = "", *, wire: str | None = None) -> ProviderCapabilities:
        """What a model can do at a provider, over a wire (None = the provider's default).

        A provider without a capabilities file, and the one that ``custom`` makes, have only unknown
        claims. The model name ``""`` asks for the surface itself, which no model rule refines.

        Raises:
            UnknownProviderError: there is no such provider.
        """
        id_ = self._known(provider)
        key = (id_, model, wire)
        if key not in self._answers:
            if len(self._answers) >= _CACHE_BOUND:
                self._answers.clear()
            self._answers[key] = derive(id_, model, self.claims(id_), wire=wire)
        return self._answers[key]

    def claims(self, provider: str) -> Capabilities:
        """Everything claimed about a provider: surface, wires and rules, with the evidence."""
        id_ = self._known(provider)
        if id_ not in self._validated_capabilities:
            entry = self._capabilities.get(id_)
            if entry is None:
                return Capabilities()
            self._validated_capabilities[id_] = _validate(Capabilities, self._inherited(id_), entry.origin)
        return self._validated_capabilities[id_]

    def manifest(self) -> CapabilityManifest:
        """The public manifest of every provider."""
        return CapabilityManifest(
            providers=tuple(manifest_provider(provider, self.claims(provider.id)) for provider in self)
        )

    def resolve(self, name: str, default_provider: str | Provider | None = None) -> tuple[Provider, str]:
        """Provider and model behind ``"provider/model"``, or behind a bare model name with a default.

        With a default provider the model is taken as it is, except that the provider's own prefix is
        removed; an aggregator keeps it, because there the prefix is part of the model's name.

        Raises:
            UnknownProviderError: the provider is not known, or none was given; the message has the fix.
        """
        prefix, slash, model = name.partition("/")
        if default_provider is not None:
            provider = default_provider if isinstance(default_provider, Provider) else self.provider(default_provider)
            own = slash and model and prefix.casefold() in {provider.id, *map(str.casefold, provider.aliases)}
            return provider, model if own and provider.kind is not ProviderKind.AGGREGATOR else name
        if not slash:
            raise UnknownProviderError(
                f"{name!r} does not say which provider; write 'provider/{name}', as in 'openai/{name}', "
                "or give the client a provider",
                model=name,
            )
        if not model:
            raise UnknownProviderError(f"{name!r} has no model after the slash", provider=prefix)
        if prefix not in self:
            raise UnknownProviderError(
                f"{self._unknown(prefix)}; for a model whose name has a slash, give the client a provider",
                provider=prefix,
                model=model,
            )
        return self.provider(prefix), model

    def custom(self, base_url: str, wire: str = "openai-chat") -> Provider:
        """A provider for a server that no file describes; every claim about it is unknown.

        Raises:
            InvalidRequestError: the wire is not known.
            RegistryError: the base URL is not one.
        """
        if wire not in CONVENTIONS:
            raise InvalidRequestError(
                f"wire: {wire!r} is not known; choose one of {', '.join(CONVENTIONS)}", param="wire"
            )
        table: Raw = {
            "id": CUSTOM_ID,
            "display_name": "custom server",
            "kind": ProviderKind.ENGINE,
            "docs": CUSTOM_DOCS,
            "base_url": base_url,
            "auth": Auth(scheme=AuthScheme.BEARER, required=False),
            "wires": {wire: CONVENTIONS[wire]},
        }
        return _validate(Provider, table, "the custom server")

    def with_(
        self,
        *,
        providers: Mapping[str, Raw] | None = None,
        capabilities: Mapping[str, Raw] | None = None,
        directory: Path | None = None,
    ) -> Registry:
        """A copy with entries added or laid over, as dictionaries in the shape of the TOML files.

        Claims replace claims of the same name, rules come before the existing ones. A claim without
        evidence rests on the caller's word and says so. Everything given is validated at once; with
        ``directory`` the messages name its files.

        Raises:
            RegistryError: an entry is broken, or capabilities are for a provider that does not exist.
        """
        origin = "(run time)" if directory is None else str(directory)
        new_providers, new_capabilities = dict(self._providers), dict(self._capabilities)
        for name, raw in (providers or {}).items():
            id_ = self._id(name) or name
            base = self._providers[id_].table() if id_ in self._providers else {}
            new_providers[id_] = _Entry(merge_provider(base, raw), _where(origin, "providers", name))
        for name, raw in (capabilities or {}).items():
            id_, where = self._id(name) or name, _where(origin, "capabilities", name)
            if id_ not in new_providers:
                raise RegistryError(f"{where}: {self._unknown(id_)}; add providers/{id_}.toml or rename this one")
            new_capabilities[id_] = _Entry(self._overlaid(id_, raw, where), where)
        changed = Registry(new_providers, new_capabilities, self._aliases)
        for name in providers or {}:
            changed._adopt(changed.provider(name))
        for name in capabilities or {}:
            changed.claims(name)
        return changed

    def _overlaid(self, id_: str, raw: Raw, where: str) -> Raw:
        try:
            over = fill_asserted(raw, where)
        except ValueError as error:
            raise RegistryError(f"{where}: {error}") from None
        return merge_capabilities(self._inherited(id_) if id_ in self._capabilities else {}, over)

    def _adopt(self, provider: Provider) -> None:
        for alias in provider.aliases:
            taken = self._id(alias)
            if taken not in {None, provider.id}:
                raise RegistryError(
                    f"{self._providers[provider.id].origin}: alias {alias!r} already means {taken!r}; choose another"
                )
            self._aliases[alias.casefold()] = provider.id

    def _inherited(self, id_: str, heirs: tuple[str, ...] = ()) -> Raw:
        """The raw capabilities of a provider, laid over those it ``extends``."""
        entry = self._capabilities[id_]
        table = dict(entry.table())
        parent = table.pop("extends", None)
        if parent is None:
            return table
        if parent not in self._capabilities or parent in {*heirs, id_}:
            raise RegistryError(f"{entry.origin}: extends = {parent!r} names no other capabilities file")
        return merge_capabilities(self._inherited(parent, (*heirs, id_)), table)

    def _id(self, name: str) -> str | None:
        folded = name.casefold()
        return folded if folded in self._providers else self._aliases.get(folded)

    def _known(self, name: str) -> str:
        id_ = self._id(name) or (CUSTOM_ID if name == CUSTOM_ID else None)
        if id_ is None:
            raise UnknownProviderError(self._unknown(name), provider=name)
        return id_

    def _unknown(self, name: str) -> str:
        import difflib  # noqa: PLC0415 - for errors only

        near = difflib.get_close_matches(name.casefold(), [*self._providers, *self._aliases], n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(self._providers)}"
        return f"unknown provider {name!r}; {hint}"


def _where(origin: str, folder: str, id_: str) -> str:
    return f"{origin}/{folder}/{id_}.toml"


def _validate(shape: type[M], table: Raw, origin: str) -> M:
    try:
        return shape.model_validate(table)
    except ValidationError as error:
        raise RegistryError(complaint(error, origin, shape)) from None


@functools.cache
def _builtin() -> Registry:
    data = msgspec.json.decode(DATA.read_bytes(), type=_Data)
    return from_raw(data.providers, data.capabilities, data.aliases, origin="built-in")


def from_raw(
    providers: Mapping[str, msgspec.Raw | Raw],
    capabilities: Mapping[str, msgspec.Raw | Raw],
    aliases: Mapping[str, str],
    *,
    origin: str,
) -> Registry:
    """A registry over raw tables that are validated when they are first used."""
    return Registry(
        {id_: _Entry(raw, _where(origin, "providers", id_)) for id_, raw in providers.items()},
        {id_: _Entry(raw, _where(origin, "capabilities", id_)) for id_, raw in capabilities.items()},
        aliases,
    )


@functools.lru_cache(maxsize=8)
def _default(directory: Path | None) -> Registry:
    return _builtin() if directory is None else _over(_builtin(), directory)


def _over(base: Registry, directory: Path) -> Registry:
    providers, capabilities = read_directory(directory)
    return base.with_(providers=providers, capabilities=capabilities, directory=directory)
