"""Webhooks, to which alerts are delivered."""

from collections.abc import Iterable
from datetime import timedelta

from sightline.retriever.v1 import webhook_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret

_PAGE = 500


class WebhookCalls(Connected):
    """Calls about webhooks."""

    async def create_webhook(
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
        with to_wire.sendable("request"):
            request = pb.CreateWebhookRequest(
                catalog_id=self.catalog, webhook_id=webhook_id, uri=uri, watch_ids=watch_ids
            )
        made = await self._call(self.calls.webhooks.CreateWebhook, request, timeout)
        return WebhookWithSecret(from_wire.webhook(made.webhook), made.secret)

    async def update_webhook(
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
        with to_wire.sendable("request"):
            request = pb.UpdateWebhookRequest(
                catalog_id=self.catalog, webhook_id=webhook_id, uri=uri, watch_ids=watch_ids
            )
        return from_wire.webhook(
            await self._call(self.calls.webhooks.UpdateWebhook, request, timeout)
        )

    async def send_test_delivery(
        self, webhook_id: str, *, timeout: float | None = None
    ) -> WebhookTest:
        """Send a signed message of type ``webhook.test`` once. Return what the receiver answered.
        NotFound (WEBHOOK_NOT_FOUND), FailedPrecondition (WEBHOOK_KEYS_MISSING)."""
        with to_wire.sendable("request"):
            request = pb.SendTestDeliveryRequest(catalog_id=self.catalog, webhook_id=webhook_id)
        answer = await self._call(self.calls.webhooks.SendTestDelivery, request, timeout)
        return from_wire.webhook_test(answer)

    async def list_webhooks(self, *, timeout: float | None = None) -> tuple[Webhook, ...]:
        """Return the webhooks of the catalog by id, with the state of their deliveries."""
        request = pb.ListWebhooksRequest(catalog_id=self.catalog)
        found = await self._call(self.calls.webhooks.ListWebhooks, request, timeout)
        return tuple(from_wire.webhook(each) for each in found.webhooks)

    async def rotate_webhook_secret(
        self,
        webhook_id: str,
        *,
        overlap: timedelta = timedelta(days=1),
        timeout: float | None = None,
    ) -> WebhookWithSecret:
        """Add a secret to a webhook; the former one signs too for ``overlap``, 0 to 7 days.
        NotFound (WEBHOOK_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.RotateWebhookSecretRequest(catalog_id=self.catalog, webhook_id=webhook_id)
            request.overlap.FromTimedelta(overlap)
        made = await self._call(self.calls.webhooks.RotateWebhookSecret, request, timeout)
        return WebhookWithSecret(from_wire.webhook(made.webhook), made.secret)

    async def delete_webhook(self, webhook_id: str, *, timeout: float | None = None) -> bool:
        """Delete a webhook with its dead letters. Return whether it existed."""
        with to_wire.sendable("request"):
            request = pb.DeleteWebhookRequest(catalog_id=self.catalog, webhook_id=webhook_id)
        return (await self._call(self.calls.webhooks.DeleteWebhook, request, timeout)).deleted

    async def list_dead_letters(
        self, webhook_id: str, *, timeout: float | None = None
    ) -> tuple[DeadLetter, ...]:
        """Return every dead letter of a webhook, by watch and sequence. ``timeout`` is that of one
        page. NotFound (WEBHOOK_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.ListDeadLettersRequest(
                catalog_id=self.catalog, webhook_id=webhook_id, page_size=_PAGE
            )
        pages = self._pages(self.calls.webhooks.ListDeadLetters, request, timeout)
        return tuple([from_wire.dead_letter(x) async for page in pages for x in page.dead_letters])

    async def replay_deliveries(
        self, webhook_id: str, alert_ids: Iterable[str] = (), *, timeout: float | None = None
    ) -> int:
        """Deliver dead letters again. Return their number. ``alert_ids``: those of these alerts;
        none = all. NotFound (WEBHOOK_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.ReplayDeliveriesRequest(
                catalog_id=self.catalog, webhook_id=webhook_id, alert_ids=alert_ids
            )
        answer = await self._call(self.calls.webhooks.ReplayDeliveries, request, timeout)
        return answer.replayed_count
