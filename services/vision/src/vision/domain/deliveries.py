"""Deliveries of alerts to webhooks: messages, signatures, and when a failed one is tried again.

Messages: https://www.standardwebhooks.com (specification 1.0.0).
"""

import base64
import hmac
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sightline_rules import ids
from vision.domain.watches import Alert
from vision.domain.webhooks import Webhook

MOST_FAILURE = 200
"""Characters of the reason of a failure that are stored."""
MOST_DOUBLINGS = 30
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """When a failed delivery is tried again."""

    term_seconds: float = 72 * 3600.0
    """Age of an alert from which a failed attempt is its last."""
    first_seconds: float = 5.0
    """Wait after the first failure; it doubles with each further one."""
    longest_seconds: float = 3600.0
    """Longest wait between two attempts."""

    def wait(self, failures: int, asked: float, chance: float) -> float:
        """Return the seconds to wait after `failures` in a row: the doubled wait, of which half is
        random (`chance`, 0 to 1), or what the receiver `asked` for if that is longer."""
        doubled = self.first_seconds * 2.0 ** min(failures - 1, MOST_DOUBLINGS)
        wait = min(doubled, self.longest_seconds) * (0.5 + 0.5 * chance)
        return max(wait, min(asked, self.longest_seconds))


@dataclass(frozen=True, slots=True)
class LaneState:
    """Failures of a lane since its last success."""

    attempts: int = 0
    """Failed attempts in a row."""
    next_micros: int = 0
    """Time of the next attempt."""
    failure: str = ""

    def due(self, now_micros: int, rules: RetryRules) -> bool:
        """Return whether an attempt may be made. After a step back of the clock it may."""
        latest = now_micros + int(rules.longest_seconds * 10**6)
        return self.next_micros <= now_micros or self.next_micros > latest


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """Outcome of an attempt to deliver."""

    failure: str = ""
    """Reason why the receiver did not accept the message; empty: it did."""
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait; 0: it does not ask."""


@dataclass(frozen=True, slots=True)
class TrialDelivery:
    """Answer of a receiver to a test message."""

    message_id: str
    status: int = 0
    """HTTP status; 0: no answer."""
    failure: str = ""
    """Reason why it was not accepted; empty: it was."""


class DeliveryStep(StrEnum):
    """State of a delivery after an attempt."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    DEAD = "dead"


def settle(
    state: LaneState,
    outcome: AttemptOutcome,
    born_micros: int,
    now_micros: int,
    *,
    rules: RetryRules,
    chance: float,
) -> tuple[DeliveryStep, LaneState]:
    """Return what becomes of a delivery after an attempt, and the state of its lane.

    `born_micros`: when its term began. A dead letter leaves the lane waiting, so that the next
    alert does not begin with the shortest wait.
    """
    if not outcome.failure:
        return DeliveryStep.DELIVERED, LaneState()
    attempts = state.attempts + 1
    next_micros = now_micros + int(rules.wait(attempts, outcome.retry_after, chance) * 10**6)
    failure = outcome.failure[:MOST_FAILURE]
    end = born_micros + int(rules.term_seconds * 10**6)
    if now_micros >= end:
        return DeliveryStep.DEAD, LaneState(attempts, next_micros, failure)
    return DeliveryStep.RETRIED, LaneState(attempts, min(next_micros, end), failure)


@dataclass(frozen=True, slots=True)
class Lane:
    """Alerts that are delivered one after another: those of one watch to one webhook. Dead letters
    that are replayed have a lane of their own, so that newer alerts do not wait for them."""

    catalog_id: str
    webhook_id: str
    watch_id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """The next alert of a lane, and its webhook."""

    lane: Lane
    webhook: Webhook
    alert: Alert
    born_micros: int
    """When its term began: when the alert was raised, or its replay asked for."""
    state: LaneState = LaneState()


def message(catalog_id: str, alert: Alert) -> bytes:
    """Return the message of an alert."""
    data = {
        "catalog_id": catalog_id,
        "watch_id": alert.watch_id,
        "sequence": alert.sequence,
        "alert_id": alert.alert_id,
        "rule_id": alert.rule_id,
        "kind": alert.kind.value,
        "create_time": _time(alert.create_micros),
        "frame_time": _time(alert.frame_micros),
        "since_time": _time(alert.since_micros),
        "score": alert.score if math.isfinite(alert.score) else None,
        "product_id": alert.product_id,
        "started_alert_id": alert.started_alert_id,
        "image_id": alert.image_id,
        "box": None if alert.box is None else asdict(alert.box),
    }
    body = {
        "type": f"watch.alert.{alert.kind}",
        "timestamp": _time(alert.create_micros),
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def trial_message(catalog_id: str, webhook_id: str, now_micros: int) -> bytes:
    """Return a message that tells nothing, by which a receiver is tried."""
    data = {"catalog_id": catalog_id, "webhook_id": webhook_id}
    body = {"type": "webhook.test", "timestamp": _time(now_micros), "data": data}
    return json.dumps(body, ensure_ascii=False).encode()


def _time(micros: int) -> str:
    """Return a time in ISO 8601."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def message_id(delivery: Delivery) -> str:
    """Return the id of a message: equal at each attempt, and of no other message."""
    lane = delivery.lane
    return ids.derive_id(lane.catalog_id, lane.webhook_id, delivery.alert.alert_id)


def headers(
    message_id: str, now_seconds: int, body: bytes, secrets: Iterable[bytes]
) -> dict[str, str]:
    """Return the headers of a message, signed with each secret."""
    signed = f"{message_id}.{now_seconds}.".encode() + body
    signatures = [
        f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"
        for secret in secrets
    ]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now_seconds),
        "webhook-signature": " ".join(signatures),
    }
