"""WatchService on gRPC: translate, call the use case, translate back."""

from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass

from servicekit.rpc.requests import (
    Pages,
    RequestInvalid,
    check_count,
    enter,
)
from servicekit.rpc.server import Context
from sightline.common.v1 import product_pb2
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from vision.domain.watches import Alert
from vision.record import Record
from vision.servicer import watch_messages as messages
from vision.watching.alerts import AlertFollower
from vision.watching.frames import MOST_FRAMES, FrameChecks
from vision.watching.watches import Watches

_ALERTS = Pages[Alert](50, 1_000, lambda alert: (alert.sequence,), (int,))
MOST_DROPPED = 1_000_000
"""Frames that a sender may have dropped since its last message."""
NEWEST = 2**62
"""Larger than every sequence number."""


@dataclass(frozen=True)
class WatchServicer:
    """Servicer of watch_service.proto."""

    catalogs: Collection[str]
    watches: Watches
    frames: FrameChecks
    follower: AlertFollower
    record: Record

    async def CreateWatch(
        self, request: pb.CreateWatchRequest, context: Context
    ) -> watch_pb2.Watch:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        draft = messages.watch_draft(request.watch)
        return messages.watch_message(*await self.watches.create(catalog, draft))

    async def UpdateWatch(
        self, request: pb.UpdateWatchRequest, context: Context
    ) -> watch_pb2.Watch:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        draft = messages.watch_draft(request.watch)
        return messages.watch_message(*await self.watches.update(catalog, draft))

    async def GetWatch(self, request: pb.GetWatchRequest, context: Context) -> watch_pb2.Watch:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return messages.watch_message(*await self.watches.get(catalog, request.watch_id))

    async def ListWatches(
        self, request: pb.ListWatchesRequest, context: Context
    ) -> pb.ListWatchesResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await self.watches.every(catalog)
        return pb.ListWatchesResponse(watches=[messages.watch_message(*each) for each in found])

    async def DeleteWatch(
        self, request: pb.DeleteWatchRequest, context: Context
    ) -> pb.DeleteWatchResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        deleted = await self.watches.delete(catalog, request.watch_id)
        return pb.DeleteWatchResponse(deleted=deleted)

    async def SendFrames(
        self, request: pb.SendFramesRequest, context: Context
    ) -> pb.SendFramesResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        check_count("frames", len(request.frames), MOST_FRAMES)
        dropped = request.dropped_count
        if not 0 <= dropped <= MOST_DROPPED:
            raise RequestInvalid.at("dropped_count", f"must be 0 to {MOST_DROPPED:,}")
        frames = [messages.sent_frame(each) for each in request.frames]
        report = await self.frames.check(catalog, request.watch_id, frames, dropped=dropped)
        return messages.frames_response(report)

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        watch_id = request.watch_id
        page, token = await _ALERTS.read(
            *(("alerts", catalog, watch_id), request.page_size, request.page_token),
            lambda place, limit: self.record.alerts(
                catalog, watch_id, place[0] if place else NEWEST, limit
            ),
        )
        return pb.ListAlertsResponse(
            alerts=map(messages.alert_message, page), next_page_token=token
        )

    async def WatchAlerts(
        self, request: pb.WatchAlertsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        following = self.follower.follow(catalog, request.watch_id, request.resume_token)
        async with aclosing(following) as alerts:
            async for alert, token in alerts:
                message = None if alert is None else messages.alert_message(alert)
                yield pb.WatchAlertsResponse(alert=message, resume_token=token)

    async def GetAlertPhoto(
        self, request: pb.GetAlertPhotoRequest, context: Context
    ) -> product_pb2.ProductImage:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, content = await self.watches.photo(catalog, request.image_id)
        return product_pb2.ProductImage(
            image_id=found.image_id,
            content=content,
            media_type=found.media_type,
            width=found.width,
            height=found.height,
        )
