"""Restore rows of an archive: products as archived, under new commit numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import field_codecs
from retriever.domain.archive import Row
from retriever.domain.product import (
    Amount,
    ImageDraft,
    MarketDraft,
    ProductContent,
    ProductDraft,
)
from retriever.domain.validation import check_product
from retriever.record import statements
from retriever.record.generations import live_generations, photo_versions
from retriever.record.keywords import put_words
from retriever.record.markets import NamedMarkets
from retriever.record.products import ADDED, content_etag
from retriever.record.session import ROWS, USERS, Entry, Session
from retriever.record.tables import images, pending, product_vectors, products, vectors
from retriever.record.texts import want_texts
from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.errors import ServiceError
from servicekit.sql import conditions
from servicekit.sql.resources import put
from sightline_rules import ids, kinds
from sightline_rules.fields import WRITTEN, Field
from sightline_rules.filters import Money

_CHANGED = sa.select(products.c.product_id, products.c.parent_id, products.c.touched).where(
    conditions.among(products, "product_id"), products.c.seq > sa.bindparam("before")
)
_VARIANTS = sa.select(products.c.parent_id).where(
    conditions.among(products, "parent_id"), products.c.seq > sa.bindparam("before")
)
_HELD = sa.select(vectors.c.image_id, vectors.c.data).where(
    conditions.among(vectors, "image_id"), conditions.on(vectors, **statements.BOUND_VERSION)
)


_DECODERS = tuple((field, field_codecs.decoder(field)) for field in WRITTEN)
_ABSENT = dict.fromkeys(ADDED)


def check(row: Row, image_ids: Sequence[str]) -> None:
    """Raise BackupDamaged unless the catalog accepts such a product."""
    try:
        content = _content(row, image_ids)
        whole = row["etag"] == content_etag(content)
    except (ServiceError, ValueError, TypeError, RecursionError) as error:
        raise BackupDamaged("tables/products.parquet", "contains a malformed product") from error
    times = (row["create_time"], row["update_time"])
    if not whole or not all(0 <= time < 2**62 for time in times):
        raise BackupDamaged("tables/products.parquet", "contains a product with a wrong etag")


def _content(row: Row, image_ids: Sequence[str]) -> ProductContent:
    """Return the validated content of an archived row; columns missing in the archive are unknown.
    Raises ServiceError, ValueError, TypeError."""
    cells = {**_ABSENT, **row}
    drafted = {
        field.wire: _drafted(field, decode(*(cells[name] for name in field.stored)))
        for field, decode in _DECODERS
    }
    images = tuple(ImageDraft(b"", image_id) for image_id in image_ids)
    draft = ProductDraft(product_id=row["product_id"], images=images, **drafted)
    return replace(check_product(draft, "product"), image_ids=tuple(image_ids))


def _drafted(field: Field, value: Any) -> Any:
    """Return a value in the form that callers send. Raises ValueError if a record can't have stored
    it."""
    match field.kind:
        case kinds.TextsKind():
            own = all(type(text) is str for text in value)
        case kinds.AttributesKind():
            own = all(type(a.key) is str and type(a.value) is not int for a in value)
            value = tuple((item.key, item.value) for item in value)
        case kinds.MoneyKind() if value is not None:
            return _amount(value)
        case kinds.MarketsKind():
            return tuple(
                MarketDraft(
                    **asdict(each) | {"price": None if each.price is None else _amount(each.price)},
                )
                for each in value
            )
        case _:
            return value
    if not own:
        raise ValueError("not JSON that the record could have written")
    return value


def _amount(value: Money) -> Amount:
    units, micros = divmod(value.micros, 1_000_000)
    return Amount(value.currency, units, micros * 1_000)


def put_images(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Register photos whose bytes are stored."""
    session = Session(connection, catalog_id, now)
    of = {"catalog_id": session.catalog_id}
    gone = session.taken_down(row["image_id"] for row in rows)
    kept = [{**row, **of} for row in rows if row["image_id"] not in gone]
    put(session.connection, images, kept, keep=True)


def put_vectors(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Store vectors of photos. Add an outbox entry for each product with one of these photos."""
    session = Session(connection, catalog_id, now)

    def version(row: Row) -> tuple[str, str]:
        return row["space"], row["space_version"]

    for (space, space_version), group in groupby(rows, version):
        of = {"catalog_id": session.catalog_id, "space": space, "space_version": space_version}
        _put_vectors(session, of, {row["image_id"]: row for row in group})


def _put_vectors(session: Session, of: Mapping[str, str], rows: Mapping[str, Row]) -> None:
    held = {row.image_id: bytes(row.data) for row in session.look_up(_HELD, rows, **of)}
    gone = session.taken_down(rows)
    changed = [i for i, row in rows.items() if i not in gone and held.get(i) != row["data"]]
    if not changed:
        return
    (seq,) = session.take()
    put(session.connection, vectors, [{**rows[i], **of, "seq": seq} for i in changed])
    for chunk in conditions.chunks(changed):
        session.connection.execute(
            sa.delete(pending).where(conditions.on(pending, **of), pending.c.image_id.in_(chunk))
        )
    users = {row.product_id for row in session.look_up(USERS, changed)}
    session.note((seq, product_id, seq, ()) for product_id in sorted(users))


def put_products(
    connection: Connection,
    now: int,
    catalog_id: str,
    before: int,
    batch: Sequence[tuple[Row, Sequence[str]]],
    *,
    texts: Sequence[Row] = (),
) -> None:
    """Store products with the ids of their photos, and vectors of their texts.

    Products that were written or changed after commit `before` are unchanged: a caller's write or
    offer is newer than the backup, or an earlier attempt has restored the row. A product is stored
    without its parent if such a write has made the parent a variant, or given it variants itself.
    """
    session = Session(connection, catalog_id, now)
    named = [row["product_id"] for row, _ in batch]
    changed = session.look_up(_CHANGED, named, before=before)
    newer = {row.product_id: row.touched for row in changed}
    # They are part of the backup: what it lacks is deleted afterwards.
    session.touch([name for name, touched in newer.items() if touched <= before])
    chosen = [(row, image_ids) for row, image_ids in batch if row["product_id"] not in newer]
    if not chosen:
        return
    gone = session.taken_down(chain.from_iterable(image_ids for _, image_ids in chosen))
    orphans = _orphans(session, before, [row for row, _ in chosen])
    chosen = [_without(row, image_ids, gone, orphans) for row, image_ids in chosen]
    former: dict[str, set[str]] = {}
    for row in session.look_up(ROWS, [row["product_id"] for row, _ in chosen]):
        former.setdefault(row.product_id, set()).add(row.row_id)
    entries = list(_written(session, chosen, former))
    _put_texts(session, texts, {product_id: seq for seq, product_id, *_ in entries})
    _want(session, chosen, entries)
    _want_texts(session, chosen, entries)
    session.note(entries)


def _orphans(session: Session, before: int, rows: Sequence[Row]) -> frozenset[str]:
    """Return the products that can't keep their parent, because variants are one level deep. Only
    products that callers wrote after `before` are asked: those of one archive fit together."""
    parents = {row["product_id"]: row["parent_id"] for row in rows if row["parent_id"]}
    found = session.look_up(_CHANGED, parents.values(), before=before)
    variants = {row.product_id for row in found if row.parent_id}
    having = {row.parent_id for row in session.look_up(_VARIANTS, parents, before=before)}
    return frozenset(
        product_id
        for product_id, parent_id in parents.items()
        if parent_id in variants or product_id in having
    )


def _without(
    row: Row, image_ids: Sequence[str], gone: frozenset[str], orphans: frozenset[str]
) -> tuple[Row, Sequence[str]]:
    """Return a product's row and photos without photos that were taken down, and the row of an
    orphan without its parent."""
    orphan = row["product_id"] in orphans
    if gone.isdisjoint(image_ids) and not orphan:
        return row, image_ids
    left = [image_id for image_id in image_ids if image_id not in gone]
    changed = {**row, "parent_id": ""} if orphan else row
    return {**changed, "etag": content_etag(_content(changed, left))}, left


def _written(
    session: Session,
    chosen: Sequence[tuple[Row, Sequence[str]]],
    former: Mapping[str, set[str]],
) -> Iterator[Entry]:
    """Store the rows and yield their outbox entries."""
    connection, of = session.connection, {"catalog_id": session.catalog_id}
    seqs = session.take(len(chosen))
    rows = [
        {**row, **of, "seq": seq, "touched": seq}
        for (row, _), seq in zip(chosen, seqs, strict=True)
    ]
    put(connection, products, rows)
    contents = [_content(*each) for each in chosen]
    put_words(connection, session.catalog_id, contents)
    named = NamedMarkets(session)
    for content in contents:
        named.admit([each.market_id for each in content.markets])
    named.save()
    placed = {
        row["product_id"]: statements.photo_rows(session.catalog_id, row["product_id"], image_ids)
        for row, image_ids in chosen
    }
    session.place_photos(former, [*chain.from_iterable(placed.values())])
    for (row, _), seq in zip(chosen, seqs, strict=True):
        product_id = row["product_id"]
        now = {place["row_id"] for place in placed[product_id]}
        yield seq, product_id, seq, former.get(product_id, set()) - now


def _put_texts(session: Session, texts: Sequence[Row], written: Mapping[str, int]) -> None:
    """Store vectors of products' texts, in versions with a live generation. `written`: the products
    that were written, each with its commit."""
    live = live_generations(session.connection, session.catalog_id)
    versions = {(each.space, each.space_version) for each in live if each.of_texts}
    rows = [
        {
            **row,
            "catalog_id": session.catalog_id,
            "row_id": ids.derive_id(session.catalog_id, row["product_id"], ""),
            "seq": written[row["product_id"]],
        }
        for row in texts
        if row["product_id"] in written and (row["space"], row["space_version"]) in versions
    ]
    put(session.connection, product_vectors, rows)


def _want(
    session: Session, chosen: Sequence[tuple[Row, Sequence[str]]], entries: Sequence[Entry]
) -> None:
    """Make photos pending that lack a vector of a live generation's version."""
    wanted: dict[str, int] = {}
    for (_, image_ids), (seq, *_) in zip(chosen, entries, strict=True):
        for image_id in image_ids:
            wanted.setdefault(image_id, seq)
    for target in photo_versions(live_generations(session.connection, session.catalog_id)):
        found = session.look_up(_HELD_IDS, wanted, **statements.version_of(target))
        held = {row.image_id for row in found}
        rows = [
            statements.pending_row(target, image_id, seq, session.now)
            for image_id, seq in wanted.items()
            if image_id not in held
        ]
        statements.want(session.connection, rows)


_HELD_IDS = _HELD.with_only_columns(vectors.c.image_id)


def _want_texts(
    session: Session, chosen: Sequence[tuple[Row, Sequence[str]]], entries: Sequence[Entry]
) -> None:
    """Make products pending whose texts lack a vector."""
    live = live_generations(session.connection, session.catalog_id)
    if not any(each.of_texts for each in live):
        return
    written = {
        row["product_id"]: (seq, _content(row, image_ids))
        for (row, image_ids), (seq, *_) in zip(chosen, entries, strict=True)
    }
    want_texts(session, live, written)


def put_pending(connection: Connection, now: int, catalog_id: str, rows: Sequence[Row]) -> None:
    """Restore the number of failed attempts of pending photos."""
    session = Session(connection, catalog_id, now)
    c = pending.c
    for row in rows:
        key = {name: row[name] for name in ("space", "space_version", "image_id")}
        values = {name: value for name, value in row.items() if name not in key}
        session.connection.execute(
            sa.update(pending)
            .where(conditions.on(pending, catalog_id=session.catalog_id, **key), c.attempts == 0)
            .values(values)
        )
