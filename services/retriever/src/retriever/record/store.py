"""The record's calls, each a statement or a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.archive.model import Row, Snapshot, Table
from retriever.model import (
    Backlog,
    CategoryPath,
    Change,
    Classification,
    Closing,
    Counts,
    Doubt,
    EmbeddingSpace,
    Floats,
    Freshness,
    Generation,
    GenerationState,
    GenerationStatus,
    Image,
    ImportMode,
    ImportProgress,
    ImportRow,
    IndexRow,
    Label,
    Offer,
    Order,
    Pending,
    Product,
    ProductChange,
    ProductWrite,
    Standing,
    Stored,
    Tally,
    VectorWrite,
    Verification,
    Waiting,
)
from retriever.planning import Part, Survivors
from retriever.record import imports, restoring, rollout, snapshots
from retriever.record.batch import change_products, write_products
from retriever.record.doubts import DOUBTED, count_doubts, judge, read_doubts
from retriever.record.generations import (
    all_generations,
    count_rows,
    first_generation,
    generation_values,
    live_generations,
    read_freshness,
    read_generation,
    read_index_page,
    read_index_rows,
    read_product_vectors,
    read_row_seqs,
    want,
)
from retriever.record.hashes import read_image_vectors, read_unhashed, write_hashes
from retriever.record.kept import Answers, Products
from retriever.record.keywords import find_words
from retriever.record.labels import read_labels
from retriever.record.means import read_means
from retriever.record.parts import (
    is_generation,
    pending_of,
)
from retriever.record.products import (
    read_images,
    read_part,
    read_products,
)
from retriever.record.session import Session, queue_up
from retriever.record.survivors import read_all, read_sample, read_survivors, read_vectors
from retriever.record.tables import (
    generations,
    outbox,
    pending,
    product_images,
    products,
)
from retriever.record.texts import drop_blank, read_embedded, read_texts
from retriever.record.work import advance_to, read_changes, read_due, read_waiting
from servicekit.errors import ServiceError
from servicekit.jobs import now_micros
from servicekit.sql import Database
from sightline_rules.filters import Facts, Filter

Clock = Callable[[], int]
T = TypeVar("T")


class Record:
    """The record's calls; see the ports of the same calls in ports.py."""

    def __init__(self, db: Database, clock: Clock = now_micros) -> None:
        self._db = db
        self._clock = clock
        self._products = Products()
        self._standings: Answers[Standing] = Answers(db.version)

    # The catalogue

    async def write(
        self, catalog_id: str, writes: Sequence[ProductWrite]
    ) -> tuple[list[Stored | ServiceError], int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[list[Stored | ServiceError], int]:
            session = Session(connection, catalog_id, self._clock())
            return write_products(session, writes), session.head()

        return await self._db.write(work)

    async def delete(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[int, int]:
            session = Session(connection, catalog_id, self._clock())
            deleted = session.delete(list(dict.fromkeys(product_ids)))
            return deleted, session.head()

        return await self._db.write(work)

    async def change(
        self, catalog_id: str, changes: Sequence[ProductChange]
    ) -> tuple[list[Stored | ServiceError], int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[list[Stored | ServiceError], int]:
            session = Session(connection, catalog_id, self._clock())
            return change_products(session, changes), session.head()

        return await self._db.write(work)

    async def offer(
        self, catalog_id: str, offers: Sequence[Offer]
    ) -> tuple[list[Stored | ServiceError], int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[list[Stored | ServiceError], int]:
            session = Session(connection, catalog_id, self._clock())
            outcomes = session.offer(offers)
            return outcomes, session.head()

        return await self._db.write(work)

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """See CatalogueRecord."""

        return await self._db.read(
            lambda connection: self._products.read(connection, catalog_id, product_ids)
        )

    async def page(
        self,
        catalog_id: str,
        order: Order,
        after: tuple[int, str] | None,
        limit: int,
        *,
        doubted_only: bool = False,
    ) -> list[Product]:
        """See CatalogueRecord."""
        c = products.c
        query = sa.select(c.product_id).where(c.catalog_id == catalog_id).limit(limit)
        if doubted_only:
            query = query.where(DOUBTED)
        if order is Order.NEWEST:
            query = query.order_by(c.create_time.desc(), c.product_id)
            if after is not None:
                same = sa.and_(c.create_time == after[0], c.product_id > after[1])
                query = query.where(sa.or_(c.create_time < after[0], same))
        else:
            query = query.order_by(c.product_id)
            if after is not None:
                query = query.where(c.product_id > after[1])

        def work(connection: Connection) -> list[Product]:
            while True:
                order_of = list(connection.execute(query).scalars())
                found = read_products(connection, catalog_id, order_of)
                by_id = {product.content.product_id: product for product in found}
                # PostgreSQL: one may have been deleted since, and a short page is a list's end.
                if len(by_id) == len(order_of):
                    return [by_id[product_id] for product_id in order_of]

        return await self._db.read(work)

    async def doubts(self, catalog_id: str, products: Sequence[Product]) -> dict[str, Doubt]:
        """See CatalogueRecord."""
        return await self._db.read(lambda connection: read_doubts(connection, catalog_id, products))

    async def doubted(self, catalog_id: str) -> int:
        """See LagRecord."""
        return await self._db.read(lambda connection: count_doubts(connection, catalog_id))

    async def image(self, catalog_id: str, image_id: str) -> Image | None:
        """See CatalogueRecord."""
        return await self._db.read(
            lambda connection: read_images(connection, catalog_id, [image_id]).get(image_id)
        )

    async def find_words(
        self,
        catalog_id: str,
        asked: Sequence[str],
        condition: Filter,
        excluded: Collection[str],
    ) -> list[tuple[str, float]]:
        """See KeywordRecord."""
        return await self._db.read(
            lambda connection: find_words(connection, catalog_id, asked, condition, excluded)
        )

    # Removals

    async def commit_number(self, catalog_id: str) -> int:
        """See RemovalRecord."""
        return await self._db.write(
            lambda connection: Session(connection, catalog_id, self._clock()).take()[0]
        )

    async def tally(
        self,
        catalog_id: str,
        condition: Filter,
        *,
        before: int,
        after: tuple[int, str] | None,
        limit: int,
        sample: int,
    ) -> Tally:
        """See RemovalRecord."""

        def work(connection: Connection) -> Tally:
            passed, last = read_part(
                connection, catalog_id, condition, before=before, after=after, limit=limit
            )
            return Tally(len(passed), tuple(passed[:sample]), last)

        return await self._db.read(work)

    async def sweep(
        self,
        catalog_id: str,
        condition: Filter,
        *,
        before: int,
        after: tuple[int, str] | None,
        limit: int,
    ) -> Tally:
        """See RemovalRecord."""

        def work(connection: Connection) -> Tally:
            session = Session(connection, catalog_id, self._clock())
            passed, last = read_part(
                connection, catalog_id, condition, before=before, after=after, limit=limit
            )
            return Tally(session.delete(passed), (), last)

        return await self._db.write(work)

    # Imports

    async def open_import(
        self, catalog_id: str, import_id: str, mode: ImportMode, active_seconds: float
    ) -> ImportProgress:
        """See ImportRecord."""

        def work(connection: Connection) -> ImportProgress:
            session = Session(connection, catalog_id, self._clock())
            return imports.open_import(
                connection,
                catalog_id,
                import_id,
                mode,
                number=lambda: session.take()[0],
                now=session.now,
                active=session.now - int(active_seconds * 1e6),
            )

        return await self._db.write(work)

    async def decided(
        self, catalog_id: str, import_id: str, numbers: Sequence[int]
    ) -> frozenset[int]:
        """See ImportRecord."""

        def work(connection: Connection) -> frozenset[int]:
            imports.open_state(connection, catalog_id, import_id)
            return frozenset(imports.read_decided(connection, catalog_id, import_id, numbers))

        return await self._db.read(work)

    async def import_rows(
        self, catalog_id: str, import_id: str, rows: Sequence[ImportRow]
    ) -> tuple[list[Stored | ServiceError], ImportProgress, int]:
        """See ImportRecord."""

        def work(
            connection: Connection,
        ) -> tuple[list[Stored | ServiceError], ImportProgress, int]:
            session = Session(connection, catalog_id, self._clock())
            outcomes, progress = imports.write_rows(
                connection, session, catalog_id, import_id, rows
            )
            return outcomes, progress, session.head()

        return await self._db.write(work)

    async def close_import(
        self, catalog_id: str, import_id: str, *, share: float, dry_run: bool, sample: int
    ) -> Closing:
        """See ImportRecord."""

        def work(connection: Connection) -> Closing:
            Session(connection, catalog_id, self._clock())  # the catalog's writers wait
            return imports.close_import(
                connection, catalog_id, import_id, share=share, dry_run=dry_run, sample=sample
            )

        return await self._db.write(work)

    async def drop_rows(self, catalog_id: str, import_id: str, limit: int) -> int:
        """See ImportRecord."""
        return await self._db.write(
            lambda connection: imports.drop_rows(connection, catalog_id, import_id, limit)
        )

    # Backups

    def archived(self) -> tuple[Table, ...]:
        """See BackupRecord."""
        return snapshots.ARCHIVED

    async def snapshot(self, catalog_id: str, take: Callable[[Snapshot], T]) -> T:
        """See BackupRecord."""
        return await self._db.read(
            lambda connection: take(snapshots.open_snapshot(connection, catalog_id, self._clock()))
        )

    def check_archived(self, row: Row, image_ids: Sequence[str]) -> None:
        """See BackupRecord."""
        restoring.check(row, image_ids)

    async def restore_images(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """See BackupRecord."""
        await self._restore(catalog_id, lambda session: restoring.put_images(session, rows))

    async def restore_vectors(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """See BackupRecord."""
        await self._restore(catalog_id, lambda session: restoring.put_vectors(session, rows))

    async def restore_products(
        self, catalog_id: str, before: int, batch: Sequence[tuple[Row, Sequence[str]]]
    ) -> None:
        """See BackupRecord."""
        await self._restore(
            catalog_id, lambda session: restoring.put_products(session, before, batch)
        )

    async def restore_pending(self, catalog_id: str, rows: Sequence[Row]) -> None:
        """See BackupRecord."""
        await self._restore(catalog_id, lambda session: restoring.put_pending(session, rows))

    async def reach(self, catalog_id: str, commit: int) -> None:
        """See BackupRecord."""
        await self._restore(
            catalog_id, lambda session: session.take(max(0, commit - session.head()))
        )

    async def _restore(self, catalog_id: str, work: Callable[[Session], object]) -> None:
        await self._db.write(
            lambda connection: work(Session(connection, catalog_id, self._clock()))
        )

    # Searches

    async def generation(self, catalog_id: str, space: str, name: str = "") -> Generation | None:
        """See SearchRecord."""
        return await self._db.read(
            lambda connection: read_generation(connection, catalog_id, space, name)
        )

    async def standing(self, catalog_id: str, space: str, name: str = "") -> Standing | None:
        """See SearchRecord."""

        def work(connection: Connection) -> Standing | None:
            generation = read_generation(connection, catalog_id, space, name)
            if generation is None:
                return None
            return Standing(generation, read_freshness(connection, generation))

        question = (catalog_id, space, name)
        return await self._standings.get(question, lambda: self._db.read(work))

    async def seed(
        self, generation: Generation, product_id: str
    ) -> tuple[Product, list[Floats]] | None:
        """See SearchRecord."""

        def work(connection: Connection) -> tuple[Product, list[Floats]] | None:
            found = self._products.read(connection, generation.catalog_id, [product_id])
            if product_id not in found:
                return None
            return found[product_id], read_product_vectors(connection, generation, product_id)

        return await self._db.read(work)

    async def image_vectors(
        self, generation: Generation, image_ids: Sequence[str]
    ) -> dict[str, Floats]:
        """See SearchRecord."""
        return await self._db.read(
            lambda connection: read_image_vectors(connection, generation, image_ids)
        )

    async def mean_vectors(
        self, generation: Generation, after: str, limit: int
    ) -> list[tuple[str, Floats]]:
        """See ListingRecord."""
        return await self._db.read(
            lambda connection: read_means(connection, generation, after, limit)
        )

    async def freshness(self, generation: Generation) -> Freshness:
        """See SearchRecord."""
        return await self._db.read(lambda connection: read_freshness(connection, generation))

    async def want_check(self, generation: Generation) -> None:
        """See SearchRecord."""
        await self.mark(generation, check_wanted=True)

    async def counts(self, catalog_id: str, generation: Generation | None) -> Counts:
        """See SearchRecord."""

        def work(connection: Connection) -> Counts:
            def number(table: sa.Table, *which: sa.ColumnElement[bool]) -> int:
                query = sa.select(sa.func.count()).select_from(table)
                return int(
                    connection.execute(
                        query.where(table.c.catalog_id == catalog_id, *which)
                    ).scalar_one()
                )

            photos = number(product_images)
            if generation is None:
                waiting, failed, after = photos, 0, 0
            else:
                of = pending_of(generation)
                waiting = number(pending, of, ~pending.c.failed)
                failed = number(pending, of, pending.c.failed)
                after = generation.applied_seq
            return Counts(
                products=number(products),
                images=photos,
                pending=waiting,
                failed=failed,
                outbox=number(outbox, outbox.c.seq > after),
            )

        return await self._db.read(work)

    async def save_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> tuple[list[ServiceError | None], int]:
        """See IndexRecord."""

        def work(connection: Connection) -> tuple[list[ServiceError | None], int]:
            session = Session(connection, generation.catalog_id, self._clock())
            return session.write_vectors(generation, writes), session.head()

        return await self._db.write(work)

    async def judge(
        self,
        generation: Generation,
        told: Mapping[str, Classification],
        known: Collection[CategoryPath],
    ) -> None:
        """See IndexRecord."""
        await self._db.write(lambda connection: judge(connection, generation, told, known))

    # The worker

    def version(self) -> int | None:
        """See IndexRecord."""
        return self._db.version()

    async def waiting(
        self, catalogs: Sequence[str], spaces: Sequence[str], kinds: Sequence[str]
    ) -> Waiting:
        """See IndexRecord."""
        return await self._db.read(
            lambda connection: read_waiting(connection, catalogs, spaces, kinds, self._clock())
        )

    async def unhashed(self, catalog_id: str, limit: int) -> list[str]:
        """See HashRecord."""
        return await self._db.read(lambda connection: read_unhashed(connection, catalog_id, limit))

    async def save_hashes(self, catalog_id: str, hashes: Mapping[str, int]) -> None:
        """See HashRecord."""
        await self._db.write(lambda connection: write_hashes(connection, catalog_id, hashes))

    async def labels(
        self, catalog_id: str, after: str, limit: int
    ) -> tuple[list[Label], str | None]:
        """See LabelRecord."""
        return await self._db.read(
            lambda connection: read_labels(connection, catalog_id, after, limit)
        )

    async def generations(self, catalog_id: str) -> list[Generation]:
        """See IndexRecord."""

        def work(connection: Connection) -> list[Generation]:
            return live_generations(connection, catalog_id)

        return await self._db.read(work)

    async def create_generation(self, generation: Generation) -> Generation:
        """See IndexRecord."""

        def work(connection: Connection) -> Generation:
            # A write that is under way sees the new generation, or its photos are seen here.
            queue_up(connection, generation.catalog_id)
            c = generations.c
            same = sa.select(generations).where(
                c.catalog_id == generation.catalog_id, c.name == generation.name
            )
            known = first_generation(connection.execute(same))
            if known is not None:
                return known
            held = sa.select(c.name).where(
                c.catalog_id == generation.catalog_id, c.space == generation.space, c.active
            )
            first = connection.execute(held).first() is None
            now = self._clock()
            made = replace(
                generation,
                state=GenerationState.READY if first else generation.state,
                active=first,
                activated=generation.activated or (now if first else 0),
                created=generation.created or now,
                check_wanted=True,
            )
            connection.execute(sa.insert(generations).values(generation_values(made)))
            want(connection, made)
            return made

        return await self._db.write(work)

    async def mark(
        self,
        generation: Generation,
        *,
        state: GenerationState | None = None,
        check_wanted: bool | None = None,
        collection: str | None = None,
    ) -> None:
        """See IndexRecord."""
        values: dict[str, Any] = {}
        if state is not None:
            values["state"] = state
        if check_wanted is not None:
            values["check_wanted"] = check_wanted
        if collection is not None:
            values["collection"] = collection
        query = sa.update(generations).where(is_generation(generation)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def changes(self, generation: Generation, limit: int) -> list[Change]:
        """See IndexRecord."""
        return await self._db.read(lambda connection: read_changes(connection, generation, limit))

    async def advance(self, generation: Generation, change: Change) -> Generation:
        """See IndexRecord."""
        advanced = replace(
            generation,
            applied_seq=change.seq,
            applied_time=max(change.time, generation.applied_time),
        )

        def work(connection: Connection) -> Generation:
            advance_to(connection, advanced)
            return advanced

        return await self._db.write(work)

    async def rows(self, generation: Generation, product_ids: Sequence[str]) -> list[IndexRow]:
        """See IndexRecord."""

        def work(connection: Connection) -> list[IndexRow]:
            return list(read_index_rows(connection, generation, product_ids))

        return await self._db.read(work)

    async def sample(self, catalog_id: str, after: str, size: int) -> tuple[list[Facts], int]:
        """See SurvivorRecord."""
        return await self._db.read(
            lambda connection: read_sample(connection, catalog_id, after, size)
        )

    async def survivors(
        self, generation: Generation, condition: Filter, part: Part, most: int
    ) -> Survivors | None:
        """See SurvivorRecord."""
        return await self._db.read(
            lambda connection: read_survivors(connection, generation, condition, part, most)
        )

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> Survivors:
        """See SurvivorRecord."""
        return await self._db.read(lambda connection: read_vectors(connection, generation, row_ids))

    async def all_rows(self, generation: Generation, most: int) -> Survivors | None:
        """See SearchRecord."""
        return await self._db.read(lambda connection: read_all(connection, generation, most))

    async def row_page(self, generation: Generation, after: str, limit: int) -> list[IndexRow]:
        """See VerificationRecord."""
        return await self._db.read(
            lambda connection: read_index_page(connection, generation, after, limit)
        )

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        """See VerificationRecord."""
        return await self._db.read(lambda connection: count_rows(connection, generation, most))

    async def expected(
        self, generation: Generation, low: str, high: str
    ) -> dict[str, tuple[int, str]]:
        """See IndexRecord."""
        return await self._db.read(
            lambda connection: read_row_seqs(connection, generation, low, high)
        )

    async def due(self, generation: Generation, limit: int) -> list[Pending]:
        """See IndexRecord."""
        return await self._db.read(
            lambda connection: read_due(connection, generation, limit, self._clock())
        )

    async def postpone(
        self, generation: Generation, item_ids: Sequence[str], seconds: float, reason: str
    ) -> None:
        """See IndexRecord."""
        values = {
            "attempts": pending.c.attempts + 1,
            "next_attempt": self._clock() + int(seconds * 1e6),
            "reason": reason,
        }
        query = sa.update(pending).where(pending_of(generation, item_ids)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def give_up(self, generation: Generation, item_ids: Sequence[str], reason: str) -> None:
        """See IndexRecord."""
        values = {"attempts": pending.c.attempts + 1, "failed": True, "reason": reason}
        query = sa.update(pending).where(pending_of(generation, item_ids)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def texts(self, generation: Generation, product_ids: Sequence[str]) -> dict[str, str]:
        """See IndexRecord."""
        return await self._db.read(
            lambda connection: read_texts(connection, generation, product_ids)
        )

    async def embedded_texts(
        self, generation: Generation, product_ids: Sequence[str]
    ) -> dict[str, tuple[str, Floats]]:
        """See VerificationRecord."""
        return await self._db.read(
            lambda connection: read_embedded(connection, generation, product_ids)
        )

    async def drop_blank(self, generation: Generation, product_ids: Sequence[str]) -> None:
        """See IndexRecord."""

        def work(connection: Connection) -> None:
            session = Session(connection, generation.catalog_id, self._clock())
            drop_blank(session, generation, product_ids)

        await self._db.write(work)

    async def forget(self, generation: Generation, image_ids: Sequence[str]) -> None:
        """See IndexRecord."""
        use = sa.exists().where(
            product_images.c.catalog_id == pending.c.catalog_id,
            product_images.c.image_id == pending.c.image_id,
        )
        query = sa.delete(pending).where(pending_of(generation, image_ids), ~use)

        def work(connection: Connection) -> None:
            # A write that is under way may bring a product that has the photo.
            queue_up(connection, generation.catalog_id)
            connection.execute(query)

        await self._db.write(work)

    # Roll-outs

    async def register(self, generation: Generation) -> Generation:
        """See RegistryRecord."""
        return await self._db.write(
            lambda connection: rollout.register(connection, generation, self._clock())
        )

    async def find_generation(self, catalog_id: str, name: str) -> Generation:
        """See RegistryRecord."""
        return await self._db.read(
            lambda connection: rollout.find_live(connection, catalog_id, name)
        )

    async def activate(self, catalog_id: str, name: str, *, force: bool) -> Generation:
        """See RegistryRecord."""
        return await self._db.write(
            lambda connection: rollout.activate(
                connection, catalog_id, name, self._clock(), force=force
            )
        )

    async def rollback(self, catalog_id: str, space: str) -> Generation:
        """See RegistryRecord."""
        return await self._db.write(
            lambda connection: rollout.rollback(connection, catalog_id, space, self._clock())
        )

    async def retire(self, catalog_id: str, name: str) -> Generation:
        """See RegistryRecord."""
        return await self._db.write(lambda connection: rollout.retire(connection, catalog_id, name))

    async def statuses(
        self, catalog_id: str, space: str = "", *, dropped: bool = False
    ) -> list[GenerationStatus]:
        """See RegistryRecord."""
        return await self._db.read(
            lambda connection: rollout.read_statuses(connection, catalog_id, space, dropped=dropped)
        )

    async def history(self, catalog_id: str) -> list[Generation]:
        """See RegistryRecord."""
        return await self._db.read(lambda connection: all_generations(connection, catalog_id))

    async def offers(self, catalog_id: str) -> list[EmbeddingSpace]:
        """See RegistryRecord."""
        return await self._db.read(lambda connection: rollout.read_offers(connection, catalog_id))

    async def save_offers(self, catalog_id: str, offered: Sequence[EmbeddingSpace]) -> None:
        """See IndexRecord."""
        await self._db.write(
            lambda connection: rollout.save_offers(connection, catalog_id, offered)
        )

    async def save_verification(self, generation: Generation, found: Verification) -> None:
        """See VerificationRecord."""
        await self._db.write(
            lambda connection: rollout.save_verification(connection, generation, found)
        )

    async def want_some(self, generation: Generation, after: str, limit: int) -> str | None:
        """See BackfillRecord."""
        return await self._db.write(
            lambda connection: rollout.want_some(connection, generation, after, limit)
        )

    async def want_failed(self, generation: Generation) -> None:
        """See BackfillRecord."""
        await self._db.write(lambda connection: rollout.want_failed(connection, generation))

    async def backlog(self, generation: Generation) -> Backlog:
        """See BackfillRecord."""
        return await self._db.read(lambda connection: rollout.read_backlog(connection, generation))

    async def photo_count(self, generation: Generation) -> int:
        """See BackfillRecord."""
        return await self._db.read(lambda connection: rollout.photos(connection, generation))

    async def end_backfill(self, generation: Generation) -> None:
        """See BackfillRecord."""
        await self._db.write(lambda connection: rollout.end_backfill(connection, generation))

    async def take_back(self, generation: Generation, limit: int) -> int:
        """See BackfillRecord."""
        return await self._db.write(
            lambda connection: rollout.take_back(connection, generation, limit)
        )

    async def discard(self, generation: Generation, limit: int) -> int:
        """See BackfillRecord."""
        return await self._db.write(
            lambda connection: rollout.discard(connection, generation, limit)
        )
