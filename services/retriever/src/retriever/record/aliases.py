"""Changes of aliases. They count as changes of the registry, and queue up with them."""

from collections.abc import Collection

from sqlalchemy import Connection

from retriever.domain.errors import CatalogExists, EtagMismatch
from retriever.domain.registry import CatalogAlias
from retriever.record.registry import ALIASES, CATALOGS, REGISTRY, check_no_alias
from retriever.record.session import Session
from servicekit.catalogs.known import CatalogCopying, CatalogDeleted, CatalogNotFound, CatalogState
from servicekit.clock import new_id


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
    found = ALIASES.find(connection, alias_id)
    created = now if found is None else found.create_micros
    changed = CatalogAlias(alias_id, catalog_id, new_id(now), created, now)
    if found is not None and not ALIASES.to_replace(found, changed, etag):
        return found
    if found is None and etag:
        raise EtagMismatch  # no alias has this etag
    if found is None:
        ALIASES.check_room(connection)
    session.take()
    ALIASES.put(connection, changed, alias_id)
    return changed


def delete_alias(connection: Connection, now: int, alias_id: str, etag: str) -> bool:
    """Delete an alias. Return whether there was one. Raises EtagMismatch."""
    session = Session(connection, REGISTRY, now)
    found = ALIASES.find(connection, alias_id)
    if found is None:
        return False
    ALIASES.check_etag(found, etag)
    session.take()
    return ALIASES.delete(connection, alias_id)


def _check_unused(connection: Connection, alias_id: str) -> None:
    """Raise CatalogExists if the registry has a catalog of this id, also a deleted one."""
    entry = CATALOGS.find(connection, alias_id)
    if entry is not None and entry.state is not CatalogState.REMOVED:
        raise CatalogExists


def _check_in_use(connection: Connection, catalog_id: str, declared: Collection[str]) -> None:
    """Raise CatalogNotFound or CatalogDeleted unless calls may name a catalog."""
    if catalog_id in declared:
        return
    entry = CATALOGS.find(connection, catalog_id)
    if entry is None or entry.state is CatalogState.REMOVED:
        raise CatalogNotFound
    if entry.state is CatalogState.COPYING:
        raise CatalogCopying
    if entry.state is not CatalogState.ACTIVE:
        raise CatalogDeleted
