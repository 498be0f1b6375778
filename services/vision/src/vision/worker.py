"""The worker of vision: `python -m vision.worker`.

Takes frames of watches from addresses, tells which cameras stop, delivers alerts to webhooks, sends
them to the audit log, fits references, makes backups, and deletes what is due. Any number of
workers may run: one at a time leads, by a lease in SQL, and a dead leader is replaced when its
lease expires. A worker can be killed at any point.
"""

from servicekit.processes.background import yield_to_answers

if __name__ == "__main__":
    yield_to_answers()  # before the other imports, which take a second or two of a processor

import asyncio
import signal
from functools import partial
from importlib.metadata import version

from servicekit.clock import now_micros
from servicekit.jobs.worker import JobWorker
from servicekit.rpc.server import run
from servicekit.sql.database import Database
from servicekit.sql.leadership import lead_in_turn
from servicekit.sql.leases import Lease, worker_id
from servicekit.sql.retention import forget_jobs
from servicekit.startup import load, observe
from servicekit.tasks.loops import Loop
from servicekit.telemetry import get_logger, serve_metrics
from vision.adapters.audit_log import AuditLog
from vision.adapters.takedowns import RetrieverTakedowns
from vision.backup.backups import BackupJobs, kinds
from vision.inspection.fits import FIT_REFERENCE, FitJobs
from vision.record import Record, tables
from vision.settings import VisionSettings
from vision.watching.silence import SilenceChecks
from vision.watching.taken_down import TAKEN_DOWN, TakenDownPhotos
from vision.wiring import (
    CHECKS,
    Parts,
    backup_files,
    database,
    deliverer,
    job_queue,
    snapshot_poller,
)
from vision.workers import tidying
from vision.workers.auditing import AUDITING, Auditing
from vision.workers.leading import Run, lead
from vision.workers.tidying import Tidying

LEASE = "vision-worker"
BACKUPS = "backups"
FITS = "fits"
"""Names for servicekit.tasks.supervision."""
JOB_SECONDS = 1.0
"""Least seconds between looks for jobs."""
AUDIT_SECONDS = 1.0
"""Seconds between looks for entries of the audit log where commits are not reported, and the least
ones where they are."""

log = get_logger()


async def main(settings: VisionSettings) -> None:
    """Work until SIGTERM or SIGINT."""
    db = database(settings)  # may wait until a signal stops it
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    parts = Parts.of(settings, db)
    await parts.catalogs.start()
    deliveries, posters = deliverer(settings, parts.catalogs, parts.record)
    poller, fetchers = snapshot_poller(settings, parts)
    loops = [
        deliveries.run,
        SilenceChecks(parts.record, parts.catalogs, now_micros).run,
        *_loops(settings, db, parts),
        *([] if poller is None else [poller.run]),
    ]
    lease = Lease(db, LEASE, worker_id(LEASE), settings.worker_lease_seconds)
    port = settings.worker_metrics_port
    stop_metrics = serve_metrics(port, settings.host) if port else lambda: None
    try:
        await lead_in_turn(lease, partial(lead, lease, loops), stop)
    finally:
        await parts.close()
        for client in (*posters, *fetchers):
            await client.close()
        db.close()
        stop_metrics()
        log.info("stopped")


def _loops(settings: VisionSettings, db: Database, parts: Parts) -> list[Run]:
    """Return the loops whose steps are due from time to time."""
    due = Tidying(
        *(parts.catalogs, Record(db), parts.photos.files, settings.alert_days),
        forget_jobs=partial(forget_jobs, db, tables.jobs, settings.job_days),
    )
    audit = Auditing(parts.record, AuditLog(parts.channel).append)
    takedowns = RetrieverTakedowns(parts.channel)
    taken_down = TakenDownPhotos(parts.catalogs, parts.record, parts.photos, takedowns)
    commits, files = parts.record.commits(), backup_files(settings)
    work = BackupJobs(parts.record, parts.photos, files, now_micros, version("sightline-vision"))
    jobs = job_queue(db)
    claims = JobWorker(jobs, worker_id(LEASE), settings.worker_lease_seconds)
    fitting = FitJobs(parts.references, jobs, parts.record.key_of)

    async def next_backup() -> bool:
        return await claims.next(kinds(work)) is not None

    async def next_fit() -> bool:
        return await claims.next({FIT_REFERENCE: fitting.fit}) is not None

    return [
        Loop(BACKUPS, next_backup, JOB_SECONDS, parts.record.commits()).run,
        Loop(FITS, next_fit, JOB_SECONDS, parts.record.commits()).run,
        Loop(tidying.TIDYING, due.step, tidying.TURN_SECONDS).run,
        Loop(tidying.REMOVAL, due.remove, tidying.REMOVAL_TURN_SECONDS).run,
        Loop(TAKEN_DOWN, taken_down.step, tidying.TURN_SECONDS).run,
        Loop(AUDITING, audit.step, AUDIT_SECONDS, commits).run,
    ]


if __name__ == "__main__":
    configured = load(VisionSettings, *CHECKS)
    observe("vision-worker", configured, configured.log_level)
    run(main(configured))
