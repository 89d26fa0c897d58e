"""Keys, tokens and signatures: what a request carries so that the server knows who sends it.

A key that is known before the call is a header like any other. Everything that changes (a token callback, Google's
and Amazon's credentials) is a ``Source``, asked once per attempt.
"""

from __future__ import annotations

from nxlog.auth.credential import CallCredential, Grant, Source
from nxlog.auth.keys import ApiKey, AsyncApiKey, Keys, Presented

__all__ = ["ApiKey", "AsyncApiKey", "CallCredential", "Grant", "Keys", "Presented", "Source"]
