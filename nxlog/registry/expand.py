"""Raw dictionaries of capabilities files, before pydantic sees them.

In a file, evidence may be an entry or the name of one in ``[sources]``, so that a recording that
supports ten claims is written once.
"""

from __future__ import annotations

from typing import Any, cast

Raw = dict[str, Any]
"""One decoded TOML or JSON table."""


def expand_sources(raw: Raw) -> Raw:
    """A copy without ``sources``, every name in an ``evidence`` list replaced by its entry.

    Raises:
        ValueError: a name that ``sources`` does not have.
    """
    if "sources" not in raw:
        return raw
    sources: Raw = raw["sources"]
    return {key: _expand(value, sources) for key, value in raw.items() if key != "sources"}


def _expand(value: Any, sources: Raw) -> Any:
    if isinstance(value, list):
        return [_expand(item, sources) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    table = cast("Raw", value)
    return {key: _named(item, sources) if key == "evidence" else _expand(item, sources) for key, item in table.items()}


def _named(evidence: Any, sources: Raw) -> list[Any]:
    found: list[Any] = []
    for entry in evidence:
        if not isinstance(entry, str):
            found.append(entry)
        elif entry in sources:
            found.append(sources[entry])
        else:
            raise ValueError(f"evidence {entry!r} is not in [sources]; there are {sorted(sources)}")
    return found


def fill_asserted(raw: Raw, origin: str) -> Raw:
    """A copy in which claims without evidence rest on the user's word, given in ``origin``."""
    asserted = [{"kind": "asserted", "ref": origin}]
    return cast("Raw", _fill(expand_sources(raw), asserted))


def _fill(value: Any, asserted: list[Raw]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_fill(item, asserted) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    table = cast("Raw", value)
    if "value" in table:
        known = table["value"] != "unknown" and not table.get("evidence")
        return {**table, "evidence": asserted} if known else table
    return {key: _fill(item, asserted) for key, item in table.items()}


def merge_capabilities(base: Raw, over: Raw) -> Raw:
    """``over`` laid on ``base``: claims replace claims of the same name, rules come before those of ``base``."""
    base, over = expand_sources(base), expand_sources(over)
    merged = {**base, **over}
    merged["claims"] = {**base.get("claims", {}), **over.get("claims", {})}
    wires: Raw = dict(base.get("wires", {}))
    for name, claims in over.get("wires", {}).items():
        wires[name] = {**wires.get(name, {}), **claims}
    merged["wires"] = wires
    merged["rules"] = [*over.get("rules", []), *base.get("rules", [])]
    return merged


def merge_provider(base: Raw, over: Raw) -> Raw:
    """``over`` laid on ``base``: keys replace keys, wires are merged wire by wire."""
    merged = {**base, **over}
    if "wires" in over:
        merged["wires"] = {**base.get("wires", {}), **over["wires"]}
    if "variables" in base and "variables" not in over:
        # An address of the user's own has no place for all of them.
        addresses = repr((merged.get("base_url"), merged.get("wires")))
        variables: Raw = base["variables"]
        merged["variables"] = {name: one for name, one in variables.items() if f"{{{name}}}" in addresses}
    return merged
