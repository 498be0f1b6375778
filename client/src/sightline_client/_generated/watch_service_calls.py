"""Calls of WatchService.

Made by generate_sync.py from
api/_generated/watch_service_calls.py: change that one and run it.
"""

from collections.abc import Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.watches import Alert, FramesAnswer, Watch, WatchFrame


class SyncWatchServiceCalls(SyncConnected):
    """Calls of WatchService."""

    def create_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
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
        return self._loop.run(self._client.create_watch(watch, timeout=timeout))

    def update_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Replace a watch. Rules whose condition did not change keep their state; alerts of the
        others end. Fails with WATCH_NOT_FOUND, ETAG_MISMATCH, and the errors of ``create_watch``.

        Args:
            watch: The watch, as it shall be.

        Raises:
            NotFound: WATCH_NOT_FOUND.
            Conflict: ETAG_MISMATCH.
        """
        return self._loop.run(self._client.update_watch(watch, timeout=timeout))

    def get_watch(self, watch_id: str, *, timeout: float | None = None) -> Watch:
        """Return a watch. Fails with WATCH_NOT_FOUND.

        Args:
            watch_id: Id of the watch.

        Raises:
            NotFound: WATCH_NOT_FOUND.
        """
        return self._loop.run(self._client.get_watch(watch_id, timeout=timeout))

    def list_watches(self, *, timeout: float | None = None) -> list[Watch]:
        """Return the watches of a catalog, at most 100, by id."""
        return self._loop.run(self._client.list_watches(timeout=timeout))

    def delete_watch(self, watch_id: str, *, timeout: float | None = None) -> bool:
        """Delete a watch with its alerts and photos. A watch that does not exist counts as
        deleted.

        Args:
            watch_id: Id of the watch.
        """
        return self._loop.run(self._client.delete_watch(watch_id, timeout=timeout))

    def send_frames(
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
        return self._loop.run(
            self._client.send_frames(watch_id, frames, dropped_count=dropped_count, timeout=timeout)
        )

    def list_alerts(
        self, *, watch_id: str = "", page_size: int = 100, timeout: float | None = None
    ) -> Iterator[Alert]:
        """Yield alerts, newest first. Fails with PAGE_TOKEN_INVALID. They are read page by page;
        ``timeout`` is that of one page.

        Args:
            watch_id: Watch. Default: all.
            page_size: Maximum number of results, 1 to 1,000. Other values are rejected.

        Raises:
            InvalidRequest: PAGE_TOKEN_INVALID.
        """
        return self._loop.iterate(
            self._client.list_alerts(watch_id=watch_id, page_size=page_size, timeout=timeout)
        )

    def get_alert_photo(self, image_id: str, *, timeout: float | None = None) -> bytes:
        """Return the photo of an alert, a JPEG. Fails with IMAGE_NOT_FOUND.

        Args:
            image_id: ``image_id`` of the alert.

        Raises:
            NotFound: IMAGE_NOT_FOUND.
        """
        return self._loop.run(self._client.get_alert_photo(image_id, timeout=timeout))
