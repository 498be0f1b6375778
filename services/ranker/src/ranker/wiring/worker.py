"""The loops of the ranker's worker."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from ranker.adapters.export_store import ExportStore
from ranker.adapters.opendp import add_noise_apart
from ranker.adapters.retriever import Catalog
from ranker.domain import personal_data
from ranker.domain.consent import Refusers
from ranker.domain.erasure import ERASE, ErasedStore, Person
from ranker.domain.errors import ErasureUnnoted, PurgeUnnoted
from ranker.domain.private_counts import COUNTS
from ranker.events import export, private_counts, purge, recount
from ranker.events.backups import purges
from ranker.events.backups.consents import ConsentNotes
from ranker.events.backups.content import record_backups
from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.events.consent_retention import CONSENTS, ConsentRetention
from ranker.events.encryption import ENCRYPTION, KeyRotation
from ranker.events.erase import ErasePerson, EraseStore
from ranker.events.event_retention import SWEEPING, Sweeper, days_by_type
from ranker.events.export import EXPORT
from ranker.events.private_counts import CountsWork
from ranker.events.purge import PURGE
from ranker.events.recount import RECOUNT
from ranker.learning.feedback import health
from ranker.learning.forget import ForgetInModels
from ranker.learning.publish import PUBLISH, Publication, PublishedModels
from ranker.record.answers import AnswerLog
from ranker.record.consent_changes import ConsentRecord
from ranker.record.count_groups import GroupRecord
from ranker.record.data_keys import DataKeyRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.night_jobs import NightJobRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.recounting import RecountRecord
from ranker.record.removed_catalogs import RemovedCatalogRecord
from ranker.record.selections import SelectionRecord
from ranker.record.tables import JOBS
from ranker.settings import WorkerSettings
from ranker.wiring.backend import Backend, log_access
from ranker.workers.counting import COUNTING, GROUPING, Grouper, count
from ranker.workers.feedback_health import Watch
from ranker.workers.jobs import train_command, trainings, work
from ranker.workers.landing import Landing
from ranker.workers.night_jobs import NightJobs
from ranker.workers.nightly import Nightly, NightTrainings
from ranker.workers.publishing import Publisher
from ranker.workers.removing import StoredCatalogs
from ranker.workers.unlearning import Unlearning
from servicekit.artefacts.backups import Backups
from servicekit.catalogs.removal import CatalogRemoval, RemovalNotes
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job
from servicekit.jobs.worker import Do
from servicekit.sql.retention import forget_jobs
from servicekit.tasks.loops import Loop, in_each

UNLEARNING, NIGHTS = "unlearning", "nights"
"""Names of loops for servicekit.liveness."""
REMOVING = "removing catalogs"
REMOVAL_SECONDS = 5.0
"""Seconds between two looks for deleted catalogs whose term has ended."""
LOOK_SECONDS = 30.0
"""Maximum seconds between two checks for nightly trainings and feedback."""


def loops(
    settings: WorkerSettings, made: Backend, stop: asyncio.Event
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield the loops of a worker; each ends when `stop` is set."""
    jobs, registry, catalogs = made.jobs, made.registry, made.catalogs
    pace = (settings.lease_seconds, settings.poll_seconds)
    models = PublishedModels(registry, made.store)
    selections = SelectionRecord(made.database, settings.signals)
    does = jobs_of(settings, made, selections, stop)
    commits = made.database.commits
    yield work(jobs, does, *pace, stop, tidy=made.prune, commits=commits())
    publications: dict[str, Do] = {
        PUBLISH: lambda job: Publication(job, models, made.index, jobs, stop).run()
    }
    yield work(jobs, publications, *pace, stop, name="ranker-publisher", commits=commits())
    sweeper = Sweeper(
        catalogs,
        days_by_type(settings.event_days, settings.impression_days),
        selections.expire,
        AnswerLog(made.database).sweep,
        now_micros,
    )
    counting = partial(count, made.database, settings.signals, stop)
    seconds = settings.count_seconds
    yield Loop("nothing counted", counting, seconds, commits(), alive=COUNTING).run(stop)
    grouper = Grouper(
        GroupRecord(made.database),
        catalogs,
        Catalog(made.channel).some,
        settings.count_refresh_seconds,
    )
    failed = "products not grouped"
    yield Loop(failed, grouper.look, seconds, commits(), alive=GROUPING).run(stop)
    forget = partial(forget_jobs, made.database, JOBS, settings.job_days)
    exports = ExportStore(settings.export_store)
    expire = partial(export.expire, catalogs, exports, settings.export_days, now_micros)
    sweeps: list[tuple[Callable[[], Awaitable[object]], str]] = [
        (partial(sweeper.sweep, stop), SWEEPING),
        (forget, ""),
        *([(expire, "")] if settings.export_days else []),
    ]
    for sweep, alive in sweeps:
        yield Loop("nothing swept", sweep, settings.sweep_seconds, alive=alive).run(stop)
    yield consent_loop(settings, made, selections, stop)
    stored = StoredCatalogs(RemovedCatalogRecord(made.database), made.store, exports)
    confirm = RemovalNotes(made.channel, "ranker").confirm
    removal = CatalogRemoval(catalogs, stored.remove, confirm)
    yield Loop("catalogs not removed", removal.look, REMOVAL_SECONDS, alive=REMOVING).run(stop)
    yield from unlearning_loops(settings, made, models, stop)
    yield from optional_loops(settings, made, models, stop)


def jobs_of(
    settings: WorkerSettings, made: Backend, selections: SelectionRecord, stop: asyncio.Event
) -> dict[str, Do]:
    """Return the worker's function for each kind of job, without publications."""
    jobs, exports = made.jobs, ExportStore(settings.export_store)
    budget = BudgetRecord(made.database)
    note = noted_expenses(settings, budget) if settings.backups else None
    notes = shopper_notes(settings, made) if settings.backups else None
    counts = CountsWork(budget, jobs, add_noise_apart, settings.least_shoppers, note)
    return {
        **trainings(jobs, train_command(settings.training_priority), stop),
        PURGE: noted(notes, lambda job: purge.run(job, selections, jobs, stop)),
        COUNTS: lambda job: private_counts.run(job, counts, exports.folder(job.catalog_id, job.id)),
        RECOUNT: lambda job: recount.run(
            job, RecountRecord(made.database, settings.signals), jobs, stop
        ),
        EXPORT: lambda job: export.run(
            job, selections, exports.folder(job.catalog_id, job.id), jobs, stop
        ),
        ERASE: lambda job: ErasePerson.of(
            made.database, jobs, selections, tuple(outside(settings, made, exports, job)), stop
        ).run(job),
    }


def outside(
    settings: WorkerSettings, made: Backend, exports: ExportStore, job: Job
) -> Iterator[EraseStore]:
    """Yield the stores outside the record, for the erasure of a shopper."""
    yield ForgetInModels(made.database, made.store, settings.unlearn_days)
    yield lambda person: export.erase(person, exports, made.jobs)
    if settings.backups:
        backups = record_backups(settings.backups, settings.backup_keys_file)
        yield partial(noted_erasure, backups, shopper_notes(settings, made), job.id)
    if settings.kafka_brokers:
        yield in_log


def shopper_notes(settings: WorkerSettings, made: Backend) -> ShopperNotes:
    """Return the notes beside the backups that name shoppers."""
    backups = record_backups(settings.backups, settings.backup_keys_file)
    return ShopperNotes(backups, ConsentRecord(made.database), ErasureRecord(made.database))


async def noted_erasure(
    backups: Backups, notes: ShopperNotes, job_id: str, person: Person
) -> ErasedStore:
    """Note an erasure beside the backups, and remove the shopper from other notes. Raise
    ErasureUnnoted."""
    try:
        await backups.run(partial(purges.note_erasure, backups, person, job_id))
        unread = await notes.forget(person)
        left = len(await backups.run(backups.ids))
    except ServiceError as error:
        raise ErasureUnnoted from error
    text = "A restore erases the shopper again. The files end with the backups that are kept."
    texts = [text] if left else []
    if unread:
        texts.append(f"{unread} notes beside them can't be read, and stay: see the worker's log.")
    return ErasedStore(personal_data.BACKUPS.name, text=" ".join(texts))


def noted_expenses(
    settings: WorkerSettings, budget: BudgetRecord
) -> Callable[[Job], Awaitable[None]]:
    """Return the function that notes a catalog's expenses beside the backups, and raises
    BackupsUnavailable and BackupsFull."""
    backups = record_backups(settings.backups, settings.backup_keys_file)

    async def note(job: Job) -> None:
        expenses = await budget.expenses(job.catalog_id)
        write = partial(purges.note_expenses, backups, job.catalog_id, expenses, job.id)
        await backups.run(write)

    return note


async def in_log(person: Person) -> ErasedStore:  # noqa: ARG001 - as the others
    """Say what is left in the event log."""
    text = "Events received before are not stored. The retention of the topic ends them there."
    return ErasedStore(personal_data.EVENT_LOG.name, text=text)


def noted(notes: ShopperNotes | None, do: Do) -> Do:
    """Wrap `do` to note each purge beside the backups; None: there are none."""
    if notes is None:
        return do

    async def done(job: Job) -> Mapping[str, Any]:
        result = await do(job)
        try:
            await notes.note_purge(job)
        except ServiceError as error:
            raise PurgeUnnoted from error
        return result

    return done


def consent_loop(
    settings: WorkerSettings, made: Backend, selections: SelectionRecord, stop: asyncio.Event
) -> Coroutine[Any, Any, None]:
    """Return the loop that deletes what no consent covers."""
    forget = ForgetInModels(made.database, made.store)

    async def forgotten(catalog_id: str, refusers: Refusers) -> int:
        among = None if refusers.by_default else refusers.others
        return await forget.all_of(catalog_id, refusers.__contains__, among)

    consents, note = ConsentRecord(made.database, settings.signals), None
    if settings.backups:
        note = ConsentNotes(shopper_notes(settings, made), consents)
    retention = ConsentRetention(
        made.catalogs,
        consents,
        selections,
        forgotten,
        partial(made.database.erase_deleted, ("answers", "attributes", "events")),
        stop,
        note,
    )
    seconds = settings.sweep_seconds
    return Loop("consents not applied", retention.look, seconds, alive=CONSENTS).run(stop)


def night_trainings(made: Backend, models: PublishedModels) -> NightTrainings:
    """Return the trainings that nights request."""
    jobs = NightJobs(made.jobs, NightJobRecord(made.database), now_micros)
    return NightTrainings(jobs, made.registry, models.load)


def unlearning_loops(
    settings: WorkerSettings, made: Backend, models: PublishedModels, stop: asyncio.Event
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield the loop that keeps models without erased shoppers."""
    unlearning = Unlearning(
        settings.auto_promote_hour,
        settings.unlearn_days,
        night_trainings(made, models),
        ErasureRecord(made.database),
        made.prune,
        now_micros,
    )
    failed = "nothing unlearned"
    look = in_each(made.catalogs, unlearning.look, failed, UNLEARNING)
    yield Loop(failed, look, LOOK_SECONDS, alive=UNLEARNING).run(stop)


def optional_loops(
    settings: WorkerSettings, made: Backend, models: PublishedModels, stop: asyncio.Event
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield the loops that settings can disable."""
    jobs, registry, catalogs = made.jobs, made.registry, made.catalogs
    if made.sealer is not None:
        days = settings.data_key_days
        rotation = KeyRotation(DataKeyRecord(made.database), made.sealer, days, stop, now_micros)
        failed, seconds = "data keys not rotated", settings.sweep_seconds
        yield Loop(failed, rotation.look, seconds, alive=ENCRYPTION).run(stop)
    if settings.publish:
        publisher = Publisher(jobs, registry, catalogs)
        failed, commits = "models not published", made.database.commits()
        yield Loop(
            failed, publisher.follow, settings.poll_seconds, commits, alive="publishing"
        ).run(stop)
    if settings.auto_promote:
        hour, events = settings.auto_promote_hour, EventRecord(made.database)
        nightly = Nightly(hour, night_trainings(made, models), events, now_micros)
        failed = "nightly training failed"
        look = in_each(catalogs, nightly.look, failed, NIGHTS)
        yield Loop(failed, look, LOOK_SECONDS, alive=NIGHTS).run(stop)
    if (access := log_access(settings)) is not None:
        from ranker.adapters.kafka import EventLog  # the extra `kafka`

        record = EventRecord(made.database, settings.signals, late=True)
        log, check = EventLog(access, settings.kafka_group), access.signatures.check
        yield Landing(log, record.append, now_micros, check).run(stop)
    if every := settings.health_seconds:
        days, reference = settings.health_days, settings.health_reference_days
        compared = partial(health.windows, days=days, reference_days=reference)
        watch = Watch(made.database, made.store, catalogs, every, compared)
        yield Loop("feedback check failed", watch.look, min(every, LOOK_SECONDS)).run(stop)
