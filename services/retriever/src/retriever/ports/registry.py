"""The record, as the registry of catalogs uses it."""

from collections.abc import Collection
from typing import Protocol

from retriever.domain.registry import CatalogAlias, CatalogEntry, CatalogUpdate, CatalogValues
from servicekit.catalogs.known import CatalogList
from servicekit.jobs.queue import Beside


class CatalogRecord(Protocol):
    """The registry's entries."""

    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        """Return the list; None: it has the revision that the caller knows."""

    async def catalog_entry(self, catalog_id: str) -> CatalogEntry | None:
        """Return what the registry has about a catalog."""

    async def catalog_entries(self, after: str, limit: int) -> list[CatalogEntry]:
        """Return entries in the order of their ids, after a given one."""

    async def create_catalog(
        self, catalog_id: str, values: CatalogValues, most: int
    ) -> CatalogEntry:
        """Create a catalog; one with the same values is returned.

        `most`: number of entries that the registry may have. Raises CatalogExists, CatalogsFull,
        CatalogIsAlias.
        """

    async def delete_catalog(self, catalog_id: str, term_micros: int, etag: str) -> CatalogEntry:
        """Delete a catalog, to be removed after a term; a deleted one is returned. Raises
        CatalogNotFound, EtagMismatch, CatalogIsAlias, CatalogHasAlias."""

    async def undelete_catalog(self, catalog_id: str) -> CatalogEntry:
        """Restore a deleted catalog; one in use is returned. Raises CatalogNotFound,
        CatalogRemoving."""

    async def confirm_removal(self, catalog_id: str, uid: str, service: str) -> None:
        """Note that a service has removed a catalog. After the last one only the id is left."""

    async def update_catalog(
        self, catalog_id: str, update: CatalogUpdate, declared: Collection[str]
    ) -> CatalogEntry:
        """Change a catalog; a declared one gets an entry. Raises CatalogNotFound, EtagMismatch."""

    def reserving_copy(self, target: str, uid: str, most: int) -> Beside:
        """Return what creates, beside the job of a copy, the catalog that it is to fill, with the
        values of the copied one. No call may use it before `complete_copy`. Raises CatalogExists,
        CatalogsFull, CatalogIsAlias."""

    async def complete_copy(self, target: str, uid: str) -> None:
        """Let calls use a catalog that a copy has filled. Raises CatalogNotFound if it was
        deleted."""

    async def abandon_copy(self, target: str, uid: str, term_micros: int) -> None:
        """Delete a catalog that a copy has not filled, to be removed after a term."""

    async def set_alias(
        self, alias: tuple[str, str], etag: str, declared: Collection[str]
    ) -> CatalogAlias:
        """Let a name stand for a catalog: `alias` has both ids. One that does already is returned.
        Raises CatalogExists, CatalogNotFound, CatalogDeleted, CatalogIsAlias, EtagMismatch,
        CatalogAliasesFull."""

    async def delete_alias(self, alias_id: str, etag: str) -> bool:
        """Delete an alias. Return whether there was one. Raises EtagMismatch."""

    async def catalog_aliases(self) -> list[CatalogAlias]:
        """Return all aliases, by name."""


class RemovalRecord(Protocol):
    """The record, as removals of catalogs use it."""

    async def removals_due(self) -> bool:
        """Return whether a removal is due, or has begun."""

    async def begin_removals(self, declared: Collection[str]) -> list[CatalogEntry]:
        """Begin the removals that are due. Return all entries that are being removed."""

    async def confirm_removal(self, catalog_id: str, uid: str, service: str) -> None:
        """See CatalogRecord."""

    async def remove_rows(self, catalog_id: str, limit: int) -> int:
        """Delete up to `limit` rows of a catalog. Return their number; 0: there are no more."""

    async def erase_removed(self) -> None:
        """Remove the bytes of deleted rows from the store's files."""
