"""What the rules of the gate share: what they look at, why a field cannot be sent, and how it is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nxlog.errors import UnsupportedParameterError
from nxlog.registry import CapabilityStatus, Requirement
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from nxlog.registry import Claim, ProviderCapabilities
    from nxlog.request import ChatRequest
    from nxlog.verdicts import Verdict

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
    verdict: Verdict | None = None
    """What the server has shown of logprobs in this mode earlier."""
    lacks: frozenset[str] = frozenset()
    """What the wire format has no place for, whatever the model could do: names of claims, or single values of
    fields, such as ``tool_choice=required``."""

    def claim(self, name: str) -> Claim:
        """The claim about a field."""
        return self.capabilities.claim(name)

    @property
    def reasons(self) -> bool:
        """Whether the model will reason before it answers."""
        thinking = (self.request.provider_options or {}).get("thinking")
        if thinking == {"type": "disabled"}:
            return False  # how DeepSeek, Anthropic and others spell effort "none"
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


Findings = tuple[dict[str, Any], list[ParameterWarning]]
"""What a rule answers: fields to change, and the warnings that say so."""

NOTHING: Findings = ({}, [])
DROPPED = "; dropped"

Obstacle = tuple[WarningCode, str]


def obstacle(case: Case, name: str) -> Obstacle | None:
    """Why what the claim ``name`` is about cannot be delivered in this mode.

    None when it can, or when that is worth a try.
    """
    claim = case.claim(name)
    return _unmet(case, claim) or _unsupported(case, claim) or _unspeakable(case, name)


def value_obstacle(case: Case, name: str, value: str) -> Obstacle | None:
    """Why a field cannot have this value: the format has the field and no word for that."""
    if name in case.lacks:
        return WarningCode.UNSUPPORTED, "the wire format has no field for it"
    if f"{name}={value}" in case.lacks:
        return WarningCode.UNSUPPORTED, f"the wire format has no word for {value!r}"
    return None


def _unspeakable(case: Case, name: str) -> Obstacle | None:
    return (WarningCode.UNSUPPORTED, "the wire format has no field for it") if name in case.lacks else None


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


def drop_each(case: Case, names: tuple[str, ...], severity: WarningSeverity) -> Findings:
    """Drop those of the fields that are asked for and cannot be delivered."""
    changes: dict[str, Any] = {}
    warnings: list[ParameterWarning] = []
    for name in names:
        if getattr(case.request, name) is not None and (problem := obstacle(case, name)):
            dropped, found = drop(case, name, problem, severity)
            changes |= dropped
            warnings += found
    return changes, warnings


def drop(case: Case, name: str, problem: Obstacle, severity: WarningSeverity) -> Findings:
    """Drop one field."""
    code, message = problem
    requested = getattr(case.request, name)
    shown = requested if name != "tools" else [tool.function.name for tool in requested]
    return {name: None}, [case.warn(name, code, severity, message + DROPPED, requested=shown)]


def out_of_range(case: Case, names: tuple[str, ...]) -> list[ParameterWarning]:
    """Values that the provider does not take. They are sent: it may clamp them or refuse, and nxlog guesses neither."""
    warnings: list[ParameterWarning] = []
    for name in names:
        value, allowed = getattr(case.request, name), case.claim(name).range
        if value is None or allowed is None or allowed[0] <= value <= allowed[1]:
            continue
        message = (
            f"{value} is outside the provider's range [{allowed[0]:g}, {allowed[1]:g}]; it may be clamped or refused"
        )
        warnings.append(case.warn(name, WarningCode.OUT_OF_RANGE, WARNING, message, requested=value, applied=value))
    return warnings


def raise_first(found: list[ParameterWarning]) -> None:
    """The first warning about something that is not delivered as asked, as an error.

    Raises:
        UnsupportedParameterError: there is one.
    """
    for warning in found:
        if warning.code is not WarningCode.OUT_OF_RANGE:
            raise UnsupportedParameterError(
                f"{warning.parameter}: {warning.message.removesuffix(DROPPED)}",
                provider=warning.provider,
                model=warning.model,
                code=warning.code.value,
                param=warning.parameter,
            )
