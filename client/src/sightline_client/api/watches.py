"""Watches of cameras and their alerts."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from sightline.retriever.v1 import watch_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import Unavailable
from sightline_client.values.watches import (
    Alert,
    FollowedAlert,
    FramesAnswer,
    Watch,
    WatchFrame,
)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a lost stream is restored."""


class WatchCalls(Connected):
    """Calls about watches and alerts."""

    async def create_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Create a watch, or return the stored one if it is the same. InvalidArgument
        (WATCH_INVALID) names wrong fields; AlreadyExists (WATCH_EXISTS), NotFound
        (PRODUCT_NOT_FOUND)."""
        with to_wire.sendable("watch"):
            request = pb.CreateWatchRequest(catalog_id=self.catalog, watch=to_wire.watch(watch))
        return from_wire.watch(await self._call(self.calls.watches.CreateWatch, request, timeout))

    async def update_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Replace a watch. Rules whose condition did not change keep their state; alerts of the
        others end. NotFound (WATCH_NOT_FOUND), Aborted (ETAG_MISMATCH)."""
        with to_wire.sendable("watch"):
            request = pb.UpdateWatchRequest(catalog_id=self.catalog, watch=to_wire.watch(watch))
        return from_wire.watch(await self._call(self.calls.watches.UpdateWatch, request, timeout))

    async def get_watch(self, watch_id: str, *, timeout: float | None = None) -> Watch:
        """Return a watch. NotFound (WATCH_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.GetWatchRequest(catalog_id=self.catalog, watch_id=watch_id)
        return from_wire.watch(await self._call(self.calls.watches.GetWatch, request, timeout))

    async def list_watches(self, *, timeout: float | None = None) -> list[Watch]:
        """Return the watches of the catalog, by id."""
        request = pb.ListWatchesRequest(catalog_id=self.catalog)
        answer = await self._call(self.calls.watches.ListWatches, request, timeout)
        return [from_wire.watch(each) for each in answer.watches]

    async def delete_watch(self, watch_id: str, *, timeout: float | None = None) -> bool:
        """Delete a watch with its alerts and photos. Return whether it existed."""
        with to_wire.sendable("request"):
            request = pb.DeleteWatchRequest(catalog_id=self.catalog, watch_id=watch_id)
        answer = await self._call(self.calls.watches.DeleteWatch, request, timeout)
        return answer.deleted

    async def send_frames(
        self,
        watch_id: str,
        frames: Iterable[WatchFrame],
        *,
        dropped_count: int = 0,
        timeout: float | None = None,
    ) -> FramesAnswer:
        """Check the rules of a watch on 1 to 8 frames, in the order of their times. Alerts are
        stored when the answer arrives. After an error, send them again: frames that were checked
        are ignored. ``dropped_count``: frames that the camera gave since the last call and that are
        not sent, which the watch counts. NotFound (WATCH_NOT_FOUND)."""
        with to_wire.sendable("frames"):
            request = pb.SendFramesRequest(
                catalog_id=self.catalog,
                watch_id=watch_id,
                frames=[to_wire.watch_frame(frame) for frame in frames],
                dropped_count=dropped_count,
            )
        wanted = self.batch_timeout if timeout is None else timeout
        answer = await self._call(self.calls.watches.SendFrames, request, wanted)
        return from_wire.frames_answer(answer)

    async def list_alerts(
        self, *, watch_id: str = "", page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[Alert]:
        """Yield alerts, newest first. ``watch_id``: "" = of all watches. ``page_size``: alerts of
        one call, 1 to 1,000."""
        with to_wire.sendable("request"):
            request = pb.ListAlertsRequest(
                catalog_id=self.catalog, watch_id=watch_id, page_size=page_size
            )
        async for page in self._pages(self.calls.watches.ListAlerts, request, timeout):
            for alert in page.alerts:
                yield from_wire.alert(alert)

    async def watch_alerts(
        self, *, watch_id: str = "", resume_token: str = ""
    ) -> AsyncIterator[FollowedAlert]:
        """Yield alerts as they are stored, without an end. A lost connection is restored behind the
        last alert.

        Args:
            watch_id: "" = of all watches.
            resume_token: Of the last alert that was handled; "" = alerts from now on.
        """
        pause = _FIRST_PAUSE
        while True:
            with to_wire.sendable("request"):
                request = pb.WatchAlertsRequest(
                    catalog_id=self.catalog, watch_id=watch_id, resume_token=resume_token
                )
            try:
                async for answer in self.calls.stream(
                    self.calls.watches.WatchAlerts, request, None
                ):
                    pause, resume_token = _FIRST_PAUSE, answer.resume_token
                    if answer.HasField("alert"):
                        yield FollowedAlert(from_wire.alert(answer.alert), resume_token)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def get_alert_photo(self, image_id: str, *, timeout: float | None = None) -> bytes:
        """Return the photo of an alert, a JPEG with faces blurred. NotFound (IMAGE_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.GetAlertPhotoRequest(catalog_id=self.catalog, image_id=image_id)
        answer = await self._call(self.calls.watches.GetAlertPhoto, request, timeout)
        return answer.content
