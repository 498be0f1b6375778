"""A scripted service of cameras on the wire."""

from servicekit.admission import costs
from sightline.common.v1 import product_pb2
from sightline.vision.v1 import (
    detection_service_pb2,
    watch_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from tests.fakes.gateway_script import Script


class Watching:
    """Every frame is processed with three parts; a stream has two alerts."""

    FRAME_SECONDS = 1.0
    """Processor seconds that a frame takes, as it says."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateWatch(self, request, context):
        await self.script.take("CreateWatch", request, context)
        return request.watch

    async def UpdateWatch(self, request, context):
        await self.script.take("UpdateWatch", request, context)
        return request.watch

    async def GetWatch(self, request, context):
        await self.script.take("GetWatch", request, context)
        return watch_pb2.Watch(watch_id=request.watch_id)

    async def ListWatches(self, request, context):
        await self.script.take("ListWatches", request, context)
        return watch_service_pb2.ListWatchesResponse()

    async def DeleteWatch(self, request, context):
        await self.script.take("DeleteWatch", request, context)
        return watch_service_pb2.DeleteWatchResponse(deleted=True)

    async def SendFrames(self, request, context):
        await self.script.take("SendFrames", request, context)
        result = watch_pb2.FrameResult(outcome=watch_pb2.FrameResult.OUTCOME_PROCESSED)
        result.readings.add(rule_id="gone")
        count = len(request.frames)
        costs.add(count * self.FRAME_SECONDS)
        return watch_service_pb2.SendFramesResponse(
            results=[result] * count,
            embedded_count=3 * count,
            detected_count=count,
            detected_view_count=10 * count,
        )

    async def ListAlerts(self, request, context):
        await self.script.take("ListAlerts", request, context)
        token = "" if request.page_token else "place"
        return watch_service_pb2.ListAlertsResponse(next_page_token=token)

    async def WatchAlerts(self, request, context):
        await self.script.take("WatchAlerts", request, context)
        for number in range(3):
            alert = watch_pb2.Alert(sequence=number) if number else None
            yield watch_service_pb2.WatchAlertsResponse(alert=alert, resume_token=f"t{number}")
        if self.script.late_error is not None:
            raise self.script.late_error

    async def GetAlertPhoto(self, request, context):
        await self.script.take("GetAlertPhoto", request, context)
        return product_pb2.ProductImage(image_id=request.image_id, content=b"a frame")


class Detecting:
    """A photo shows p1 and an unknown object, of 10 views; decoding took a tenth of a second."""

    SECONDS = 2.0
    """Processor seconds that a call takes, as it says."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def DetectProducts(self, request, context):
        await self.script.take("DetectProducts", request, context)
        costs.add(self.SECONDS)
        return detection_service_pb2.DetectProductsResponse(
            detections=[{"product_id": "p1", "objectness": 0.5}, {}],
            unknown_count=1,
            embedded_view_count=10,
            decoding_time={"nanos": 100_000_000},
        )


class Webhooks:
    """Fake webhooks of a catalog, with the id of the last request."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateWebhook(self, request, context):
        await self.script.take("CreateWebhook", request, context)
        webhook = webhook_service_pb2.Webhook(webhook_id=request.webhook_id, uri=request.uri)
        return webhook_service_pb2.CreateWebhookResponse(webhook=webhook, secret="whsec_1")

    async def ListWebhooks(self, request, context):
        await self.script.take("ListWebhooks", request, context)
        return webhook_service_pb2.ListWebhooksResponse()

    async def UpdateWebhook(self, request, context):
        await self.script.take("UpdateWebhook", request, context)
        return webhook_service_pb2.Webhook(webhook_id=request.webhook_id, uri=request.uri)

    async def SendTestDelivery(self, request, context):
        await self.script.take("SendTestDelivery", request, context)
        return webhook_service_pb2.SendTestDeliveryResponse(http_status=500, failure="status 500")

    async def RotateWebhookSecret(self, request, context):
        await self.script.take("RotateWebhookSecret", request, context)
        return webhook_service_pb2.RotateWebhookSecretResponse(secret="whsec_2")

    async def DeleteWebhook(self, request, context):
        await self.script.take("DeleteWebhook", request, context)
        return webhook_service_pb2.DeleteWebhookResponse(deleted=True)

    async def ListDeadLetters(self, request, context):
        await self.script.take("ListDeadLetters", request, context)
        letter = webhook_service_pb2.DeadLetter(alert_id="a1")
        token = "" if request.page_token else "more"
        return webhook_service_pb2.ListDeadLettersResponse(
            dead_letters=[letter], next_page_token=token
        )

    async def ReplayDeliveries(self, request, context):
        await self.script.take("ReplayDeliveries", request, context)
        return webhook_service_pb2.ReplayDeliveriesResponse(replayed_count=1)
