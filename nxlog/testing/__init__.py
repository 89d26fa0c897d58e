"""For tests of code that calls models: recorded traffic, a scripted provider, and assertions about logprobs.

The pytest plugin is ``nxlog.testing.plugin``; it needs the extra ``nxlog[testing]``. ``FakeProvider`` and the
assertions need nothing but nxlog.
"""

from __future__ import annotations

from nxlog.testing.assertions import assert_confident, assert_no_loss, assert_perplexity_below
from nxlog.testing.fake import FakeProvider, FakeRequest
from nxlog.testing.fake_reply import FakeReply, Token

__all__ = [
    "FakeProvider",
    "FakeReply",
    "FakeRequest",
    "Token",
    "assert_confident",
    "assert_no_loss",
    "assert_perplexity_below",
]
