"""Webhooks in the client and the command; receivers verify messages before they read them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from sightline_client import SightlineClient, WebhookRejected, verify_webhook
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import Line, flat, line
from vision.domain.deliveries import headers

__all__ = ["line"]  # fixture

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


async def test_calls_of_the_client_say_what_was_made(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target) as client:
        made = await client.create_webhook("w", "https://hooks.test/", watch_ids=["shelf"])
        assert (made.webhook.watch_ids, made.secret) == (("shelf",), "whsec_c2VjcmV0")
        failing, quiet = await client.list_webhooks()
        assert (failing.failure, failing.attempt_count) == ("status 500", 3)
        assert (quiet.next_attempt_time, quiet.former_secret_expire_time) == (None, None)
        moved = await client.update_webhook("w", "https://new.test/", watch_ids=["till"])
        assert (moved.uri, moved.watch_ids) == ("https://new.test/", ("till",))
        tried = await client.send_test_delivery("w")
        assert (tried.accepted, tried.http_status, tried.message_id) == (True, 204, "test_1")
        assert (await client.send_test_delivery("ops")).failure == "status 500"
        rotated = await client.rotate_webhook_secret("w", overlap=timedelta(hours=2))
        assert rotated.secret == "whsec_bmV3"
        letters = await client.list_dead_letters("ops")
        assert [(each.alert_id, each.replaying) for each in letters] == [
            ("a1", False),
            ("a2", True),
        ]
        assert await client.replay_deliveries("ops", ["a1"]) == 2
        assert await client.delete_webhook("ops")
    assert gateway.requests["RotateWebhookSecret"][0].overlap.seconds == 7_200
    assert gateway.requests["ReplayDeliveries"][0].alert_ids == ["a1"]


def test_the_command_shows_a_secret_once_and_how_to_get_another(line: Line) -> None:
    made = line("webhooks", "create", "w", "https://hooks.test/", "--watch", "shelf")
    assert "whsec_c2VjcmV0" in made.stdout
    again = line("webhooks", "create", "ops", "https://hooks.test/")
    assert "sightline webhooks rotate ops" in flat(again.stdout)
    assert "whsec_bmV3" in line("webhooks", "rotate", "ops", "--overlap-hours", "2").stdout
    assert json.loads(line("webhooks", "rotate", "ops", "--json").stdout)["secret"] == "whsec_bmV3"


def test_the_command_changes_a_webhook_and_tries_its_receiver(line: Line) -> None:
    changed = line("webhooks", "update", "w", "https://new.test/", "--watch", "shelf")
    assert "https://new.test/" in changed.stdout
    assert "accepted, status 204" in line("webhooks", "test", "w").stdout
    assert "not accepted: status 500" in line("webhooks", "test", "ops").stdout


def test_the_command_shows_what_fails_and_what_was_given_up(line: Line) -> None:
    shown = flat(line("webhooks", "list").stdout)
    assert "status 500, 3 times, next at 2026-11-26 20:00:00Z" in shown
    assert "1,200" in shown
    assert "a1" in line("webhooks", "dead-letters", "ops", "--top", "5").stdout
    assert "2 alerts are being delivered again" in line("webhooks", "replay", "ops").stdout
    assert "deleted" in line("webhooks", "delete", "ops").stdout
    assert "no such webhook" in line("webhooks", "delete", "x").stdout
