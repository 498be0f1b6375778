"""Watches, alerts, webhooks and deliveries that a retriever of 0.30 to 0.42 has in its own record,
and references of an embedder's folder.

A catalog is moved in one transaction, so that one that was interrupted begins anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.catalogs.known import CatalogState
from servicekit.sql.conditions import on
from servicekit.sql.resources import put
from vision.domain.catalog_keys import key_with
from vision.domain.references import ReferenceManifest, ReferenceState
from vision.record.queueing import queue_up
from vision.record.references import insert_version
from vision.record.tables import (
    moved_catalogs,
    moved_references,
    reference_photos,
    reference_versions,
    sequences,
    watch_alerts,
    watch_photos,
    watch_states,
    watches,
    webhook_dead_letters,
    webhook_lanes,
    webhooks,
)

MOVED: Final = (
    watches,
    watch_states,
    watch_photos,
    watch_alerts,
    webhooks,
    webhook_lanes,
    webhook_dead_letters,
)
"""Tables that are moved; the retriever's have the same columns."""
BATCH: Final = 1_000
"""Rows that are in memory at once; states have up to 300 kB, but at most 100 a catalog."""
_CATALOGS: Final = sa.table(
    "catalogs", sa.column("catalog_id"), sa.column("uid"), sa.column("state")
)


@dataclass(frozen=True, slots=True)
class FormerCatalog:
    """A catalog with watches or webhooks in a retriever's record."""

    catalog_id: str
    key: str
    """Its key here."""
    image_ids: tuple[str, ...]
    """Photos of its watches whose term has not ended."""


@dataclass(frozen=True, slots=True)
class MovedReferences:
    """Rows of the references of a catalog, whose files are stored."""

    versions: list[tuple[ReferenceManifest, ReferenceState, int]] = field(default_factory=list)
    """Each with the time of its last promotion."""
    photos: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Reference, photo, file and time of those of drafts."""


def catalog_keys(source: Connection, declared: Collection[str]) -> dict[str, str | None]:
    """Return the keys here of all catalogs of a retriever's record, and of those that settings
    declare, by id; None: it was removed."""
    gone = (CatalogState.REMOVING, CatalogState.REMOVED)
    listed = {
        row.catalog_id: None if row.state in gone else key_with(row.catalog_id, row.uid)
        for row in source.execute(sa.select(_CATALOGS))
    }
    return listed | {each: key_with(each, "") for each in declared}


def former_catalogs(source: Connection, declared: Collection[str], now: int) -> list[FormerCatalog]:
    """Return the catalogs of a retriever's record that have anything to move, but removed ones.
    `declared`: catalogs that settings declare."""
    named, keys = set[str](), catalog_keys(source, declared)
    for table in MOVED:
        named |= set(source.execute(sa.select(table.c.catalog_id).distinct()).scalars())
    found = []
    for catalog_id in sorted(named):
        key = keys.get(catalog_id, catalog_id)
        if key is None:
            continue
        c = watch_photos.c
        kept = c.catalog_id == catalog_id, sa.or_(c.expire_time == 0, c.expire_time > now)
        photos = sa.select(c.image_id).distinct().where(*kept)
        image_ids = source.execute(photos.order_by(c.image_id)).scalars()
        found.append(FormerCatalog(catalog_id, key, tuple(image_ids)))
    return found


def is_moved(connection: Connection, key: str) -> bool:
    """Return whether a catalog was moved."""
    query = sa.select(moved_catalogs).where(on(moved_catalogs, catalog_id=key))
    return connection.execute(query).first() is not None


def has_own(connection: Connection, key: str) -> bool:
    """Return whether a catalog has watches or webhooks of this record. Of deleted ones, photos are
    left for hours."""
    return _has_rows(connection, key, (watches, webhooks))


def move_rows(
    connection: Connection, source: Connection, former: FormerCatalog, now: int
) -> Mapping[str, int] | None:
    """Copy the rows of a catalog. Return their numbers by table; None: nothing was copied, since
    the catalog has rows of its own here."""
    own = queue_up(connection, former.key)
    if is_moved(connection, former.key) or has_own(connection, former.key):
        return None
    counts = {table.name: _copy(connection, source, table, former) for table in MOVED}
    head = sa.select(sequences.c.seq).where(on(sequences, catalog_id=former.catalog_id))
    values = {"seq": max(own, source.execute(head).scalar() or 0), "time": now}
    mine = sa.update(sequences).where(on(sequences, catalog_id=former.key))
    # Later alerts have greater numbers, so that resume tokens and places of webhooks stay valid.
    connection.execute(mine.values(values))
    put(connection, moved_catalogs, [{"catalog_id": former.key, "time": now}])
    return counts


def has_moved_references(connection: Connection, key: str) -> bool:
    """Return whether the references of a catalog were moved."""
    query = sa.select(moved_references).where(on(moved_references, catalog_id=key))
    return connection.execute(query).first() is not None


def move_references(connection: Connection, key: str, moved: MovedReferences, now: int) -> bool:
    """Store the rows of a catalog's references. Return False if it has some, or had any moved."""
    queue_up(connection, key)
    if _has_rows(connection, key, (reference_photos, reference_versions, moved_references)):
        return False
    for version in moved.versions:
        insert_version(connection, key, *version)
    names = ("reference_id", "photo", "file", "add_time")
    photos = [{"catalog_id": key, **dict(zip(names, each, strict=True))} for each in moved.photos]
    put(connection, reference_photos, photos)
    put(connection, moved_references, [{"catalog_id": key, "time": now}])
    return True


def _has_rows(connection: Connection, key: str, tables: Sequence[sa.Table]) -> bool:
    queries = (sa.select(table.c.catalog_id).where(on(table, catalog_id=key)) for table in tables)
    return any(connection.execute(query.limit(1)).first() for query in queries)


def _copy(
    connection: Connection, source: Connection, table: sa.Table, former: FormerCatalog
) -> int:
    query = sa.select(table).where(on(table, catalog_id=former.catalog_id))
    count = 0
    with source.execute(query.execution_options(yield_per=BATCH)) as result:
        for batch in result.mappings().partitions():
            rows: list[dict[str, Any]] = [{**row, "catalog_id": former.key} for row in batch]
            put(connection, table, rows)
            count += len(rows)
    return count
