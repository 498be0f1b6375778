"""The registry of catalogs. Its revision is the commit sequence of the catalog without a name, so
that its writers queue up as those of a catalog do."""

import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import CatalogExists, CatalogsFull, EtagMismatch
from retriever.domain.registry import CatalogEntry, CatalogUpdate, CatalogValues
from retriever.record import statements
from retriever.record.session import Session
from retriever.record.tables import catalogs, sequences
from servicekit.catalogs import CatalogList, CatalogNotFound, CatalogState
from servicekit.clock import new_id

REGISTRY = ""
"""Catalog of the sequence that counts the changes of the registry."""

_REVISION = sa.select(sequences.c.seq, sequences.c.time).where(sequences.c.catalog_id == REGISTRY)
_ENTRY = sa.select(catalogs).where(catalogs.c.catalog_id == sa.bindparam("catalog_id"))


def read_catalog_list(connection: Connection, known_revision: str) -> CatalogList | None:
    """Return the list; None: it has the revision that the caller knows."""
    row = connection.execute(_REVISION).first()
    # The time tells a record that was restored from a copy, and changed since, from the original.
    revision = "0" if row is None else f"{row.seq}-{row.time}"
    if revision == known_revision:
        return None
    entries = connection.execute(sa.select(catalogs).order_by(catalogs.c.catalog_id))
    return CatalogList(revision, tuple(_entry(each).listed for each in entries))


def read_entry(connection: Connection, catalog_id: str) -> CatalogEntry | None:
    """Return what the registry has about a catalog."""
    row = connection.execute(_ENTRY, {"catalog_id": catalog_id}).first()
    return None if row is None else _entry(row)


def read_entries(connection: Connection, after: str, limit: int) -> list[CatalogEntry]:
    """Return entries in the order of their ids, after a given one."""
    query = sa.select(catalogs).where(catalogs.c.catalog_id > after)
    ordered = query.order_by(catalogs.c.catalog_id).limit(limit)
    return [_entry(row) for row in connection.execute(ordered)]


def create_catalog(
    connection: Connection, now: int, catalog_id: str, values: CatalogValues, most: int
) -> CatalogEntry:
    """Create a catalog; one with the same values is returned. Raises CatalogExists, CatalogsFull.

    `most`: number of entries that the registry may have.
    """
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, catalog_id)
    if found is not None:
        if found.values != values:
            raise CatalogExists
        return found
    if connection.execute(sa.select(sa.func.count()).select_from(catalogs)).scalar_one() >= most:
        raise CatalogsFull(most)
    made = CatalogEntry(catalog_id, values, new_id(now), CatalogState.ACTIVE, now, now)
    session.take()
    connection.execute(sa.insert(catalogs), _row(made))
    return made


def update_catalog(
    connection: Connection,
    now: int,
    catalog_id: str,
    update: CatalogUpdate,
    declared: Collection[str],
) -> CatalogEntry:
    """Change a catalog; a declared one gets an entry. Raises CatalogNotFound, EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, catalog_id)
    if found is None and catalog_id in declared:
        found = CatalogEntry(catalog_id, uid=new_id(now))
    if found is None:
        raise CatalogNotFound
    if update.etag not in ("", found.values.etag):
        raise EtagMismatch
    values = update.applied(found.values)
    if values == found.values:
        return found
    changed = CatalogEntry(catalog_id, values, found.uid, found.state, found.create_micros, now)
    session.take()
    statements.put(connection, catalogs, [_row(changed)])
    return changed


def _row(entry: CatalogEntry) -> dict[str, Any]:
    values = entry.values
    return {
        "catalog_id": entry.catalog_id,
        "uid": entry.uid,
        "state": entry.state.value,
        "display_name": values.display_name,
        "language_code": values.language_code,
        "labels": json.dumps(values.labels),
        "quota_share": values.quota_share,
        "create_time": entry.create_micros,
        "update_time": entry.update_micros,
    }


def _entry(row: sa.Row[Any]) -> CatalogEntry:
    labels: Sequence[Sequence[str]] = json.loads(row.labels)
    values = CatalogValues(
        row.display_name,
        row.language_code,
        tuple((name, value) for name, value in labels),
        row.quota_share,
    )
    return CatalogEntry(
        *(row.catalog_id, values, row.uid, CatalogState(row.state)),
        *(row.create_time, row.update_time),
    )
