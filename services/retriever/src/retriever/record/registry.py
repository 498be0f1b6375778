"""The registry of catalogs. Its revision is the commit sequence of the catalog without a name, so
that its writers queue up as those of a catalog do."""

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import (
    CatalogAliasesFull,
    CatalogExists,
    CatalogHasAlias,
    CatalogIsAlias,
    CatalogRemoving,
    CatalogsFull,
    EtagMismatch,
)
from retriever.domain.registry import (
    MOST_ALIASES,
    CatalogAlias,
    CatalogEntry,
    CatalogUpdate,
    CatalogValues,
)
from retriever.record.session import Session
from retriever.record.tables import (
    audit,
    audit_seals,
    catalog_aliases,
    catalogs,
    metadata,
    scene_texts,
    sequences,
    synonym_texts,
)
from servicekit.catalogs.known import CatalogCopying, CatalogList, CatalogNotFound, CatalogState
from servicekit.catalogs.rows import remove_rows
from servicekit.clock import new_id
from servicekit.sql.resources import Resource, ResourceErrors, Rows
from servicekit.tasks.supervision import confined

REGISTRY = ""
"""Catalog of the sequence that counts the changes of the registry."""

LIST_FORM = 2
"""Form of the list, which tells it from lists of other releases: these lack what it has."""

MOST_REMOVED = 1_000
"""Ids of removed catalogs that are kept, so that their audit entries can be read."""
KEPT = (audit, audit_seals, catalogs)
"""Tables that keep rows of removed catalogs: the audit log, until its own term ends."""

CATALOGS = Resource(
    Rows(catalogs, CatalogEntry),
    ResourceErrors(CatalogNotFound, CatalogExists, CatalogsFull, EtagMismatch),
    contents=lambda entry: (entry.values, entry.state),
    etag=lambda entry: entry.values.etag,
    removed=catalogs.c.state == CatalogState.REMOVED,
)
ALIASES = Resource(
    Rows(catalog_aliases, CatalogAlias),
    ResourceErrors(full=CatalogAliasesFull, changed=EtagMismatch),
    contents=lambda alias: alias.catalog_id,
    most=MOST_ALIASES,
)
_REVISION = sa.select(sequences.c.seq, sequences.c.time).where(sequences.c.catalog_id == REGISTRY)


def read_revision(connection: Connection) -> str:
    """Return the revision of the list."""
    row = connection.execute(_REVISION).first()
    # The time tells a record that was restored from a copy, and changed since, from the original.
    return "0" if row is None else f"{row.seq}-{row.time}-{LIST_FORM}"


def read_catalog_list(connection: Connection) -> CatalogList:
    """Return the list."""
    revision = read_revision(connection)
    entries = sa.select(catalogs).order_by(catalogs.c.catalog_id)
    listed = tuple(each.listed for each in CATALOGS.rows.read(connection, entries))
    aliases = tuple((each.alias_id, each.catalog_id) for each in ALIASES.page(connection))
    return CatalogList(revision, listed, aliases)


def check_no_alias(connection: Connection, catalog_id: str) -> None:
    """Raise CatalogIsAlias if an id is an alias."""
    if ALIASES.find(connection, catalog_id) is not None:
        raise CatalogIsAlias


def create_catalog(
    connection: Connection, now: int, catalog_id: str, values: CatalogValues, most: int
) -> CatalogEntry:
    """Create a catalog; one with the same values is returned. Raises CatalogExists, CatalogsFull,
    CatalogIsAlias.

    `most`: number of entries that the registry may have.
    """
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, catalog_id)
    made = CatalogEntry(catalog_id, values, new_id(now), CatalogState.ACTIVE, now, now)
    stored, new = CATALOGS.create(connection, made, catalog_id, most=most)
    if new:
        _drop_scenes(connection, catalog_id)
        session.take()
    return stored


def reserve_copy(
    connection: Connection, now: int, source: str, target: str, *, uid: str, most: int
) -> None:
    """Create the catalog that a copy is to fill, with the values of the copied one. No call may use
    it before `complete_copy`.

    Raises CatalogExists, CatalogsFull, CatalogIsAlias.
    """
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, target)
    copied = CATALOGS.find(connection, source)
    values = CatalogValues() if copied is None else copied.values
    found = CATALOGS.find(connection, target)
    if found is not None and found.state is not CatalogState.REMOVED:
        raise CatalogExists
    CATALOGS.check_room(connection, most=most)
    _drop_scenes(connection, target)
    made = CatalogEntry(target, values, uid, CatalogState.COPYING, now, now)
    save_entry(session, replace(made, copied_from=source))


def _drop_scenes(connection: Connection, catalog_id: str) -> None:
    """Delete the scenes and synonyms of a former catalog of an id: a replica of a release before
    their tables that removes one leaves them."""
    for table in (scene_texts, synonym_texts):
        connection.execute(sa.delete(table).where(table.c.catalog_id == catalog_id))


def complete_copy(connection: Connection, now: int, target: str, uid: str) -> None:
    """Let calls use a catalog that a copy has filled. Raises CatalogNotFound if it was deleted."""
    session = Session(connection, REGISTRY, now)
    found = CATALOGS.find(connection, target)
    if found is None or found.uid != uid or found.state is not CatalogState.COPYING:
        raise CatalogNotFound
    save_entry(session, replace(found, state=CatalogState.ACTIVE, copied_from=""))


def abandon_copy(connection: Connection, now: int, target: str, uid: str, term_micros: int) -> None:
    """Delete a catalog that a copy has not filled, to be removed after a term."""
    session = Session(connection, REGISTRY, now)
    found = CATALOGS.find(connection, target)
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
    found = CATALOGS.find(connection, catalog_id)
    if found is None and catalog_id in declared:
        found = CatalogEntry(catalog_id, uid=new_id(now))
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    changed = replace(found, values=update.applied(found.values), update_micros=now)
    if not CATALOGS.to_replace(found, changed, update.etag):
        return found
    save_entry(session, changed)
    return changed


def delete_catalog(
    connection: Connection, now: int, catalog_id: str, term_micros: int, etag: str
) -> CatalogEntry:
    """Delete a catalog, to be removed after a term; a deleted one is returned. Raises
    CatalogNotFound, EtagMismatch, CatalogIsAlias, CatalogHasAlias."""
    session = Session(connection, REGISTRY, now)
    check_no_alias(connection, catalog_id)
    found = CATALOGS.find(connection, catalog_id)
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if found.state not in (CatalogState.ACTIVE, CatalogState.COPYING):
        return found
    CATALOGS.check_etag(found, etag)
    for alias in ALIASES.page(connection):
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
    save_entry(session, deleted)
    return deleted


def undelete_catalog(connection: Connection, now: int, catalog_id: str) -> CatalogEntry:
    """Restore a deleted catalog; one in use is returned. Raises CatalogNotFound,
    CatalogRemoving."""
    session = Session(connection, REGISTRY, now)
    found = CATALOGS.find(connection, catalog_id)
    if found is None or found.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if found.state is CatalogState.COPYING:
        raise CatalogCopying
    if found.state is CatalogState.REMOVING or found.copied_from:  # it is not complete
        raise CatalogRemoving
    if found.state is CatalogState.ACTIVE:
        return found
    restored = replace(found, state=CatalogState.ACTIVE, delete_micros=0, purge_micros=0)
    save_entry(session, restored)
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
                found.append(CATALOGS.rows.of(row))
    begun = [replace(each, state=CatalogState.REMOVING) for each in found]
    if begun != found:
        for each in begun:
            save_entry(session, each)
    return begun


def confirm_removal(
    connection: Connection, now: int, catalog_id: str, uid: str, service: str
) -> None:
    """Note that a service has removed a catalog. After the last one only the id is left."""
    session = Session(connection, REGISTRY, now)
    found = CATALOGS.find(connection, catalog_id)
    if found is None or found.uid != uid or found.state is not CatalogState.REMOVING:
        return
    done = tuple(sorted({*found.removed_by, service}))
    confirmed = replace(found, removed_by=done)
    if not confirmed.pending:
        confirmed = CatalogEntry(catalog_id, uid=uid, state=CatalogState.REMOVED, update_micros=now)
    if confirmed != found:
        save_entry(session, confirmed)
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


def save_entry(session: Session, entry: CatalogEntry) -> None:
    """Store an entry in the next commit of the registry."""
    session.take()
    CATALOGS.put(session.connection, entry, entry.catalog_id)
