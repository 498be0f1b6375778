"""Deletion of selected events: a job, because there may be millions.

The job deletes the events that were counted when it was requested; later events are kept. If events
wait in a log first, it deletes those received by then, and those still waiting are never stored
(record/late_events.py). It runs in small transactions with pauses, so that events can be written
meanwhile. After an interruption it continues with the remaining events; after a cancellation
deleted events stay deleted.
"""

import asyncio
import time
from dataclasses import replace
from typing import Any

from ranker.domain import selection as selected
from ranker.domain.selection import PurgeCount, PurgePlace, Selection
from ranker.record.selections import SelectionRecord
from servicekit.errors import Unavailable
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.worker import leave_on

PURGE = selected.PURGE
BATCH = 2000
"""Events per transaction: tens of milliseconds, during which writers of events may have to wait."""

LONGEST_PAUSE, BUSY_PAUSE = 0.1, 1.0


def params(
    selection: Selection, counted: PurgeCount, received_micros: int | None = None
) -> dict[str, Any]:
    """Return the job's parameters as JSON values. The job deletes the counted events; with
    `received_micros`, all events received until then, including those not in the record yet."""
    if received_micros is None:
        selection = replace(selection, last_sequence=counted.last_sequence)
    else:
        selection = replace(selection, received_micros=received_micros)
    return selected.params(selection) | {"event_count": counted.event_count}


async def run(job: Job, purger: SelectionRecord, jobs: Jobs, stop: asyncio.Event) -> dict[str, str]:
    """Run the job and return its result. Raise the errors of `jobs.progress`, and JobLeft on
    `stop`."""
    selection = selected.selection_of(job.catalog_id, job.params)
    left = (await purger.count(selection)).event_count
    total = max(int(job.params["event_count"]), left)
    done = total - left
    place: PurgePlace | None = PurgePlace()
    await jobs.progress(job, done, total)
    while place is not None:
        leave_on(stop)
        began = time.monotonic()
        try:
            batch = await purger.delete(selection, place, BATCH)
            done, place = done + batch.count, batch.place
            await jobs.progress(job, done, total)
        except Unavailable:
            # The store is busy or down: retried until it answers or the claim expires.
            await asyncio.sleep(BUSY_PAUSE)
        await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
    return {"deleted_count": str(done)}
