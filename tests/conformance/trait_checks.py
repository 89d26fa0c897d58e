"""What a recording shows of a trait, in the manner of ``claim_checks``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.registry import BytesFidelity, ChosenInTop, Distribution, EntriesPerToken, TopSorted, Trait
from tests.conformance.claim_checks import NOTHING, VALUE, Facets, agree
from tests.conformance.recordings import Recording, sibling

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.readers import Json

MASKED_AT = -9999.0
PLAIN = {"sglang-generate": "generate"}
"""The recording at temperature 0, by wire."""
NEAR = 2e-3
"""Batches of another size change the last digits of a logprob."""


def needed(trait: Trait[Any]) -> Facets:
    """Words that speak of a difference need a recording of either side."""
    if trait.value is ChosenInTop.SOMETIMES:
        return {"inside", "outside"}
    if trait.value is EntriesPerToken.LOSSY_STREAM:
        return {"whole", "stream"}
    return VALUE


def chosen_in_top(trait: Trait[Any], seen: Recording) -> Facets:
    """A greedy reply has the sampled token on top anyway, so it shows nothing."""
    rows = [record for record in seen.records if record.get("top_logprobs", ())]
    inside = [_known_by(record) in {_known_by(top) for top in record["top_logprobs"]} for record in rows]
    if trait.value is ChosenInTop.SOMETIMES:
        return {"inside" for is_in in inside if is_in} | {"outside" for is_in in inside if not is_in}
    if not rows or seen.greedy:
        return NOTHING
    agree(all(inside) if trait.value is ChosenInTop.ALWAYS else not any(inside), f"{sum(inside)} of {len(inside)}")
    return VALUE


def _known_by(record: Json) -> Any:
    return record.get("token") or record.get("token_id")


def top_sorted(trait: Trait[Any], seen: Recording) -> Facets:
    """The same: with the best token sampled, a list that puts the sampled one first is in order by chance."""
    if seen.greedy:
        return NOTHING
    rows = [[top["logprob"] for top in record.get("top_logprobs", ())] for record in seen.records]
    in_order = all(row == sorted(row, reverse=True) for row in rows)
    agree(in_order is (trait.value is TopSorted.YES), f"in order: {in_order}")
    return VALUE


def bytes_(trait: Trait[Any], seen: Recording) -> Facets:
    """Joined, they are the text, with the token that ends the turn or without; only emoji can tell."""
    if seen.text.isascii() or not seen.records:
        return NOTHING
    text = seen.text.encode()
    parts = [bytes(record.get("bytes") or ()) for record in seen.records]
    exact = text in {b"".join(parts), b"".join(parts[:-1])}
    agree(exact is (trait.value is BytesFidelity.EXACT), f"exact: {exact}")
    agree(any(parts) is not (trait.value is BytesFidelity.MISSING), f"bytes: {any(parts)}")
    return VALUE


def entries_per_token(trait: Trait[Any], seen: Recording) -> Facets:
    """For one choice: what usage counts of several is the matter of the claim ``n``."""
    entries, tokens = len(seen.records), seen.generated
    if not seen.channels or seen.choices > 1 or tokens is None or seen.asked("echo"):
        return NOTHING
    match trait.value:
        case EntriesPerToken.EXACT:
            agree(entries == tokens, f"{entries} entries for {tokens} tokens")
            return VALUE
        case EntriesPerToken.MERGED:
            agree(entries <= tokens, f"{entries} entries for {tokens} tokens")
            joined = b"".join(bytes(record["bytes"]) for record in seen.records)
            return VALUE if entries < tokens and joined.startswith(seen.text.encode()) else NOTHING
        case EntriesPerToken.LOSSY_STREAM if seen.stream:
            return {"stream"} if entries < tokens else NOTHING
        case _:
            agree(entries == tokens, f"{entries} entries for {tokens} tokens")
            return {"whole"}


def distribution(trait: Trait[Any], seen: Recording) -> Facets:
    """The first token's alternatives against those of the same prompt at temperature 0, where both agree."""
    warm = sibling(seen, "probe_warm")
    if warm is not None and warm.messages == seen.messages:
        return _probed(trait, seen, warm)
    plain = sibling(seen, PLAIN.get(seen.case.wire, "chat_logprobs"))
    if plain is None:
        return NOTHING
    if seen.case.model != plain.case.model:
        # The same server with other settings, which the note speaks of.
        agree(_masked(seen) and Distribution.PROCESSED in (trait.note or ""), "no settings are spoken of")
        return {"other settings"}
    if seen.messages != plain.messages:
        return NOTHING
    found = _distribution(seen, plain)
    agree(found is None or found is trait.value, f"it is {found}")
    return NOTHING if found is None else VALUE


def _probed(trait: Trait[Any], seen: Recording, warm: Recording) -> Facets:
    """One of the three answers of ``nxlog probe``: at temperature 1, at another, and at 1 with ``top_p``."""
    if seen.case.name == warm.case.name:
        return {"at 1"}
    if seen.asked("top_p") is None:
        found = Distribution.PROCESSED if _masked(warm) else _distribution(seen, warm)
        agree(found in {trait.value, None} or trait.value is Distribution.PROCESSED, f"it is {found}")
        return VALUE if found is trait.value else {"at another"}
    here, there = _first(seen), _first(warm)
    cut = _masked(seen) or any(abs(here[token] - there[token]) > NEAR for token in here.keys() & there.keys())
    agree(cut is (trait.value is Distribution.PROCESSED), f"changed by top_p: {cut}")
    return VALUE


def _distribution(seen: Recording, plain: Recording) -> Distribution | None:
    here, there = _first(seen), _first(plain)
    heat = seen.asked("temperature") or 1.0
    same = sorted(here.keys() & there.keys(), key=lambda token: there[token])
    if len(same) < 3 or (heat == 1.0 and not seen.asked("response_format")):
        return None
    if _masked(seen):
        return Distribution.PROCESSED
    if all(abs(here[token] - there[token]) < NEAR for token in same):
        return Distribution.RAW
    low, high = same[0], same[-1]
    scaled = abs((here[high] - here[low]) * heat - (there[high] - there[low])) < NEAR
    return Distribution.TEMPERATURE if scaled else None


def _first(seen: Recording) -> dict[str, float]:
    return {top["token"]: top["logprob"] for top in seen.records[0]["top_logprobs"]}


def _masked(seen: Recording) -> bool:
    return any(top["logprob"] <= MASKED_AT for record in seen.records for top in record.get("top_logprobs", ()))


CHECKS: dict[str, Callable[[Trait[Any], Recording], Facets]] = {
    "chosen_in_top": chosen_in_top,
    "top_sorted": top_sorted,
    "bytes": bytes_,
    "entries_per_token": entries_per_token,
    "distribution": distribution,
}
