"""AWS Signature Version 4 of a request that has arrived, computed from the rules alone and without botocore."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.fault_server import Received


@dataclass(frozen=True)
class Authorization:
    """The parts of the header."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str

    @classmethod
    def of(cls, request: Received) -> Authorization:
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, "
            r"SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})",
            request.headers["authorization"],
        )
        assert found, request.headers["authorization"]
        access_key, date, region, service, signed_headers, signature = found.groups()
        return cls(access_key, date, region, service, signed_headers.split(";"), signature)


def signature_of(request: Received, secret_key: str) -> str:
    """The signature that the request should carry."""
    carried = Authorization.of(request)
    path, _, query = request.target.partition("?")
    canonical = [
        request.method,
        quote(path, safe="/~"),  # what is escaped in the path is escaped once more, at all services but S3
        "&".join(sorted(query.split("&"))),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in carried.signed_headers),
        "",
        ";".join(carried.signed_headers),
        hashlib.sha256(request.body).hexdigest(),
    ]
    scope = [carried.date, carried.region, carried.service, "aws4_request"]
    to_sign = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], "/".join(scope), _hash("\n".join(canonical))]
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, "\n".join(to_sign).encode(), "sha256").hex()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
