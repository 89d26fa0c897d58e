"""Amazon's credentials and signatures (SigV4), by botocore."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from nxlog.auth.credential import Grant, RefreshingSource, import_extra
from nxlog.errors import AuthenticationError, ConnectError, InvalidRequestError, MissingKeyError, NxlogError

if TYPE_CHECKING:
    from nxlog.exchange import HttpRequest

EXTRA = "bedrock"

_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")
_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")

_PATIENCE = 60.0
"""So many seconds after a refresh that brought nothing new, credentials that still hold are used as they are."""


class AwsSource(RefreshingSource):
    """Signs each attempt with credentials that botocore finds and refreshes.

    Args:
        service: the name that is signed for.
        region: what the user said; else the host says it.
        default: the region where the host says none; botocore's configuration comes after it.
    """

    exact = True

    def __init__(self, service: str, *, region: str | None, default: str | None) -> None:
        super().__init__()
        self._service = service
        self._region = region
        self._default = default
        self._credentials: Any = None
        self._frozen: Any = None
        self._refreshed = 0.0
        self._sigv4: Any = None
        self._request: Any = None

    def ready(self) -> bool:
        """Whether there are credentials that hold for a while."""
        if self._frozen is None:
            return False
        expiring = getattr(self._credentials, "refresh_needed", None)
        if expiring is None or not expiring():
            return True
        # botocore asks for new ones long before the old ones end, and asking may fail until then.
        return time.monotonic() - self._refreshed < _PATIENCE and not expiring(_PATIENCE)

    def refresh(self) -> None:
        """Find the credentials, and let botocore refresh them."""
        errors = import_extra("botocore.exceptions", EXTRA)
        try:
            if self._credentials is None:
                self._credentials = self._found()
            self._frozen = self._credentials.get_frozen_credentials()
        except NxlogError:
            raise
        except Exception as error:
            raise _translated(error, errors) from error
        self._refreshed = time.monotonic()

    def _found(self) -> Any:
        self._sigv4 = import_extra("botocore.auth", EXTRA).SigV4Auth
        self._request = import_extra("botocore.awsrequest", EXTRA).AWSRequest
        session = import_extra("botocore.session", EXTRA).get_session()
        found = session.get_credentials()
        if found is None:
            raise _missing()
        self._default = self._default or cast("str | None", session.get_config_variable("region"))
        return found

    def present(self, request: HttpRequest) -> Grant:
        """The signature of this request, its date, and the token of temporary credentials."""
        content_type = request.headers.get("content-type", "application/json")
        # What is signed must arrive as it is, so it is the least that is allowed: host, type, body and date.
        least = {"content-type": content_type}
        signed = self._request(request.method, request.url, data=request.content, headers=least)
        self._sigv4(self._frozen, self._service, self._region_of(request.url)).add_auth(signed)
        headers = {name.lower(): str(value) for name, value in signed.headers.items()}
        signature = headers["authorization"].rpartition("Signature=")[2]
        secrets = (self._frozen.access_key, self._frozen.secret_key, self._frozen.token, signature)
        return Grant(headers, tuple(filter(None, secrets)))

    def _region_of(self, url: str) -> str:
        region = self._region or region_in(urlsplit(url).hostname or "") or self._default
        if region is None:
            raise InvalidRequestError(
                "variables: a signature needs the AWS region; give Client(variables={'region': ...}), or the "
                "environment variable AWS_DEFAULT_REGION",
                param="variables",
            )
        return region


def region_in(host: str) -> str | None:
    """The region that the name of an AWS host holds.

    >>> region_in("bedrock-runtime.eu-central-1.amazonaws.com")
    'eu-central-1'
    """
    if not host.endswith(_DOMAINS):
        return None
    return next((label for label in host.split(".") if _REGION.fullmatch(label)), None)


def _missing() -> MissingKeyError:
    return MissingKeyError(
        "no AWS credentials: set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "AWS_PROFILE, or run 'aws configure', or give Client(api_key=...) a bearer key",
        param="api_key",
    )


def _translated(error: Exception, errors: Any) -> NxlogError:
    """What botocore raises, or what it lets through; the texts stay in ``__cause__``."""
    if isinstance(error, (errors.NoCredentialsError, errors.PartialCredentialsError, errors.ProfileNotFound)):
        missing = _missing()
        missing.rewrite(lambda text: text.replace(":", f" ({type(error).__name__}):", 1))
        return missing
    if isinstance(error, (errors.HTTPClientError, errors.ConnectionError)):
        return ConnectError(f"the service that gives AWS credentials cannot be reached ({type(error).__name__})")
    return AuthenticationError(f"AWS credentials cannot be had ({type(error).__name__})", param="api_key")
