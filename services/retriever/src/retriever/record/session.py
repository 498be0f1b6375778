"""Writes to one catalog within one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.model import (
    EtagMismatch,
    Generation,
    Image,
    ImageNotFound,
    Offer,
    ProductChange,
    ProductContent,
    ProductInvalid,
    ProductNotFound,
    ProductWrite,
    Stored,
    VectorWrite,
)
from retriever.record.generations import (
    live_generations,
)
from retriever.record.parts import (
    chunks,
    pending_of,
    pending_row,
    put,
)
from retriever.record.products import (
    content_etag,
    content_values,
    product_exists,
    read_images,
    read_products,
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
from servicekit.errors import FieldViolation, ServiceError
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
        self.now = now
        """Microseconds since 1970 (UTC)."""
        self._seq = queue_up(connection, catalog_id)
        self._targets = live_generations(connection, catalog_id)

    def head(self) -> int:
        """The catalog's newest commit."""
        return self._seq

    def next(self) -> int:
        """The number of a new commit."""
        return self._take(1)[0]

    def _take(self, count: int) -> range:
        """The numbers of so many new commits."""
        taken = range(self._seq + 1, self._seq + 1 + count)
        self._seq += count
        self._connection.execute(
            sa.update(sequences)
            .where(sequences.c.catalog_id == self._catalog)
            .values(seq=self._seq, time=self.now)
        )
        return taken

    def write(self, write: ProductWrite) -> Stored | ServiceError:
        """Store one product whole; an error leaves everything as it was."""
        known = self._known(write.content.product_id)
        if write.etag and (known is None or known.etag != write.etag):
            return EtagMismatch()
        return self._store(write, known, whole=True)

    def change(self, change: ProductChange) -> Stored | ServiceError:
        """Change one product in part; an error leaves everything as it was."""
        product_id = change.content.product_id
        held = next(read_products(self._connection, self._catalog, [product_id]), None)
        if held is None:
            return ProductNotFound()
        if change.etag and change.etag != held.etag:
            return EtagMismatch()
        values: dict[str, Any] = {name: getattr(change.content, name) for name in change.fields}
        merged = replace(held.content, **values)
        return self._store(
            ProductWrite(merged, change.new_images, path=change.path),
            self._known(product_id),
            whole=False,
        )

    def _known(self, product_id: str) -> Any | None:
        """Etag, create_time and touched of what is stored."""
        c = products.c
        query = sa.select(c.etag, c.create_time, c.touched)
        return self._connection.execute(query.where(*self._is_product(product_id))).first()

    def _store(
        self, write: ProductWrite, known: Any | None, *, whole: bool
    ) -> Stored | ServiceError:
        content = write.content
        etag = content_etag(content)
        by_id = [image for image in content.image_ids if image not in write.new_images]
        if by_id and len(read_images(self._connection, self._catalog, by_id)) < len(by_id):
            return ImageNotFound(f"{write.path}.images")
        failed = self._given_up(list(write.new_images))
        if known is None or known.etag != etag:
            wrong = self._wrong_parent(content, f"{write.path}.parent_id")
            if wrong is not None:
                return wrong
            self._replace(write, etag, known, whole)
        else:
            if failed:
                self.next()
            if whole:
                self.touch([content.product_id])
        for target, image_ids in failed:
            self._try_again(target, image_ids)
        return Stored(content.product_id, etag, content.image_ids)

    def _wrong_parent(self, content: ProductContent, path: str) -> ProductInvalid | None:
        """Variants are one level deep, so that no cycle can be. An unknown parent may come yet."""
        if not content.parent_id:
            return None
        c = products.c
        parent = self._connection.execute(
            sa.select(c.parent_id).where(*self._is_product(content.parent_id))
        ).scalar()
        if parent:
            return ProductInvalid(FieldViolation(path, "names a product that is itself a variant"))
        variants = sa.select(c.product_id).where(
            c.catalog_id == self._catalog, c.parent_id == content.product_id
        )
        if self._connection.execute(variants.limit(1)).first() is not None:
            return ProductInvalid(
                FieldViolation(path, "must be empty: this product has variants of its own")
            )
        return None

    def touch(self, product_ids: Sequence[str]) -> None:
        """Note that these products, those that exist, were written whole just now."""
        c = products.c
        for chunk in chunks(product_ids):
            self._connection.execute(
                sa.update(products)
                .where(c.catalog_id == self._catalog, c.product_id.in_(chunk))
                .where(c.touched < self._seq)
                .values(touched=self._seq)
            )

    def offer(self, offers: Sequence[Offer]) -> list[Stored | ServiceError]:
        """Set price and availability; no product twice. What changes nothing takes no number."""
        ids_ = [offer.product_id for offer in offers]
        held = {
            product.content.product_id: product
            for product in read_products(self._connection, self._catalog, ids_)
        }
        outcomes: list[Stored | ServiceError] = []
        changed: list[tuple[ProductContent, str]] = []
        for offer in offers:
            known = held.get(offer.product_id)
            if known is None:
                outcomes.append(ProductNotFound())
                continue
            content = replace(
                known.content,
                price=offer.price or known.content.price,
                availability=offer.availability or known.content.availability,
            )
            etag = content_etag(content)
            if etag != known.etag:
                changed.append((content, etag))
            outcomes.append(Stored(offer.product_id, etag, content.image_ids))
        if changed:
            self._set_offers(changed)
        return outcomes

    def _set_offers(self, changed: Sequence[tuple[ProductContent, str]]) -> None:
        seqs = self._take(len(changed))
        names = ("price_micros", "currency", "availability", "update_time", "etag", "seq")
        rows = [
            {
                "of_product": content.product_id,
                "price_micros": content.price.micros if content.price else None,
                "currency": content.price.currency if content.price else None,
                "availability": str(content.availability),
                "update_time": self.now,
                "etag": etag,
                "seq": seq,
            }
            for (content, etag), seq in zip(changed, seqs, strict=True)
        ]
        self._connection.execute(
            sa.update(products)
            .where(*self._is_product(sa.bindparam("of_product")))
            .values({name: sa.bindparam(name) for name in names}),
            rows,
        )
        self._note_all(
            (seq, content.product_id, seq, ())
            for (content, _), seq in zip(changed, seqs, strict=True)
        )

    def _replace(self, write: ProductWrite, etag: str, known: Any | None, whole: bool) -> None:
        content, seq = write.content, self.next()
        row = {
            **content_values(content),
            "catalog_id": self._catalog,
            "create_time": known.create_time if known else self.now,
            "update_time": self.now,
            "etag": etag,
            "seq": seq,
            "touched": seq if whole or known is None else known.touched,
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
        values = pending_row(target, "", self._seq, self.now)
        for name in ("catalog_id", "space", "space_version", "image_id"):
            del values[name]
        self._connection.execute(
            sa.update(pending).where(pending_of(target, image_ids)).values(values)
        )

    def delete(self, product_ids: Sequence[str]) -> int:
        """How many of these products, no one twice, existed."""
        c, photo = products.c, product_images.c
        gone: list[str] = []
        removed: dict[str, list[str]] = {}
        for chunk in chunks(product_ids):
            rows = sa.select(photo.product_id, photo.row_id).where(
                photo.catalog_id == self._catalog, photo.product_id.in_(chunk)
            )
            for product_id, row_id in self._connection.execute(rows):
                removed.setdefault(product_id, []).append(row_id)
            deleted = (
                sa.delete(products)
                .where(c.catalog_id == self._catalog, c.product_id.in_(chunk))
                .returning(c.product_id)
            )
            gone += self._connection.execute(deleted).scalars()
        if gone:
            gone.sort()  # the same commits whatever order the store deletes in
            self._note_all(
                (seq, product_id, seq, removed.get(product_id, ()))
                for seq, product_id in zip(self._take(len(gone)), gone, strict=True)
            )
        return len(gone)

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
        seq = self.next()
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
        self._note_all([(seq, product_id, write_seq, removed)])

    def _note_all(self, entries: Iterable[tuple[int, str, int, Iterable[str]]]) -> None:
        """Outbox entries: commit, product, the commit that it is a part of, index rows taken."""
        self._connection.execute(
            sa.insert(outbox),
            [
                {
                    "catalog_id": self._catalog,
                    "seq": seq,
                    "product_id": product_id,
                    "write_seq": write_seq,
                    "removed": json.dumps(sorted(removed)),
                    "time": self.now,
                }
                for seq, product_id, write_seq, removed in entries
            ],
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
            pending_row(target, image_id, seq, self.now)
            for image_id in image_ids
            if image_id not in held
        ]
        if rows:
            put(self._connection, pending, rows, keep=True)

    def _rows_of(self, product_id: str) -> set[str]:
        c = product_images.c
        query = sa.select(c.row_id).where(c.catalog_id == self._catalog, c.product_id == product_id)
        return set(self._connection.execute(query).scalars())

    def _is_product(
        self, product_id: str | sa.BindParameter[str]
    ) -> tuple[sa.ColumnElement[bool], ...]:
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
            "create_time": self.now,
        }
