"""The gate: what a request may ask of one provider, model and mode.

``adapt`` is pure. It runs the rules below in order; each looks at the request as the rules before it left it, and
answers with changed fields and the warnings that say so. The original request is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nxlog.errors import UnsupportedParameterError
from nxlog.registry import CapabilityStatus, Requirement
from nxlog.request import Message, ResponseFormat
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from nxlog.registry import Claim, ProviderCapabilities
    from nxlog.request import ChatRequest

OnUnsupported = Literal["warn", "raise"]
OnUnknown = Literal["try", "drop"]

INFO, WARNING, ERROR = WarningSeverity.INFO, WarningSeverity.WARNING, WarningSeverity.ERROR


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at."""

    request: ChatRequest
    capabilities: ProviderCapabilities
    stream: bool = False
    on_unknown: OnUnknown = "try"
    refused: str | None = None
    """Why the server refused logprobs in this mode earlier; None when it did not."""
    lacks: frozenset[str] = frozenset()
    """Names of claims that the wire format has no place for, whatever the model could do."""

    def claim(self, name: str) -> Claim:
        """The claim about a field."""
        return self.capabilities.claim(name)

    @property
    def reasons(self) -> bool:
        """Whether the model will reason before it answers."""
        effort = self.request.reasoning_effort
        return self.capabilities.reasoning_default is True if effort is None else effort != "none"

    def warn(
        self,
        parameter: str,
        code: WarningCode,
        severity: WarningSeverity,
        message: str,
        *,
        requested: Any = None,
        applied: Any = None,
        source: WarningSource = WarningSource.MANIFEST,
    ) -> ParameterWarning:
        """A warning addressed to this provider and model."""
        return ParameterWarning(
            parameter=parameter,
            code=code,
            severity=severity,
            message=message,
            requested=requested,
            applied=applied,
            provider=self.capabilities.provider or None,
            model=self.capabilities.model or None,
            source=source,
        )


DROPPED = "; dropped"

Findings = tuple[dict[str, Any], list[ParameterWarning]]
_NOTHING: Findings = ({}, [])


def adapt(
    request: ChatRequest,
    capabilities: ProviderCapabilities,
    *,
    stream: bool = False,
    on_unsupported: OnUnsupported = "warn",
    on_unknown: OnUnknown = "try",
    refused: str | None = None,
    lacks: frozenset[str] = frozenset(),
) -> tuple[ChatRequest, list[ParameterWarning]]:
    """The request as it can be sent, and a warning for everything that had to change.

    Args:
        request: what was asked for.
        capabilities: what the model can do at the provider.
        stream: whether the answer is streamed.
        on_unsupported: ``"warn"`` drops with a warning, ``"raise"`` raises.
        on_unknown: ``"try"`` sends a field whose claim is unknown, ``"drop"`` treats it as unsupported.
        refused: why the server refused logprobs earlier, if it did.
        lacks: claims that the wire format has no place for.

    Raises:
        UnsupportedParameterError: ``on_unsupported="raise"`` and a field cannot be delivered as asked.
    """
    case = Case(request, capabilities, stream=stream, on_unknown=on_unknown, refused=refused, lacks=lacks)
    found: list[ParameterWarning] = []
    for rule in RULES:
        changes, warnings = rule(case)
        if changes:
            case = replace(case, request=case.request.model_copy(update=changes))
        found += warnings
    if on_unsupported == "raise":
        _raise_first(found)
    return case.request, found


def _raise_first(found: list[ParameterWarning]) -> None:
    for warning in found:
        if warning.code is not WarningCode.OUT_OF_RANGE:
            raise UnsupportedParameterError(
                f"{warning.parameter}: {warning.message.removesuffix(DROPPED)}",
                provider=warning.provider,
                model=warning.model,
                code=warning.code.value,
                param=warning.parameter,
            )


# -- why a field cannot be sent --------------------------------------------------------------------------------------

Obstacle = tuple[WarningCode, str]


def obstacle(case: Case, name: str) -> Obstacle | None:
    """Why the field ``name`` cannot be delivered in this mode; None when it can, or when that is worth a try."""
    if name in case.lacks:
        return WarningCode.UNSUPPORTED, "the wire format has no field for it"
    claim = case.claim(name)
    return _unmet(case, claim) or _unsupported(case, claim)


def _unsupported(case: Case, claim: Claim) -> Obstacle | None:
    if claim.value is CapabilityStatus.NO:
        return WarningCode.UNSUPPORTED, "not supported by the model at this provider"
    if claim.value is CapabilityStatus.UNKNOWN and case.on_unknown == "drop":
        return WarningCode.UNKNOWN_SUPPORT, "not known to be supported, and on_unknown is 'drop'"
    return None


def _unmet(case: Case, claim: Claim) -> Obstacle | None:
    if Requirement.REASONING_OFF in claim.requires and case.reasons:
        effort = case.request.reasoning_effort
        how = "by default" if effort is None else f"with reasoning_effort={effort!r}"
        fix = "" if case.capabilities.effort_none is False else "; reasoning_effort='none' allows it"
        return WarningCode.REASONING_CONFLICT, f"not accepted while the model reasons, as it does {how}{fix}"
    if Requirement.UNARY in claim.requires and case.stream:
        return WarningCode.UNSUPPORTED_STREAMING, "not supported in a stream; chat() gives it"
    if Requirement.NO_TOOLS_IN_STREAM in claim.requires and case.stream and case.request.tools:
        return WarningCode.MODE_CONFLICT, "not supported together with tools in a stream; chat() gives both"
    return None


# -- the rules, in order ---------------------------------------------------------------------------------------------

LEGACY_OPTIONS = frozenset(
    {"logprobs", "top_logprobs", "logProbs", "topLogprobs", "responseLogprobs", "response_logprobs"}
    | {"return_logprob", "return_logprobs", "top_logprobs_num", "n_probs", "top_n_tokens"}
)
"""Spellings of logprobs that people put into provider_options."""


def remove_legacy_options(case: Case) -> Findings:
    """Logprobs have fields; in provider_options they would pass the gate and lose their type."""
    options = case.request.provider_options
    legacy = [key for key in options or () if key in LEGACY_OPTIONS]
    if not options or not legacy:
        return _NOTHING
    kept = {key: value for key, value in options.items() if key not in legacy}
    warnings = [
        case.warn(
            "provider_options",
            WarningCode.MIGRATION,
            WARNING,
            f"{key!r} in provider_options was not sent; write ChatRequest({_first_class(options[key])}) instead",
            requested={key: options[key]},
            source=WarningSource.REQUEST,
        )
        for key in legacy
    ]
    return {"provider_options": kept or None}, warnings


def _first_class(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"logprobs=True, top_logprobs={value}"
    return f"logprobs={value is not False and value is not None}"


def adapt_sampling(case: Case) -> Findings:
    """Temperature and top_p, which reasoning models refuse."""
    return _drop_each(case, ("temperature", "top_p"), WARNING)


def adapt_stop(case: Case) -> Findings:
    """Stop sequences: dropped, or the first N kept."""
    stop = case.request.stop
    if stop is None:
        return _NOTHING
    if problem := obstacle(case, "stop"):
        return _drop(case, "stop", problem, WARNING)
    limit = case.claim("stop").max
    if limit is None or len(stop) <= limit:
        return _NOTHING
    message = f"truncated from {len(stop)} to {limit} stop sequences, the provider's maximum"
    warning = case.warn("stop", WarningCode.TRUNCATED, WARNING, message, requested=stop, applied=stop[:limit])
    return {"stop": stop[:limit]}, [warning]


def adapt_penalties(case: Case) -> Findings:
    """Penalties: dropped where unknown to the provider; out of range they are sent, and said."""
    changes, warnings = _drop_each(case, ("presence_penalty", "frequency_penalty"), INFO)
    for name in ("presence_penalty", "frequency_penalty"):
        value, allowed = getattr(case.request, name), case.claim(name).range
        if value is None or allowed is None or name in changes or allowed[0] <= value <= allowed[1]:
            continue
        message = f"{value} is outside the provider's range [{allowed[0]:g}, {allowed[1]:g}]; it may be clamped"
        warnings.append(case.warn(name, WarningCode.OUT_OF_RANGE, WARNING, message, requested=value, applied=value))
    return changes, warnings


def adapt_seed(case: Case) -> Findings:
    """The seed."""
    return _drop_each(case, ("seed",), INFO)


def adapt_choices(case: Case) -> Findings:
    """Several choices: dropped where the provider gives one."""
    if case.request.n is None or case.request.n == 1:
        return _NOTHING
    return _drop_each(case, ("n",), WARNING)


def adapt_reasoning(case: Case) -> Findings:
    """The reasoning effort."""
    return _drop_each(case, ("reasoning_effort",), WARNING)


def adapt_tools(case: Case) -> Findings:
    """Tools: without them the answer is another one, so an error in severity."""
    if case.request.tools is None or (problem := obstacle(case, "tools")) is None:
        return _NOTHING
    changes, warnings = _drop(case, "tools", problem, ERROR)
    return {**changes, "tool_choice": None}, warnings


def adapt_logprobs(case: Case) -> Findings:
    """Logprobs and top_logprobs, by provider, model and mode; never one without the other."""
    request = case.request
    if not request.logprobs:
        return _NOTHING
    if case.refused is not None:
        refusal = (WarningCode.REFUSED, f"not sent, because the server refused it earlier: {case.refused}")
        return _drop_logprobs(case, refusal, source=WarningSource.LEARNED)
    problem = obstacle(case, "logprobs") or (_streaming_obstacle(case) if case.stream else None)
    if problem is not None:
        return _drop_logprobs(case, problem)
    return adapt_top_logprobs(case)


def _streaming_obstacle(case: Case) -> Obstacle | None:
    problem = obstacle(case, "streaming_logprobs")
    if problem is None or problem[0] is not WarningCode.UNSUPPORTED:
        return problem
    return WarningCode.UNSUPPORTED_STREAMING, f"{problem[1]} in a stream; chat() gives it"


def adapt_top_logprobs(case: Case) -> Findings:
    """The number of alternatives, within the provider's limits."""
    asked = case.request.top_logprobs
    if asked is None:
        return _NOTHING
    claim = case.claim("top_logprobs")
    if asked > 0 and (problem := obstacle(case, "top_logprobs")):
        return _drop(case, "top_logprobs", problem, WARNING)
    applied = asked if claim.max is None else min(asked, claim.max)
    applied = applied if claim.min is None else max(applied, claim.min)
    if applied == asked:
        return _NOTHING
    bound = f"maximum is {applied}" if applied < asked else f"minimum is {applied} (fewer turns logprobs off)"
    message = f"requested {asked} alternatives, the provider's {bound}"
    severity = WARNING if applied < asked else INFO
    warning = case.warn("top_logprobs", WarningCode.CLAMPED, severity, message, requested=asked, applied=applied)
    return {"top_logprobs": applied}, [warning]


def adapt_response_format(case: Case) -> Findings:
    """JSON: the best the provider has, down to asking for it in words."""
    wanted = case.request.response_format
    if wanted is None or wanted.type == "text":
        return _NOTHING
    if wanted.type == "json_object":
        return _NOTHING if obstacle(case, "json_mode") is None else _ask_in_words(case, wanted, INFO)
    if obstacle(case, "json_schema") is None:
        return _NOTHING
    if obstacle(case, "json_mode") is not None:
        return _ask_in_words(case, wanted, WARNING)
    applied = ResponseFormat(type="json_object")
    changes, _ = _ask_in_words(case, wanted, WARNING)
    warning = case.warn(
        "response_format",
        WarningCode.DOWNGRADED,
        WARNING,
        "JSON schemas are not supported; JSON mode is used, with the schema in words",
        requested="json_schema",
        applied="json_object",
    )
    return {**changes, "response_format": applied}, [warning]


def _ask_in_words(case: Case, wanted: ResponseFormat, severity: WarningSeverity) -> Findings:
    text = "Answer with one JSON value only, without any other text."
    if wanted.json_schema is not None:
        schema = wanted.json_schema.model_dump_json(by_alias=True, exclude_none=True, include={"json_schema"})
        text += f" It must validate against this JSON schema: {schema}"
    warning = case.warn(
        "response_format",
        WarningCode.EMULATED,
        severity,
        f"{wanted.type} is not supported; a system message asks for it in words",
        requested=wanted.type,
    )
    messages = [Message(role="system", content=text), *case.request.messages]
    return {"response_format": None, "messages": messages}, [warning]


RULES: tuple[Callable[[Case], Findings], ...] = (
    remove_legacy_options,
    adapt_sampling,
    adapt_stop,
    adapt_penalties,
    adapt_seed,
    adapt_choices,
    adapt_tools,
    adapt_logprobs,
    adapt_reasoning,
    adapt_response_format,
)


def _drop_each(case: Case, names: tuple[str, ...], severity: WarningSeverity) -> Findings:
    changes: dict[str, Any] = {}
    warnings: list[ParameterWarning] = []
    for name in names:
        if getattr(case.request, name) is not None and (problem := obstacle(case, name)):
            dropped, found = _drop(case, name, problem, severity)
            changes |= dropped
            warnings += found
    return changes, warnings


def _drop(case: Case, name: str, problem: Obstacle, severity: WarningSeverity) -> Findings:
    code, message = problem
    requested = getattr(case.request, name)
    shown = requested if name != "tools" else [tool.function.name for tool in requested]
    return {name: None}, [case.warn(name, code, severity, message + DROPPED, requested=shown)]


def _drop_logprobs(case: Case, problem: Obstacle, *, source: WarningSource = WarningSource.MANIFEST) -> Findings:
    code, message = problem
    asked = {"logprobs": True, "top_logprobs": case.request.top_logprobs}
    requested = {name: value for name, value in asked.items() if value is not None}
    # A dropped logprobs changes nothing in the answer itself, which is what severity is about.
    severity = WARNING if code is WarningCode.REASONING_CONFLICT else INFO
    warning = case.warn("logprobs", code, severity, message + DROPPED, requested=requested, source=source)
    return {"logprobs": None, "top_logprobs": None}, [warning]
