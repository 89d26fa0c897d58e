"""``nxlog providers`` and ``nxlog capabilities``: what the registry knows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from nxlog.cli.color import console
from nxlog.cli.text import write
from nxlog.errors import InvalidRequestError
from nxlog.registry import CLAIM_NAMES, TRAIT_NAMES, Registry, evidence_level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nxlog.registry import Claim, Evidence, Provider, ProviderCapabilities, Trait


def print_providers(*, as_json: bool, color: bool) -> None:
    """Every provider, and what it says of log-probabilities."""
    registry = Registry.default()
    rows = [_provider_row(provider, registry.capabilities(provider.id)) for provider in registry]
    if as_json:
        _write_json(rows)
        return
    table = _table("id", "logprobs", "streams", "top", "ids", "numbers", "evidence", firm=7)
    for row in rows:
        names = ("id", "logprobs", "streaming_logprobs", None, "token_ids", "distribution", "evidence")
        table.add_row(*(_limit(row) if name is None else _short(row[name]) for name in names))
    screen = console(color=color)
    screen.print(table)
    for line in _LEGEND:
        screen.print(line, soft_wrap=True)


_LEGEND = (
    "streams: in streams; top: most alternatives for each token, ? where no limit is known; ids: token ids",
    "numbers: of the model's raw distribution, after temperature, after all processing, or unknown",
    "evidence: the best there is; nxlog capabilities ID lists it, with the key's variable, limits and notes",
)


def _short(word: str) -> str:
    return word.replace("third_party_", "")


def _provider_row(provider: Provider, known: ProviderCapabilities) -> dict[str, Any]:
    return {
        "id": provider.id,
        "display_name": provider.display_name,
        "kind": provider.kind.value,
        "base_url": provider.base_url,
        "wires": list(provider.wires),
        "key_env": list(provider.key_env),
        "key_required": provider.auth.required,
        # Whether there is one; never which.
        "key_found": any(os.environ.get(name) for name in provider.key_env),
        "logprobs": known.claim("logprobs").value.value,
        "streaming_logprobs": known.claim("streaming_logprobs").value.value,
        "max_top_logprobs": known.max_top_logprobs,
        "token_ids": known.claim("token_ids").value.value,
        "prompt_logprobs": known.claim("prompt_logprobs").value.value,
        "distribution": known.distribution.value,
        "evidence": evidence_level(known.claim("logprobs")) or "none",
    }


def _key_state(provider: Provider) -> str:
    if not provider.key_env:
        return "must be given" if provider.auth.required else "none needed"
    # Whether there is one; never which.
    names = [f"{name} (set)" if os.environ.get(name) else name for name in provider.key_env]
    return " or ".join(names) + ("" if provider.auth.required else " (may be absent)")


def _limit(row: dict[str, Any]) -> str:
    if row["logprobs"] not in {"yes", "partial"}:
        return "-"
    return "?" if row["max_top_logprobs"] is None else str(row["max_top_logprobs"])


def print_capabilities(name: str, *, wire: str | None, as_json: bool, color: bool) -> None:
    """What is claimed about a model at a provider, and on what evidence.

    Raises:
        UnknownProviderError: the name says no provider, or one that is not known.
        InvalidRequestError: the provider does not speak the wire.
    """
    registry = Registry.default()
    provider, model = registry.resolve(name) if "/" in name else (registry.provider(name), "")
    if wire is not None and wire not in provider.wires:
        raise InvalidRequestError(
            f"wire: {provider.id} does not speak {wire!r}; it speaks {', '.join(provider.wires)}", param="wire"
        )
    known = registry.capabilities(provider.id, model, wire=wire)
    if as_json:
        claims = {claim: known.claim(claim).model_dump(mode="json", exclude_none=True) for claim in CLAIM_NAMES}
        traits = {trait: _trait(known, trait).model_dump(mode="json", exclude_none=True) for trait in TRAIT_NAMES}
        _write_json({**known.model_dump(mode="json"), "claims": claims, "traits": traits})
        return
    screen = console(color=color)
    for line in _headlines(provider, known):
        screen.print(line, soft_wrap=True)
    table = _table("claim", "value", "limits", "evidence", "note", firm=2)
    for claim_name in CLAIM_NAMES:
        claim = known.claim(claim_name)
        table.add_row(claim_name, claim.value.value, _limits(claim), _evidence(claim.evidence), claim.note or "")
    screen.print(table)
    table = _table("property", "value", "evidence", "note", firm=2)
    for trait_name in TRAIT_NAMES:
        trait = _trait(known, trait_name)
        table.add_row(trait_name, str(trait.value), _evidence(trait.evidence), trait.note or "")
    screen.print(table)
    for line in _sources(known):
        screen.print(line, soft_wrap=True)


def _headlines(provider: Provider, known: ProviderCapabilities) -> list[str]:
    lines = [f"{provider.id}/{known.model}" if known.model else f"{provider.id} ({provider.display_name})"]
    lines.append(f"wire {known.wire or provider.default_wire} (speaks {', '.join(provider.wires)})")
    if known.rule is not None:
        lines.append(f"rule for models that match {known.rule!r}" + (f": {known.note}" if known.note else ""))
    lines.append(f"key {_key_state(provider)}")
    lines.append(f"an unsupported field: the server's posture is {known.posture.value}")
    lines.append(f"documentation {provider.docs}")
    return lines


def _trait(known: ProviderCapabilities, name: str) -> Trait[Any]:
    trait: Trait[Any] = getattr(known.claims, name)
    return trait


def _limits(claim: Claim) -> str:
    limits = [f"{name} {value}" for name in ("min", "max", "default") if (value := getattr(claim, name)) is not None]
    if claim.range is not None:
        limits.append(f"{claim.range[0]:g} to {claim.range[1]:g}")
    limits += [f"requires {requirement}" for requirement in claim.requires]
    return ", ".join(limits)


def _evidence(entries: Iterable[Evidence]) -> str:
    """The kinds of evidence, each with the day somebody last looked."""
    latest: dict[str, str] = {}
    for entry in entries:
        latest[entry.kind.value] = max(latest.get(entry.kind.value, ""), entry.checked or "")
    return ", ".join(f"{kind} {checked}".rstrip() for kind, checked in latest.items())


def _sources(known: ProviderCapabilities) -> list[str]:
    """Every page and recording behind the claims, once, with what it is evidence of."""
    uses: dict[str, list[str]] = {}
    for name in (*CLAIM_NAMES, *TRAIT_NAMES):
        for entry in getattr(known.claims, name).evidence:
            for place in filter(None, (entry.ref, entry.url)):
                uses.setdefault(place, []).append(name)
    return [f"{place} ({', '.join(names)})" for place, names in uses.items()]


def _table(*columns: str, firm: int) -> Table:
    """A table whose first ``firm`` columns are never broken."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number < firm)
    return table


def _write_json(value: Any) -> None:
    write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
