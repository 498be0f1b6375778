"""The registry of catalogs: created, changed and listed at run time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from retriever.domain import registry
from retriever.domain.errors import CatalogDeclared, CatalogExists, FieldMaskInvalid
from retriever.domain.registry import CatalogAlias, CatalogEntry, CatalogUpdate, CatalogValues
from retriever.record import Record
from servicekit.catalogs.known import CatalogList, CatalogNotFound
from servicekit.rpc.requests import Pages, RequestInvalid

_PAGES = Pages[CatalogEntry](100, 1_000, lambda entry: (entry.catalog_id,), (str,))
MOST_UNDO_DAYS = 365
UNDO_DAYS = 7.0
"""Default term of a deletion."""


@dataclass(frozen=True, slots=True)
class RecordedCatalogs:
    """See CatalogRegistry in servicekit.catalogs.known: the registry in this record."""

    record: Record

    async def read(self, known_revision: str) -> CatalogList | None:
        return await self.record.catalog_list(known_revision)


@dataclass(frozen=True, slots=True)
class Registry:
    """Use cases of the registry."""

    record: Record
    declared: Collection[str]
    """Catalogs of the settings."""
    most: int
    """Number of catalogs, declared ones included."""
    settle_seconds: float
    """Seconds after which calls that were in progress at a deletion have ended."""

    @property
    def room(self) -> int:
        """Number of catalogs that the registry may have."""
        return max(0, self.most - len(self.declared))

    async def create(self, catalog_id: str, values: CatalogValues) -> CatalogEntry:
        """Create a catalog. Raises RequestInvalid, CatalogExists, CatalogsFull, CatalogIsAlias."""
        wrong = [*registry.id_problems(catalog_id), *registry.problems(values)]
        if wrong:
            raise RequestInvalid(*wrong)
        if catalog_id in self.declared:
            raise CatalogExists
        return await self.record.create_catalog(catalog_id, values, self.room)

    async def get(self, catalog_id: str) -> CatalogEntry:
        """Return a catalog. Raises CatalogNotFound."""
        found = await self.record.catalog_entry(catalog_id)
        if found is None and catalog_id in self.declared:
            return CatalogEntry(catalog_id)
        if found is None:
            raise CatalogNotFound
        return found

    async def page(self, size: int, token: str) -> tuple[list[CatalogEntry], str]:
        """Return a page by id and the token of the next one. Raises PageSizeInvalid,
        PageTokenInvalid."""
        return await _PAGES.read(("catalogs",), size, token, self._after)

    async def _after(self, place: Sequence[str], limit: int) -> list[CatalogEntry]:
        after = "".join(place)
        found = {name: CatalogEntry(name) for name in self.declared if name > after}
        entries = await self.record.catalog_entries(after=after, limit=limit)
        found |= {each.catalog_id: each for each in entries}
        return [found[name] for name in sorted(found)[:limit]]

    async def delete(self, catalog_id: str, undo_days: float, etag: str) -> CatalogEntry:
        """Delete a catalog. Raises RequestInvalid, CatalogDeclared, CatalogNotFound, EtagMismatch,
        CatalogIsAlias, CatalogHasAlias."""
        if not 0 <= undo_days <= MOST_UNDO_DAYS:
            raise RequestInvalid.at("undo_days", f"must be 0 to {MOST_UNDO_DAYS}")
        if catalog_id in self.declared:
            raise CatalogDeclared
        found = await self.record.catalog_entry(catalog_id)
        if found is not None and found.copied_from:
            undo_days = 0  # an incomplete copy can't be restored
        seconds = max(undo_days * 86_400, self.settle_seconds)
        return await self.record.delete_catalog(catalog_id, round(seconds * 1e6), etag)

    async def undelete(self, catalog_id: str) -> CatalogEntry:
        """Restore a deleted catalog. Raises CatalogNotFound, CatalogRemoving."""
        if catalog_id in self.declared:
            return await self.get(catalog_id)
        return await self.record.undelete_catalog(catalog_id)

    async def set_alias(self, alias_id: str, catalog_id: str, etag: str) -> CatalogAlias:
        """Let a name stand for a catalog. Raises RequestInvalid, CatalogExists, CatalogNotFound,
        CatalogDeleted, CatalogIsAlias, EtagMismatch, CatalogAliasesFull."""
        if wrong := list(registry.id_problems(alias_id, "alias_id")):
            raise RequestInvalid(*wrong)
        if alias_id in self.declared:
            raise CatalogExists
        return await self.record.set_alias((alias_id, catalog_id), etag, self.declared)

    async def confirm(self, catalog_id: str, uid: str, service: str) -> None:
        """Note that a service has removed a catalog. Raises RequestInvalid."""
        if service not in registry.REMOVERS:
            raise RequestInvalid.at("service", f"must be one of {', '.join(registry.REMOVERS)}")
        await self.record.confirm_removal(catalog_id, uid, service)

    async def update(self, catalog_id: str, update: CatalogUpdate) -> CatalogEntry:
        """Change a catalog. Raises RequestInvalid, FieldMaskInvalid, CatalogNotFound,
        EtagMismatch."""
        if not update.paths or not set(update.paths) <= set(registry.FIELDS):
            raise FieldMaskInvalid.at(
                "update_mask", f"must name some of {', '.join(registry.FIELDS)}"
            )
        if wrong := list(registry.problems(update.values)):
            raise RequestInvalid(*wrong)
        return await self.record.update_catalog(catalog_id, update, self.declared)
