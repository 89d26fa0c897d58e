"""What both clients share: their options, and the way from a model name to a ``Target``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError

from nxlog._address import base_url_of, check_base_url, checked_variable, url_of
from nxlog._render import without_answer
from nxlog._trials import Event, Trials
from nxlog._version import __version__
from nxlog.auth import Keys, Presented
from nxlog.auth.keys import key_headers
from nxlog.call import Call, Policy, Target
from nxlog.errors import InvalidRequestError
from nxlog.parameter_adapter import OnUnknown, OnUnsupported
from nxlog.registry import Provider, ProviderKind, Registry
from nxlog.request import NEED_LOGPROBS, ChatRequest, Request, describe_errors
from nxlog.verdicts import Verdicts
from nxlog.wire import get_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.registry import Wire


RequestT = TypeVar("RequestT", bound=Request)


class Config:
    """The options of a client, checked once. Targets are remembered per model."""

    def __init__(
        self,
        *,
        provider: str | None,
        base_url: str | None,
        api_key: object,
        wire: str | None,
        on_unsupported: OnUnsupported,
        on_unknown: OnUnknown,
        registry: Registry | None,
        variables: Mapping[str, str] | None,
        verdicts: Verdicts | None = None,
        defaults: Mapping[str, Any] | None = None,
        event: Callable[[], Event] = threading.Event,
    ) -> None:
        _one_of("on_unsupported", on_unsupported, get_args(OnUnsupported))
        _one_of("on_unknown", on_unknown, get_args(OnUnknown))
        _of_kind("provider", provider, str, "a string")
        _of_kind("registry", registry, Registry, "a Registry")
        _of_kind("verdicts", verdicts, Verdicts, "a Verdicts")
        self._registry = registry if registry is not None else Registry.default()
        self._base_url = check_base_url(base_url)
        self._variables = {name: checked_variable(name, value) for name, value in (variables or {}).items()}
        self._keys = Keys(api_key)
        self._wire = wire
        # A server that no file describes speaks whatever it is spoken to.
        self._is_custom = False
        self._provider = self._default_provider(provider)
        if wire is not None:
            get_wire(wire)
        # An empty one is false, and the user's all the same.
        self.verdicts: Verdicts = Verdicts() if verdicts is None else verdicts
        self.policy: Policy = Policy(on_unsupported, on_unknown, self.verdicts, Trials(event))
        self._targets: dict[tuple[str, str | None], Target] = {}
        self._defaults = _checked_defaults(defaults or {})

    def _default_provider(self, name: str | None) -> Provider | None:
        if name is not None:
            return self._registry.provider(name)
        if self._base_url is not None:
            self._is_custom = True
            return self._registry.custom(self._base_url, self._wire or "openai-chat")
        if self._keys.given:
            raise InvalidRequestError(
                "api_key: a key belongs to one provider; say which: Client(provider='openai', api_key=...)",
                param="api_key",
            )
        return None

    @property
    def has_provider(self) -> bool:
        """Whether a model's name need not say where the model is."""
        return self._provider is not None

    def needs_engine(self, model: str, *, wire: str | None = None) -> bool:
        """Whether the embedded engine must be running before ``target`` is asked for."""
        if (model, wire) in self._targets:
            return False
        provider, _ = self._registry.resolve(model, self._provider)
        return provider.kind is ProviderKind.LOCAL and self._base_url is None

    def target(self, model: str, *, wire: str | None = None) -> Target:
        """Where that model is, and how to speak to it; on the client's wire, if no other is named.

        Raises:
            UnknownProviderError: the model name does not say where, or says it wrong.
            MissingKeyError: the provider needs a key and there is none.
            InvalidRequestError: the provider has no known address.
        """
        found = self._targets.get((model, wire))
        if found is None:
            found = self._targets[model, wire] = self._resolve(model, wire or self._wire)
        return found

    def _resolve(self, name: str, wire: str | None) -> Target:
        provider, model = self._registry.resolve(name, self._provider)
        wire = wire or provider.default_wire
        if self._is_custom and wire not in provider.wires:
            provider = self._registry.custom(str(self._base_url), wire)
        reach = provider.wires.get(wire)
        if reach is None:
            raise InvalidRequestError(
                f"wire: {provider.id} does not speak {wire!r}; it speaks {', '.join(provider.wires)}",
                provider=provider.id,
                param="wire",
            )
        if odd := set(self._variables) - set(provider.variables):
            known = ", ".join(provider.variables) or "none"
            raise InvalidRequestError(
                f"variables: {provider.id} has no {odd.pop()!r}; its variables: {known}",
                provider=provider.id,
                param="variables",
            )
        base_url, presented = self._address(provider)
        headers = {
            "content-type": "application/json",
            "user-agent": f"nxlog/{__version__}",
            **reach.headers,
            **presented.headers,
        }
        spoken = get_wire(wire)
        return Target(
            provider=provider.id,
            model=model,
            url=self._url(base_url, reach.path, reach, model, provider),
            stream_url=self._url(base_url, reach.stream_path or reach.path, reach, model, provider),
            headers=headers,
            secret=presented.secret,
            source=presented.source,
            wire=spoken,
            lacks=spoken.lacks - _named(reach.parameters) | frozenset(reach.omit),
            spelling={**reach.parameters, **dict.fromkeys(reach.omit, "")},
            capabilities=self._registry.capabilities(provider.id, model, wire=wire),
            base_url=base_url,
            rendering=provider.rendering,
        )

    def _url(self, base_url: str, path: str, wire: Wire, model: str, provider: Provider) -> str:
        return url_of(base_url, path, wire, model, provider, self._variables)

    def _address(self, provider: Provider) -> tuple[str, Presented]:
        base_url = self._base_url
        if base_url is None and provider.kind is ProviderKind.LOCAL:
            from nxlog.local import default_engine  # noqa: PLC0415 - an extra, and it starts a model

            engine = default_engine()
            return engine.base_url, Presented(key_headers(provider.auth, engine.api_key), engine.api_key)
        base_url = base_url or base_url_of(provider, self._variables)
        if base_url is None:
            raise InvalidRequestError(
                f"base_url: {provider.id} has no public address; give Client(provider={provider.id!r}, base_url=...)",
                provider=provider.id,
                param="base_url",
            )
        return base_url, self._keys.of(provider, self._variables)

    def call(self, request: ChatRequest, *, stream: bool) -> Call:
        """The call for a request: resolved, adapted, nothing sent."""
        return Call(self.target(request.model), self.policy, self._completed(request), stream)

    def aside(self, request: ChatRequest) -> Call:
        """The call of a request that is not to be answered, so no claim about answers changes it."""
        return Call(self.target(request.model), Policy(), without_answer(self._completed(request)), stream=False)

    def _completed(self, request: ChatRequest) -> ChatRequest:
        """The request with the client's defaults for what it does not say."""
        said = request.model_fields_set
        missing = {name: value for name, value in self._defaults.items() if name not in said}
        if "logprobs" in said and not request.logprobs:
            missing = {name: value for name, value in missing.items() if name not in NEED_LOGPROBS}
        return request.model_copy(update=missing) if missing else request


def _checked_defaults(defaults: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(defaults, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequestError(f"defaults: must be a mapping, got {type(defaults).__name__}", param="defaults")
    if own := [name for name in ("model", "messages", "input_ids") if name in defaults]:
        raise InvalidRequestError(f"defaults: {own[0]} belongs into each request", param="defaults")
    try:
        checked = ChatRequest.model_validate({"model": "m", "input_ids": [0], **defaults})
    except ValidationError as error:
        raise InvalidRequestError(f"defaults: {describe_errors(list(error.errors()))[1]}", param="defaults") from None
    return {name: getattr(checked, name) for name in checked.model_fields_set - {"model", "input_ids"}}


def _named(parameters: Mapping[str, str]) -> frozenset[str]:
    """The claims about fields for which a provider has a word that its wire format has not."""
    claims = {"return_token_ids": "token_ids"}
    return frozenset(claims.get(field, field) for field, key in parameters.items() if key)


def as_request(
    request: RequestT | None, fields: Mapping[str, Any], kind: type[RequestT], *, how: str = "chat"
) -> RequestT:
    """The request itself, or one made of its fields.

    Raises:
        InvalidRequestError: a field breaks its rule, or both forms are given, or neither.
    """
    if request is None:
        try:
            return kind.model_validate(dict(fields))
        except ValidationError as error:
            param, message = describe_errors(list(error.errors()))
            raise InvalidRequestError(message, param=param) from None
    if not isinstance(request, kind):
        raise InvalidRequestError(
            f"request: expected a {kind.__name__}, got {type(request).__name__}; "
            f"fields go as keywords: {how}(model=...)",
            param="request",
        )
    if fields:
        names = ", ".join(fields)
        raise InvalidRequestError(
            f"give a {kind.__name__} or fields, not both; {names} came with a request", param=names
        )
    return request


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidRequestError(f"{name}: {value!r} is not one of {', '.join(map(repr, allowed))}", param=name)


def _of_kind(name: str, value: object, kind: type, words: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidRequestError(f"{name}: must be {words}, got {type(value).__name__}", param=name)
