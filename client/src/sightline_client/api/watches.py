"""Watches of cameras and their alerts."""

import asyncio
from collections.abc import AsyncIterator

from sightline.vision.v1 import watch_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import Unavailable
from sightline_client.values.watches import FollowedAlert

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a lost stream is restored."""


class WatchCalls(Connected):
    """Calls about watches and alerts."""

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
