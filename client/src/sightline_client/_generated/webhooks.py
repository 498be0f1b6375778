"""Webhooks, to which alerts are delivered.

Made from api/webhooks.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable
from datetime import timedelta

from sightline_client._generated.base import SyncConnected
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret


class SyncWebhookCalls(SyncConnected):
    """Webhooks, to which alerts are delivered."""

    def create_webhook(
        self,
        webhook_id: str,
        uri: str,
        *,
        watch_ids: Iterable[str] = (),
        timeout: float | None = None,
    ) -> WebhookWithSecret:
        """Create a webhook. Keep the secret: it is not shown again. ``watch_ids``: watches whose
        alerts it gets; none = all. InvalidRequest (URI_FORBIDDEN, WEBHOOK_INVALID), AlreadyExists
        (WEBHOOK_EXISTS), FailedPrecondition (WEBHOOK_KEYS_MISSING), ResourceExhausted
        (WEBHOOKS_FULL)."""
        return self._loop.run(
            self._client.create_webhook(webhook_id, uri, watch_ids=watch_ids, timeout=timeout)
        )

    def update_webhook(
        self,
        webhook_id: str,
        uri: str,
        *,
        watch_ids: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Webhook:
        """Replace the address and the watches of a webhook; its secrets stay. ``watch_ids``: none =
        all watches. NotFound (WEBHOOK_NOT_FOUND), InvalidRequest (URI_FORBIDDEN,
        WEBHOOK_INVALID)."""
        return self._loop.run(
            self._client.update_webhook(webhook_id, uri, watch_ids=watch_ids, timeout=timeout)
        )

    def send_test_delivery(self, webhook_id: str, *, timeout: float | None = None) -> WebhookTest:
        """Send a signed message of type ``webhook.test`` once. Return what the receiver answered.
        NotFound (WEBHOOK_NOT_FOUND), FailedPrecondition (WEBHOOK_KEYS_MISSING)."""
        return self._loop.run(self._client.send_test_delivery(webhook_id, timeout=timeout))

    def list_webhooks(self, *, timeout: float | None = None) -> tuple[Webhook, ...]:
        """Return the webhooks of the catalog by id, with the state of their deliveries."""
        return self._loop.run(self._client.list_webhooks(timeout=timeout))

    def rotate_webhook_secret(
        self,
        webhook_id: str,
        *,
        overlap: timedelta = timedelta(days=1),
        timeout: float | None = None,
    ) -> WebhookWithSecret:
        """Add a secret to a webhook; the former one signs too for ``overlap``, 0 to 7 days.
        NotFound (WEBHOOK_NOT_FOUND)."""
        return self._loop.run(
            self._client.rotate_webhook_secret(webhook_id, overlap=overlap, timeout=timeout)
        )

    def delete_webhook(self, webhook_id: str, *, timeout: float | None = None) -> bool:
        """Delete a webhook with its dead letters. Return whether it existed."""
        return self._loop.run(self._client.delete_webhook(webhook_id, timeout=timeout))

    def list_dead_letters(
        self, webhook_id: str, *, timeout: float | None = None
    ) -> tuple[DeadLetter, ...]:
        """Return every dead letter of a webhook, by watch and sequence. ``timeout`` is that of one
        page. NotFound (WEBHOOK_NOT_FOUND)."""
        return self._loop.run(self._client.list_dead_letters(webhook_id, timeout=timeout))

    def replay_deliveries(
        self, webhook_id: str, alert_ids: Iterable[str] = (), *, timeout: float | None = None
    ) -> int:
        """Deliver dead letters again. Return their number. ``alert_ids``: those of these alerts;
        none = all. NotFound (WEBHOOK_NOT_FOUND)."""
        return self._loop.run(
            self._client.replay_deliveries(webhook_id, alert_ids, timeout=timeout)
        )
