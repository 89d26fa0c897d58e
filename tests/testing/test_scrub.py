"""What must not be in a file is not in it: keys as headers, URLs, JSON and token bytes write them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from nxlog.http.intercept import Asked
from nxlog.testing.leaks import spelled
from nxlog.testing.scrub import HIDDEN, REQUEST_HEADERS, RESPONSE_HEADERS, Scrubber

KEY = 'k3y/with"odd\\letters+and=more'
PLAIN = "nxlog-planted-0123456789abcdefghij"


def asked(*headers: tuple[str, str], url: str = "https://api.example.com/v1/chat") -> Asked:
    return Asked("POST", url, headers, b"")


@pytest.mark.parametrize("secret", [KEY, PLAIN])
def test_every_spelling_of_a_known_secret_is_hidden(secret: str) -> None:
    octets = json.dumps({"bytes": list(secret.encode())})
    texts = [secret, secret.upper(), json.dumps(secret), quote(secret), quote(secret, safe=""), octets]
    scrubber = Scrubber([secret])
    for text in texts:
        hidden = scrubber.text(f"before {text} after")
        assert hidden.replace('"', "") in (f"before {HIDDEN} after", f"before {{bytes: {list(HIDDEN.encode())}}} after")
    assert json.loads(scrubber.text(octets))["bytes"] == list(HIDDEN.encode()), "numbers stay numbers"


def test_a_key_that_a_server_cuts_off_is_hidden() -> None:
    assert Scrubber([PLAIN]).text(f"bad key {PLAIN[:16]}... try again") == f"bad key {HIDDEN}... try again"
    assert Scrubber([PLAIN]).text(f"bad key {PLAIN[:8]}...") == f"bad key {PLAIN[:8]}...", "too little to give it away"


def test_placeholders_are_not_secrets() -> None:
    assert Scrubber(["none", "EMPTY", "test"]).text("this is a test with none") == "this is a test with none"


@pytest.mark.parametrize(
    "text",
    [
        '{"error": {"message": "Incorrect API key provided: sk-abcdefgh********wxyz."}}',
        "Rate limit reached in organization org-AbCdEfGhIjKlMnOpQrStUvWx on tokens",
        '{"organization": "acme inc", "x": 1}',
        '{"api_key":"anything","model":"m"}',
        "AIza" + "b" * 35,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_secret_is_hidden_without_being_known(text: str) -> None:
    hidden = Scrubber().text(text)
    assert HIDDEN in hidden
    for secret in ("sk-abc", "org-AbC", "acme", "anything", "AIza", "eyJ"):
        assert secret not in hidden


def test_arguments_and_schemas_stay_as_they_are() -> None:
    body = json.dumps(
        {
            "tools": [{"function": {"name": "f", "parameters": {"properties": {"organization": {"type": "string"}}}}}],
            "arguments": json.dumps({"organization": "ACME"}),
        }
    )
    assert Scrubber().text(body) == body


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        (("authorization", f"Bearer {PLAIN}"), PLAIN),
        (("x-goog-api-key", PLAIN), PLAIN),
        (("api-key", PLAIN), PLAIN),
        (("x-team-token", PLAIN), PLAIN),
        (("openai-organization", "research-department"), "research-department"),
        (("cookie", f"theme=dark; session={PLAIN}"), PLAIN),
        (("authorization", "Basic " + base64.b64encode(f"me:{PLAIN}".encode()).decode()), PLAIN),
        (("authorization", f"AWS4-HMAC-SHA256 Credential={PLAIN}/20261121/us, Signature=0123456789abcdef"), PLAIN),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_a_request_carries_in_headers_is_hidden_everywhere(header: tuple[str, str], secret: str) -> None:
    scrubber = Scrubber()
    scrubber.learn_request(asked(header))
    assert scrubber.headers([header], REQUEST_HEADERS) == {}
    assert scrubber.text(f"you said {secret}") == f"you said {HIDDEN}"
    assert scrubber.text("content-type us-east-1 dark") == "content-type us-east-1 dark"


def test_urls_lose_users_and_the_secret_part_of_their_query() -> None:
    scrubber = Scrubber()
    url = f"https://me:{PLAIN}@api.example.com/v1/chat?api-version=2&key=abc&X-Amz-Signature=def&alt=sse"
    assert scrubber.url(url) == (
        f"https://api.example.com/v1/chat?api-version=2&key={HIDDEN}&X-Amz-Signature={HIDDEN}&alt=sse"
    )
    scrubber.learn_request(asked(url=f"https://api.example.com/v1?key={quote(KEY, safe='')}"))
    assert KEY not in scrubber.text(f"the key {KEY} is wrong")


def test_headers_pass_by_name() -> None:
    headers = [
        ("content-type", "application/json"),
        ("retry-after", "1"),
        ("set-cookie", "a=b"),
        ("openai-organization", "org"),
        ("x-anything", "else"),
        ("location", "https://example.com/a?token=abc"),
    ]
    assert Scrubber().headers(headers, RESPONSE_HEADERS) == {
        "content-type": ["application/json"],
        "retry-after": ["1"],
        "location": [f"https://example.com/a?token={HIDDEN}"],
    }


def test_the_environment_names_its_secrets() -> None:
    scrubber = Scrubber()
    scrubber.learn_environment(
        {
            "OPENAI_API_KEY": "first-secret-value",
            "AWS_SECRET_ACCESS_KEY": "second-secret-value",
            "OPENAI_ORG_ID": "third-secret-value",
            "HOME": "not-a-secret-value",
        }
    )
    said = scrubber.text("first-secret-value second-secret-value third-secret-value not-a-secret-value")
    assert said == f"{HIDDEN} {HIDDEN} {HIDDEN} not-a-secret-value"


def test_boundaries_move_with_what_is_hidden() -> None:
    body = f"aé {PLAIN} bb {PLAIN}c".encode()
    for position in range(len(body) + 1):
        scrubbed, sizes = Scrubber([PLAIN]).cut(body, [position, len(body) - position])
        assert scrubbed == f"aé {HIDDEN} bb {HIDDEN}c".encode()
        assert sum(sizes) == len(scrubbed)
        first = scrubbed[: sizes[0]]
        # A boundary outside of a secret stays where it was; one inside goes to the end of what hides it.
        cut = body[:position].replace(PLAIN.encode(), HIDDEN.encode())
        start = body.find(PLAIN.encode(), max(0, position - len(PLAIN) + 1), position + len(PLAIN) - 1)
        inside = start != -1 and start < position < start + len(PLAIN)
        assert first.endswith(HIDDEN.encode()) if inside else first == cut


def test_a_secret_that_tokens_spell_together_is_found() -> None:
    events = [{"delta": {"content": part}} for part in ("the key is nxlog-", "planted-0123456789", "abcdefghij")]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    assert any(PLAIN in "".join(parts) for parts in spelled(body))
    with pytest.raises(ValueError, match="spread over the tokens"):
        Scrubber([PLAIN]).cut(body, [len(body)])
    parts = ("nxlog-planted-", "0123456789abcdefghij")
    records = [{"token": part, "bytes": list(part.encode()), "top_logprobs": [{"token": "other"}]} for part in parts]
    for kept in ("token", "bytes"):
        with pytest.raises(ValueError, match="spread over the tokens"):
            Scrubber([PLAIN]).cut(json.dumps([{kept: record[kept]} for record in records]).encode(), [])


def test_a_secret_in_a_binary_body_cannot_be_taken_out() -> None:
    with pytest.raises(ValueError, match="no text"):
        Scrubber([PLAIN]).cut(b"\xff\xfe" + PLAIN.encode(), [])
    assert Scrubber([PLAIN]).cut(b"\xff\xfe", [2]) == (b"\xff\xfe", [2])
