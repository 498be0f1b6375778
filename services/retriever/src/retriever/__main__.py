"""The retriever's server: `python -m retriever`. Its worker is `python -m retriever.worker`."""

import asyncio
from collections.abc import Collection, Container
from contextlib import suppress
from functools import partial

from prometheus_client import REGISTRY
from threadpoolctl import threadpool_limits

from retriever.adapters.dictionaries import read_dictionaries
from retriever.adapters.milvus.index import LEAST_VERSION, MilvusIndex
from retriever.adapters.photos import PhotoStore
from retriever.backup.backups import Quota
from retriever.catalog.faces import FaceRules
from retriever.catalog.registry import Registry
from retriever.catalog.scene_documents import SceneDocuments
from retriever.catalog.synonyms import HeldSynonyms
from retriever.catalog.takedowns import PermittedPhotos
from retriever.columns.column_cache import Columns
from retriever.columns.suggestion_index import SuggestionIndexes
from retriever.indexing.lag import forget_lag, keep_measuring
from retriever.record import Record
from retriever.search.fallback.chain import FallbackChain
from retriever.search.recall.metrics import RecallCollector
from retriever.search.recall.watchdog import Watchdog
from retriever.search.search import Searcher
from retriever.servicer.backups import BackupServicer
from retriever.servicer.index import FitServicer, IndexServicer, RebuildServicer
from retriever.servicer.keywords import KeywordServicer
from retriever.servicer.lent import lent_by
from retriever.servicer.messages import JOB_OWNER
from retriever.servicer.photos import PhotoServicer
from retriever.servicer.products import ProductServicer
from retriever.servicer.registry import CatalogListServicer, CatalogRegistryServicer
from retriever.servicer.scenes import SceneServicer
from retriever.servicer.shown_products import ShownProducts
from retriever.servicer.synonyms import SynonymServicer
from retriever.servicer.vectors import VectorServicer
from retriever.settings import RetrieverSettings
from retriever.wiring import (
    backup_files,
    backup_keys,
    database,
    face_finder,
    face_policies,
    job_queue,
    known_catalogs,
    milvus_index,
    photo_store,
    to_face_finder,
    watch,
)
from servicekit.admission.access import PeerName
from servicekit.artefacts.backups import Backups
from servicekit.audit.record import AuditRecord
from servicekit.catalogs.known import KnownCatalogs
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Jobs
from servicekit.rpc import owned
from servicekit.rpc.audit_service import AuditServicer
from servicekit.rpc.job_service import JobServicer
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding, run, serve
from servicekit.startup import check_engine, load, observe
from servicekit.tasks.loops import Loop
from servicekit.tasks.supervision import confined, pause, supervised


def bindings(
    settings: RetrieverSettings,
    record: Record,
    photos: PhotoStore,
    index: MilvusIndex,
    jobs: Jobs,
    *,
    backups: Backups,
    watchdog: Watchdog | None = None,
    columns: Columns | None = None,
    faces: FaceRules | None = None,
    catalogs: KnownCatalogs | None = None,
) -> list[Binding]:
    """Return the services of the server.

    `watchdog`, `columns`, `catalogs`: if `None`, they are created by the settings.
    `faces`: if `None`, faces are left.
    """
    catalogs = catalogs or known_catalogs(settings, record)
    settle = settings.catalog_settle_seconds
    registry = Registry(record, settings.catalogs, settings.max_catalogs, settle)
    columns = columns or columns_of(settings, record)
    synonyms = HeldSynonyms(record, keep=settings.scene_versions)
    suggestions = SuggestionIndexes(columns)
    watchdog = watchdog or watch(settings, record)
    share = settings.import_delete_share
    rows, probe = settings.milvus_standin_rows, settings.milvus_probe_seconds
    fallback = FallbackChain(record, index, rows, columns, probe_seconds=probe)
    searcher = Searcher(record, index, columns, settings.spaces, fallback=fallback)
    for held in (columns, synonyms, suggestions, searcher.samples):
        catalogs.on_change(held.follow)
    seconds = settings.milvus_seconds
    servicers = (
        BackupServicer(
            catalogs,
            record,
            backups,
            jobs,
            Quota(settings.backup_count, settings.backup_megabytes * 10**6),
        ),
        RebuildServicer(catalogs, record, jobs),
        FitServicer(catalogs, jobs),
        ProductServicer(
            *(catalogs, record, PermittedPhotos(photos, record, faces), jobs, share, columns),
            synonyms=synonyms,
        ),
        PhotoServicer(catalogs, record, photos),
        VectorServicer(catalogs, searcher, fallback.breaker, seconds, watchdog),
        KeywordServicer(
            *(catalogs, record, columns, synonyms, suggestions),
            read_dictionaries(settings.dictionaries),
        ),
        SynonymServicer(catalogs, synonyms),
        SceneServicer(catalogs, SceneDocuments(record, settings.scene_versions)),
        IndexServicer(catalogs, record, jobs, settings.milvus_prefix),
        JobServicer(JOB_OWNER, catalogs, jobs),
        CatalogRegistryServicer(registry, catalogs, jobs),
        CatalogListServicer(registry),
    )
    return owned.bindings(PeerName.RETRIEVER, servicers)


def columns_of(settings: RetrieverSettings, record: Record) -> Columns:
    """Return the columns of this process."""
    return Columns(
        record,
        most_products=settings.columns_products,
        exact_rows=settings.exact_rows,
        exact_bytes=settings.exact_megabytes * 2**20,
    )


WARM_SECONDS = 30.0
"""Maximum seconds of preloading at startup. Without it the first calls are slower."""


async def warm(columns: Columns, record: Record, catalogs: Collection[str]) -> None:
    """Load the data of the first searches into memory, so that they do not wait for it."""
    with suppress(ServiceError):  # searches report the error
        for catalog in catalogs:
            live = await record.generations(catalog)
            await columns.warm(catalog, [each for each in live if each.active])


KEEP_UP_SECONDS, LATEST_SECONDS = 0.25, 30.0
"""Least and most seconds between updates of what is in memory, if no search makes them before: a
search beside an import finds little to read."""
POLL_SECONDS = 1.0
"""Seconds between updates where commits are not reported."""


async def keep_up(columns: Columns, record: Record, catalogs: Container[str]) -> None:
    """Keep what is in memory up to date until cancelled."""
    commits = record.commits()
    least = POLL_SECONDS if commits is None else KEEP_UP_SECONDS

    update = partial(columns.keep_up, catalogs)
    await Loop("columns", update, least, commits, LATEST_SECONDS).run()


AHEAD_SECONDS = 0.05
"""Seconds between reads of products before answers show them, which takes 6% of a core."""


async def read_ahead(shown: ShownProducts, record: Record, catalogs: Collection[str]) -> None:
    """Read products before answers show them until cancelled."""
    commits = record.commits()

    async def some() -> None:
        more = False
        for catalog in tuple(catalogs):
            with confined("products", catalog=catalog):
                more |= await shown.read_ahead(catalog)
        if more:
            await asyncio.sleep(AHEAD_SECONDS)
        else:
            await pause(POLL_SECONDS, commits, LATEST_SECONDS)

    await supervised("products", some)


async def following(settings: RetrieverSettings, record: Record) -> KnownCatalogs:
    """Return the catalogs, read and followed."""
    catalogs = known_catalogs(settings, record)
    await catalogs.start()
    catalogs.on_change(lambda _: forget_lag())
    return catalogs


async def main(settings: RetrieverSettings) -> None:
    """Serve until SIGTERM."""
    # A search compares vectors in its own thread; additional BLAS threads would wait for each
    # other.
    threadpool_limits(limits=1, user_api="blas")
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    await check_engine(settings, "Milvus", index.version, LEAST_VERSION)
    backups, record = backup_files(settings), Record(db)
    watchdog = watch(settings, record)
    catalogs = await following(settings, record)
    REGISTRY.register(RecallCollector(watchdog, catalogs))
    measuring = asyncio.create_task(keep_measuring(catalogs, record))
    columns = columns_of(settings, record)
    embedder = face_finder(settings)
    warming = asyncio.create_task(warm(columns, record, catalogs))
    keeping_up = asyncio.create_task(keep_up(columns, record, catalogs))

    async def close() -> None:
        for task in (measuring, warming, keeping_up, reading):
            task.cancel()
        await watchdog.close()
        await index.close()
        await embedder.close()
        photos.close()
        backups.close()
        db.close()

    await photos.start()
    # A new pod gets its share of the calls once it is ready.
    await asyncio.wait({warming}, timeout=WARM_SECONDS)
    jobs = job_queue(db)
    offered = bindings(
        settings,
        record,
        photos,
        index,
        jobs,
        backups=backups,
        watchdog=watchdog,
        columns=columns,
        faces=FaceRules(embedder, photos, face_policies(settings)),
        catalogs=catalogs,
    )
    lent = lent_by(offered)
    reading = asyncio.create_task(read_ahead(lent.of_products.shown, record, catalogs))
    offered.append(Binding.of(AuditServicer(catalogs, AuditRecord(db), settings.audit_days)))
    await serve(
        *(offered, settings),
        service="retriever",
        peers=PeerCredentials.of(settings),
        catalogs=catalogs,
        lent=lent,
        on_stop=close,
    )


CHECKS = (PeerCredentials.of, to_face_finder, backup_keys)
"""Readers of the files that settings name, called at the start."""

if __name__ == "__main__":
    configured = load(RetrieverSettings, *CHECKS)
    observe("retriever", configured, configured.log_level)
    run(main(configured))
