"""Cameras that stop: watches of which no frame was checked for the time of a rule."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from servicekit.clock import Clock
from servicekit.tasks.supervision import confined, pause, supervised
from vision.domain.watch_state import WatchProgress
from vision.domain.watches import SECOND, SilenceSource
from vision.record import Record
from vision.watching.checking import check_silence
from vision.watching.frames import ALERTS

LOOK_SECONDS, LATEST_SECONDS = 1.0, 60.0
"""Least and most seconds between two looks for watches that are due. They follow the commits, if
those are reported."""
GRACE: Final = 60 * SECOND
"""Time that cameras have after a start of the worker, unless `hold` is shorter: while the suite was
down, they could send nothing."""
SILENCE: Final = "silent cameras"
"""Name for servicekit.tasks.supervision."""


@dataclass(slots=True)
class SilenceChecks:
    """Starts the alerts of cameras that stop, of all catalogs, while its process leads."""

    record: Record
    catalogs: Collection[str]
    clock: Clock
    _due: dict[SilenceSource, int] = field(default_factory=dict)
    """Time at which each watch is read next: until then it can't be silent for long enough."""

    async def run(self) -> None:
        """Look until cancelled."""
        began, commits = self.clock(), self.record.commits()
        self._due.clear()

        async def look() -> None:
            await self.look(began)
            await pause(LOOK_SECONDS, commits, self._seconds())

        await supervised(SILENCE, look)

    def _seconds(self) -> float:
        """Return the seconds after LOOK_SECONDS until a watch is due, at most LATEST_SECONDS."""
        soonest = min(self._due.values(), default=None)
        if soonest is None:
            return LATEST_SECONDS
        left = (soonest - self.clock()) / SECOND - LOOK_SECONDS
        return min(max(left, 0.0), LATEST_SECONDS)

    async def look(self, began: int) -> None:
        """Check the watches that are due. `began`: when the worker began to lead."""
        found = await self.record.silence_sources()
        wanted = [each for each in found if each.catalog_id in self.catalogs]
        self._due = {source: self._due.get(source, 0) for source in wanted}
        for source, due in self._due.items():
            if due > self.clock():
                continue
            with confined(SILENCE, catalog=source.catalog_id, watch=source.watch_id):
                self._due[source] = await self._check(source, began)

    async def _check(self, source: SilenceSource, began: int) -> int:
        """Check a watch, and return when to check it again. Raises WatchNotFound."""
        found, now = await self.record.watch(source.catalog_id, source.watch_id), self.clock()
        begins = began + min(source.hold, GRACE)
        if found is None or now < begins:
            return begins
        stored, known = found
        last = max(known.state.received, stored.update_micros)
        state, alerts = check_silence(stored.watch, known.state, last, now)
        if state != known.state:
            progress = WatchProgress(stored, known.revision, state, alerts)
            saved = await self.record.save_checked(source.catalog_id, progress)
            if saved is None:  # a frame came meanwhile
                return now
            for alert in saved:
                ALERTS.labels(alert.kind).inc()
        return (last if last + source.hold > now else now) + source.hold
