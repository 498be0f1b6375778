"""Webhooks: receivers of alerts, and what a receiver needs to trust a message.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """Answer of a receiver to a test message."""

    accepted: bool
    """True if the receiver accepted it: it answered with a status of 200 to 299."""
    http_status: int
    """HTTP status of its answer, 100 to 599. 0: there was no answer."""
    failure: str
    """Reason why it was not accepted, such as "status 500" or "the host can't be reached". Empty:
    it was."""
    message_id: str
    """Id of the message, its header ``webhook-id``."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook."""

    webhook_id: str
    """Id, 1 to 128 bytes, unique within the catalog."""
    uri: str
    """Address, up to 2,048 characters."""
    watch_ids: tuple[str, ...]
    """Watches whose alerts are delivered, 0 to 100. Empty: all watches of the catalog, later ones
    too."""
    create_time: datetime | None
    """When it was created (UTC)."""
    secret_create_time: datetime | None
    """When its newest secret was made (UTC)."""
    former_secret_expire_time: datetime | None
    """Until when the former secret signs too (UTC). None: there is none."""
    failing_watch_count: int
    """Watches with an alert whose last attempt failed. 0: no delivery fails."""
    attempt_count: int
    """Failed attempts in a row, of the watch with most."""
    failure: str
    """Error of its last attempt, such as "status 500". Empty: no delivery fails."""
    next_attempt_time: datetime | None
    """When a failed delivery is tried again (UTC), the earliest. None: no delivery fails."""
    dead_letter_count: int
    """Dead letters, those that are being replayed among them."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that could not be delivered in time."""

    watch_id: str
    """Watch of the alert."""
    sequence: int
    """Number of the alert."""
    alert_id: str
    create_time: datetime | None
    """When it became a dead letter (UTC)."""
    failure: str
    """Error of its last attempt, such as "status 500"."""
    replaying: bool
    """True while it is being delivered again."""


@dataclass(frozen=True, slots=True)
class WebhookWithSecret:
    """A webhook that was created."""

    webhook: Webhook
    secret: str
    """Secret, ``whsec_`` and base64 of 32 bytes, which the service shows only here. Empty if the
    webhook existed: rotate its secret if it was lost."""
