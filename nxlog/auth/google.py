"""Google's default credentials, by google-auth: a key file, gcloud's login, or the service account of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from nxlog.auth.credential import Grant, RefreshingSource, import_extra
from nxlog.errors import AuthenticationError, ConnectError, MissingKeyError, NxlogError

if TYPE_CHECKING:
    from nxlog.exchange import HttpRequest

EXTRA = "vertex"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class _Credentials(Protocol):
    """What is used of ``google.auth.credentials.Credentials``."""

    token: str | None

    @property
    def valid(self) -> bool: ...
    def refresh(self, request: Any, /) -> None: ...
    def apply(self, headers: dict[str, str], /) -> None: ...


class GoogleSource(RefreshingSource):
    """Access tokens, refreshed shortly before they expire."""

    renewable = True

    def __init__(self) -> None:
        super().__init__()
        self._credentials: _Credentials | None = None
        self._transport: Any = None
        self._rejected: str | None = None

    def ready(self) -> bool:
        """Whether there is a token that is still good."""
        found = self._credentials
        return found is not None and found.valid and (self._rejected is None or found.token != self._rejected)

    def refresh(self) -> None:
        """Find the credentials, and get a token."""
        errors = import_extra("google.auth.exceptions", EXTRA)
        try:
            if self._credentials is None:
                self._credentials = self._found()
            # Not before_request(): it also asks a further service for routing hints, in threads of its own.
            self._credentials.refresh(self._transport)
        except NxlogError:
            raise
        except Exception as error:
            raise _translated(error, errors) from error
        # A metadata server may hand out the same token again; then the server's answer stands.
        self._rejected = None

    def _found(self) -> _Credentials:
        google_auth = import_extra("google.auth", EXTRA)
        self._transport = import_extra("google.auth.transport.requests", EXTRA).Request()
        credentials, _project = google_auth.default(scopes=[SCOPE], request=self._transport)
        return cast("_Credentials", credentials)

    def present(self, request: HttpRequest) -> Grant:  # noqa: ARG002 - a token fits every request
        """The token, and the project that is to be billed if the credentials name one."""
        headers: dict[str, str] = {}
        if self._credentials is not None:
            self._credentials.apply(headers)
        headers = {name.lower(): value for name, value in headers.items()}
        return Grant(headers, (headers["authorization"].removeprefix("Bearer "),))

    def reject(self, grant: Grant) -> None:
        """Get another token, unless somebody already has."""
        self._rejected = grant.secrets[0]


def _translated(error: Exception, errors: Any) -> NxlogError:
    """What google-auth raises or lets through; its texts may hold a token endpoint's answer, and stay in the cause."""
    if isinstance(error, errors.DefaultCredentialsError):
        return MissingKeyError(
            "no Google credentials: run 'gcloud auth application-default login', or let the environment variable "
            "GOOGLE_APPLICATION_CREDENTIALS name a key file, or give Client(api_key=...) an access token",
            param="api_key",
        )
    if isinstance(error, (errors.TransportError, errors.TimeoutError)):
        return ConnectError(f"Google's token endpoint cannot be reached ({type(error).__name__})")
    return AuthenticationError(f"Google's credentials gave no token ({type(error).__name__})", param="api_key")
