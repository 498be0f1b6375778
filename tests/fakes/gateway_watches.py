"""The watch service of a gateway with canned answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import watch_service_pb2_grpc
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb

if TYPE_CHECKING:
    from tests.fakes.gateway import FakeGateway

IMAGE_ID = "a" * 64


def alert(sequence: int) -> watch_pb2.Alert:
    """Return an alert: odd ones start, even ones end."""
    message = watch_pb2.Alert(
        alert_id=f"alert-{sequence}",
        watch_id="shelf",
        rule_id="gone",
        sequence=sequence,
        kind=watch_pb2.Alert.KIND_STARTED if sequence % 2 else watch_pb2.Alert.KIND_ENDED,
        score=0.25,
        product_id="wine-1",
        image_id=IMAGE_ID,
    )
    message.frame_time.seconds = 1_800_000_000 + sequence
    return message


class Watches(watch_service_pb2_grpc.WatchServiceServicer):
    """Fake watches: those that were created."""

    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway
        self._stored: dict[str, watch_pb2.Watch] = {}

    def CreateWatch(self, request: Any, context: Any) -> Any:
        self._gateway.take("CreateWatch", request, context)
        return self._put(request.watch)

    def UpdateWatch(self, request: Any, context: Any) -> Any:
        self._gateway.take("UpdateWatch", request, context)
        return self._put(request.watch)

    def _put(self, watch: watch_pb2.Watch) -> watch_pb2.Watch:
        made = watch_pb2.Watch()
        made.CopyFrom(watch)
        made.etag, made.counts.processed = "e1", 7
        self._stored[watch.watch_id] = made
        return made

    def GetWatch(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetWatch", request, context)
        return self._stored[request.watch_id]

    def ListWatches(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListWatches", request, context)
        return pb.ListWatchesResponse(watches=self._stored.values())

    def DeleteWatch(self, request: Any, context: Any) -> Any:
        self._gateway.take("DeleteWatch", request, context)
        found = self._stored.pop(request.watch_id, None)
        return pb.DeleteWatchResponse(deleted=found is not None)

    def SendFrames(self, request: Any, context: Any) -> Any:
        self._gateway.take("SendFrames", request, context)
        result = watch_pb2.FrameResult(outcome=watch_pb2.FrameResult.OUTCOME_PROCESSED)
        result.readings.add(rule_id="gone", score=0.25, holds=True, alerting=True)
        count = len(request.frames)
        return pb.SendFramesResponse(
            results=[result] * count, alerts=[alert(1)], embedded_count=count
        )

    def ListAlerts(self, request: Any, context: Any) -> Any:
        self._gateway.take("ListAlerts", request, context)
        if request.page_token:
            return pb.ListAlertsResponse(alerts=[alert(1)])
        return pb.ListAlertsResponse(alerts=[alert(2)], next_page_token="more")

    def WatchAlerts(self, request: Any, context: Any) -> Iterator[Any]:
        self._gateway.take("WatchAlerts", request, context)
        after = int(request.resume_token or 0)
        yield pb.WatchAlertsResponse(resume_token=str(after))
        yield pb.WatchAlertsResponse(alert=alert(after + 1), resume_token=str(after + 1))

    def GetAlertPhoto(self, request: Any, context: Any) -> Any:
        self._gateway.take("GetAlertPhoto", request, context)
        return product_pb2.ProductImage(image_id=request.image_id, content=b"a frame")
