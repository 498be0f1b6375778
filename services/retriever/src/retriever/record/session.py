"""Writes to one catalog within one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.model import (
    EtagMismatch,
    Generation,
    Image,
    ImageNotFound,
    ProductNotFound,
    ProductWrite,
    Stored,
    VectorWrite,
)
from retriever.record.generations import (
    live_generations,
)
from retriever.record.parts import (
    pending_of,
    pending_row,
    put,
)
from retriever.record.products import (
    content_etag,
    content_values,
    product_exists,
    read_images,
)
from retriever.record.tables import (
    images,
    outbox,
    pending,
    product_images,
    products,
    sequences,
    vectors,
)
from servicekit.errors import ServiceError
from sightline_rules import ids


def queue_up(connection: Connection, catalog_id: str) -> int:
    """Wait until no other transaction writes to the catalog; the number of its newest commit.

    PostgreSQL: the catalog's writers queue here. SQLite: BEGIN IMMEDIATE did it.
    """
    put(connection, sequences, [{"catalog_id": catalog_id, "seq": 0, "time": 0}], keep=True)
    own = sa.select(sequences.c.seq).where(sequences.c.catalog_id == catalog_id)
    return int(connection.execute(own.with_for_update()).scalar_one())


class Session:
    """Writes to one catalog within one transaction."""

    def __init__(self, connection: Connection, catalog_id: str, now: int) -> None:
        self._connection = connection
        self._catalog = catalog_id
        self._now = now
        self._seq = queue_up(connection, catalog_id)
        self._targets = live_generations(connection, catalog_id)

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
        if by_id and len(read_images(self._connection, self._catalog, by_id)) < len(by_id):
            return ImageNotFound(f"{write.path}.images")
        etag = content_etag(content)
        failed = self._given_up(list(write.new_images))
        if known is None or known.etag != etag:
            self._replace(write, etag, known.create_time if known else None)
        elif failed:
            self._next()
        for target, image_ids in failed:
            self._try_again(target, image_ids)
        return Stored(content.product_id, etag, content.image_ids)

    def _replace(self, write: ProductWrite, etag: str, create_time: int | None) -> None:
        content, seq = write.content, self._next()
        row = {
            **content_values(content),
            "catalog_id": self._catalog,
            "create_time": self._now if create_time is None else create_time,
            "update_time": self._now,
            "etag": etag,
            "seq": seq,
        }
        put(self._connection, products, [row])
        for image in write.new_images.values():
            put(self._connection, images, [self._image_row(image)], keep=True)
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

    def _given_up(self, image_ids: Sequence[str]) -> list[tuple[Generation, list[str]]]:
        """Which of these photos could not be embedded, for each generation that lacks some."""
        found: list[tuple[Generation, list[str]]] = []
        for target in self._targets if image_ids else ():
            which = sa.select(pending.c.image_id).where(
                pending_of(target, image_ids), pending.c.failed
            )
            if failed := list(self._connection.execute(which).scalars()):
                found.append((target, failed))
        return found

    def _try_again(self, target: Generation, image_ids: Sequence[str]) -> None:
        """Photos whose bytes were given anew: what was lost or damaged may be whole now."""
        values = pending_row(target, "", self._seq, self._now)
        for name in ("catalog_id", "space", "space_version", "image_id"):
            del values[name]
        self._connection.execute(
            sa.update(pending).where(pending_of(target, image_ids)).values(values)
        )

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
            found = product_exists(self._connection, self._catalog, write.product_id)
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
        put(self._connection, vectors, [row])
        waited = self._connection.execute(
            sa.delete(pending)
            .where(pending_of(generation, [write.image_id]))
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
            pending_row(target, image_id, seq, self._now)
            for image_id in image_ids
            if image_id not in held
        ]
        if rows:
            put(self._connection, pending, rows, keep=True)

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
