"""The ranker's server: its record, its key, its loaded models and its services."""

import asyncio
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import grpc
from threadpoolctl import threadpool_limits

from ranker.adapters.model_store import ModelStore
from ranker.domain import pseudonyms
from ranker.domain.errors import KeyUnusable
from ranker.domain.events import DAY_MICROS, StoredAs
from ranker.domain.model import Model
from ranker.domain.private_counts import BudgetLimit
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.consent_retention import ConsentedSink
from ranker.events.intake import StoredTexts
from ranker.events.searches import FrequentSearches
from ranker.ports import EventSink
from ranker.record.answers import AnswerLog, AnswerQueue
from ranker.record.consent_changes import ConsentRecord
from ranker.record.counts import CountRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.experiments import ExperimentRecord
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.record.online_days import OnlineDaysRecord
from ranker.record.personal import PersonalRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.sales import SalesRecord
from ranker.record.searches import SearchRecord
from ranker.record.selections import SelectionRecord
from ranker.record.shoppers import ShopperRecord, check_key, has_key
from ranker.record.shown import ShownRecord
from ranker.record.tables import JOBS, METADATA
from ranker.servicer.answers import AnswerServicer
from ranker.servicer.events import EventServicer
from ranker.servicer.experiments import ExperimentServicer
from ranker.servicer.exposure import ReportExposure
from ranker.servicer.lent import lent_by
from ranker.servicer.models import ModelServicer
from ranker.servicer.privacy import PrivacyServicer
from ranker.servicer.profiles import ProfileServicer
from ranker.servicer.ranking import RankingServicer
from ranker.servicer.replay import Replayer
from ranker.servicer.requests import OWNER
from ranker.serving.models.live import LiveModels
from ranker.serving.replay_answer import LoadVersion, ReplayAnswer
from ranker.settings import RankerSettings
from ranker.wiring.backend import log_access, to_retriever
from ranker.wiring.record import open_record, prepare_keys, sealer_of
from servicekit.admission.access import PeerName
from servicekit.audit.record import AuditRecord
from servicekit.catalogs.known import KnownCatalogs
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.rpc import owned
from servicekit.rpc.audit_service import AuditServicer
from servicekit.rpc.catalog_registry import registry_of
from servicekit.rpc.channel import connect
from servicekit.rpc.job_service import JobServicer
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import Binding, serve
from servicekit.sql.database import Database
from servicekit.sql.migrations import settle
from servicekit.telemetry import get_logger
from servicekit.watched_files import Unreadable

if TYPE_CHECKING:
    from ranker.adapters.kafka import KafkaSink

CLOSE_SECONDS = 5.0
"""Seconds for which a stopping server continues to store answers."""


def check_file(settings: RankerSettings) -> None:
    """Raise Unreadable if the key's file is unusable; a missing one may be created."""
    if not settings.create_key:
        try:
            pseudonyms.load(settings.key_file, create=False)
        except KeyUnusable as error:
            raise Unreadable(str(error)) from None


async def open_key(database: Database, settings: RankerSettings) -> Pseudonyms:
    """Return the key of the store. Raise KeyUnusable. A key is created only for a store without
    one."""
    create = settings.create_key and not await has_key(database)
    found = pseudonyms.load(settings.key_file, create=create)
    await check_key(database, found)
    return found


def open_sink(settings: RankerSettings) -> "KafkaSink | None":
    """Return the event log, None if events are written to the record directly."""
    access = log_access(settings)
    if access is None:
        return None
    from ranker.adapters.kafka import KafkaSink  # the extra `kafka`

    return KafkaSink(access, settings.kafka_seconds)


def bindings(
    settings: RankerSettings,
    database: Database,
    key: Pseudonyms,
    live: LiveModels,
    store: ModelStore,
    *,
    answers: AnswerQueue | None = None,
    sink: EventSink | None = None,
    catalogs: Collection[str] | None = None,
) -> list[Binding]:
    """Return all services of the ranker. The caller closes `answers` and `sink`; without a sink
    the record takes events itself. `catalogs`: None: those of the settings."""
    answers = answers or AnswerQueue(AnswerLog(database), now_micros)
    catalogs, signals = settings.catalogs if catalogs is None else catalogs, settings.signals
    events, keep = EventRecord(database, signals), int(settings.answer_days * DAY_MICROS)
    registry, shoppers, jobs = (
        ModelRegistry(database),
        ShopperRecord(database, signals),
        Jobs(database, JOBS),
    )
    ranking = RankingServicer.of(
        *(catalogs, key, events, live, settings.nominate_in_memory_items),
        signals=signals,
        answers=answers,
        keep_micros=keep,
        counts=CountRecord(database),
    )
    consents = ConsentRecord(database, signals)
    sealed = settings.wrapper() is not None
    texts = StoredTexts(settings.stored_queries, settings.stored_order_ids, sealed=sealed)
    consented = ConsentedSink(sink, consents) if sink else events
    searches = FrequentSearches(
        SearchRecord(database),
        settings.least_shoppers,
        readable=settings.stored_queries is StoredAs.PLAIN,
    )
    if isinstance(catalogs, KnownCatalogs):
        catalogs.on_change(searches.follow)
    taking = (consented, shoppers, SelectionRecord(database, signals), jobs, searches)
    taken = (SalesRecord(database), settings.impression_share, texts)
    replay = Replayer(ReplayAnswer(key, events, live, _loader(registry, store), signals))
    own = (PersonalRecord(database), ErasureRecord(database), consents)

    def forget(catalog_id: str) -> None:
        events.forget_histories(catalog_id)
        ranking.forget()

    services = (
        ranking,
        EventServicer(catalogs, key, events, *taking, *taken),
        AnswerServicer(catalogs, key, answers, keep, replay, events),
        ModelServicer(
            *(catalogs, jobs, registry, store, OnlineRecord(database), OnlineDaysRecord(database)),
            ReportExposure(ShownRecord(database), live),
            live.refresh,
            settings.auto_promote_hour if settings.auto_promote else None,
        ),
        ExperimentServicer(catalogs, ExperimentRecord(database)),
        ProfileServicer(catalogs, key, events, live, shoppers, signals),
        PrivacyServicer(
            catalogs,
            key,
            *own,
            SelectionRecord(database, signals),
            BudgetRecord(database),
            BudgetLimit(settings.privacy_epsilon, settings.privacy_days),
            jobs,
            registry,
            store,
            events,
            live,
            signals,
            forget,
        ),
        JobServicer(OWNER, catalogs, jobs),
        AuditServicer(catalogs, AuditRecord(database), settings.audit_days),
    )
    return owned.bindings(PeerName.RANKER, services)


def _loader(registry: ModelRegistry, store: ModelStore) -> LoadVersion:
    async def load(catalog_id: str, version: str) -> Model:
        record = await registry.get(catalog_id, version)
        return await asyncio.to_thread(store.read, *record.key)

    return load


def calculate_alone() -> None:
    """Limit NumPy's matrix products to the calling thread. Those of a request are small: 500
    candidates take 2 µs in one thread. With several threads a product waits until each gets a core,
    which took 2 ms on a busy machine (measured 2026-11).
    """
    threadpool_limits(limits=1, user_api="blas")


async def serve_until_stopped(settings: RankerSettings) -> None:
    """Open the record and the key, load what is promoted, and serve."""
    sealer = sealer_of(settings)
    database = open_record(settings, sealer)
    store, registry = ModelStore(settings.model_store), ModelRegistry(database)
    in_memory = settings.nominate_in_memory_items
    channel, catalogs = known_catalogs(settings)
    live = LiveModels(catalogs, registry, store.read, in_memory, commits=database.commits)
    catalogs.on_change(live.follow)
    try:
        await catalogs.start()
        settle(database, METADATA, settings)
        key = await open_key(database, settings)
        await prepare_keys(database, sealer)
        await live.start()
        answers = AnswerQueue(AnswerLog(database), now_micros)
        sink = open_sink(settings)
        offered = bindings(
            *(settings, database, key, live, store),
            answers=answers,
            sink=sink,
            catalogs=catalogs,
        )

        async def close() -> None:
            await asyncio.gather(
                answers.close(CLOSE_SECONDS),
                *([asyncio.to_thread(sink.close, CLOSE_SECONDS)] if sink else []),
            )

        peers = PeerCredentials.of(settings)
        await serve(
            *(offered, settings),
            service="ranker",
            peers=peers,
            catalogs=catalogs,
            lent=lent_by(offered),
            on_stop=close,
        )
    except KeyUnusable as error:
        sys.exit(f"the ranker does not start: {error}")
    finally:
        await live.stop()
        await catalogs.stop()
        if channel is not None:
            await channel.close(None)
        database.close()


def known_catalogs(settings: RankerSettings) -> tuple[grpc.aio.Channel | None, KnownCatalogs]:
    """Return the catalogs, and the channel to the retriever's registry if the settings name it."""
    if not settings.retriever_target:
        return None, KnownCatalogs(settings.catalogs)
    try:
        peers = to_retriever(settings)
    except Unreadable as error:
        # As in installations of before 0.21: the list can't be read, which a metric shows.
        get_logger().warning("catalogs created at run time are unknown", problem=str(error))
        peers = PeerCredentials.of(settings)
    channel = connect(settings.retriever_target, peers=peers)
    registry = registry_of(settings.retriever_target, channel)
    return channel, KnownCatalogs(settings.catalogs, registry, file=settings.catalogs_file)
