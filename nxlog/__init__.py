"""A client for language models in which token log-probabilities are first-class, typed and honest.

::

    from nxlog import ChatRequest, Client

    request = ChatRequest(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": "Is the sky blue? Yes or no."}],
        logprobs=True,
        top_logprobs=5,
    )
    with Client() as client:
        reply = client.chat(request)
"""

from __future__ import annotations

from nxlog._version import __version__
from nxlog.accumulate import accumulate
from nxlog.alignment import Alignment, AlignmentKind
from nxlog.client import AsyncClient, Client
from nxlog.delivery_report import ChannelDelivery, DeliveryReport
from nxlog.distribution import Distribution, DistributionSource
from nxlog.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    DecodeError,
    IncompleteStreamError,
    InvalidRequestError,
    LocalEngineError,
    MissingKeyError,
    NetworkError,
    NotFoundError,
    NxlogError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    RegistryError,
    RequestError,
    ResponseError,
    ResponseNotFoundError,
    ResponseTooLargeError,
    ServerError,
    StatusError,
    TimeoutError,  # noqa: A004 - reached as nxlog.TimeoutError
    TransportError,
    TurnError,
    UnknownProviderError,
    UnsupportedParameterError,
)
from nxlog.logprobs import Columns, LogprobsData, StreamLogprobsDelta, TokenLogprob, TopLogprob
from nxlog.registry import CapabilityManifest, ProviderCapabilities, Registry
from nxlog.request import ChatRequest, Message, ResponseFormat, Tool, ToolCall
from nxlog.response import ChatResponse, Choice, StreamChunk, ToolCallDelta, Usage
from nxlog.retry import RetryPolicy
from nxlog.spans import TokenSpan
from nxlog.streams import AsyncStream, Stream
from nxlog.timeout import Timeout
from nxlog.turn import TurnTokenData
from nxlog.turns import turns
from nxlog.verdicts import Verdict, VerdictKind, Verdicts
from nxlog.warnings import (
    ParameterWarning,
    ParameterWarningCategory,
    WarningCode,
    WarningSeverity,
    WarningSource,
)

__all__ = [
    "Alignment",
    "AlignmentKind",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "CapabilityManifest",
    "ChannelDelivery",
    "ChatRequest",
    "ChatResponse",
    "Choice",
    "Client",
    "Columns",
    "ConnectError",
    "DecodeError",
    "DeliveryReport",
    "Distribution",
    "DistributionSource",
    "IncompleteStreamError",
    "InvalidRequestError",
    "LocalEngineError",
    "LogprobsData",
    "Message",
    "MissingKeyError",
    "NetworkError",
    "NotFoundError",
    "NxlogError",
    "ParameterWarning",
    "ParameterWarningCategory",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderCapabilities",
    "RateLimitError",
    "RedirectError",
    "Registry",
    "RegistryError",
    "RequestError",
    "ResponseError",
    "ResponseFormat",
    "ResponseNotFoundError",
    "ResponseTooLargeError",
    "RetryPolicy",
    "ServerError",
    "StatusError",
    "Stream",
    "StreamChunk",
    "StreamLogprobsDelta",
    "Timeout",
    "TimeoutError",
    "TokenLogprob",
    "TokenSpan",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "TopLogprob",
    "TransportError",
    "TurnError",
    "TurnTokenData",
    "UnknownProviderError",
    "UnsupportedParameterError",
    "Usage",
    "Verdict",
    "VerdictKind",
    "Verdicts",
    "WarningCode",
    "WarningSeverity",
    "WarningSource",
    "__version__",
    "accumulate",
    "capabilities",
    "capability_manifest",
    "turns",
]


def capabilities(model: str) -> ProviderCapabilities:
    """What is claimed of ``"provider/model"``: booleans, limits, and the claims with their evidence behind them."""
    provider, name = Registry.default().resolve(model)
    return Registry.default().capabilities(provider.id, name)


def capability_manifest() -> CapabilityManifest:
    """The public capability manifest of every provider, without evidence."""
    return Registry.default().manifest()
