"""The provider matrix of the documentation, as Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from nxlog.registry.capabilities import all_claims, evidence_level, last_reviewed
from nxlog.registry.claims import CLAIM_NAMES, TRAIT_NAMES, CapabilityStatus, Claim, Claims, EvidenceKind, Trait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nxlog.registry.lookup import Registry
    from nxlog.registry.models import Capabilities, ModelRule, Provider

_OVERVIEW = ("logprobs", "streaming_logprobs", "top_logprobs", "token_ids", "prompt_logprobs")
_WORD = {None: "unknown", True: "yes", False: "no"}


def page(registry: Registry, writer: str) -> str:
    """The whole page."""
    return "\n".join(_page(registry, writer)) + "\n"


def _page(registry: Registry, writer: str) -> Iterator[str]:
    yield f"<!-- Written by `{writer}` from providers/*.toml and capabilities/*.toml; edit those. -->"
    yield "# Providers"
    yield ""
    yield "What each provider can do, with the date of the latest check. A claim is **yes**, **no**, **partial**"
    yield "(its note says which part) or **unknown**; every claim but *unknown* rests on evidence, listed in"
    yield "`capabilities/<id>.toml`. Only *yes* and *partial* count as supported."
    yield ""
    yield from _overview(registry)
    yield ""
    yield from _counts(registry)
    for provider in registry:
        yield ""
        yield from _section(provider, registry.claims(provider.id))


def summary(registry: Registry) -> str:
    """Which provider gives log-probabilities, in a few lines for the README."""
    groups: dict[str, list[str]] = {title: [] for title in _GROUPS.values()}
    for provider in registry:
        claims = registry.claims(provider.id).claims
        key = (claims.logprobs.value, claims.streaming_logprobs.value)
        groups[_GROUPS.get(key) or _GROUPS[claims.logprobs.value, None]].append(provider.id)
    lines = [f"- {title}: {', '.join(ids)}" for title, ids in groups.items() if ids]
    counted = Counter(kind for kind, _ in _strongest(registry))
    total, kinds = sum(counted.values()), _counted(counted)
    return "\n".join([*lines, "", f"{len(registry.ids)} providers, {total} claims with evidence ({kinds}).", ""])


_YES, _NO, _PARTIAL, _UNKNOWN = CapabilityStatus
_GROUPS: dict[tuple[CapabilityStatus, CapabilityStatus | None], str] = {
    (_YES, _YES): "**whole and streamed**",
    (_YES, None): "**whole replies**; streams lose some, have none, or are not known",
    (_PARTIAL, None): "**some models or modes**",
    (_NO, None): "**none**",
    (_UNKNOWN, None): "**not known**: asked for, and checked in the reply",
}


def _strongest(registry: Registry) -> Iterator[tuple[EvidenceKind, Claim | Trait[Any]]]:
    """Every claim that is not unknown, with the most trusted kind of its evidence."""
    for provider in registry:
        for table in all_claims(registry.claims(provider.id)):
            for name in table.model_fields_set:
                claim = getattr(table, name)
                if (kind := evidence_level(claim)) is not None and claim.value != "unknown":
                    yield kind, claim


def _counted(counted: Counter[EvidenceKind]) -> str:
    return ", ".join(f"{counted[kind]} {kind.value.replace('_', ' ')}" for kind in EvidenceKind if counted[kind])


def _counts(registry: Registry) -> Iterator[str]:
    """How many claims rest on what, each counted by its most trusted evidence."""
    yield "Claims by their best evidence (unknown ones have none):"
    yield ""
    counted = Counter((kind, str(claim.value)) for kind, claim in _strongest(registry))
    values = (_YES, _PARTIAL, _NO)
    yield _row("evidence", *values, "properties", "all")
    yield _row(*["---"] * 6)
    for kind in EvidenceKind:
        total = sum(count for (found, _), count in counted.items() if found is kind)
        if total:
            each = [counted[kind, value] for value in values]
            yield _row(kind.value.replace("_", " "), *map(str, (*each, total - sum(each), total)))


def _overview(registry: Registry) -> Iterator[str]:
    yield _row("provider", "kind", *(_title(name) for name in _OVERVIEW), "numbers are", "checked")
    yield _row(*["---"] * (len(_OVERVIEW) + 4))
    for provider in registry:
        capabilities = registry.claims(provider.id)
        claims = capabilities.claims
        yield _row(
            f"[{provider.id}](#{provider.id})",
            provider.kind,
            *(_value(getattr(claims, name)) for name in _OVERVIEW),
            claims.distribution.value,
            last_reviewed(capabilities) or "never",
        )


def _section(provider: Provider, capabilities: Capabilities) -> Iterator[str]:
    yield f'<a id="{provider.id}"></a>'
    yield f"## {provider.display_name}"
    yield ""
    names = ", ".join(f"`{name}`" for name in (provider.id, *provider.aliases))
    yield f"{names}: [documentation]({provider.docs})."
    yield f"Address: {f'`{provider.base_url}`' if provider.base_url else 'none of its own'}."
    yield f"Key: {' or '.join(f'`{name}`' for name in provider.key_env) or 'none in the environment'}."
    yield f"Wires: {', '.join(f'`{name}`' for name in provider.wires)}."
    yield f"An unsupported field: {capabilities.posture}."
    yield ""
    yield from _claims(capabilities.claims)
    for wire, claims in capabilities.wires.items():
        yield ""
        yield f"Over `{wire}` instead:"
        yield ""
        yield from _claims(claims, only=claims.model_fields_set)
    if capabilities.rules:
        yield ""
        yield from _rules(capabilities)


def _claims(claims: Claims, only: set[str] | None = None) -> Iterator[str]:
    yield _row("claim", "value", "limits", "note", "evidence", "checked")
    yield _row(*["---"] * 6)
    for name in (*CLAIM_NAMES, *TRAIT_NAMES):
        if only is not None and name not in only:
            continue
        claim = getattr(claims, name)
        kinds = ", ".join(sorted({entry.kind.value.replace("_", " ") for entry in claim.evidence}))
        checked = max((entry.checked for entry in claim.evidence if entry.checked), default="")
        limits = _limits(claim) if isinstance(claim, Claim) else ""
        yield _row(_title(name), claim.value, limits, claim.note or "", kinds, checked)


def _rules(capabilities: Capabilities) -> Iterator[str]:
    yield "Models, first match wins:"
    yield ""
    yield _row("model name", "logprobs", "streaming", "alternatives", "reasons by default", "effort none", "note")
    yield _row(*["---"] * 7)
    for rule in capabilities.rules:
        claims = capabilities.claims_for(rule, None)
        yield _row(
            f"`{rule.match}`",
            _value(claims.logprobs),
            _value(claims.streaming_logprobs),
            _value(claims.top_logprobs),
            _WORD[capabilities.reasoning("reasoning_default", rule)],
            _WORD[capabilities.reasoning("effort_none", rule)],
            _note(rule, claims),
        )


def _note(rule: ModelRule, claims: Claims) -> str:
    own = claims.logprobs.note if "logprobs" in rule.claims.model_fields_set else None
    return "; ".join(part for part in (rule.note, own) if part)


def _value(claim: Claim) -> str:
    limits = _limits(claim)
    return f"{claim.value} ({limits})" if limits else claim.value.value


def _limits(claim: Claim) -> str:
    parts: list[str] = []
    if claim.min is not None and claim.max is not None:
        parts.append(f"{claim.min} to {claim.max}")
    elif claim.max is not None:
        parts.append(f"at most {claim.max}")
    elif claim.min is not None:
        parts.append(f"from {claim.min}")
    if claim.default is not None:
        parts.append(f"absent means {claim.default}")
    if claim.range is not None:
        parts.append(f"{claim.range[0]:g} to {claim.range[1]:g}")
    parts.extend(f"needs {requirement}" for requirement in claim.requires)
    return ", ".join(parts)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
