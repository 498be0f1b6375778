"""Messages, signatures and the state machine of deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from dataclasses import replace

import pytest

from servicekit.keys.keyring import KeyRing
from tests.fakes.watch_alerts import made_alert
from vision.domain import webhooks
from vision.domain.deliveries import (
    AttemptOutcome,
    Delivery,
    DeliveryStep,
    Lane,
    LaneState,
    RetryRules,
    headers,
    message,
    message_id,
    settle,
)
from vision.domain.errors import WebhookInvalid, WebhookKeysMissing
from vision.domain.watches import Alert
from vision.domain.webhooks import Webhook

RULES = RetryRules()
SECOND, HOUR = 10**6, 3_600 * 10**6
FAILED = AttemptOutcome("status 500")
KEYS = KeyRing([b"k" * 32])


def alert(sequence: int = 1) -> Alert:
    return made_alert("shelf", sequence, 5 * SECOND)


def test_waits_double_from_seconds_to_an_hour_and_half_of_each_is_random() -> None:
    longest = [RULES.wait(failures, 0, 1) for failures in range(1, 14)]
    assert longest[:4] == [5, 10, 20, 40]
    assert longest[-1] == 3600
    assert RULES.wait(1, 0, 0) == 2.5
    assert RULES.wait(10_000, 0, 1) == 3600


def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_more_than_the_longest() -> None:
    assert RULES.wait(1, 60, 0) == 60
    assert RULES.wait(5, 1, 1) == 80
    assert RULES.wait(1, 86_400, 0) == 3600


def test_success_forgets_failures() -> None:
    step, state = settle(
        LaneState(9, 1, "x"), AttemptOutcome(), 0, 99 * HOUR, rules=RULES, chance=0
    )
    assert (step, state) == (DeliveryStep.DELIVERED, LaneState())


def test_a_receiver_that_fails_for_its_term_is_asked_less_and_less_and_then_no_more() -> None:
    state, now, attempts = LaneState(), 0, 0
    chance = random.Random(1).random
    while True:
        attempts += 1
        step, state = settle(state, FAILED, 0, now, rules=RULES, chance=chance())
        if step is DeliveryStep.DEAD:
            break
        assert step is DeliveryStep.RETRIED
        assert now < state.next_micros <= now + HOUR
        now = state.next_micros
    assert now == 72 * HOUR  # the last attempt is at the end of the term
    assert 80 < attempts < 180
    assert state.attempts == attempts
    assert state.next_micros > now  # the next alert of the lane waits


def test_an_alert_that_is_older_than_its_term_gets_one_attempt() -> None:
    assert settle(LaneState(), FAILED, 0, 99 * HOUR, rules=RULES, chance=1)[0] == DeliveryStep.DEAD


def test_a_clock_that_was_set_back_delays_no_delivery_for_longer_than_the_longest_wait() -> None:
    state = LaneState(3, 10 * HOUR)
    assert not state.due(10 * HOUR - 1, RULES)
    assert not state.due(9 * HOUR, RULES)
    assert state.due(10 * HOUR, RULES)
    assert state.due(9 * HOUR - 1, RULES)


def test_a_failure_that_is_stored_is_short() -> None:
    _, state = settle(LaneState(), AttemptOutcome("x" * 9_999), 0, 0, rules=RULES, chance=0)
    assert len(state.failure) == 200


def test_a_message_is_the_same_at_each_attempt_and_its_id_is_of_no_other() -> None:
    assert message("shop", alert()) == message("shop", alert())
    body = json.loads(message("shop", alert()))
    assert body["type"] == "watch.alert.started"
    assert body["timestamp"] == "1970-01-01T00:00:05Z"
    assert body["data"] == {
        "catalog_id": "shop",
        "watch_id": "shelf",
        "sequence": 1,
        "alert_id": f"{1:032x}",
        "rule_id": "gone",
        "kind": "started",
        "create_time": "1970-01-01T00:00:05Z",
        "frame_time": "1970-01-01T00:00:06Z",
        "since_time": "1970-01-01T00:00:05Z",
        "score": 0.5,
        "product_id": "p1",
        "started_alert_id": "",
        "box": None,
        "image_id": "",
    }


def test_a_score_that_json_can_not_hold_is_null() -> None:
    made = message("shop", replace(alert(), score=float("nan")))
    assert json.loads(made)["data"]["score"] is None

    def id_of(catalog: str, webhook: str, sequence: int) -> str:
        lane = Lane(catalog, webhook, "shelf")
        return message_id(Delivery(lane, Webhook(webhook, "x"), alert(sequence), 0))

    ids = {id_of("a", "w", 1), id_of("b", "w", 1), id_of("a", "v", 1), id_of("a", "w", 2)}
    assert len(ids) == 4
    assert id_of("a", "w", 1) in ids


def test_signatures_are_those_of_the_standard() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert made["webhook-timestamp"] == "1614265330"


def test_a_message_is_signed_with_each_secret() -> None:
    made = headers("m", 1, b"{}", [b"new", b"old"])["webhook-signature"].split(" ")
    for secret, signature in zip((b"new", b"old"), made, strict=True):
        expected = hmac.new(secret, b"m.1.{}", hashlib.sha256).digest()
        assert signature == f"v1,{base64.b64encode(expected).decode()}"


def test_secrets_differ_by_catalog_webhook_and_rotation_and_need_a_key() -> None:
    first, second = webhooks.new_secret(KEYS, 1), webhooks.new_secret(KEYS, 2)
    texts = {
        webhooks.secret_text(first, "a", "w", KEYS),
        webhooks.secret_text(second, "a", "w", KEYS),
        webhooks.secret_text(first, "b", "w", KEYS),
        webhooks.secret_text(first, "a", "v", KEYS),
    }
    assert len(texts) == 4
    assert all(len(base64.b64decode(each.removeprefix("whsec_"))) == 32 for each in texts)
    with pytest.raises(WebhookKeysMissing):
        webhooks.new_secret(KeyRing(), 1)
    with pytest.raises(WebhookKeysMissing):
        webhooks.secret_text(first, "a", "w", KeyRing([b"o" * 32]))
    assert webhooks.secret_bytes(first, "a", "w", KeyRing()) is None


def test_a_key_that_was_moved_down_the_file_still_derives_its_secrets() -> None:
    secret = webhooks.new_secret(KEYS, 1)
    rotated = KeyRing([b"n" * 32, b"k" * 32])
    text = webhooks.secret_text(secret, "a", "w", KEYS)
    assert webhooks.secret_text(secret, "a", "w", rotated) == text
    assert webhooks.new_secret(rotated, 2).key_id != secret.key_id


def test_after_a_rotation_two_secrets_sign_and_an_older_one_does_not() -> None:
    one, two, three = (webhooks.new_secret(KEYS, each) for each in (1, 2, 3))
    hook = Webhook("w", "x", secrets=(one,)).rotated(two, 10)
    assert [each.end_micros for each in hook.secrets] == [0, 12]
    hook = hook.rotated(three, 10)
    assert [each.salt for each in hook.secrets] == [three.salt, two.salt]
    assert Webhook("w", "x", secrets=(one,)).rotated(two, 0).secrets == (two,)


@pytest.mark.parametrize(
    ("webhook_id", "uri", "watch_ids", "field"),
    [
        ("", "https://a.test", (), "webhook_id"),
        ("a\x00", "https://a.test", (), "webhook_id"),
        ("x" * 129, "https://a.test", (), "webhook_id"),
        ("w", "", (), "uri"),
        ("w", "https://a.test", ("ok", ""), "watch_ids[1]"),
        ("w", "https://a.test", ("a",) * 101, "watch_ids"),
    ],
)
def test_wrong_values_are_named(
    webhook_id: str, uri: str, watch_ids: tuple[str, ...], field: str
) -> None:
    with pytest.raises(WebhookInvalid) as caught:
        webhooks.checked(webhook_id, uri, watch_ids)
    assert [each.field for each in caught.value.violations] == [field]
