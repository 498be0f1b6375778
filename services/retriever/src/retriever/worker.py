"""The retriever's worker: `python -m retriever.worker`.

Embeds pending photos and texts, applies the outbox to the index, loads and reconciles collections,
does the jobs that delete many products, roll a generation out, back up, restore or rebuild, and
deletes unused photos. Any number of workers may run: one at a time leads, by a lease in SQL, and a
dead leader is replaced when its lease expires. A worker can be killed at any point.
"""

from servicekit.processes.background import yield_to_answers

if __name__ == "__main__":
    yield_to_answers()  # before the other imports, which take a second or two of a processor

import asyncio
import signal
from functools import partial

from retriever.adapters.embedder import EmbedderClient
from retriever.adapters.milvus.index import LEAST_VERSION
from retriever.record import Record
from retriever.record.tables import jobs
from retriever.servicer.filter_messages import unpacked
from retriever.settings import RetrieverSettings
from retriever.wiring import (
    backup_files,
    backup_keys,
    database,
    job_queue,
    known_catalogs,
    milvus_index,
    photo_store,
    to_embedder,
)
from retriever.workers.context import Worker
from retriever.workers.leader_loops import lead_in_turn
from servicekit.rpc.server import run
from servicekit.sql.leases import Lease, worker_id
from servicekit.sql.retention import forget_jobs
from servicekit.startup import check_engine, load, observe
from servicekit.telemetry import get_logger, serve_metrics

LEASE = "index-writer"

log = get_logger()


async def main(settings: RetrieverSettings) -> None:
    """Work until SIGTERM or SIGINT."""
    db = database(settings)  # may wait until a signal stops it
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    photos, index = photo_store(settings), milvus_index(settings)
    await check_engine(settings, "Milvus", index.version, LEAST_VERSION)
    files = backup_files(settings)
    embedder = EmbedderClient(settings.embedder_target, to_embedder(settings))
    name, seconds = worker_id("retriever-worker"), settings.worker_lease_seconds
    record = Record(db)
    catalogs = known_catalogs(settings, record)
    await catalogs.start()
    worker = Worker(
        catalogs,
        settings,
        record,
        photos,
        index,
        embedder,
        Lease(db, LEASE, name, seconds),
        job_queue(db),
        name,
        files,
        unpacked,
        partial(forget_jobs, db, jobs, settings.job_days),
    )
    port = settings.worker_metrics_port
    stop_metrics = serve_metrics(port, settings.host) if port else lambda: None
    try:
        await lead_in_turn(worker, stop)
    finally:
        await catalogs.stop()
        await embedder.close()
        await index.close()
        photos.close()
        files.close()
        db.close()
        stop_metrics()
        log.info("stopped")


if __name__ == "__main__":
    configured = load(RetrieverSettings, to_embedder, backup_keys)
    observe("retriever-worker", configured, configured.log_level)
    run(main(configured))
