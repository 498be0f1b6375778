"""Messages of webhooks, and what a receiver needs to trust one.

A receiver calls ``verify_webhook`` before it reads anything of a message. Messages and signatures
are those of https://www.standardwebhooks.com.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "whsec_"
MOST_BYTES = 2**20
"""Largest body of a message."""
MOST_SIGNATURES = 20
"""Signatures of a message that are compared."""


class WebhookRejected(ValueError):
    """A message that does not come from the suite, is too old, or can't be read: answer 400."""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A verified message."""

    message_id: str
    """Id, equal at each attempt to deliver the message: skip those that you have handled."""
    type: str
    """``watch.alert.started`` or ``watch.alert.ended``; ``webhook.test`` of a test."""
    timestamp: str
    """When the alert was stored, in ISO 8601 (UTC)."""
    data: Mapping[str, Any]
    """The alert; ``sequence`` rises with each alert of a watch. Of a test, the ids of the catalog
    and the webhook."""


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance_seconds: float = 300.0,
    now: float | None = None,
) -> WebhookMessage:
    """Return the message of a request, if one of the secrets signed it.

    ``body``: as it was received, not parsed. ``headers``: of the request, in any case. ``secrets``:
    the webhook's secret, or during a rotation both. ``tolerance_seconds``: largest difference from
    the time of the attempt, ``now`` in seconds since 1970; None: this machine's clock. Raises
    WebhookRejected; ValueError for secrets that are none.
    """
    keys = [_key(each) for each in ((secrets,) if isinstance(secrets, str) else secrets)]
    named = {name.lower(): value for name, value in headers.items()}
    message_id, stated = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    if not message_id or not stated:
        raise WebhookRejected("the headers webhook-id and webhook-timestamp are missing")
    if len(body) > MOST_BYTES:
        raise WebhookRejected("the body has more than 1 MiB")
    signed = f"{message_id}.{stated}.".encode() + body
    given = named.get("webhook-signature", "").split(" ")[:MOST_SIGNATURES]
    if not any(_signs(key, signed, each) for key in keys for each in given):
        raise WebhookRejected("no signature is valid")
    if not stated.isascii() or not stated.isdigit() or len(stated) > len("99999999999"):
        raise WebhookRejected("webhook-timestamp is not a time")
    if abs((time.time() if now is None else now) - int(stated)) > tolerance_seconds:
        raise WebhookRejected(f"the message was not sent within {tolerance_seconds:g} s")
    return _read(message_id, body)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise ValueError("a secret begins with whsec_ and goes on in base64")
    return key


def _signs(key: bytes, signed: bytes, signature: str) -> bool:
    version, _, value = signature.partition(",")
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    return version == "v1" and hmac.compare_digest(expected, value.encode("utf-8", "replace"))


def _read(message_id: str, body: bytes) -> WebhookMessage:
    try:
        found = json.loads(body)
        message = WebhookMessage(message_id, found["type"], found["timestamp"], found["data"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WebhookRejected("the body is no message of a webhook") from None
    if not (isinstance(message.type, str) and isinstance(message.data, dict)):
        raise WebhookRejected("the body is no message of a webhook")
    return message
