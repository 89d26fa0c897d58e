"""Which distribution a log-probability describes, and who says so."""

from __future__ import annotations

import enum


class Distribution(enum.StrEnum):
    """Which distribution the numbers describe."""

    RAW = "raw"
    """The model's own, before temperature."""
    TEMPERATURE = "temperature"
    """After temperature, before top-p and the like."""
    PROCESSED = "processed"
    """After the whole sampling chain."""
    UNKNOWN = "unknown"


class DistributionSource(enum.StrEnum):
    """Who says which distribution it is."""

    MANIFEST = "manifest"
    """A claim of the registry, with evidence."""
    ASSERTED = "asserted"
    """The user's own word."""
    NOBODY = "nobody"
    """The distribution is unknown."""
