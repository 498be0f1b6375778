"""Watches of cameras and their alerts.

Made from api/watches.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.watches import Alert, FollowedAlert, FramesAnswer, Watch, WatchFrame


class SyncWatchCalls(SyncConnected):
    """Watches of cameras and their alerts."""

    def create_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Create a watch, or return the stored one if it is the same. InvalidArgument
        (WATCH_INVALID) names wrong fields; AlreadyExists (WATCH_EXISTS), NotFound
        (PRODUCT_NOT_FOUND)."""
        return self._loop.run(self._client.create_watch(watch, timeout=timeout))

    def update_watch(self, watch: Watch, *, timeout: float | None = None) -> Watch:
        """Replace a watch. Rules whose condition did not change keep their state; alerts of the
        others end. NotFound (WATCH_NOT_FOUND), Aborted (ETAG_MISMATCH)."""
        return self._loop.run(self._client.update_watch(watch, timeout=timeout))

    def get_watch(self, watch_id: str, *, timeout: float | None = None) -> Watch:
        """Return a watch. NotFound (WATCH_NOT_FOUND)."""
        return self._loop.run(self._client.get_watch(watch_id, timeout=timeout))

    def list_watches(self, *, timeout: float | None = None) -> list[Watch]:
        """Return the watches of the catalog, by id."""
        return self._loop.run(self._client.list_watches(timeout=timeout))

    def delete_watch(self, watch_id: str, *, timeout: float | None = None) -> bool:
        """Delete a watch with its alerts and photos. Return whether it existed."""
        return self._loop.run(self._client.delete_watch(watch_id, timeout=timeout))

    def send_frames(
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
        return self._loop.run(
            self._client.send_frames(watch_id, frames, dropped_count=dropped_count, timeout=timeout)
        )

    def list_alerts(
        self, *, watch_id: str = "", page_size: int = 100, timeout: float | None = None
    ) -> Iterator[Alert]:
        """Yield alerts, newest first. ``watch_id``: "" = of all watches. ``page_size``: alerts of
        one call, 1 to 1,000."""
        return self._loop.iterate(
            self._client.list_alerts(watch_id=watch_id, page_size=page_size, timeout=timeout)
        )

    def watch_alerts(
        self, *, watch_id: str = "", resume_token: str = ""
    ) -> Iterator[FollowedAlert]:
        """Yield alerts as they are stored, without an end. A lost connection is restored behind the
        last alert.

        Args:
            watch_id: "" = of all watches.
            resume_token: Of the last alert that was handled; "" = alerts from now on.
        """
        return self._loop.iterate(
            self._client.watch_alerts(watch_id=watch_id, resume_token=resume_token)
        )

    def get_alert_photo(self, image_id: str, *, timeout: float | None = None) -> bytes:
        """Return the photo of an alert, a JPEG with faces blurred. NotFound (IMAGE_NOT_FOUND)."""
        return self._loop.run(self._client.get_alert_photo(image_id, timeout=timeout))
