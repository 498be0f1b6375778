"""Fake webhooks of the gateway that the client's tests call."""

from datetime import UTC, datetime
from typing import Any

from sightline.gateway.v1 import webhook_service_pb2_grpc
from sightline.vision.v1 import webhook_service_pb2 as pb

WHEN = datetime(2026, 11, 26, 20, tzinfo=UTC)


class Webhooks(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Servicer with one webhook, `ops`, whose deliveries fail."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def CreateWebhook(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateWebhook", request, context)
        made = pb.Webhook(
            webhook_id=request.webhook_id, uri=request.uri, watch_ids=request.watch_ids
        )
        secret = "" if request.webhook_id == "ops" else "whsec_c2VjcmV0"
        return pb.CreateWebhookResponse(webhook=made, secret=secret)

    def ListWebhooks(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListWebhooks", request, context)
        failing = pb.Webhook(
            webhook_id="ops",
            uri="https://hooks.test/",
            failing_watch_count=1,
            attempt_count=3,
            failure="status 500",
            dead_letter_count=1200,
        )
        failing.next_attempt_time.FromDatetime(WHEN)
        quiet = pb.Webhook(webhook_id="till", uri="https://hooks.test/", watch_ids=["till"])
        return pb.ListWebhooksResponse(webhooks=[failing, quiet])

    def UpdateWebhook(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateWebhook", request, context)
        return pb.Webhook(
            webhook_id=request.webhook_id, uri=request.uri, watch_ids=request.watch_ids
        )

    def SendTestDelivery(self, request: Any, context: Any) -> Any:
        self._gateway.take("SendTestDelivery", request, context)
        if request.webhook_id == "ops":
            return pb.SendTestDeliveryResponse(http_status=500, failure="status 500")
        return pb.SendTestDeliveryResponse(accepted=True, http_status=204, message_id="test_1")

    def RotateWebhookSecret(self, request: Any, context: Any) -> Any:
        self._gateway.take("RotateWebhookSecret", request, context)
        made = pb.Webhook(webhook_id=request.webhook_id)
        return pb.RotateWebhookSecretResponse(webhook=made, secret="whsec_bmV3")

    def DeleteWebhook(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteWebhook", request, context)
        return pb.DeleteWebhookResponse(deleted=request.webhook_id == "ops")

    def ListDeadLetters(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListDeadLetters", request, context)
        last = bool(request.page_token)
        letter = pb.DeadLetter(watch_id="shelf", alert_id="a2" if last else "a1", failure="x")
        letter.replaying = last
        letter.create_time.FromDatetime(WHEN)
        return pb.ListDeadLettersResponse(
            dead_letters=[letter], next_page_token="" if last else "more"
        )

    def ReplayDeliveries(self, request: Any, context: Any) -> Any:
        self._gateway.take("ReplayDeliveries", request, context)
        return pb.ReplayDeliveriesResponse(replayed_count=2)
