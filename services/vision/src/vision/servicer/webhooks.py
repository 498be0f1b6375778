"""WebhookService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from servicekit.rpc.messages import MessageWriter
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.vision.v1 import webhook_service_pb2 as pb
from vision.delivery.webhooks import Webhooks
from vision.domain.webhooks import DEFAULT_OVERLAP_MICROS, DeadLetter, Webhook, WebhookState

message_of = MessageWriter(
    {
        "attempt_count": "attempts",
        "failing_watch_count": "failing_watches",
        "next_attempt_time": "next_micros",
        "dead_letter_count": "dead_letters",
        "http_status": "status",
    }
)
"""Converts values to messages; see MessageWriter."""


@dataclass(frozen=True)
class WebhookServicer:
    """Servicer of webhook_service.proto."""

    catalogs: Collection[str]
    webhooks: Webhooks

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, context: Context
    ) -> pb.CreateWebhookResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        state, secret = await self.webhooks.create(
            catalog, request.webhook_id, request.uri, request.watch_ids
        )
        return pb.CreateWebhookResponse(webhook=_webhook(state), secret=secret)

    async def UpdateWebhook(self, request: pb.UpdateWebhookRequest, context: Context) -> pb.Webhook:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return _webhook(
            await self.webhooks.update(catalog, request.webhook_id, request.uri, request.watch_ids)
        )

    async def SendTestDelivery(
        self, request: pb.SendTestDeliveryRequest, context: Context
    ) -> pb.SendTestDeliveryResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        sent = await self.webhooks.send_test(catalog, request.webhook_id)
        return message_of(pb.SendTestDeliveryResponse, sent, accepted=not sent.failure)

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, context: Context
    ) -> pb.ListWebhooksResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        states = await self.webhooks.states(catalog)
        return pb.ListWebhooksResponse(webhooks=map(_webhook, states))

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        overlap = DEFAULT_OVERLAP_MICROS
        if request.HasField("overlap"):
            overlap = request.overlap.seconds * 10**6 + request.overlap.nanos // 1_000
        state, secret = await self.webhooks.rotate(catalog, request.webhook_id, overlap)
        return pb.RotateWebhookSecretResponse(webhook=_webhook(state), secret=secret)

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, context: Context
    ) -> pb.DeleteWebhookResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        deleted = await self.webhooks.delete(catalog, request.webhook_id)
        return pb.DeleteWebhookResponse(deleted=deleted)

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, token = await self.webhooks.dead_letters(
            catalog, request.webhook_id, size=request.page_size, token=request.page_token
        )
        return pb.ListDeadLettersResponse(
            dead_letters=map(_dead_letter, found), next_page_token=token
        )

    async def ReplayDeliveries(
        self, request: pb.ReplayDeliveriesRequest, context: Context
    ) -> pb.ReplayDeliveriesResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        count = await self.webhooks.replay(catalog, request.webhook_id, request.alert_ids)
        return pb.ReplayDeliveriesResponse(replayed_count=count)


def _webhook(state: WebhookState) -> pb.Webhook:
    return _message(state, state.webhook)


_message = message_of.writer(
    pb.Webhook,
    WebhookState,
    Webhook,
    secret_create_time=lambda _, webhook: webhook.secrets[0].create_micros,
    former_secret_expire_time=lambda _, webhook: sum(s.end_micros for s in webhook.secrets[1:]),
)
_dead_letter = message_of.writer(pb.DeadLetter, DeadLetter)
