"""Alerts: read, and followed as they are stored."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field

from retriever.domain.errors import ResumeTokenInvalid
from retriever.domain.watches import Alert
from retriever.record import Record
from servicekit.tasks.supervision import Backoff, supervised

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


@dataclass(slots=True)
class AlertFollower:
    """Follows the alerts of catalogs: one read at a time serves all followers of a catalog. Not for
    several event loops."""

    record: Record
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _newest: dict[str, "_Newest"] = field(default_factory=dict)

    async def follow(
        self, catalog_id: str, watch_id: str, token: str
    ) -> AsyncGenerator[tuple[Alert | None, str], None]:
        """Yield the token of the place where it begins, then the alerts behind it as they are
        stored, each with its token. `token`: of the last alert that was handled; empty: begin now.

        Raises ResumeTokenInvalid.
        """
        after = place_of(token) if token else await self.record.newest_alert(catalog_id)
        yield None, resume_token(after)
        news = self._join(catalog_id)
        try:
            while True:
                seen = news.sequence
                found = await self.record.alerts_after(catalog_id, watch_id, after, MOST_READ)
                for alert in found:
                    after = alert.sequence
                    yield alert, resume_token(after)
                if not found:
                    await news.after(seen)
        finally:
            self._leave(catalog_id, news)

    def _join(self, catalog_id: str) -> "_Newest":
        news = self._newest.get(catalog_id)
        if news is None:
            news = self._newest[catalog_id] = _Newest()
            # Its context is not that of the first follower, which may leave before the others.
            news.polling = asyncio.create_task(self._poll(catalog_id, news), context=Context())
        news.followers += 1
        return news

    def _leave(self, catalog_id: str, news: "_Newest") -> None:
        news.followers -= 1
        if not news.followers:
            if news.polling is not None:
                news.polling.cancel()
            if self._newest.get(catalog_id) is news:
                del self._newest[catalog_id]

    async def _poll(self, catalog_id: str, news: "_Newest") -> None:
        async def look() -> None:
            news.publish(await self.record.newest_alert(catalog_id))
            await self.sleep(POLL_SECONDS)

        await supervised("alerts", look, Backoff(POLL_SECONDS, POLL_SECONDS))


class _Newest:
    """The newest alert of a catalog, with those who wait for a newer one."""

    def __init__(self) -> None:
        self.sequence = -1
        self.followers = 0
        self.polling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def publish(self, sequence: int) -> None:
        if sequence != self.sequence:
            self.sequence = sequence
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def after(self, seen: int) -> None:
        """Return once the newest alert is another one than `seen`."""
        while self.sequence == seen:
            await self._changed.wait()
