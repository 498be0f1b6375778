"""Watches of cameras and their alerts.

Made by generate_sync.py from
api/watches.py: change that one and run it.
"""

from collections.abc import Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.watches import FollowedAlert


class SyncWatchCalls(SyncConnected):
    """Watches of cameras and their alerts."""

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
