"""The record, as the registry of catalogs uses it."""

from collections.abc import Collection
from typing import Protocol

from retriever.domain.registry import CatalogEntry, CatalogUpdate, CatalogValues
from servicekit.catalogs import CatalogList


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

        `most`: number of entries that the registry may have. Raises CatalogExists, CatalogsFull.
        """

    async def update_catalog(
        self, catalog_id: str, update: CatalogUpdate, declared: Collection[str]
    ) -> CatalogEntry:
        """Change a catalog; a declared one gets an entry. Raises CatalogNotFound, EtagMismatch."""
