"""Receivers verify messages before they read them."""

from __future__ import annotations

import base64
import json

import pytest

from retriever.domain.deliveries import headers
from sightline_client import WebhookRejected, verify_webhook

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
BODY = json.dumps(
    {"type": "watch.alert.started", "timestamp": "2026-11-26T20:00:00Z", "data": {"sequence": 7}}
).encode()
NOW = 1_800_000_000


def signed(body: bytes = BODY, *keys: bytes, seconds: int = NOW) -> dict[str, str]:
    """Return the headers that the suite sends."""
    return headers("m1", seconds, body, keys or (KEY,))


def test_a_message_of_the_suite_is_read() -> None:
    found = verify_webhook(BODY, signed(), SECRET, now=NOW + 20)
    assert (found.message_id, found.type) == ("m1", "watch.alert.started")
    assert found.data == {"sequence": 7}


def test_names_of_headers_have_any_case() -> None:
    titled = {name.title(): value for name, value in signed().items()}
    assert verify_webhook(BODY, titled, SECRET, now=NOW)


def test_during_a_rotation_either_secret_verifies() -> None:
    both = signed(BODY, bytes(32), KEY)
    assert verify_webhook(BODY, both, SECRET, now=NOW)
    assert verify_webhook(BODY, both, OTHER, now=NOW)
    assert verify_webhook(BODY, signed(), [OTHER, SECRET], now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "m2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-signature": ""},
        {"webhook-signature": "v1," + "A" * 43 + "="},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v1a," + "A" * 43 + "="},
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
    ],
)
def test_a_changed_header_is_rejected(changed: dict[str, str]) -> None:
    with pytest.raises(WebhookRejected):
        verify_webhook(BODY, signed() | changed, SECRET, now=NOW)


def test_a_changed_body_and_a_wrong_secret_are_rejected() -> None:
    with pytest.raises(WebhookRejected, match="no signature"):
        verify_webhook(BODY + b" ", signed(), SECRET, now=NOW)
    with pytest.raises(WebhookRejected, match="no signature"):
        verify_webhook(BODY, signed(), OTHER, now=NOW)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_message_that_is_sent_again_later_is_rejected(seconds: int) -> None:
    with pytest.raises(WebhookRejected, match="300 s"):
        verify_webhook(BODY, signed(), SECRET, now=NOW + seconds)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"1", b"[" * 100_000, b"\xff", b'{"type": 1}'])
def test_a_signed_body_that_is_no_message_is_rejected(body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        verify_webhook(body, signed(body), SECRET, now=NOW)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "abc", "whsec_!!", base64.b64encode(KEY).decode()]
)
def test_a_text_that_is_no_secret_is_named_as_such(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(BODY, signed(), secret, now=NOW)
