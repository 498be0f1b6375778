"""Scheduled deletion: photos that no product has, alerts and photos of watches whose term has
ended, and jobs that ended long ago."""

import time

from retriever.backup import backups
from retriever.catalog.collecting import collect
from retriever.domain.jobs import OPEN
from retriever.watching.expiry import expire
from retriever.workers.context import Worker

TURN_SECONDS = 3_600.0


async def tidy(worker: Worker) -> bool:
    """Delete everything that is due. Return False: nothing more is due immediately."""
    await worker.forget_jobs()
    for catalog in worker.catalogs:
        await expire(catalog, worker.options.alert_days, worker.record, worker.photos, time.time())
    if days := worker.options.photo_days:
        for catalog in worker.catalogs:
            if not await _is_copied(catalog, worker):
                await collect(catalog, days, worker.record, worker.photos, time.time())
    return False


async def _is_copied(catalog: str, worker: Worker) -> bool:
    """Return whether a backup reads the catalog's photos, or a restore stores photos that it
    registers later."""
    return bool(
        await worker.jobs.list(
            catalog_id=catalog, kinds=backups.KINDS, states=OPEN, limit=1, params=False
        )
    )
