"""Calls of WebhookService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Iterable
from datetime import timedelta

from sightline.vision.v1 import webhook_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret


class WebhookServiceCalls(Connected):
    """Calls of WebhookService."""

    async def create_webhook(
        self,
        webhook_id: str,
        uri: str,
        *,
        watch_ids: Iterable[str] = (),
        timeout: float | None = None,
    ) -> WebhookWithSecret:
        """Create a webhook. It gets the alerts that are raised from then on. A repeated request
        with the same values returns the webhook without its secret. Fails with WEBHOOK_INVALID,
        URI_FORBIDDEN (the address is not allowed by the service's settings), WEBHOOK_EXISTS (has
        other values), WEBHOOKS_FULL (20 a catalog), WEBHOOK_KEYS_MISSING (the service has no file
        of keys). The secret is shown only in this answer.

        Args:
            webhook_id: Id of the webhook, 1 to 128 bytes.
            uri: Address, 1 to 2,048 characters, of a scheme and host that the service's
                settings allow.
            watch_ids: Watches whose alerts are delivered, 0 to 100. Empty: all.

        Raises:
            InvalidRequest: WEBHOOK_INVALID, URI_FORBIDDEN.
            AlreadyExists: WEBHOOK_EXISTS.
            ResourceExhausted: WEBHOOKS_FULL.
            FailedPrecondition: WEBHOOK_KEYS_MISSING.
        """
        return from_wire.webhook_with_secret(
            await self._ask(
                self.calls.webhooks.CreateWebhook,
                webhook_service_pb2.CreateWebhookRequest,
                timeout,
                webhook_id=webhook_id,
                uri=uri,
                watch_ids=watch_ids,
            )
        )

    async def update_webhook(
        self,
        webhook_id: str,
        uri: str,
        *,
        watch_ids: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Webhook:
        """Replace the address and the watches of a webhook; its secrets stay. Failed deliveries to
        a former address are made again at once, to the new one. Of watches that it did not have
        before it gets the alerts that are raised from then on. Fails with WEBHOOK_NOT_FOUND,
        WEBHOOK_INVALID, URI_FORBIDDEN.

        Args:
            webhook_id: Webhook.
            uri: Address, 1 to 2,048 characters, of a scheme and host that the service's
                settings allow.
            watch_ids: Watches whose alerts are delivered, 0 to 100. Empty: all.

        Raises:
            NotFound: WEBHOOK_NOT_FOUND.
            InvalidRequest: WEBHOOK_INVALID, URI_FORBIDDEN.
        """
        return from_wire.webhook(
            await self._ask(
                self.calls.webhooks.UpdateWebhook,
                webhook_service_pb2.UpdateWebhookRequest,
                timeout,
                webhook_id=webhook_id,
                uri=uri,
                watch_ids=watch_ids,
            )
        )

    async def send_test_delivery(
        self, webhook_id: str, *, timeout: float | None = None
    ) -> WebhookTest:
        """Send a signed message of type ``webhook.test`` to a webhook once, and returns what its
        receiver answered. Alerts are not affected. Fails with WEBHOOK_NOT_FOUND,
        WEBHOOK_KEYS_MISSING.

        Args:
            webhook_id: Webhook.

        Raises:
            NotFound: WEBHOOK_NOT_FOUND.
            FailedPrecondition: WEBHOOK_KEYS_MISSING.
        """
        return from_wire.webhook_test(
            await self._ask(
                self.calls.webhooks.SendTestDelivery,
                webhook_service_pb2.SendTestDeliveryRequest,
                timeout,
                webhook_id=webhook_id,
            )
        )

    async def list_webhooks(self, *, timeout: float | None = None) -> tuple[Webhook, ...]:
        """Return the webhooks of a catalog by id, at most 20, with the state of their
        deliveries."""
        return tuple(
            [
                from_wire.webhook(each)
                for each in (
                    await self._ask(
                        self.calls.webhooks.ListWebhooks,
                        webhook_service_pb2.ListWebhooksRequest,
                        timeout,
                    )
                ).webhooks
            ]
        )

    async def rotate_webhook_secret(
        self,
        webhook_id: str,
        *,
        overlap: timedelta = timedelta(days=1),
        timeout: float | None = None,
    ) -> WebhookWithSecret:
        """Add a secret to a webhook. Messages are signed with both secrets until the former one
        ends; one of before it ends immediately. Fails with WEBHOOK_NOT_FOUND, WEBHOOK_INVALID,
        WEBHOOK_KEYS_MISSING.

        Args:
            webhook_id: Webhook.
            overlap: For how long the former secret signs too, 0 to 7 days.

        Raises:
            NotFound: WEBHOOK_NOT_FOUND.
            InvalidRequest: WEBHOOK_INVALID.
            FailedPrecondition: WEBHOOK_KEYS_MISSING.
        """
        return from_wire.rotate_webhook_secret_response(
            await self._ask(
                self.calls.webhooks.RotateWebhookSecret,
                webhook_service_pb2.RotateWebhookSecretRequest,
                timeout,
                webhook_id=webhook_id,
                overlap=overlap,
            )
        )

    async def delete_webhook(self, webhook_id: str, *, timeout: float | None = None) -> bool:
        """Delete a webhook with its dead letters. Alerts that were not delivered yet are no longer
        sent to it.

        Args:
            webhook_id: Webhook.
        """
        return (
            await self._ask(
                self.calls.webhooks.DeleteWebhook,
                webhook_service_pb2.DeleteWebhookRequest,
                timeout,
                webhook_id=webhook_id,
            )
        ).deleted

    async def list_dead_letters(
        self, webhook_id: str, *, timeout: float | None = None
    ) -> tuple[DeadLetter, ...]:
        """Return alerts that could not be delivered in time, by watch and sequence. Fails with
        WEBHOOK_NOT_FOUND. ``timeout`` is that of one page.

        Args:
            webhook_id: Webhook.

        Raises:
            NotFound: WEBHOOK_NOT_FOUND.
        """
        return tuple(
            [
                from_wire.dead_letter(each)
                async for page in self._ask_pages(
                    self.calls.webhooks.ListDeadLetters,
                    webhook_service_pb2.ListDeadLettersRequest,
                    timeout,
                    webhook_id=webhook_id,
                    page_size=500,
                )
                for each in page.dead_letters
            ]
        )

    async def replay_deliveries(
        self, webhook_id: str, alert_ids: Iterable[str] = (), *, timeout: float | None = None
    ) -> int:
        """Deliver dead letters again, those of one watch in order, beside newer alerts. Each has
        the time of a new alert for that. Fails with WEBHOOK_NOT_FOUND.

        Args:
            alert_ids: Alerts, 0 to 500. Those that are no dead letters of the webhook are
                skipped. Empty: all dead letters.
            webhook_id: Webhook.

        Raises:
            NotFound: WEBHOOK_NOT_FOUND.
        """
        return (
            await self._ask(
                self.calls.webhooks.ReplayDeliveries,
                webhook_service_pb2.ReplayDeliveriesRequest,
                timeout,
                alert_ids=alert_ids,
                webhook_id=webhook_id,
            )
        ).replayed_count
