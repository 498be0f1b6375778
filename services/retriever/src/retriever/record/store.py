"""The record: its calls, each bound to the function that implements it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from retriever.domain.archive import ArchiveTable
from retriever.domain.generation import GenerationSnapshot
from retriever.record import (
    aliases,
    columns,
    filter_matches,
    imports,
    index_rows,
    keywords,
    label_texts,
    product_batch,
    products,
    registry,
    restoring,
    retention,
    rollout,
    session,
    snapshots,
    worker_tasks,
)
from retriever.record.category_mismatches import count_mismatched, read_mismatches
from retriever.record.commit_cache import CommitCache, TurnVersion
from retriever.record.distinct_pairs import (
    PAIRS,
    mark_distinct,
    restore_pairs,
    unmark_distinct,
)
from retriever.record.freshness import read_counts, read_freshness, read_generation_snapshot
from retriever.record.generations import (
    all_generations,
    live_generations,
    read_generation,
    read_outstanding,
)
from retriever.record.judgements import judge
from retriever.record.labels import read_labels, read_tagged
from retriever.record.offer_updates import offer
from retriever.record.orphan_photos import (
    drop_unnamed,
    forget_named,
    note_unnamed,
    read_overdue,
    read_unknown,
    read_unnamed,
)
from retriever.record.scenes import (
    cancel_planned,
    delete_scene,
    publish_scene,
    read_scene,
    read_scenes,
    restore_scene,
    set_synonyms,
    write_draft,
)
from retriever.record.synonyms import read_synonyms, read_synonyms_since, restore_synonyms
from retriever.record.tables import metadata
from retriever.record.taken_down import TAKEDOWNS, read_taken_down, take_down
from retriever.record.texts import drop_blank, read_embedded, read_texts
from servicekit.catalogs.known import CatalogList
from servicekit.clock import now_micros
from servicekit.jobs.queue import Beside
from servicekit.sql.database import Database

Clock = Callable[[], int]
P = ParamSpec("P")
T = TypeVar("T")


Call = Callable[Concatenate["Record", P], Coroutine[Any, Any, T]]


def _reads(work: Callable[Concatenate[Connection, P], T]) -> Call[P, T]:
    """Return the method that runs `work` on one snapshot of the store."""

    async def call(store: "Record", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store._db.read(lambda connection: work(connection, *args, **kwargs))

    return call


def _writes(work: Callable[Concatenate[Connection, P], T]) -> Call[P, T]:
    """Return the method that runs `work` in a transaction, and returns after its commit."""

    async def call(store: "Record", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store._db.write(lambda connection: work(connection, *args, **kwargs))

    return call


def _reads_now(work: Callable[Concatenate[Connection, int, P], T]) -> Call[P, T]:
    """Return a method as `_reads` does, for work that needs the time."""

    async def call(store: "Record", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store._db.read(
            lambda connection: work(connection, store._clock(), *args, **kwargs)
        )

    return call


def _writes_now(work: Callable[Concatenate[Connection, int, P], T]) -> Call[P, T]:
    """Return a method as `_writes` does, for work that needs the time."""

    async def call(store: "Record", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store._db.write(
            lambda connection: work(connection, store._clock(), *args, **kwargs)
        )

    return call


class Record:
    """The record's calls. The functions document them."""

    def __init__(self, db: Database, clock: Clock = now_micros) -> None:
        """Wrap a database. `clock`: microseconds since 1970 (UTC)."""
        self._db, self._clock = db, clock
        self.version = TurnVersion(db.version)
        self._snapshots: CommitCache[GenerationSnapshot] = CommitCache(self.version)
        self._revisions: CommitCache[str] = CommitCache(self.version)

    def commits(self) -> asyncio.Event | None:
        """See `Database.commits`."""
        return self._db.commits()

    async def generation_snapshot(
        self, catalog_id: str, space: str, name: str = ""
    ) -> GenerationSnapshot | None:
        return await self._snapshots.get(
            (catalog_id, space, name), lambda: self._generation_snapshot(catalog_id, space, name)
        )

    _generation_snapshot = _reads(read_generation_snapshot)

    # The registry of catalogs
    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        """Return the list; None: it has the revision that the caller knows."""
        if await self._revisions.get(registry.REGISTRY, self._revision) == known_revision:
            return None
        return await self._catalog_list()

    async def _revision(self) -> str:
        """Return the revision, which each process of the suite asks for every few seconds."""
        if self._db.local:  # in a thread, this row would cost ten times as much
            return self._db.read_local(registry.read_revision)
        return await self._db.read(registry.read_revision)

    _catalog_list = _reads(registry.read_catalog_list)
    catalog_entry = _reads(registry.CATALOGS.find)
    catalog_entries = _reads(registry.CATALOGS.page)
    create_catalog = _writes_now(registry.create_catalog)
    update_catalog = _writes_now(registry.update_catalog)
    delete_catalog = _writes_now(registry.delete_catalog)
    undelete_catalog = _writes_now(registry.undelete_catalog)
    complete_copy = _writes_now(registry.complete_copy)
    abandon_copy = _writes_now(registry.abandon_copy)
    set_alias = _writes_now(aliases.set_alias)
    delete_alias = _writes_now(aliases.delete_alias)
    catalog_aliases = _reads(registry.ALIASES.page)
    begin_removals = _writes_now(registry.begin_removals)
    confirm_removal = _writes_now(registry.confirm_removal)
    remove_rows = _writes(registry.remove_catalog_rows)
    removals_due = _reads_now(registry.removals_due)

    def reserving_copy(self, target: str, uid: str, most: int) -> Beside:
        """Return what runs `reserve_copy` beside the job of a copy."""
        return lambda connection, job: registry.reserve_copy(
            connection, self._clock(), job.catalog_id, target, uid=uid, most=most
        )

    async def erase_removed(self) -> None:
        """Remove the bytes of deleted rows from the store's files."""
        await self._db.write(registry.compact_words)
        await self._db.erase_deleted([table.name for table in metadata.sorted_tables])

    # The catalog
    write = _writes_now(product_batch.write_products)
    change = _writes_now(product_batch.change_products)
    offer = _writes_now(offer)
    delete = _writes_now(session.delete)
    get = _reads(products.read_products)
    get_stamped = _reads(columns.read_stamped)
    page = _reads(products.read_page)
    image = _reads(products.read_image)
    category_mismatches = _reads(read_mismatches)
    mismatch_counts = _reads(count_mismatched)
    find_words = _reads(keywords.find_words)
    count_words = _reads(keywords.count_words)
    words = _reads(keywords.read_words)
    words_since = _reads(keywords.read_words_since)

    # Products of one picture that are different
    mark_distinct = _writes_now(mark_distinct)
    unmark_distinct = _writes_now(unmark_distinct)
    distinct_pairs = _reads(PAIRS.page)

    # Synonyms
    synonyms = _reads(read_synonyms)
    synonyms_since = _reads(read_synonyms_since)
    set_synonyms = _writes_now(set_synonyms)

    # Scenes
    scene = _reads_now(read_scene)
    scenes = _reads_now(read_scenes)
    write_draft = _writes_now(write_draft)
    publish_scene = _writes_now(publish_scene)
    cancel_planned = _writes_now(cancel_planned)
    delete_scene = _writes_now(delete_scene)

    # Photos that were taken down, and photos without a product
    taken_down = _reads(read_taken_down)
    take_down = _writes_now(take_down)
    lift_takedown = _writes(TAKEDOWNS.delete)
    takedowns = _reads(TAKEDOWNS.page)
    unnamed = _reads(read_unnamed)
    unknown = _reads_now(read_unknown)
    note_unnamed = _writes_now(note_unnamed)
    forget_named = _writes(forget_named)
    overdue = _reads(read_overdue)
    drop_unnamed = _writes_now(drop_unnamed)

    # Removals
    commit_number = _writes_now(session.take_number)
    tally = _reads(products.read_part)
    sweep = _writes_now(session.sweep)

    # Rows of imports
    open_import = _writes_now(imports.open_import)
    decided = _reads(imports.decided_of)
    import_rows = _writes_now(imports.write_rows)
    close_import = _writes_now(imports.close_import)
    rejected_rows = _reads(imports.rejected_rows)
    drop_rows = _writes(imports.drop_rows)

    # Retention
    forget_applied = _writes(retention.forget_applied)
    forgettable = _reads(retention.read_forgettable)
    forget_deleted = _writes(retention.forget_deleted)
    forget_imports = _writes(retention.forget_imports)

    # Backups
    def archived(self) -> tuple[ArchiveTable, ...]:
        return snapshots.ARCHIVED

    def copied(self) -> tuple[ArchiveTable, ...]:
        return snapshots.COPIED

    check_archived = staticmethod(restoring.check)
    snapshot = _reads_now(snapshots.take_snapshot)
    restore_images = _writes_now(restoring.put_images)
    restore_vectors = _writes_now(restoring.put_vectors)
    restore_products = _writes_now(restoring.put_products)
    restore_pending = _writes_now(restoring.put_pending)
    restore_synonyms = _writes_now(restore_synonyms)
    restore_scene = _writes_now(restore_scene)
    restore_pairs = _writes_now(restore_pairs)
    reach = _writes_now(session.reach)

    # Searches
    generation = _reads(read_generation)
    freshness = _reads(read_freshness)
    counts = _reads(read_counts)
    product_vectors = _reads(index_rows.read_product_vectors)
    first_vectors = _reads(columns.read_first_vectors)
    mean_vectors = _reads(columns.read_means)
    image_ids = _reads(products.read_image_ids)
    sample = _reads(filter_matches.read_sample)
    matching_rows = _reads(filter_matches.read_matching_rows)
    vectors_of_rows = _reads(filter_matches.read_vectors)
    want_check = _writes(rollout.want_check)

    # Columns
    written = _reads(columns.read_written)
    product_rows = _reads(columns.read_product_rows)
    photo_rows = _reads(columns.read_photo_rows)
    photo_rows_since = _reads(columns.read_photo_rows_since)
    product_count = _reads(columns.count_products)

    # The worker
    waiting = _reads_now(worker_tasks.read_waiting)
    due = _reads_now(worker_tasks.read_due)
    postpone = _writes_now(worker_tasks.postpone)
    give_up = _writes(worker_tasks.give_up)
    forget = _writes(worker_tasks.forget)
    texts = _reads(read_texts)
    embedded_texts = _reads(read_embedded)
    drop_blank = _writes_now(drop_blank)
    save_vectors = _writes_now(session.save_vectors)
    judge = _writes(judge)
    unread = _reads(label_texts.read_unread)
    save_label_texts = _writes_now(session.save_label_texts)
    labels = _reads(read_labels)
    tagged = _reads(read_tagged)
    changes = _reads(worker_tasks.read_changes)
    advance = _writes(worker_tasks.advance)
    rows = _reads(index_rows.read_index_rows)
    row_page = _reads(index_rows.read_index_page)
    row_count = _reads(index_rows.count_rows)
    expected = _reads(index_rows.read_row_seqs)

    # Generations
    generations = _reads(live_generations)
    outstanding = _reads(read_outstanding)
    history = _reads(all_generations)
    find_generation = _reads(rollout.find_live)
    statuses = _reads(rollout.read_statuses)
    create_generation = _writes_now(rollout.create_generation)
    register = _writes_now(rollout.register)
    activate = _writes_now(rollout.activate)
    rollback = _writes_now(rollout.rollback)
    retire = _writes(rollout.retire)
    mark = _writes(rollout.mark)
    offers = _reads(rollout.read_offers)
    save_offers = _writes(rollout.save_offers)
    save_verification = _writes(rollout.save_verification)
    enqueue_missing = _writes(rollout.enqueue_missing)
    retry_failed = _writes(rollout.retry_failed)
    backlog = _reads(rollout.read_backlog)
    photo_count = _reads(rollout.photos)
    end_backfill = _writes(rollout.end_backfill)
    take_back = _writes(rollout.take_back)
    discard = _writes(rollout.discard)
