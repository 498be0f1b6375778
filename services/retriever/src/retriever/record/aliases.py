"""Changes of aliases. They count as changes of the registry, and queue up with them."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.errors import CatalogAliasesFull, CatalogExists
from retriever.domain.registry import MOST_ALIASES, CatalogAlias
from retriever.record import statements
from retriever.record.etags import check_etag, to_replace
from retriever.record.registry import (
    REGISTRY,
    check_no_alias,
    read_alias,
    read_aliases,
    read_entry,
)
from retriever.record.session import Session
from retriever.record.tables import catalog_aliases
from servicekit.catalogs.known import CatalogCopying, CatalogDeleted, CatalogNotFound, CatalogState
from servicekit.clock import new_id

_NONE = ""
"""Etag of an alias that does not exist: no required one equals it."""


def set_alias(
    connection: Connection, now: int, alias: tuple[str, str], etag: str, declared: Collection[str]
) -> CatalogAlias:
    """Let a name stand for a catalog: `alias` has both ids. One that does already is returned.

    Raises CatalogExists, CatalogNotFound, CatalogDeleted, CatalogIsAlias, EtagMismatch,
    CatalogAliasesFull.
    """
    alias_id, catalog_id = alias
    session = Session(connection, REGISTRY, now)
    _check_unused(connection, alias_id)
    check_no_alias(connection, catalog_id)
    _check_in_use(connection, catalog_id, declared)
    found = read_alias(connection, alias_id)
    if found is not None and not to_replace(found.catalog_id, catalog_id, found.etag, etag):
        return found
    if found is None:
        check_etag(_NONE, etag)
    if found is None and len(read_aliases(connection)) >= MOST_ALIASES:
        raise CatalogAliasesFull(MOST_ALIASES)
    created = now if found is None else found.create_micros
    changed = CatalogAlias(alias_id, catalog_id, new_id(now), created, now)
    session.take()
    row = {
        "alias_id": alias_id,
        "catalog_id": catalog_id,
        "etag": changed.etag,
        "create_time": created,
        "update_time": now,
    }
    statements.put(connection, catalog_aliases, [row])
    return changed


def delete_alias(connection: Connection, now: int, alias_id: str, etag: str) -> bool:
    """Delete an alias. Return whether there was one. Raises EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    found = read_alias(connection, alias_id)
    if found is None:
        return False
    check_etag(found.etag, etag)
    session.take()
    connection.execute(sa.delete(catalog_aliases).where(catalog_aliases.c.alias_id == alias_id))
    return True


def _check_unused(connection: Connection, alias_id: str) -> None:
    """Raise CatalogExists if the registry has a catalog of this id, also a deleted one."""
    entry = read_entry(connection, alias_id)
    if entry is not None and entry.state is not CatalogState.REMOVED:
        raise CatalogExists


def _check_in_use(connection: Connection, catalog_id: str, declared: Collection[str]) -> None:
    """Raise CatalogNotFound or CatalogDeleted unless calls may name a catalog."""
    if catalog_id in declared:
        return
    entry = read_entry(connection, catalog_id)
    if entry is None or entry.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if entry.state is CatalogState.COPYING:
        raise CatalogCopying
    if entry.state is not CatalogState.ACTIVE:
        raise CatalogDeleted
