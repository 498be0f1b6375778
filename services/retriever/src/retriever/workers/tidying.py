"""Scheduled deletion: photos that no product has, jobs and imports that ended long ago, and changes
that every process and generation has."""

import asyncio
import time

from retriever.backup import backups
from retriever.catalog.collecting import DAY, collect
from retriever.domain.jobs import OPEN
from retriever.record import Record
from retriever.workers.context import Worker
from servicekit.tasks.supervision import confined

TURN_SECONDS = 3_600.0
BATCH = 1_000
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""
TIDYING = "tidying"
"""Name for servicekit.tasks.supervision."""


async def tidy(worker: Worker) -> bool:
    """Delete everything that is due. Return False: nothing more is due immediately."""
    with confined(TIDYING):
        await worker.forget_jobs()
    for catalog in worker.catalogs:
        with confined(TIDYING, catalog=catalog):
            await forget(catalog, worker.options.job_days, worker.record, time.time())
    if days := worker.options.photo_days:
        for catalog in worker.catalogs:
            with confined(TIDYING, catalog=catalog):
                if not await _is_copied(catalog, worker):
                    await collect(catalog, days, worker.record, worker.photos, time.time())
    return False


async def forget(catalog: str, days: float, record: Record, now: float) -> None:
    """Delete rows of the record that nothing needs any longer, and imports without rows for `days`;
    0: keep imports. `now`: seconds since 1970 (UTC)."""
    while await record.forget_applied(catalog, BATCH):  # noqa: ASYNC110
        await asyncio.sleep(PAUSE_SECONDS)
    after, up_to = await record.forgettable(catalog)
    while after < up_to:
        after = await record.forget_deleted(catalog, after, up_to, BATCH)
        await asyncio.sleep(PAUSE_SECONDS)
    before = int((now - days * DAY) * 1e6)
    while days and await record.forget_imports(catalog, before, BATCH):  # noqa: ASYNC110
        await asyncio.sleep(PAUSE_SECONDS)


async def _is_copied(catalog: str, worker: Worker) -> bool:
    """Return whether a backup reads the catalog's photos, or a restore stores photos that it
    registers later."""
    return bool(
        await worker.jobs.list(
            catalog_id=catalog, kinds=backups.KINDS, states=OPEN, limit=1, params=False
        )
    )
