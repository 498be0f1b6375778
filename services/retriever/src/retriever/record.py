"""The record in SQL: products, photos, vectors, index generations, and what the index lacks.

Everything that an acknowledged write promises is one transaction here. Each write takes the next
number of its catalog's commit sequence; the number's row is locked until the commit, so numbers
become visible in order, also on PostgreSQL. Times are microseconds since 1970 (UTC).

A write leaves an outbox entry. Every generation applies the entries in order and remembers the
last one (`applied_seq`); an entry that every live generation holds is deleted. A photo that lacks a
vector of a live generation's version has a row in `pending`, with the number of the write that
brought it (`write_seq`): a generation holds a write in full when it has applied all entries and
embedded all photos up to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from retriever.model import (
    Attribute,
    Change,
    Counts,
    EtagMismatch,
    Floats,
    Freshness,
    Generation,
    GenerationState,
    Image,
    ImageNotFound,
    IndexRow,
    Order,
    Pending,
    Product,
    ProductContent,
    ProductNotFound,
    ProductWrite,
    Stored,
    VectorWrite,
)
from servicekit.errors import ServiceError
from servicekit.jobs import jobs_table, leases_table, now_micros
from servicekit.sql import Database
from sightline_rules import categories, ids
from sightline_rules.filters import Availability, Facts, Money, Time

metadata = sa.MetaData()

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point, as SQLite's does."""
_Number = sa.BigInteger


def _key(name: str, kind: Any = _Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _value(name: str, kind: Any = _Text) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


sequences = sa.Table(
    "sequences",
    metadata,
    _key("catalog_id"),
    _value("seq", _Number),
    _value("time", _Number),
)
"""The newest commit of each catalog and its time."""

products = sa.Table(
    "products",
    metadata,
    _key("catalog_id"),
    _key("product_id"),
    _value("parent_id"),
    _value("title"),
    _value("description"),
    _value("category"),
    _value("brand"),
    sa.Column("price_micros", _Number),
    sa.Column("currency", _Text),
    _value("availability"),
    _value("tags"),
    _value("attributes"),
    _value("language_code"),
    _value("uri"),
    _value("create_time", _Number),
    _value("update_time", _Number),
    _value("etag"),
    _value("seq", _Number),
    sa.Index("products_newest", "catalog_id", "create_time", "product_id"),
)

images = sa.Table(
    "images",
    metadata,
    _key("catalog_id"),
    _key("image_id"),
    _value("media_type"),
    _value("size", _Number),
    _value("width", sa.Integer),
    _value("height", sa.Integer),
    _value("create_time", _Number),
)

product_images = sa.Table(
    "product_images",
    metadata,
    _key("catalog_id"),
    _key("product_id"),
    _key("position", sa.Integer),
    _value("image_id"),
    _value("row_id"),
    sa.ForeignKeyConstraint(
        ["catalog_id", "product_id"],
        ["products.catalog_id", "products.product_id"],
        ondelete="CASCADE",
    ),
    sa.ForeignKeyConstraint(["catalog_id", "image_id"], ["images.catalog_id", "images.image_id"]),
    sa.Index("product_images_image", "catalog_id", "image_id"),
    sa.Index("product_images_row", "catalog_id", "row_id", unique=True),
)
"""A product's photos in order. `row_id` is the id of the photo's row in every index."""

vectors = sa.Table(
    "vectors",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _key("image_id"),
    _value("dimension", sa.Integer),
    _value("data", sa.LargeBinary),
    _value("seq", _Number),
)
"""float32 little-endian. `seq`: the commit that wrote it."""

generations = sa.Table(
    "generations",
    metadata,
    _key("catalog_id"),
    _key("name"),
    _value("space"),
    _value("space_version"),
    _value("dimension", sa.Integer),
    _value("metric"),
    _value("collection"),
    _value("state"),
    _value("active", sa.Boolean),
    _value("created", _Number),
    _value("applied_seq", _Number),
    _value("applied_time", _Number),
    _value("check_wanted", sa.Boolean),
)

outbox = sa.Table(
    "outbox",
    metadata,
    _key("catalog_id"),
    _key("seq", _Number),
    _key("product_id"),
    _value("write_seq", _Number),
    _value("removed"),
    _value("time", _Number),
)

pending = sa.Table(
    "pending",
    metadata,
    _key("catalog_id"),
    _key("space"),
    _key("space_version"),
    _key("image_id"),
    _value("write_seq", _Number),
    _value("write_time", _Number),
    _value("attempts", sa.Integer),
    _value("next_attempt", _Number),
    _value("reason"),
    _value("failed", sa.Boolean),
    sa.Index("pending_due", "catalog_id", "space", "space_version", "failed", "next_attempt"),
    sa.Index("pending_first", "catalog_id", "space", "space_version", "failed", "write_seq"),
)

jobs = jobs_table(metadata)
leases = leases_table(metadata)

_CHUNK = 500
"""Values in one IN list."""

Clock = Callable[[], int]


class Record:
    """The record's calls; see CatalogueRecord, SearchRecord and IndexRecord in model.py."""

    def __init__(self, db: Database, clock: Clock = now_micros) -> None:
        self._db = db
        self._clock = clock

    # The catalogue

    async def write(
        self, catalog_id: str, writes: Sequence[ProductWrite]
    ) -> tuple[list[Stored | ServiceError], int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[list[Stored | ServiceError], int]:
            session = _Session(connection, catalog_id, self._clock())
            outcomes = [session.write(write) for write in writes]
            return outcomes, session.head()

        return await self._db.write(work)

    async def delete(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, int]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> tuple[int, int]:
            session = _Session(connection, catalog_id, self._clock())
            deleted = sum(session.delete(product_id) for product_id in dict.fromkeys(product_ids))
            return deleted, session.head()

        return await self._db.write(work)

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """See CatalogueRecord."""

        def work(connection: Connection) -> dict[str, Product]:
            found = _products(connection, catalog_id, product_ids)
            return {product.content.product_id: product for product in found}

        return await self._db.read(work)

    async def page(
        self, catalog_id: str, order: Order, after: tuple[int, str] | None, limit: int
    ) -> list[Product]:
        """See CatalogueRecord."""
        c = products.c
        query = sa.select(c.product_id).where(c.catalog_id == catalog_id).limit(limit)
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
            order_of = list(connection.execute(query).scalars())
            found = _products(connection, catalog_id, order_of)
            by_id = {product.content.product_id: product for product in found}
            return [by_id[product_id] for product_id in order_of]

        return await self._db.read(work)

    async def image(self, catalog_id: str, image_id: str) -> Image | None:
        """See CatalogueRecord."""
        return await self._db.read(
            lambda connection: _images(connection, catalog_id, [image_id]).get(image_id)
        )

    # Searches

    async def generation(self, catalog_id: str, space: str, name: str = "") -> Generation | None:
        """See SearchRecord."""
        c = generations.c
        which = c.name == name if name else c.active
        query = sa.select(generations).where(
            c.catalog_id == catalog_id, c.space == space, c.state != GenerationState.DROPPED, which
        )
        return await self._db.read(lambda connection: _generation(connection.execute(query)))

    async def vectors_of(self, generation: Generation, product_id: str) -> list[Floats] | None:
        """See SearchRecord."""

        def work(connection: Connection) -> list[Floats] | None:
            if not _exists(connection, generation.catalog_id, product_id):
                return None
            rows = connection.execute(
                sa.select(vectors.c.data)
                .select_from(_indexed(generation))
                .where(
                    product_images.c.catalog_id == generation.catalog_id,
                    product_images.c.product_id == product_id,
                )
                .order_by(product_images.c.position)
            )
            return [_floats(data) for data in rows.scalars()]

        return await self._db.read(work)

    async def freshness(self, generation: Generation) -> Freshness:
        """See SearchRecord."""
        return await self._db.read(lambda connection: _freshness(connection, generation))

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
                of = _pending_of(generation)
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
            session = _Session(connection, generation.catalog_id, self._clock())
            outcomes = [session.write_vector(generation, write) for write in writes]
            return outcomes, session.head()

        return await self._db.write(work)

    # The worker

    async def generations(self, catalog_id: str) -> list[Generation]:
        """See IndexRecord."""

        def work(connection: Connection) -> list[Generation]:
            return _live(connection, catalog_id)

        return await self._db.read(work)

    async def create_generation(self, generation: Generation) -> Generation:
        """See IndexRecord."""

        def work(connection: Connection) -> Generation:
            c = generations.c
            same = sa.select(generations).where(
                c.catalog_id == generation.catalog_id, c.name == generation.name
            )
            known = _generation(connection.execute(same))
            if known is not None:
                return known
            held = sa.select(c.name).where(
                c.catalog_id == generation.catalog_id, c.space == generation.space, c.active
            )
            first = connection.execute(held).first() is None
            made = replace(generation, active=first, created=self._clock(), check_wanted=True)
            connection.execute(sa.insert(generations).values(_generation_values(made)))
            _want_all(connection, made)
            return made

        return await self._db.write(work)

    async def mark(
        self,
        generation: Generation,
        *,
        state: GenerationState | None = None,
        check_wanted: bool | None = None,
    ) -> None:
        """See IndexRecord."""
        values: dict[str, Any] = {}
        if state is not None:
            values["state"] = state
        if check_wanted is not None:
            values["check_wanted"] = check_wanted
        query = sa.update(generations).where(_is(generation)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def changes(self, generation: Generation, limit: int) -> list[Change]:
        """See IndexRecord."""
        c = outbox.c
        query = (
            sa.select(c.seq, c.product_id, c.removed, c.time)
            .where(c.catalog_id == generation.catalog_id, c.seq > generation.applied_seq)
            .order_by(c.seq, c.product_id)
            .limit(limit)
        )

        def work(connection: Connection) -> list[Change]:
            found = [
                Change(row.seq, row.product_id, tuple(json.loads(row.removed)), row.time)
                for row in connection.execute(query)
            ]
            if len(found) < limit:
                return found
            # A commit that several products share is applied whole or not at all.
            last = found[-1].seq
            whole = [change for change in found if change.seq < last]
            rest = connection.execute(query.where(c.seq == last).limit(None))
            return whole + [
                Change(row.seq, row.product_id, tuple(json.loads(row.removed)), row.time)
                for row in rest
            ]

        return await self._db.read(work)

    async def advance(self, generation: Generation, change: Change) -> Generation:
        """See IndexRecord."""
        advanced = replace(
            generation,
            applied_seq=change.seq,
            applied_time=max(change.time, generation.applied_time),
        )
        values = {
            "applied_seq": advanced.applied_seq,
            "applied_time": advanced.applied_time,
        }

        def work(connection: Connection) -> Generation:
            connection.execute(sa.update(generations).where(_is(generation)).values(values))
            held = min(g.applied_seq for g in _live(connection, generation.catalog_id))
            connection.execute(
                sa.delete(outbox).where(
                    outbox.c.catalog_id == generation.catalog_id, outbox.c.seq <= held
                )
            )
            return advanced

        return await self._db.write(work)

    async def rows(self, generation: Generation, product_ids: Sequence[str]) -> list[IndexRow]:
        """See IndexRecord."""

        def work(connection: Connection) -> list[IndexRow]:
            return [
                row
                for chunk in _chunks(product_ids)
                for row in _index_rows(connection, generation, chunk)
            ]

        return await self._db.read(work)

    async def expected(
        self, generation: Generation, low: str, high: str
    ) -> dict[str, tuple[int, str]]:
        """See IndexRecord."""
        c = product_images.c
        query = (
            sa.select(c.row_id, products.c.seq, vectors.c.seq, c.product_id)
            .select_from(_indexed(generation).join(products, _same(product_images, products)))
            .where(c.catalog_id == generation.catalog_id, c.row_id >= low, c.row_id < high)
        )

        def work(connection: Connection) -> dict[str, tuple[int, str]]:
            return {
                row_id: (max(product_seq, vector_seq), product_id)
                for row_id, product_seq, vector_seq, product_id in connection.execute(query)
            }

        return await self._db.read(work)

    async def due(self, generation: Generation, limit: int) -> list[Pending]:
        """See IndexRecord."""
        c = pending.c
        photo = _on(images, catalog_id=c.catalog_id, image_id=c.image_id)
        use = sa.exists().where(
            product_images.c.catalog_id == c.catalog_id, product_images.c.image_id == c.image_id
        )
        query = (
            sa.select(c.image_id, images.c.size, c.attempts, use.label("used"))
            .select_from(pending.join(images, photo))
            .where(_pending_of(generation), ~c.failed, c.next_attempt <= self._clock())
            .order_by(c.next_attempt, c.write_seq)
            .limit(limit)
        )
        return await self._db.read(
            lambda connection: [
                Pending(row.image_id, row.size, row.attempts, bool(row.used))
                for row in connection.execute(query)
            ]
        )

    async def postpone(
        self, generation: Generation, image_ids: Sequence[str], seconds: float, reason: str
    ) -> None:
        """See IndexRecord."""
        values = {
            "attempts": pending.c.attempts + 1,
            "next_attempt": self._clock() + int(seconds * 1e6),
            "reason": reason,
        }
        query = sa.update(pending).where(_pending_of(generation, image_ids)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def give_up(self, generation: Generation, image_ids: Sequence[str], reason: str) -> None:
        """See IndexRecord."""
        values = {"attempts": pending.c.attempts + 1, "failed": True, "reason": reason}
        query = sa.update(pending).where(_pending_of(generation, image_ids)).values(values)
        await self._db.write(lambda connection: connection.execute(query))

    async def forget(self, generation: Generation, image_ids: Sequence[str]) -> None:
        """See IndexRecord."""
        use = sa.exists().where(
            product_images.c.catalog_id == pending.c.catalog_id,
            product_images.c.image_id == pending.c.image_id,
        )
        query = sa.delete(pending).where(_pending_of(generation, image_ids), ~use)
        await self._db.write(lambda connection: connection.execute(query))


class _Session:
    """Writes to one catalog within one transaction."""

    def __init__(self, connection: Connection, catalog_id: str, now: int) -> None:
        self._connection = connection
        self._catalog = catalog_id
        self._now = now
        _put(connection, sequences, [{"catalog_id": catalog_id, "seq": 0, "time": 0}], keep=True)
        own = sa.select(sequences.c.seq).where(sequences.c.catalog_id == catalog_id)
        # PostgreSQL: the catalog's writers queue here. SQLite: BEGIN IMMEDIATE did it.
        self._seq = int(connection.execute(own.with_for_update()).scalar_one())
        self._targets = _live(connection, catalog_id)

    def head(self) -> int:
        """The catalog's newest commit."""
        return self._seq

    def _next(self) -> int:
        """The number of a new commit."""
        self._seq += 1
        self._connection.execute(
            sa.update(sequences)
            .where(sequences.c.catalog_id == self._catalog)
            .values(seq=self._seq, time=self._now)
        )
        return self._seq

    def write(self, write: ProductWrite) -> Stored | ServiceError:
        """Store one product; an error leaves everything as it was."""
        content = write.content
        known = self._connection.execute(
            sa.select(products.c.etag, products.c.create_time).where(
                *self._is_product(content.product_id)
            )
        ).first()
        if write.etag and (known is None or known.etag != write.etag):
            return EtagMismatch()
        by_id = [image for image in content.image_ids if image not in write.new_images]
        if by_id and len(_images(self._connection, self._catalog, by_id)) < len(by_id):
            return ImageNotFound(f"{write.path}.images")
        etag = _etag(content)
        if known is None or known.etag != etag:
            self._replace(write, etag, known.create_time if known else None)
        return Stored(content.product_id, etag, content.image_ids)

    def _replace(self, write: ProductWrite, etag: str, create_time: int | None) -> None:
        content, seq = write.content, self._next()
        row = {
            **_content_values(content),
            "catalog_id": self._catalog,
            "create_time": self._now if create_time is None else create_time,
            "update_time": self._now,
            "etag": etag,
            "seq": seq,
        }
        _put(self._connection, products, [row])
        for image in write.new_images.values():
            _put(self._connection, images, [self._image_row(image)], keep=True)
        kept = {image: self._row_id(content.product_id, image) for image in content.image_ids}
        removed = self._rows_of(content.product_id) - set(kept.values())
        self._connection.execute(
            sa.delete(product_images).where(
                product_images.c.catalog_id == self._catalog,
                product_images.c.product_id == content.product_id,
            )
        )
        if kept:
            rows = [
                {
                    "catalog_id": self._catalog,
                    "product_id": content.product_id,
                    "position": position,
                    "image_id": image,
                    "row_id": row_id,
                }
                for position, (image, row_id) in enumerate(kept.items())
            ]
            self._connection.execute(sa.insert(product_images), rows)
        self._note(seq, content.product_id, seq, removed)
        for target in self._targets:
            self._want(target, content.image_ids, seq)

    def delete(self, product_id: str) -> bool:
        """Whether there was such a product."""
        removed = self._rows_of(product_id)
        gone = self._connection.execute(
            sa.delete(products).where(*self._is_product(product_id))
        ).rowcount
        if gone:
            seq = self._next()
            self._note(seq, product_id, seq, removed)
        return bool(gone)

    def write_vector(self, generation: Generation, write: VectorWrite) -> ServiceError | None:
        """Store one vector of a generation's version."""
        c = product_images.c
        users = self._connection.execute(
            sa.select(c.product_id)
            .where(c.catalog_id == self._catalog, c.image_id == write.image_id)
            .distinct()
        ).scalars()
        product_ids = list(users)
        if write.product_id and write.product_id not in product_ids:
            found = _exists(self._connection, self._catalog, write.product_id)
            return ImageNotFound() if found else ProductNotFound()
        seq = self._next()
        row = {
            "catalog_id": self._catalog,
            "space": generation.space,
            "space_version": generation.space_version,
            "image_id": write.image_id,
            "dimension": generation.dimension,
            "data": np.ascontiguousarray(write.vector, dtype="<f4").tobytes(),
            "seq": seq,
        }
        _put(self._connection, vectors, [row])
        waited = self._connection.execute(
            sa.delete(pending)
            .where(_pending_of(generation, [write.image_id]))
            .returning(pending.c.write_seq)
        ).scalar()
        for product_id in product_ids:
            self._note(seq, product_id, seq if waited is None else waited, ())
        return None

    def _note(self, seq: int, product_id: str, write_seq: int, removed: Iterable[str]) -> None:
        self._connection.execute(
            sa.insert(outbox).values(
                catalog_id=self._catalog,
                seq=seq,
                product_id=product_id,
                write_seq=write_seq,
                removed=json.dumps(sorted(removed)),
                time=self._now,
            )
        )

    def _want(self, target: Generation, image_ids: Sequence[str], seq: int) -> None:
        """Make those photos pending that lack a vector of the target's version."""
        if not image_ids:
            return
        c = vectors.c
        held = set(
            self._connection.execute(
                sa.select(c.image_id).where(
                    c.catalog_id == self._catalog,
                    c.space == target.space,
                    c.space_version == target.space_version,
                    c.image_id.in_(image_ids),
                )
            ).scalars()
        )
        rows = [
            _pending_row(target, image_id, seq, self._now)
            for image_id in image_ids
            if image_id not in held
        ]
        if rows:
            _put(self._connection, pending, rows, keep=True)

    def _rows_of(self, product_id: str) -> set[str]:
        c = product_images.c
        query = sa.select(c.row_id).where(c.catalog_id == self._catalog, c.product_id == product_id)
        return set(self._connection.execute(query).scalars())

    def _is_product(self, product_id: str) -> tuple[sa.ColumnElement[bool], ...]:
        c = products.c
        return c.catalog_id == self._catalog, c.product_id == product_id

    def _row_id(self, product_id: str, image_id: str) -> str:
        return ids.derive_id(self._catalog, product_id, image_id)

    def _image_row(self, image: Image) -> dict[str, Any]:
        return {
            "catalog_id": self._catalog,
            "image_id": image.image_id,
            "media_type": image.media_type,
            "size": image.size,
            "width": image.width,
            "height": image.height,
            "create_time": self._now,
        }


def _put(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], keep: bool = False
) -> None:
    """Insert rows; where the key exists, keep what is there or take over the new values."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    key = [column.name for column in table.primary_key]
    if keep:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        others = [column.name for column in table.columns if column.name not in key]
        statement = statement.on_conflict_do_update(
            index_elements=key, set_={name: statement.excluded[name] for name in others}
        )
    connection.execute(statement, list(rows))


def _want_all(connection: Connection, target: Generation) -> None:
    """Make every photo of the catalog pending that lacks a vector of a generation's version."""
    photo, held = product_images.c, vectors.c
    constants = {
        "space": target.space,
        "space_version": target.space_version,
        "attempts": 0,
        "next_attempt": 0,
        "reason": "",
        "failed": False,
    }
    lacking = (
        sa.select(
            photo.catalog_id,
            photo.image_id,
            sa.func.min(products.c.seq),
            sa.func.min(products.c.update_time),
            *(sa.literal(value) for value in constants.values()),
        )
        .select_from(
            product_images.join(products, _same(product_images, products)).outerjoin(
                vectors, _vector_of(target)
            )
        )
        .where(photo.catalog_id == target.catalog_id, held.image_id.is_(None))
        .group_by(photo.catalog_id, photo.image_id)
    )
    names = ["catalog_id", "image_id", "write_seq", "write_time", *constants]
    connection.execute(sa.insert(pending).from_select(names, lacking))


def _freshness(connection: Connection, generation: Generation) -> Freshness:
    head = connection.execute(
        sa.select(sequences.c.seq, sequences.c.time).where(
            sequences.c.catalog_id == generation.catalog_id
        )
    ).first()
    o, p = outbox.c, pending.c
    unapplied = connection.execute(
        sa.select(sa.func.min(o.write_seq), sa.func.min(o.time)).where(
            o.catalog_id == generation.catalog_id, o.seq > generation.applied_seq
        )
    ).one()
    waiting = connection.execute(
        sa.select(sa.func.min(p.write_seq), sa.func.min(p.write_time), sa.func.count()).where(
            _pending_of(generation), ~p.failed
        )
    ).one()
    newest, newest_time = (0, 0) if head is None else (int(head.seq), int(head.time))
    open_seqs = [int(row[0]) for row in (unapplied, waiting) if row[0] is not None]
    open_times = [int(row[1]) for row in (unapplied, waiting) if row[1] is not None]
    if not open_seqs:
        return Freshness(newest, newest, newest_time, 0, 0)
    oldest = min(open_times)
    return Freshness(
        seq=min(open_seqs) - 1,
        head=newest,
        time=min(generation.applied_time, oldest),
        oldest_open=oldest,
        pending=int(waiting[2]),
    )


def _on(table: sa.Table, **columns: Any) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == column for name, column in columns.items()))


def _same(left: sa.Table, right: sa.Table) -> sa.ColumnElement[bool]:
    return _on(left, catalog_id=right.c.catalog_id, product_id=right.c.product_id)


def _vector_of(generation: Generation) -> sa.ColumnElement[bool]:
    """Joins a product's photo with its vector of the generation's version."""
    return sa.and_(
        _on(
            vectors,
            catalog_id=product_images.c.catalog_id,
            image_id=product_images.c.image_id,
        ),
        vectors.c.space == generation.space,
        vectors.c.space_version == generation.space_version,
    )


def _indexed(generation: Generation) -> sa.Join:
    """The photos of products that have a vector of the generation's version."""
    return product_images.join(vectors, _vector_of(generation))


def _pending_of(
    generation: Generation, image_ids: Sequence[str] | None = None
) -> sa.ColumnElement[bool]:
    c = pending.c
    which = [
        c.catalog_id == generation.catalog_id,
        c.space == generation.space,
        c.space_version == generation.space_version,
    ]
    if image_ids is not None:
        which.append(c.image_id.in_(image_ids))
    return sa.and_(*which)


def _pending_row(target: Generation, image_id: str, seq: int, now: int) -> dict[str, Any]:
    return {
        "catalog_id": target.catalog_id,
        "space": target.space,
        "space_version": target.space_version,
        "image_id": image_id,
        "write_seq": seq,
        "write_time": now,
        "attempts": 0,
        "next_attempt": now,
        "reason": "",
        "failed": False,
    }


def _is(generation: Generation) -> sa.ColumnElement[bool]:
    c = generations.c
    return sa.and_(c.catalog_id == generation.catalog_id, c.name == generation.name)


def _live(connection: Connection, catalog_id: str) -> list[Generation]:
    c = generations.c
    query = (
        sa.select(generations)
        .where(c.catalog_id == catalog_id, c.state != GenerationState.DROPPED)
        .order_by(c.created, c.name)
    )
    return [_to_generation(row) for row in connection.execute(query)]


def _generation(rows: sa.CursorResult[Any]) -> Generation | None:
    row = rows.first()
    return None if row is None else _to_generation(row)


def _to_generation(row: sa.Row[Any]) -> Generation:
    values = dict(row._mapping)
    return Generation(**{**values, "state": GenerationState(values["state"])})


def _generation_values(generation: Generation) -> dict[str, Any]:
    return {column.name: getattr(generation, column.name) for column in generations.columns}


def _exists(connection: Connection, catalog_id: str, product_id: str) -> bool:
    c = products.c
    query = sa.select(c.seq).where(c.catalog_id == catalog_id, c.product_id == product_id)
    return connection.execute(query).first() is not None


def _images(connection: Connection, catalog_id: str, image_ids: Sequence[str]) -> dict[str, Image]:
    c = images.c
    found: dict[str, Image] = {}
    for chunk in _chunks(image_ids):
        query = sa.select(images).where(c.catalog_id == catalog_id, c.image_id.in_(chunk))
        for row in connection.execute(query):
            found[row.image_id] = _to_image(row)
    return found


def _to_image(row: sa.Row[Any]) -> Image:
    return Image(row.image_id, row.media_type, row.size, row.width, row.height)


def _products(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> Iterator[Product]:
    c, photo = products.c, product_images.c
    for chunk in _chunks(product_ids):
        photos: dict[str, list[Image]] = {}
        joined = product_images.join(
            images, _on(images, catalog_id=photo.catalog_id, image_id=photo.image_id)
        )
        query = (
            sa.select(photo.product_id, images)
            .select_from(joined)
            .where(photo.catalog_id == catalog_id, photo.product_id.in_(chunk))
            .order_by(photo.product_id, photo.position)
        )
        for row in connection.execute(query):
            photos.setdefault(row.product_id, []).append(_to_image(row))
        found = sa.select(products).where(c.catalog_id == catalog_id, c.product_id.in_(chunk))
        for row in connection.execute(found):
            yield _to_product(row, tuple(photos.get(row.product_id, ())))


def _to_product(row: sa.Row[Any], photos: tuple[Image, ...]) -> Product:
    content = ProductContent(
        product_id=row.product_id,
        parent_id=row.parent_id,
        title=row.title,
        description=row.description,
        category_path=categories.split(row.category),
        brand=row.brand,
        price=None if row.price_micros is None else Money(row.currency, row.price_micros),
        availability=Availability(row.availability),
        tags=tuple(json.loads(row.tags)),
        attributes=tuple(Attribute(key, value) for key, value in json.loads(row.attributes)),
        image_ids=tuple(image.image_id for image in photos),
        language_code=row.language_code,
        uri=row.uri,
    )
    return Product(content, photos, row.create_time, row.update_time, row.etag, row.seq)


def _content_values(content: ProductContent) -> dict[str, Any]:
    return {
        "product_id": content.product_id,
        "parent_id": content.parent_id,
        "title": content.title,
        "description": content.description,
        "category": categories.join(content.category_path),
        "brand": content.brand,
        "price_micros": content.price.micros if content.price else None,
        "currency": content.price.currency if content.price else None,
        "availability": str(content.availability),
        "tags": json.dumps(content.tags, ensure_ascii=False),
        "attributes": json.dumps(
            [[item.key, item.value] for item in content.attributes], ensure_ascii=False
        ),
        "language_code": content.language_code,
        "uri": content.uri,
    }


def _etag(content: ProductContent) -> str:
    text = json.dumps([_content_values(content), content.image_ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _index_rows(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> Iterator[IndexRow]:
    photo = product_images.c
    query = (
        sa.select(
            photo.row_id,
            photo.image_id,
            vectors.c.data,
            vectors.c.seq.label("vector_seq"),
            products,
        )
        .select_from(_indexed(generation).join(products, _same(product_images, products)))
        .where(photo.catalog_id == generation.catalog_id, photo.product_id.in_(product_ids))
    )
    for row in connection.execute(query):
        price = None if row.price_micros is None else Money(row.currency, row.price_micros)
        yield IndexRow(
            row_id=row.row_id,
            seq=max(row.seq, row.vector_seq),
            product_id=row.product_id,
            image_id=row.image_id,
            facts=Facts(
                category=row.category,
                brand=row.brand,
                price=price,
                availability=Availability(row.availability),
                tags=frozenset(json.loads(row.tags)),
                create_time=Time(row.create_time),
                update_time=Time(row.update_time),
            ),
            vector=_floats(row.data),
        )


def _floats(data: bytes) -> Floats:
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
