"""Writes to one catalog within one transaction: numbers, offers, vectors, deletions.

`product_batch` writes whole products and changes of them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import GenerationNotFound, ImageNotFound, ProductNotFound
from retriever.domain.generation import Generation, GenerationState
from retriever.domain.product import CatalogPart, PartTally
from retriever.domain.texts import digest_of, text_of
from retriever.domain.vectors import VectorWrite
from retriever.record import statements, tables
from retriever.record.label_texts import write_label_texts
from retriever.record.products import read_part, read_products
from servicekit.errors import ServiceError
from servicekit.sql import conditions
from servicekit.sql.commit_order import CatalogWrites
from servicekit.sql.resources import put
from sightline_rules import ids

Entry: TypeAlias = tuple[int, str, int, Iterable[str]]
"""Outbox entry: commit, product, last commit of the same write, ids of removed index rows."""
ROWS = sa.select(tables.product_images.c.product_id, tables.product_images.c.row_id).where(
    conditions.among(tables.product_images, "product_id")
)
"""SELECT of the rows of products, for `look_up`."""
USERS = sa.select(tables.product_images.c.image_id, tables.product_images.c.product_id).where(
    conditions.among(tables.product_images, "image_id")
)
"""SELECT of the products that have given photos."""
TAKEN_DOWN = sa.select(tables.takedowns.c.image_id).where(
    conditions.among(tables.takedowns, "image_id")
)
_LIVES = sa.select(tables.generations.c.name).where(
    conditions.on(
        tables.generations, catalog_id=sa.bindparam("catalog_id"), **statements.BOUND_VERSION
    ),
    tables.generations.c.state != GenerationState.DROPPED,
)
_EXISTING = sa.select(tables.products.c.product_id).where(
    conditions.among(tables.products, "product_id")
)


class Session(CatalogWrites):
    """Writes to one catalog within one transaction."""

    def __init__(self, connection: Connection, catalog_id: str, now: int) -> None:
        super().__init__(connection, tables.sequences, catalog_id, now)

    def taken_down(self, image_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the photos that were taken down."""
        return frozenset(row.image_id for row in self.look_up(TAKEN_DOWN, image_ids))

    def place_photos(self, product_ids: Iterable[str], placed: Sequence[Mapping[str, Any]]) -> None:
        """Replace the photos of products. `placed`: their rows, from `photo_rows`."""
        c = tables.product_images.c
        for chunk in conditions.chunks(sorted(product_ids)):
            mine = c.catalog_id == self.catalog_id, c.product_id.in_(chunk)
            self.connection.execute(sa.delete(tables.product_images).where(*mine))
        if placed:
            self.connection.execute(sa.insert(tables.product_images), placed)

    def touch(self, product_ids: Sequence[str]) -> None:
        """Mark those of the products that exist as written whole by this write."""
        c = tables.products.c
        for chunk in conditions.chunks(product_ids):
            self.connection.execute(
                sa.update(tables.products)
                .where(c.catalog_id == self.catalog_id, c.product_id.in_(chunk))
                .where(c.touched < self.head)
                .values(touched=self.head)
            )

    def delete(self, product_ids: Sequence[str]) -> int:
        """Delete products, each listed once. Return the number that existed."""
        c = tables.products.c
        gone: list[str] = []
        removed: dict[str, list[str]] = {}
        for chunk in conditions.chunks(product_ids):
            for table in (tables.product_images, tables.product_vectors):
                rows = sa.select(table.c.product_id, table.c.row_id).where(
                    table.c.catalog_id == self.catalog_id, table.c.product_id.in_(chunk)
                )
                for product_id, row_id in self.connection.execute(rows.distinct()):
                    removed.setdefault(product_id, []).append(row_id)
            deleted = (
                sa.delete(tables.products)
                .where(c.catalog_id == self.catalog_id, c.product_id.in_(chunk))
                .returning(c.product_id)
            )
            gone += self.connection.execute(deleted).scalars()
        if gone:
            gone.sort()  # sorted, so that commit numbers do not depend on the store's order
            self.note(
                (seq, product_id, seq, removed.get(product_id, ()))
                for seq, product_id in zip(self.take(len(gone)), gone, strict=True)
            )
        return len(gone)

    def write_vectors(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> list[ServiceError | None]:
        """Store vectors of a generation's version. Return for each write its error, or None."""
        if not self._lives(generation):
            return [GenerationNotFound() for _ in writes]
        if generation.of_products:
            return self._write_given(generation, writes)
        users: dict[str, set[str]] = {}
        for row in self.look_up(USERS, [write.image_id for write in writes]):
            users.setdefault(row.image_id, set()).add(row.product_id)
        named = {write.product_id for write in writes} - {""}
        existing = {row.product_id for row in self.look_up(_EXISTING, named)}

        def failure(write: VectorWrite) -> ServiceError | None:
            if not write.product_id or write.product_id in users.get(write.image_id, ()):
                return None
            return ImageNotFound() if write.product_id in existing else ProductNotFound()

        outcomes = [failure(write) for write in writes]
        # Photos may have been taken down while they were embedded.
        gone = self.taken_down(write.image_id for write in writes)
        found = zip(writes, outcomes, strict=True)
        taken = [w for w, failed in found if failed is None and w.image_id not in gone]
        self._put_vectors(generation, taken, users)
        return outcomes

    def _write_given(
        self, generation: Generation, writes: Sequence[VectorWrite]
    ) -> list[ServiceError | None]:
        """Store vectors of products themselves; the last one of a product wins.

        A vector of an outdated text is skipped: the product stays pending.
        """
        named = {write.product_id: write for write in writes}
        digests = self._digests(generation, list(named))
        taken = [
            write
            for product_id, write in named.items()
            if product_id in digests and write.digest in ("", digests[product_id])
        ]
        waited = (
            self._embedded(generation, [write.product_id for write in taken])
            if generation.of_texts
            else {}
        )
        seqs = self.take(len(taken))
        rows = [
            {
                **statements.version_of(generation),
                "product_id": write.product_id,
                "row_id": ids.derive_id(self.catalog_id, write.product_id, ""),
                "data": np.ascontiguousarray(write.vector, dtype="<f4").tobytes(),
                "seq": seq,
                "digest": digests[write.product_id],
            }
            for write, seq in zip(taken, seqs, strict=True)
        ]
        put(self.connection, tables.product_vectors, rows)
        self.note(
            (seq, write.product_id, waited.get(write.product_id, seq), ())
            for write, seq in zip(taken, seqs, strict=True)
        )
        return [None if write.product_id in digests else ProductNotFound() for write in writes]

    def _digests(self, generation: Generation, product_ids: Sequence[str]) -> dict[str, str]:
        """Return the digest of the text of each existing product; "" unless the generation embeds
        texts."""
        if generation.of_texts:
            found = read_products(self.connection, self.catalog_id, product_ids)
            return {name: digest_of(text_of(each.content)) for name, each in found.items()}
        return {row.product_id: "" for row in self.look_up(_EXISTING, product_ids)}

    def _lives(self, generation: Generation) -> bool:
        """Return whether the version still has a live generation."""
        return (
            self.connection.execute(_LIVES, statements.version_of(generation)).first() is not None
        )

    def _put_vectors(
        self,
        generation: Generation,
        writes: Sequence[VectorWrite],
        users: Mapping[str, Iterable[str]],
    ) -> None:
        """Store vectors of photos. `users`: by photo, the products that have it."""
        waited = self._embedded(generation, [write.image_id for write in writes])
        rows: dict[str, dict[str, Any]] = {}
        entries: list[Entry] = []
        for write, seq in zip(writes, self.take(len(writes)), strict=True):
            rows[write.image_id] = {
                **statements.version_of(generation),
                "image_id": write.image_id,
                "dimension": generation.dimension,
                "data": np.ascontiguousarray(write.vector, dtype="<f4").tobytes(),
                "seq": seq,
            }
            part_of = waited.pop(write.image_id, seq)
            entries += [
                (seq, product_id, part_of, ()) for product_id in users.get(write.image_id, ())
            ]
        put(self.connection, tables.vectors, list(rows.values()))
        self.note(entries)

    def _embedded(self, generation: Generation, image_ids: Sequence[str]) -> dict[str, int]:
        """Delete pending rows of photos or products. Return, by id, the commits that added them."""
        waited: dict[str, int] = {}
        for chunk in conditions.chunks(image_ids):
            gone = (
                sa.delete(tables.pending)
                .where(statements.pending_of(generation, chunk))
                .returning(tables.pending.c.image_id, tables.pending.c.write_seq)
            )
            waited.update((row.image_id, row.write_seq) for row in self.connection.execute(gone))
        return waited

    def note(self, entries: Iterable[Entry]) -> None:
        """Put entries into the outbox."""
        rows = [
            {
                "catalog_id": self.catalog_id,
                "seq": seq,
                "product_id": product_id,
                "write_seq": write_seq,
                "removed": json.dumps(sorted(removed)),
                "time": self.now,
            }
            for seq, product_id, write_seq, removed in entries
        ]
        if rows:
            self.connection.execute(sa.insert(tables.outbox), rows)


def delete(
    connection: Connection, now: int, catalog_id: str, product_ids: Sequence[str]
) -> tuple[int, int]:
    """Delete products. Return the number deleted, and the newest commit."""
    session = Session(connection, catalog_id, now)
    return session.delete(list(dict.fromkeys(product_ids))), session.head


def sweep(connection: Connection, now: int, catalog_id: str, part: CatalogPart) -> PartTally:
    """Return and delete the products in a part of the catalog, in one transaction."""
    session = Session(connection, catalog_id, now)
    found = read_part(connection, catalog_id, part)
    session.delete(found.product_ids)
    return found


def take_number(connection: Connection, now: int, catalog_id: str) -> int:
    """Return a new number of the commit sequence: later writes of whole products have it or a
    greater one."""
    return Session(connection, catalog_id, now).take()[0]


def reach(connection: Connection, now: int, catalog_id: str, commit: int) -> None:
    """Raise the commit sequence, so that the next number is greater than `commit`: index tokens
    stay valid."""
    session = Session(connection, catalog_id, now)
    session.take(max(0, commit - session.head))


def save_vectors(
    connection: Connection, now: int, generation: Generation, writes: Sequence[VectorWrite]
) -> tuple[list[ServiceError | None], int]:
    """Store vectors as `Session.write_vectors` does. Return its outcomes and the newest commit."""
    session = Session(connection, generation.catalog_id, now)
    return session.write_vectors(generation, writes), session.head


def save_label_texts(
    connection: Connection, now: int, catalog_id: str, texts: Mapping[str, str]
) -> None:
    """Store the texts of photos, and mark the products with these photos as changed: the words in
    memory hold them, the index does not."""
    session = Session(connection, catalog_id, now)
    _change(session, write_label_texts(connection, catalog_id, texts))


def _change(session: Session, product_ids: Sequence[str]) -> None:
    """Mark products as changed for the columns in memory alone."""
    rows = [
        {"catalog_id": session.catalog_id, "product_id": product_id, "seq": seq}
        for product_id, seq in zip(product_ids, session.take(len(product_ids)), strict=True)
    ]
    put(session.connection, tables.changes, rows)
