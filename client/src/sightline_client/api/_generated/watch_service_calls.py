"""Calls of WatchService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import AsyncIterator, Iterable

from sightline.vision.v1 import watch_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire
from sightline_client.values.watches import Alert, FramesAnswer, Watch, WatchFrame


class WatchServiceCalls(Connected):
    """Calls of WatchService."""

    async def create_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Create a watch: rules that are checked on the frames of one camera. Return the stored one
        if it is the same. Fails with WATCH_INVALID (names each field), WATCH_EXISTS, WATCHES_FULL,
        PRODUCT_NOT_FOUND, IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, URI_FORBIDDEN.

        Args:
            watch: The watch.

        Raises:
            InvalidRequest: WATCH_INVALID, IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, URI_FORBIDDEN.
            AlreadyExists: WATCH_EXISTS.
            ResourceExhausted: WATCHES_FULL.
            NotFound: PRODUCT_NOT_FOUND.
        """
        return from_wire.watch(
            await self._ask(
                self.calls.watches.CreateWatch,
                watch_service_pb2.CreateWatchRequest,
                timeout,
                watch=watch,
            )
        )

    async def update_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Replace a watch. Rules whose condition did not change keep their state; alerts of the
        others end. Fails with WATCH_NOT_FOUND, ETAG_MISMATCH, and the errors of ``create_watch``.

        Args:
            watch: The watch, as it shall be.

        Raises:
            NotFound: WATCH_NOT_FOUND.
            Conflict: ETAG_MISMATCH.
        """
        return from_wire.watch(
            await self._ask(
                self.calls.watches.UpdateWatch,
                watch_service_pb2.UpdateWatchRequest,
                timeout,
                watch=watch,
            )
        )

    async def get_watch(self, watch_id: str, *, timeout: float | None = None) -> Watch:
        """Return a watch. Fails with WATCH_NOT_FOUND.

        Args:
            watch_id: Id of the watch.

        Raises:
            NotFound: WATCH_NOT_FOUND.
        """
        return from_wire.watch(
            await self._ask(
                self.calls.watches.GetWatch,
                watch_service_pb2.GetWatchRequest,
                timeout,
                watch_id=watch_id,
            )
        )

    async def list_watches(self, *, timeout: float | None = None) -> list[Watch]:
        """Return the watches of a catalog, at most 100, by id."""
        return [
            from_wire.watch(each)
            for each in (
                await self._ask(
                    self.calls.watches.ListWatches, watch_service_pb2.ListWatchesRequest, timeout
                )
            ).watches
        ]

    async def delete_watch(self, watch_id: str, *, timeout: float | None = None) -> bool:
        """Delete a watch with its alerts and photos. A watch that does not exist counts as
        deleted.

        Args:
            watch_id: Id of the watch.
        """
        return (
            await self._ask(
                self.calls.watches.DeleteWatch,
                watch_service_pb2.DeleteWatchRequest,
                timeout,
                watch_id=watch_id,
            )
        ).deleted

    async def send_frames(
        self,
        watch_id: str,
        frames: Iterable[WatchFrame],
        *,
        dropped_count: int = 0,
        timeout: float | None = None,
    ) -> FramesAnswer:
        """Check the rules of a watch on frames, one after the other. State and alerts are durable
        before the response. Each frame has its own result. Fails with WATCH_NOT_FOUND,
        EMBEDDER_UNAVAILABLE, PHOTO_STORE_UNAVAILABLE. After an error none of them was checked:
        repeat the call. Frames that were checked are ignored if they are sent again.

        Args:
            watch_id: Id of the watch.
            frames: Frames of its camera in the order of their times, 1 to 8, at most 32 MiB in
                total.
            dropped_count: Number of frames that the sender dropped since its last message
                because newer ones were there, 0 to 1,000,000. They are counted in
                WatchCounts.dropped. Default: 0.
            timeout: Seconds; None = the client's ``batch_timeout``.

        Raises:
            NotFound: WATCH_NOT_FOUND.
            Unavailable: EMBEDDER_UNAVAILABLE, PHOTO_STORE_UNAVAILABLE.
        """
        return from_wire.frames_answer(
            await self._ask(
                self.calls.watches.SendFrames,
                watch_service_pb2.SendFramesRequest,
                self._batch_deadline(timeout),
                watch_id=watch_id,
                frames=frames,
                dropped_count=dropped_count,
            )
        )

    async def list_alerts(
        self, *, watch_id: str = "", page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[Alert]:
        """Yield alerts, newest first. Fails with PAGE_TOKEN_INVALID. They are read page by page;
        ``timeout`` is that of one page.

        Args:
            watch_id: Watch. Default: all.
            page_size: Maximum number of results, 1 to 1,000. Other values are rejected.

        Raises:
            InvalidRequest: PAGE_TOKEN_INVALID.
        """
        async for page in self._ask_pages(
            self.calls.watches.ListAlerts,
            watch_service_pb2.ListAlertsRequest,
            timeout,
            watch_id=watch_id,
            page_size=page_size,
        ):
            for each in page.alerts:
                yield from_wire.alert(each)

    async def get_alert_photo(self, image_id: str, *, timeout: float | None = None) -> bytes:
        """Return the photo of an alert, a JPEG. Fails with IMAGE_NOT_FOUND.

        Args:
            image_id: ``image_id`` of the alert.

        Raises:
            NotFound: IMAGE_NOT_FOUND.
        """
        return (
            await self._ask(
                self.calls.watches.GetAlertPhoto,
                watch_service_pb2.GetAlertPhotoRequest,
                timeout,
                image_id=image_id,
            )
        ).content
