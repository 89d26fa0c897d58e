"""The gate: what a request may ask of one provider, model and mode.

``adapt`` is pure. It runs the rules below in order; each looks at the request as the rules before it left it, and
answers with changed fields and the warnings that say so. The original request is never changed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from nxlog._gate import (
    DROPPED,
    ERROR,
    INFO,
    NOTHING,
    WARNING,
    Case,
    Findings,
    Obstacle,
    OnUnknown,
    OnUnsupported,
    drop,
    drop_each,
    obstacle,
    out_of_range,
    raise_first,
    value_obstacle,
)
from nxlog.registry import Requirement
from nxlog.request import INCLUDE_LOGPROBS, NEED_LOGPROBS, Message, ResponseFormat
from nxlog.verdicts import VerdictKind
from nxlog.warnings import ParameterWarning, WarningCode, WarningSeverity, WarningSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nxlog.registry import ProviderCapabilities
    from nxlog.request import ChatRequest
    from nxlog.verdicts import Verdict

__all__ = ["OnUnknown", "OnUnsupported", "adapt"]


def adapt(
    request: ChatRequest,
    capabilities: ProviderCapabilities,
    *,
    stream: bool = False,
    on_unsupported: OnUnsupported = "warn",
    on_unknown: OnUnknown = "try",
    verdict: Verdict | None = None,
    lacks: frozenset[str] = frozenset(),
) -> tuple[ChatRequest, list[ParameterWarning]]:
    """The request as it can be sent, and a warning for everything that had to change.

    Args:
        request: what was asked for.
        capabilities: what the model can do at the provider.
        stream: whether the answer is streamed.
        on_unsupported: ``"warn"`` drops with a warning, ``"raise"`` raises.
        on_unknown: ``"try"`` sends a field whose claim is unknown, ``"drop"`` treats it as unsupported.
        verdict: what the server has shown of logprobs earlier, if anything.
        lacks: what the wire format has no place for (see ``nxlog.wire.base.Wire.lacks``).

    Raises:
        UnsupportedParameterError: ``on_unsupported="raise"`` and a field cannot be delivered as asked.
    """
    case = Case(request, capabilities, stream=stream, on_unknown=on_unknown, verdict=verdict, lacks=lacks)
    found: list[ParameterWarning] = []
    for rule in RULES:
        changes, warnings = rule(case)
        if changes:
            case = replace(case, request=case.request.model_copy(update=changes))
        found += warnings
    if on_unsupported == "raise":
        raise_first(found)
    return case.request, found


# -- the rules, in order ---------------------------------------------------------------------------------------------

_LEGACY_OPTIONS = frozenset(
    {"logprobs", "toplogprobs", "responselogprobs", "returnlogprob", "returnlogprobs", "toplogprobsnum"}
    | {"nprobs", "topntokens"}
)


def remove_legacy_options(case: Case) -> Findings:
    """Logprobs have fields; in provider_options they would pass the gate and lose their type."""
    kept, legacy = _without_legacy(case.request.provider_options or {})
    if not legacy:
        return NOTHING
    names = " and ".join(map(repr, legacy))
    message = f"{names} in provider_options not sent; write ChatRequest({_first_class(legacy)}) instead"
    warning = case.warn(
        "provider_options", WarningCode.MIGRATION, WARNING, message, requested=legacy, source=WarningSource.REQUEST
    )
    return {"provider_options": kept or None}, [warning]


def _without_legacy(options: Mapping[str, Any], place: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """What may stay, and what may not by its dotted name; providers nest their fields (``generationConfig``, ...)."""
    kept: dict[str, Any] = {}
    legacy: dict[str, Any] = {}
    for key, value in options.items():
        if _letters(key) in _LEGACY_OPTIONS:
            legacy[place + key] = value
        elif key == "include" and isinstance(value, list) and INCLUDE_LOGPROBS in value:
            legacy[place + key] = True
            rest = [name for name in cast("list[object]", value) if name != INCLUDE_LOGPROBS]
            kept |= {key: rest} if rest else {}
        elif isinstance(value, dict):
            inner, found = _without_legacy(cast("dict[str, Any]", value), f"{place}{key}.")
            legacy |= found
            kept |= {key: inner} if inner or not found else {}
        else:
            kept[key] = value
    return kept, legacy


def _letters(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


def _first_class(legacy: Mapping[str, object]) -> str:
    counts = [value for value in legacy.values() if isinstance(value, int) and not isinstance(value, bool)]
    if counts:
        return f"logprobs=True, top_logprobs={max(0, *counts)}"
    return f"logprobs={any(legacy.values())}"


def adapt_reasoning(case: Case) -> Findings:
    """The reasoning effort. It comes before everything that depends on whether the model reasons."""
    effort = case.request.reasoning_effort
    if effort == "none" and case.capabilities.effort_none is False and obstacle(case, "reasoning_effort") is None:
        if case.capabilities.reasoning_default is False:
            return drop(case, "reasoning_effort", (WarningCode.UNSUPPORTED, "the model never reasons"), INFO)
        problem = (WarningCode.UNSUPPORTED, "the model always reasons and does not accept 'none'")
        return drop(case, "reasoning_effort", problem, WARNING)
    if effort is not None and (unspeakable := value_obstacle(case, "reasoning_effort", effort)):
        return drop(case, "reasoning_effort", unspeakable, WARNING)
    return drop_each(case, ("reasoning_effort",), WARNING)


def adapt_sampling(case: Case) -> Findings:
    """Temperature and top_p, which reasoning models refuse, and the limit of tokens."""
    changes, warnings = drop_each(case, ("temperature", "top_p", "max_tokens"), WARNING)
    names = tuple(name for name in ("temperature", "top_p") if name not in changes)
    return changes, warnings + out_of_range(case, names)


def adapt_stop(case: Case) -> Findings:
    """Stop sequences: dropped, or the first N kept."""
    stop = case.request.stop
    if stop is None:
        return NOTHING
    if problem := obstacle(case, "stop"):
        return drop(case, "stop", problem, WARNING)
    limit = case.claim("stop").max
    if limit is None or len(stop) <= limit:
        return NOTHING
    message = f"truncated from {len(stop)} to {limit} stop sequences, the provider's maximum"
    warning = case.warn("stop", WarningCode.TRUNCATED, WARNING, message, requested=stop, applied=stop[:limit])
    return {"stop": stop[:limit] or None}, [warning]


def adapt_penalties(case: Case) -> Findings:
    """Penalties: dropped where unknown to the provider; out of range they are sent, and said."""
    penalties = ("presence_penalty", "frequency_penalty")
    changes, warnings = drop_each(case, penalties, INFO)
    return changes, warnings + out_of_range(case, tuple(name for name in penalties if name not in changes))


def adapt_seed(case: Case) -> Findings:
    """The seed."""
    return drop_each(case, ("seed",), INFO)


def adapt_choices(case: Case) -> Findings:
    """Several choices: dropped where the provider gives one."""
    if case.request.n == 1:
        # What every provider does anyway, also one that knows no such field.
        return ({"n": None}, []) if obstacle(case, "n") else NOTHING
    return drop_each(case, ("n",), WARNING)


def adapt_tools(case: Case) -> Findings:
    """Tools: without them the answer is another one, so an error in severity."""
    request, problem = case.request, obstacle(case, "tools")
    if problem is None:
        return _adapt_tool_choice(case)
    changes: dict[str, Any] = {}
    warnings: list[ParameterWarning] = []
    for name, severity in (("tools", ERROR), ("tool_choice", WARNING)):
        if getattr(request, name) is not None:
            dropped, found = drop(case, name, problem, severity)
            changes |= dropped
            warnings += found
    return changes, warnings


def _adapt_tool_choice(case: Case) -> Findings:
    choice = case.request.tool_choice
    if choice is None:
        return NOTHING
    problem = value_obstacle(case, "tool_choice", choice if isinstance(choice, str) else "function")
    return NOTHING if problem is None else drop(case, "tool_choice", problem, WARNING)


def adapt_logprobs(case: Case) -> Findings:
    """Logprobs and top_logprobs, by provider, model and mode; never one without the other."""
    if case.request.logprobs is False:
        # Not to be asked is what a field unknown to the provider gives.
        return ({"logprobs": None}, []) if obstacle(case, "logprobs") else NOTHING
    if not case.request.logprobs:
        return NOTHING
    if case.verdict is not None and case.verdict.kind is not VerdictKind.LIMITED:
        reason = f"not sent, because the server {case.verdict.kind} it earlier: {case.verdict.message}"
        return _drop_logprobs(case, (WarningCode.REFUSED, reason), source=WarningSource.LEARNED)
    if problem := _logprobs_obstacle(case):
        return _drop_logprobs(case, problem)
    changes, warnings = drop_each(case, ("logprob_token_ids",), WARNING)
    fewer, found = adapt_top_logprobs(case)
    return changes | fewer, warnings + found


def _logprobs_obstacle(case: Case) -> Obstacle | None:
    problem = obstacle(case, "logprobs")
    if problem is not None or not case.stream:
        return problem
    problem = obstacle(case, "streaming_logprobs")
    if problem is not None and problem[0] is WarningCode.UNSUPPORTED:
        return WarningCode.UNSUPPORTED_STREAMING, f"{problem[1]} in a stream; chat() gives it"
    return problem


def adapt_top_logprobs(case: Case) -> Findings:
    """The number of alternatives, within the provider's limits."""
    asked = case.request.top_logprobs
    if asked is None:
        # More than was asked for, where without it nothing would come.
        least = case.claim("top_logprobs").min or 1
        return ({"top_logprobs": least}, []) if _needs_alternatives(case) else NOTHING
    if problem := obstacle(case, "top_logprobs"):
        # No alternatives are what a field that is not sent gives.
        return drop(case, "top_logprobs", problem, WARNING) if asked else ({"top_logprobs": None}, [])
    claim, learned = case.claim("top_logprobs"), None if case.verdict is None else case.verdict.limit
    most = min((limit for limit in (claim.max, learned) if limit is not None), default=asked)
    applied = max(min(asked, most), claim.min or 0)
    if applied == asked:
        return NOTHING
    bound = f"maximum is {applied}" if applied < asked else f"minimum is {applied} (fewer turns logprobs off)"
    message = f"requested {asked} alternatives, the provider's {bound}"
    severity = WARNING if applied < asked else INFO
    source = WarningSource.LEARNED if applied == learned != claim.max else WarningSource.MANIFEST
    warning = case.warn(
        "top_logprobs", WarningCode.CLAMPED, severity, message, requested=asked, applied=applied, source=source
    )
    return {"top_logprobs": applied}, [warning]


def _needs_alternatives(case: Case) -> bool:
    required = Requirement.TOP_LOGPROBS in case.claim("logprobs").requires
    return required and obstacle(case, "top_logprobs") is None


def adapt_prompt_ids(case: Case) -> Findings:
    """A prompt of ids: the messages are sent in its place, if there are any.

    Raises:
        UnsupportedParameterError: there are none, so nothing could be sent.
    """
    problem = None if case.request.input_ids is None else obstacle(case, "token_ids_in")
    if problem is None:
        return NOTHING
    changes, warnings = drop(case, "input_ids", problem, ERROR)
    if not case.request.messages:
        raise_first(warnings)
    return changes, warnings


def adapt_token_fields(case: Case) -> Findings:
    """Ids of tokens, logprobs of the prompt, and the ids that end the answer."""
    changes, warnings = drop_each(case, ("prompt_logprobs", "stop_token_ids"), WARNING)
    asked, problem = case.request.return_token_ids, obstacle(case, "token_ids")
    if asked is False and problem:
        return changes | {"return_token_ids": None}, warnings
    if asked and problem:
        dropped, found = drop(case, "return_token_ids", problem, WARNING)
        return changes | dropped, warnings + found
    return changes, warnings


def adapt_response_format(case: Case) -> Findings:
    """JSON: the best the provider has, down to asking for it in words."""
    wanted = case.request.response_format
    if wanted is None or obstacle(case, _CLAIM_OF_FORMAT[wanted.type]) is None:
        return NOTHING
    if wanted.type == "text":
        return {"response_format": None}, []  # text is what comes anyway
    if "system_messages" in case.lacks or not case.request.messages:
        problem = (WarningCode.UNSUPPORTED, "the wire format has no field for it, and no place for words about it")
        return drop(case, "response_format", problem, WARNING)
    if wanted.type == "json_object":
        return _ask_in_words(case, wanted, INFO)
    if obstacle(case, "json_mode") is not None:
        return _ask_in_words(case, wanted, WARNING)
    changes, _ = _ask_in_words(case, wanted, WARNING)
    message = "JSON schemas are not supported; JSON mode is used, with the schema in words"
    warning = case.warn(
        "response_format",
        WarningCode.DOWNGRADED,
        WARNING,
        message,
        requested="json_schema",
        applied="json_object",
    )
    return {**changes, "response_format": ResponseFormat(type="json_object")}, [warning]


# A provider that knows the field for JSON knows it for text.
_CLAIM_OF_FORMAT = {"text": "json_mode", "json_object": "json_mode", "json_schema": "json_schema"}


def _ask_in_words(case: Case, wanted: ResponseFormat, severity: WarningSeverity) -> Findings:
    if "system_messages" in case.lacks or not case.capabilities.supports_system_messages:
        # A text that is completed is nobody to be asked.
        message = f"{wanted.type} is not supported, and there is no place to ask for it in words" + DROPPED
        warning = case.warn("response_format", WarningCode.UNSUPPORTED, WARNING, message, requested=wanted.type)
        return {"response_format": None}, [warning]
    text = "Answer with one JSON value only, without any other text."
    if wanted.json_schema is not None:
        schema = json.dumps(wanted.json_schema.json_schema, ensure_ascii=False)
        text += f" It must validate against this JSON schema: {schema}"
    warning = case.warn(
        "response_format",
        WarningCode.EMULATED,
        severity,
        f"{wanted.type} is not supported; a system message asks for it in words",
        requested=wanted.type,
    )
    return {"response_format": None, "messages": _instructed(case.request.messages, text)}, [warning]


def _instructed(messages: list[Message], text: str) -> list[Message]:
    first = messages[0]
    if first.role in {"system", "developer"} and isinstance(first.content, str):
        # Chat templates often allow one system message only.
        return [first.model_copy(update={"content": f"{first.content}\n\n{text}"}), *messages[1:]]
    return [Message(role="system", content=text), *messages]


RULES: tuple[Callable[[Case], Findings], ...] = (
    remove_legacy_options,
    adapt_reasoning,
    adapt_sampling,
    adapt_stop,
    adapt_penalties,
    adapt_seed,
    adapt_choices,
    adapt_tools,
    adapt_prompt_ids,
    adapt_logprobs,
    adapt_token_fields,
    adapt_response_format,
)


def _drop_logprobs(case: Case, problem: Obstacle, *, source: WarningSource = WarningSource.MANIFEST) -> Findings:
    code, message = problem
    request = case.request
    asked = {"logprobs": True} | {name: getattr(request, name) for name in NEED_LOGPROBS}
    requested = {name: value for name, value in asked.items() if value is not None}
    # A dropped logprobs changes nothing in the answer itself, which is what severity is about.
    severity = WARNING if code is WarningCode.REASONING_CONFLICT else INFO
    warning = case.warn("logprobs", code, severity, message + DROPPED, requested=requested, source=source)
    return {"logprobs": None, **dict.fromkeys(NEED_LOGPROBS)}, [warning]
