"""Deletion of data that no consent covers any more, by the worker.

From the moment of a withdrawal the data is not used; here it is deleted. Each step finds its work
in the record, so that it is safe to kill and to run twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from ranker.domain.consent import Purpose, Refusers
from ranker.domain.events import StoredEvent, Written
from ranker.domain.selection import PurgePlace, Selection
from ranker.events.purge import BATCH
from ranker.ports import EventSink
from ranker.record.consent_changes import ConsentRecord
from ranker.record.selections import SelectionRecord
from servicekit.clock import now_micros
from servicekit.liveness import LIVENESS
from servicekit.tasks.supervision import confined

CONSENTS = "consents"
"""Name of the loop; see servicekit.liveness."""
MOST_ACTORS = 100
"""Shoppers whose events are deleted between two searches."""


@dataclass(eq=False)
class ConsentRetention:
    """Periodic deletion of what no consent covers."""

    catalogs: Collection[str]
    consents: ConsentRecord
    selections: SelectionRecord
    forget: Callable[[str, Refusers], Awaitable[int]]
    """Removes the vectors of shoppers from all kept models of a catalog."""
    settle: Callable[[], Awaitable[None]]
    """Removes the bytes of deleted rows."""
    stop: asyncio.Event
    note: Callable[[str], Awaitable[None]] | None = None
    """Notes new decisions of a catalog where a restore finds them."""
    _forgotten: dict[str, int] = field(init=False, default_factory=dict)
    """By catalog: time of the newest decision after which vectors were removed."""

    async def look(self) -> None:
        """Delete all data beyond the consents."""
        for catalog_id in self.catalogs:
            with confined(CONSENTS, catalog=catalog_id):
                await self._look(catalog_id)

    async def _look(self, catalog_id: str) -> None:
        if self.note is not None:
            await self.note(catalog_id)
        deleted = await self._events(catalog_id) + await self._answers(catalog_id)
        if deleted:
            await self.settle()
        await self._vectors(catalog_id)

    async def _events(self, catalog_id: str) -> int:
        """Delete the events, received until now, of shoppers who refuse both purposes of events."""
        count, now = 0, now_micros()
        while actors := await self.consents.without_use(catalog_id, MOST_ACTORS):
            for actor in actors:
                selection = Selection(catalog_id, actor=actor, received_micros=now)
                place: PurgePlace | None = PurgePlace()
                while place is not None and not self.stop.is_set():
                    LIVENESS.report(CONSENTS)
                    batch = await self.selections.delete(selection, place, BATCH)
                    count, place = count + batch.count, batch.place
            if self.stop.is_set():
                break
        return count

    async def _answers(self, catalog_id: str) -> int:
        """Delete the records of answers to shoppers who refuse personal answers, and the vectors of
        photos without consent."""
        count = 0
        for delete in (self.consents.delete_answers, self.consents.delete_photos):
            while gone := await delete(catalog_id, BATCH):
                LIVENESS.report(CONSENTS)
                count += gone
        return count

    async def _vectors(self, catalog_id: str) -> None:
        """Remove shoppers from whom models may not learn. A training that runs meanwhile does so
        itself (learning/training/job.py)."""
        decided = await self.consents.newest_refusal(catalog_id, Purpose.TRAIN)
        if decided > self._forgotten.get(catalog_id, 0):
            refusers = await self.consents.refusers(catalog_id, Purpose.TRAIN)
            await self.forget(catalog_id, refusers)
            self._forgotten[catalog_id] = decided


class ConsentedSink:
    """A sink before the record that takes only events whose shoppers consent to a use of them. The
    record checks again when it stores them."""

    def __init__(self, sink: EventSink, consents: ConsentRecord) -> None:
        self._sink, self._consents = sink, consents

    @property
    def deferred(self) -> bool:
        return self._sink.deferred

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        permitted = await self._consents.permitted(events)
        taken = [one for one, given in zip(events, permitted, strict=True) if given]
        outcomes = iter(await self._sink.append(taken) if taken else ())
        return tuple(next(outcomes) if given else Written.WITHHELD for given in permitted)
