"""Alerts: read, and followed as they are stored."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from servicekit.tasks.followed import FollowedValues
from vision.domain.errors import ResumeTokenInvalid
from vision.domain.watches import Alert
from vision.record import Record

POLL_SECONDS = 0.5
"""Seconds between two reads of a catalog whose alerts are followed."""
MOST_READ = 200
"""Alerts that are read at a time."""

_TOKEN = re.compile(r"after-([0-9]{1,18})")


def resume_token(sequence: int) -> str:
    """Return the token of the place behind an alert."""
    return f"after-{sequence}"


def place_of(token: str) -> int:
    """Return the sequence number of a `resume_token`. Raises ResumeTokenInvalid."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ResumeTokenInvalid.at("resume_token", "is no token of a stream of alerts")
    return int(found[1])


class AlertFollower:
    """Follows the alerts of catalogs: one read at a time serves all followers of a catalog. Not for
    several event loops."""

    def __init__(self, record: Record, seconds: float = POLL_SECONDS) -> None:
        """`seconds`: time between two reads of a catalog."""
        self._record = record
        self._newest = FollowedValues("alerts", record.newest_alert, seconds, repeats=True)

    async def follow(
        self, catalog_id: str, watch_id: str, token: str
    ) -> AsyncGenerator[tuple[Alert | None, str], None]:
        """Yield the token of the place where it begins, then the alerts behind it as they are
        stored, each with its token. `token`: of the last alert that was handled; empty: begin now.
        A place behind all alerts is one of a record that was restored, or of a former catalog of
        the id: it would hold back as many alerts of this one.

        Raises ResumeTokenInvalid.
        """
        after = place_of(token) if token else None
        newest = await self._record.newest_alert(catalog_id)
        after = newest if after is None else min(after, newest)
        yield None, resume_token(after)
        async with aclosing(self._newest.follow(catalog_id, newest)) as changes:
            async for _ in changes:
                read = partial(self._record.alerts_after, catalog_id, watch_id)
                while found := await read(after, MOST_READ):
                    for alert in found:
                        after = alert.sequence
                        yield alert, resume_token(after)
