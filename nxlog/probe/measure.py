"""Answers in, a measurement out; nothing is asked here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nxlog.probe.claims import CLAIM_RULES
from nxlog.probe.measured import Answers, Measurement
from nxlog.probe.traits import TRAIT_RULES, remarks
from nxlog.registry import Posture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nxlog.probe.answer import Answer
    from nxlog.probe.measured import Measured


def measure(answers: Sequence[Answer]) -> Measurement:
    """What the answers show. What they do not show is unknown."""
    seen = Answers(answers)
    claims = {name: rule(seen) for name, rule in CLAIM_RULES.items()}
    if not claims["logprobs"].known or claims["logprobs"].value == "no":
        claims["streaming_logprobs"] = _not_without(claims["streaming_logprobs"])
    posture = _posture(claims)
    return Measurement(
        posture=posture,
        claims={name: replace(found, posture=_own(found, posture)) for name, found in claims.items()},
        traits={name: rule(seen) for name, rule in TRAIT_RULES.items()},
        remarks=tuple(remarks(seen)),
    )


def _not_without(streamed: Measured) -> Measured:
    """Streams alone: the registry has no way to say that, so the note does."""
    if streamed.value not in {"yes", "partial"}:
        return streamed
    return type(streamed)(note=f"in streams {streamed.value}, although not in whole replies")


def _posture(claims: Mapping[str, Measured]) -> Posture:
    """The server's manners in general: the strictest that was met."""
    met = {found.posture for found in claims.values()}
    strictest = (Posture.REFUSES, Posture.RETURNS_FEWER, Posture.IGNORES)
    return next((posture for posture in strictest if posture in met), Posture.UNKNOWN)


def _own(found: Measured, general: Posture) -> Posture | None:
    return None if found.posture is general else found.posture
