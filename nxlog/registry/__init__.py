"""Providers, and what is true of them: claims with evidence, compiled from TOML.

::

    registry = Registry.default()
    provider, model = registry.resolve("openai/gpt-4o")
    registry.capabilities(provider.id, model).max_top_logprobs    # 20

``python -m nxlog.registry`` compiles ``providers/*.toml`` and ``capabilities/*.toml``.
"""

from __future__ import annotations

from nxlog.distribution import Distribution
from nxlog.errors import RegistryError
from nxlog.registry.capabilities import (
    MANIFEST_VERSION,
    CapabilityManifest,
    ManifestProvider,
    ManifestRule,
    ProviderCapabilities,
    evidence_level,
)
from nxlog.registry.claims import (
    CLAIM_NAMES,
    TRAIT_NAMES,
    BytesFidelity,
    CapabilityStatus,
    ChosenInTop,
    Claim,
    Claims,
    EntriesPerToken,
    Evidence,
    EvidenceKind,
    Posture,
    Requirement,
    TopSorted,
    Trait,
)
from nxlog.registry.lookup import CUSTOM_ID, Registry
from nxlog.registry.models import (
    Auth,
    AuthScheme,
    Capabilities,
    ModelRule,
    Provider,
    ProviderKind,
    Variable,
    Wire,
    names_in,
)

__all__ = [
    "CLAIM_NAMES",
    "CUSTOM_ID",
    "MANIFEST_VERSION",
    "TRAIT_NAMES",
    "Auth",
    "AuthScheme",
    "BytesFidelity",
    "Capabilities",
    "CapabilityManifest",
    "CapabilityStatus",
    "ChosenInTop",
    "Claim",
    "Claims",
    "Distribution",
    "EntriesPerToken",
    "Evidence",
    "EvidenceKind",
    "ManifestProvider",
    "ManifestRule",
    "ModelRule",
    "Posture",
    "Provider",
    "ProviderCapabilities",
    "ProviderKind",
    "Registry",
    "RegistryError",
    "Requirement",
    "TopSorted",
    "Trait",
    "Variable",
    "Wire",
    "evidence_level",
    "names_in",
]
