"""The registry of catalogs. Its revision is the commit sequence of the catalog without a name, so
that its writers queue up as those of a catalog do."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import (
    CatalogExists,
    CatalogHasAlias,
    CatalogIsAlias,
    CatalogRemoving,
    CatalogsFull,
)
from retriever.domain.registry import CatalogAlias, CatalogEntry, CatalogUpdate, CatalogValues
from retriever.record import statements
from retriever.record.etags import check_etag, to_replace
from retriever.record.session import Session
from retriever.record.tables import (
    audit,
    audit_seals,
    catalog_aliases,
    catalogs,
    metadata,
    sequences,
)
from servicekit.catalogs.known import CatalogCopying, CatalogList, CatalogNotFound, CatalogState
from servicekit.catalogs.rows import remove_rows
from servicekit.clock import new_id
from servicekit.tasks.supervision import confined

REGISTRY = ""
"""Catalog of the sequence that counts the changes of the registry."""

MOST_REMOVED = 1_000
"""Ids of removed catalogs that are kept, so that their audit entries can be read."""
KEPT = (audit, audit_seals, catalogs)
"""Tables that keep rows of removed catalogs: the audit log, until its own term ends."""

_COUNT = (
    sa.select(sa.func.count()).select_from(catalogs).where(catalogs.c.state != CatalogState.REMOVED)
)
_REVISION = sa.select(sequences.c.seq, sequences.c.time).where(sequences.c.catalog_id == REGISTRY)
_ALIASES = sa.select(catalog_aliases).order_by(catalog_aliases.c.alias_id)
_ENTRY = sa.select(catalogs).where(catalogs.c.catalog_id == sa.bindparam("catalog_id"))


def read_revision(connection: Connection) -> str:
    """Return the revision of the list."""
    row = connection.execute(_REVISION).first()
    # The time tells a record that was restored from a copy, and changed since, from the original.
    return "0" if row is None else f"{row.seq}-{row.time}"


def read_catalog_list(connection: Connection) -> CatalogList:
    """Return the list."""
    revision = read_revision(connection)
    entries = connection.execute(sa.select(catalogs).order_by(catalogs.c.catalog_id))
    listed = tuple(_entry(each).listed for each in entries)
    aliases = connection.execute(_ALIASES)
    return CatalogList(
        revision, listed, tuple((each.alias_id, each.catalog_id) for each in aliases)
    )


def read_aliases(connection: Connection) -> list[CatalogAlias]:
    """Return all aliases, by name."""
    return [_alias(row) for row in connection.execute(_ALIASES)]


def read_alias(connection: Connection, alias_id: str) -> CatalogAlias | None:
    """Return an alias; None if there is none of that name."""
    of_name = sa.select(catalog_aliases).where(catalog_aliases.c.alias_id == alias_id)
    row = connection.execute(of_name).first()
    return None if row is None else _alias(row)


def check_no_alias(connection: Connection, catalog_id: str) -> None:
    """Raise CatalogIsAlias if an id is an alias."""
    if read_alias(connection, catalog_id) is not None:
        raise CatalogIsAlias


def read_entry(connection: Connection, catalog_id: str) -> CatalogEntry | None:
    """Return what the registry has about a catalog."""
    row = connection.execute(_ENTRY, {"catalog_id": catalog_id}).first()
    return None if row is None else _entry(row)


def read_entries(connection: Connection, after: str, limit: int) -> list[CatalogEntry]:
    """Return entries in the order of their ids, after a given one."""
    c = catalogs.c
    query = sa.select(catalogs).where(c.catalog_id > after, c.state != CatalogState.REMOVED)
    ordered = query.order_by(catalogs.c.catalog_id).limit(limit)
    return [_entry(row) for row in connection.execute(ordered)]


def create_catalog(
    connection: Connection, now: int, catalog_id: str, values: CatalogValues, most: int
) -> CatalogEntry:
    """Create a catalog; one with the same values is returned. Raises CatalogExists, CatalogsFull,
    CatalogIsAlias.

    `most`: number of entries that the registry may have.
    """
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, catalog_id)
    found = read_entry(connection, catalog_id)
    if found is not None and found.state is not CatalogState.REMOVED:
        if found.values != values or found.state is not CatalogState.ACTIVE:
            raise CatalogExists
        return found
    if connection.execute(_COUNT).scalar_one() >= most:
        raise CatalogsFull(most)
    made = CatalogEntry(catalog_id, values, new_id(now), CatalogState.ACTIVE, now, now)
    _save(session, made)
    return made


def reserve_copy(
    connection: Connection, now: int, source: str, target: str, *, uid: str, most: int
) -> None:
    """Create the catalog that a copy is to fill, with the values of the copied one. No call may use
    it before `complete_copy`.

    Raises CatalogExists, CatalogsFull, CatalogIsAlias.
    """
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, target)
    copied = read_entry(connection, source)
    values = CatalogValues() if copied is None else copied.values
    found = read_entry(connection, target)
    if found is not None and found.state is not CatalogState.REMOVED:
        raise CatalogExists
    if connection.execute(_COUNT).scalar_one() >= most:
        raise CatalogsFull(most)
    made = CatalogEntry(target, values, uid, CatalogState.COPYING, now, now)
    _save(session, replace(made, copied_from=source))


def complete_copy(connection: Connection, now: int, target: str, uid: str) -> None:
    """Let calls use a catalog that a copy has filled. Raises CatalogNotFound if it was deleted."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, target)
    if found is None or found.uid != uid or found.state is not CatalogState.COPYING:
        raise CatalogNotFound
    _save(session, replace(found, state=CatalogState.ACTIVE, copied_from=""))


def abandon_copy(connection: Connection, now: int, target: str, uid: str, term_micros: int) -> None:
    """Delete a catalog that a copy has not filled, to be removed after a term."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, target)
    if found is not None and found.uid == uid and found.state is CatalogState.COPYING:
        _delete(session, found, term_micros)


def update_catalog(
    connection: Connection,
    now: int,
    catalog_id: str,
    update: CatalogUpdate,
    declared: Collection[str],
) -> CatalogEntry:
    """Change a catalog; a declared one gets an entry. One that has the values is returned. Raises
    CatalogNotFound, EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, catalog_id)
    if found is None and catalog_id in declared:
        found = CatalogEntry(catalog_id, uid=new_id(now))
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    values = update.applied(found.values)
    if not to_replace(found.values, values, found.values.etag, update.etag):
        return found
    changed = replace(found, values=values, update_micros=now)
    _save(session, changed)
    return changed


def delete_catalog(
    connection: Connection, now: int, catalog_id: str, term_micros: int, etag: str
) -> CatalogEntry:
    """Delete a catalog, to be removed after a term; a deleted one is returned. Raises
    CatalogNotFound, EtagMismatch, CatalogIsAlias, CatalogHasAlias."""
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, catalog_id)
    found = read_entry(connection, catalog_id)
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if found.state not in (CatalogState.ACTIVE, CatalogState.COPYING):
        return found
    check_etag(found.values.etag, etag)
    for alias in read_aliases(connection):
        if alias.catalog_id == catalog_id:
            raise CatalogHasAlias(alias.alias_id)
    return _delete(session, found, term_micros)


def _delete(session: Session, found: CatalogEntry, term_micros: int) -> CatalogEntry:
    deleted = replace(
        found,
        state=CatalogState.DELETED,
        delete_micros=session.now,
        purge_micros=session.now + term_micros,
    )
    _save(session, deleted)
    return deleted


def undelete_catalog(connection: Connection, now: int, catalog_id: str) -> CatalogEntry:
    """Restore a deleted catalog; one in use is returned. Raises CatalogNotFound,
    CatalogRemoving."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, catalog_id)
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if found.state is CatalogState.COPYING:
        raise CatalogCopying
    if found.state is CatalogState.REMOVING or found.copied_from:  # it is not complete
        raise CatalogRemoving
    if found.state is CatalogState.ACTIVE:
        return found
    restored = replace(found, state=CatalogState.ACTIVE, delete_micros=0, purge_micros=0)
    _save(session, restored)
    return restored


def _due(now: int) -> sa.ColumnElement[bool]:
    c = catalogs.c
    late = sa.and_(c.state == CatalogState.DELETED, c.purge_time <= now)
    return sa.or_(c.state == CatalogState.REMOVING, late)


def removals_due(connection: Connection, now: int) -> bool:
    """Return whether a removal is due, or has begun."""
    found = sa.select(catalogs.c.catalog_id).where(_due(now)).limit(1)
    return connection.execute(found).first() is not None


def begin_removals(
    connection: Connection, now: int, declared: Collection[str]
) -> list[CatalogEntry]:
    """Begin the removals that are due. Return all entries that are being removed, but those that
    this release can't read."""
    session, found = Session(connection, REGISTRY, now), list[CatalogEntry]()
    due = sa.select(catalogs).where(_due(now)).order_by(catalogs.c.catalog_id)
    for row in connection.execute(due).all():
        with confined("removal", catalog=row.catalog_id):
            if row.catalog_id not in declared:
                found.append(_entry(row))
    begun = [replace(each, state=CatalogState.REMOVING) for each in found]
    if begun != found:
        for each in begun:
            _save(session, each)
    return begun


def confirm_removal(
    connection: Connection, now: int, catalog_id: str, uid: str, service: str
) -> None:
    """Note that a service has removed a catalog. After the last one only the id is left."""
    session = Session(connection, REGISTRY, now)
    found = read_entry(connection, catalog_id)
    if found is None or found.uid != uid or found.state is not CatalogState.REMOVING:
        return
    done = tuple(sorted({*found.removed_by, service}))
    confirmed = replace(found, removed_by=done)
    if not confirmed.pending:
        confirmed = CatalogEntry(catalog_id, uid=uid, state=CatalogState.REMOVED, update_micros=now)
    if confirmed != found:
        _save(session, confirmed)
        _forget_oldest(connection)


def _forget_oldest(connection: Connection) -> None:
    """Delete the oldest ids of removed catalogs, of which MOST_REMOVED are kept."""
    c = catalogs.c
    removed = c.state == CatalogState.REMOVED
    oldest = sa.select(c.catalog_id).where(removed)
    some = oldest.order_by(c.update_time.desc(), c.catalog_id).offset(MOST_REMOVED)
    rows = connection.execute(some.limit(MOST_REMOVED)).scalars().all()
    if rows:
        connection.execute(sa.delete(catalogs).where(removed, c.catalog_id.in_(rows)))


def remove_catalog_rows(connection: Connection, catalog_id: str, limit: int) -> int:
    """Delete up to `limit` rows of a catalog. Return their number; 0: there are no more."""
    return remove_rows(connection, metadata, KEPT, catalog_id, limit)


def compact_words(connection: Connection) -> None:
    """Rewrite the index of words on SQLite, which keeps deleted ones until then."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT INTO keywords_index(keywords_index) VALUES('optimize')")


def _save(session: Session, entry: CatalogEntry) -> None:
    session.take()
    statements.put(session.connection, catalogs, [_row(entry)])


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
        "delete_time": entry.delete_micros,
        "purge_time": entry.purge_micros,
        "removed_by": json.dumps(entry.removed_by),
        "copied_from": entry.copied_from,
    }


def _alias(row: sa.Row[Any]) -> CatalogAlias:
    return CatalogAlias(row.alias_id, row.catalog_id, row.etag, row.create_time, row.update_time)


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
        *(row.create_time, row.update_time, row.delete_time, row.purge_time),
        tuple(json.loads(row.removed_by)),
        row.copied_from,
    )
