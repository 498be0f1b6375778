"""Webhooks: receivers of a catalog's alerts, their secrets, and the alerts that they did not take.

A secret is derived from a key of the operator's file and a random text, so the record holds no
secret, and nothing that was derived without a file is accepted.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from servicekit.errors import FieldViolation
from servicekit.keys.keyring import KeyRing
from sightline_rules import ids
from vision.domain.errors import WebhookInvalid, WebhookKeysMissing

MOST_WEBHOOKS = 20
"""Webhooks of a catalog."""
MOST_WATCHES = 100
"""Watches that a webhook names."""
MOST_REPLAYED = 500
"""Alerts that a request for a replay names."""
MOST_DEAD_LETTERS = 10_000
"""Dead letters of a webhook; the oldest are deleted."""
DAY_MICROS = 86_400 * 10**6
DEFAULT_OVERLAP_MICROS, MOST_OVERLAP_MICROS = DAY_MICROS, 7 * DAY_MICROS
SECRET_PREFIX = "whsec_"  # noqa: S105 - not a secret, but what each begins with


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """Source of a webhook's secret."""

    key_id: str
    """Key of the operator's file, in hexadecimal digits."""
    salt: str
    """Random text."""
    create_micros: int
    end_micros: int = 0
    """Time from which it no longer signs; 0: it has no end."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of alerts."""

    webhook_id: str
    uri: str
    watch_ids: tuple[str, ...] = ()
    """Watches whose alerts it gets; empty: all."""
    secrets: tuple[WebhookSecret, ...] = ()
    """The newest first; one or two."""
    create_micros: int = 0

    def wants(self, watch_id: str) -> bool:
        """Return whether it gets the alerts of a watch."""
        return not self.watch_ids or watch_id in self.watch_ids

    def rotated(self, secret: WebhookSecret, overlap_micros: int) -> "Webhook":
        """Return the webhook with a new secret; the former one signs for a while."""
        kept = tuple(
            replace(each, end_micros=secret.create_micros + overlap_micros)
            for each in self.secrets[:1]
            if overlap_micros
        )
        return replace(self, secrets=(secret, *kept))


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A webhook and its deliveries."""

    webhook: Webhook
    failing_watches: int = 0
    attempts: int = 0
    """Failed attempts in a row, of the watch with most."""
    failure: str = ""
    next_micros: int = 0
    """When a failed delivery is tried again; 0: none fails."""
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that a webhook's receiver did not accept in time."""

    watch_id: str
    sequence: int
    alert_id: str
    create_micros: int
    failure: str
    replaying: bool


def checked(webhook_id: str, uri: str, watch_ids: Sequence[str]) -> Webhook:
    """Return a webhook of a request, its watches in order. Raises WebhookInvalid."""
    wrong = list[FieldViolation]()
    for field, value in (
        ("webhook_id", webhook_id),
        *((f"watch_ids[{place}]", each) for place, each in enumerate(watch_ids[:MOST_WATCHES])),
    ):
        try:
            ids.check_id(value)
        except ids.IdInvalidError as error:
            wrong.append(FieldViolation(field, str(error)))
    if len(watch_ids) > MOST_WATCHES:
        wrong.append(FieldViolation("watch_ids", f"has more than {MOST_WATCHES} entries"))
    if not uri:
        wrong.append(FieldViolation("uri", "is empty"))
    if wrong:
        raise WebhookInvalid(*wrong)
    return Webhook(webhook_id, uri, tuple(sorted(set(watch_ids))))


def new_secret(keys: KeyRing, now_micros: int) -> WebhookSecret:
    """Return what a new secret is derived from. Raises WebhookKeysMissing."""
    salt = secrets.token_hex(16)
    derived = keys.derive((salt,)) if keys.secret else None
    if derived is None:
        raise WebhookKeysMissing
    return WebhookSecret(derived[0], salt, now_micros)


def secret_bytes(
    secret: WebhookSecret, catalog_id: str, webhook_id: str, keys: KeyRing
) -> bytes | None:
    """Return the 32 bytes of a secret; None if its key is not in the operator's file."""
    about = ("webhook", catalog_id, webhook_id, secret.salt)
    derived = keys.derive(about, secret.key_id) if keys.secret else None
    return None if derived is None else derived[1]


def signing(webhook: Webhook, catalog_id: str, now_micros: int, keys: KeyRing) -> list[bytes]:
    """Return the secrets that sign a message of a time; those whose key is missing are left out."""
    found = [
        secret_bytes(each, catalog_id, webhook.webhook_id, keys)
        for each in webhook.secrets
        if not each.end_micros or now_micros < each.end_micros
    ]
    return [each for each in found if each is not None]


def secret_text(secret: WebhookSecret, catalog_id: str, webhook_id: str, keys: KeyRing) -> str:
    """Return a secret as receivers get it. Raises WebhookKeysMissing."""
    found = secret_bytes(secret, catalog_id, webhook_id, keys)
    if found is None:
        raise WebhookKeysMissing
    return SECRET_PREFIX + base64.b64encode(found).decode()
