"""Products written in one transaction: decided one by one, stored together.

A statement costs far more than a row. The state that decisions need is therefore read for all
products at once, and their results stay in memory, visible to later decisions, until `save`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import (
    EtagMismatch,
    ImageNotFound,
    ImageTakenDown,
    ProductInvalid,
    ProductNotFound,
)
from retriever.domain.generation import Generation
from retriever.domain.product import Image, ProductChange, ProductContent, ProductWrite, Stored
from retriever.record import statements
from retriever.record.generations import live_generations, photo_versions
from retriever.record.hashes import to_signed
from retriever.record.keywords import put_words
from retriever.record.markets import NamedMarkets
from retriever.record.products import (
    UNSHOWN,
    content_etag,
    content_values,
    read_products,
    unshown_of,
)
from retriever.record.session import ROWS, Entry, Session
from retriever.record.tables import images, pending, products, vectors
from retriever.record.texts import want_texts
from servicekit.errors import ServiceError
from servicekit.sql import conditions
from servicekit.sql.resources import put
from sightline_rules.markets import MOST_MARKETS

_KNOWN = sa.select(
    products.c.product_id,
    products.c.parent_id,
    products.c.etag,
    products.c.create_time,
    products.c.touched,
    *(products.c[name] for name in UNSHOWN),
).where(conditions.among(products, "product_id"))
_VARIANTS = (
    sa.select(products.c.parent_id, sa.func.count().label("number"))
    .where(conditions.among(products, "parent_id"))
    .group_by(products.c.parent_id)
)
_IMAGES = sa.select(images.c.image_id).where(conditions.among(images, "image_id"))
_EMBEDDED = sa.select(vectors.c.image_id).where(
    conditions.among(vectors, "image_id"), conditions.on(vectors, **statements.BOUND_VERSION)
)
_GIVEN_UP = sa.select(pending.c.image_id).where(
    conditions.among(pending, "image_id"),
    conditions.on(pending, **statements.BOUND_VERSION),
    pending.c.failed,
)


def write_products(
    connection: Connection, now: int, catalog_id: str, writes: Sequence[ProductWrite]
) -> tuple[list[Stored | ServiceError], int]:
    """Store whole products, in order; a rejected product is unchanged. Return the outcomes and the
    newest commit."""
    session = Session(connection, catalog_id, now)
    batch = Batch(session, [write.content for write in writes])
    outcomes = [batch.write(write) for write in writes]
    batch.save()
    return outcomes, session.head


def change_products(
    connection: Connection, now: int, catalog_id: str, changes: Sequence[ProductChange]
) -> tuple[list[Stored | ServiceError], int]:
    """Read, change and write products, in order; a rejected product is unchanged. Return the
    outcomes and the newest commit."""
    session = Session(connection, catalog_id, now)
    named = [change.content.product_id for change in changes]
    found = read_products(connection, catalog_id, named)
    held = {product_id: product.content for product_id, product in found.items()}
    batch = Batch(session, [*held.values(), *(change.content for change in changes)])
    outcomes: list[Stored | ServiceError] = []
    for change in changes:
        content = held.get(change.content.product_id)
        if content is None:
            outcomes.append(ProductNotFound())
            continue
        values: dict[str, Any] = {name: getattr(change.content, name) for name in change.fields}
        content = replace(content, **values)
        write = ProductWrite(content, change.new_images, change.etag, change.path)
        outcome = batch.write(write, whole=False)
        if isinstance(outcome, Stored):
            held[content.product_id] = content
        outcomes.append(outcome)
    batch.save()
    return outcomes, session.head


@dataclass(slots=True)
class _Known:
    """Facts that decisions need about a stored or written product."""

    parent_id: str
    etag: str
    create_time: int
    touched: int
    unshown: tuple[Any, ...]
    """Cells of UNSHOWN, which the etag leaves out."""
    rows: set[str] = field(default_factory=set)
    """Ids of its index rows."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A version of a space that needs a vector of every photo."""

    generation: Generation
    embedded: set[str]
    """Photos with a vector."""
    given_up: set[str]
    """Photos that could not be embedded."""


class Batch:
    """Products to write within a session."""

    def __init__(self, session: Session, contents: Iterable[ProductContent]) -> None:
        """Read the stored state that decisions need.

        `contents` holds every product, parent and photo that the writes will name.
        """
        contents = list(contents)
        self._session = session
        self._seq = session.head
        photos = {image_id for content in contents for image_id in content.image_ids}
        self._known = self._read_known(contents)
        self._variants = self._read_variants(contents)
        self._photos = {row.image_id for row in self._session.look_up(_IMAGES, photos)}
        self._taken_down = session.taken_down(photos)
        self._markets = NamedMarkets(session)
        self._live = live_generations(session.connection, session.catalog_id)
        self._targets = self._read_targets(photos)
        # Results that `save` stores, by key.
        self._products: dict[str, dict[str, Any]] = {}
        self._images: dict[str, dict[str, Any]] = {}
        self._placed: dict[str, list[dict[str, Any]]] = {}
        self._emptied: set[str] = set()
        self._wanted: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._retried: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._written: dict[str, tuple[int, ProductContent]] = {}
        self._entries: list[Entry] = []
        self._touched: list[str] = []

    # State that decisions read

    def _read_known(self, contents: Sequence[ProductContent]) -> dict[str, _Known]:
        named = {content.product_id for content in contents}
        parents = {content.parent_id for content in contents} - {""}
        known = {
            row.product_id: _Known(
                row.parent_id, row.etag, row.create_time, row.touched, unshown_of(row._mapping)
            )
            for row in self._session.look_up(_KNOWN, named | parents)
        }
        for row in self._session.look_up(ROWS, named & known.keys()):
            known[row.product_id].rows.add(row.row_id)
        return known

    def _read_variants(self, contents: Sequence[ProductContent]) -> Counter[str]:
        """Return the number of variants of each written product that names a parent."""
        becoming = {content.product_id for content in contents if content.parent_id}
        return Counter(
            {row.parent_id: row.number for row in self._session.look_up(_VARIANTS, becoming)}
        )

    def _read_targets(self, photos: Iterable[str]) -> list[_Target]:
        targets = []
        for generation in photo_versions(self._live):
            of = statements.version_of(generation)
            embedded = {row.image_id for row in self._session.look_up(_EMBEDDED, photos, **of)}
            given_up = {row.image_id for row in self._session.look_up(_GIVEN_UP, photos, **of)}
            targets.append(_Target(generation, embedded, given_up))
        return targets

    # Decisions

    def write(self, write: ProductWrite, *, whole: bool = True) -> Stored | ServiceError:
        """Store one product, or return an error and change nothing.

        `whole`: the write holds the whole product, not only changed fields.
        """
        content, etag = write.content, content_etag(write.content)
        known = self._known.get(content.product_id)
        # The product may already be in the requested state: a repeated write (RFC 9110, 13.1.1).
        if write.etag and (known is None or known.etag not in (write.etag, etag)):
            return EtagMismatch()
        if self._taken_down.intersection(content.image_ids):
            return ImageTakenDown(f"{write.path}.images")
        if any(i not in write.new_images and i not in self._photos for i in content.image_ids):
            return ImageNotFound(f"{write.path}.images")
        retried = [
            (target, image_id)
            for target in self._targets
            for image_id in write.new_images
            if image_id in target.given_up
        ]
        unshown = unshown_of(content_values(content))
        if known is None or (known.etag, known.unshown) != (etag, unshown):
            wrong = self._wrong_parent(content, f"{write.path}.parent_id")
            if wrong is not None:
                return wrong
            if not self._markets.admit([each.market_id for each in content.markets]):
                problem = f"would give the catalog more than {MOST_MARKETS} markets"
                return ProductInvalid.at(f"{write.path}.markets", problem)
            self._replace(write, etag, known, whole)
        else:
            if retried:
                self._seq += 1
            if whole:
                self.touch(content.product_id)
        for target, image_id in retried:
            self._try_again(target, image_id)
        return Stored(content.product_id, etag, content.image_ids)

    def overwrite(self, content: ProductContent) -> None:
        """Store other content of a product that exists, also if it breaks a rule of writes: the
        record may have got it in another way, or before there was the rule."""
        known = self._known[content.product_id]
        self._replace(ProductWrite(content, {}), content_etag(content), known, whole=False)

    def touch(self, product_id: str) -> None:
        """Mark a product, if it exists, as written whole by this write."""
        self._touched.append(product_id)

    def _wrong_parent(self, content: ProductContent, path: str) -> ProductInvalid | None:
        """Return an error if the parent is a variant, or this product has variants itself.

        Variants are one level deep, which excludes cycles. An unknown parent is allowed: it may be
        written later.
        """
        if not content.parent_id:
            return None
        parent = self._known.get(content.parent_id)
        if parent is not None and parent.parent_id:
            return ProductInvalid.at(path, "names a product that is itself a variant")
        if self._variants[content.product_id]:
            return ProductInvalid.at(path, "must be empty: this product has variants of its own")
        return None

    def _replace(self, write: ProductWrite, etag: str, known: _Known | None, whole: bool) -> None:
        content = write.content
        self._seq += 1
        placed = statements.photo_rows(
            self._session.catalog_id, content.product_id, content.image_ids
        )
        self._placed[content.product_id] = placed
        rows = {row["row_id"] for row in placed}
        now = _Known(
            parent_id=content.parent_id,
            etag=etag,
            create_time=known.create_time if known else self._session.now,
            touched=self._seq if whole or known is None else known.touched,
            unshown=unshown_of(content_values(content)),
            rows=rows,
        )
        before = known.rows if known else set[str]()
        if before:
            self._emptied.add(content.product_id)
        if known:
            self._variants[known.parent_id] -= 1
        self._variants[content.parent_id] += 1
        self._known[content.product_id] = now
        self._products[content.product_id] = {
            **content_values(content),
            "catalog_id": self._session.catalog_id,
            "create_time": now.create_time,
            "update_time": self._session.now,
            "etag": etag,
            "seq": self._seq,
            "touched": now.touched,
        }
        for image_id, image in write.new_images.items():
            if image_id not in self._photos:
                self._photos.add(image_id)
                self._images[image_id] = self._image_row(image)
        self._entries.append((self._seq, content.product_id, self._seq, before - rows))
        self._want(content.image_ids)
        first, _ = self._written.get(content.product_id, (self._seq, content))
        self._written[content.product_id] = first, content

    def _want(self, image_ids: Iterable[str]) -> None:
        """Make photos without a vector pending; leave already pending ones unchanged."""
        for target in self._targets:
            for image_id in image_ids:
                if image_id not in target.embedded:
                    key, row = self._pending_row(target, image_id)
                    self._wanted.setdefault(key, row)

    def _try_again(self, target: _Target, image_id: str) -> None:
        """Make a given-up photo pending again, as newly sent bytes may be intact."""
        target.given_up.discard(image_id)
        key, row = self._pending_row(target, image_id)
        self._retried[key] = row

    def _pending_row(
        self, target: _Target, image_id: str
    ) -> tuple[tuple[str, str, str], dict[str, Any]]:
        made = target.generation
        row = statements.pending_row(made, image_id, self._seq, self._session.now)
        return (made.space, made.space_version, image_id), row

    def _image_row(self, image: Image) -> dict[str, Any]:
        return {
            **asdict(image),
            "catalog_id": self._session.catalog_id,
            "create_time": self._session.now,
            "perceptual_hash": to_signed(image.perceptual_hash),
        }

    # Storage of the results

    def save(self) -> None:
        """Store the results of all decisions."""
        session, connection = self._session, self._session.connection
        session.take(self._seq - session.head)
        put(connection, images, [*self._images.values()], keep=True)
        put(connection, products, [*self._products.values()])
        self._markets.save()
        session.place_photos(self._emptied, [*chain.from_iterable(self._placed.values())])
        session.note(self._entries)
        statements.want(connection, [*self._wanted.values()])
        put(connection, pending, [*self._retried.values()])
        put_words(connection, session.catalog_id, (it for _, it in self._written.values()))
        want_texts(session, self._live, self._written)
        session.touch(list(dict.fromkeys(self._touched)))
