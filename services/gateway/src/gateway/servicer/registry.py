"""Calls about catalogs, passed on to the registry in the retriever."""

from typing import Any

from gateway.servicer.passthrough import Call
from servicekit import access
from servicekit.catalogs import KnownCatalogs
from servicekit.server import Context
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb

NAMES = (
    *("CreateCatalog", "GetCatalog", "ListCatalogs", "UpdateCatalog"),
    *("DeleteCatalog", "UndeleteCatalog"),
)
"""Calls about catalogs: they may name one that is not in use."""


class RegistryCalls:
    """The part of AdminService about catalogs."""

    _catalogs: KnownCatalogs
    _registry: dict[str, Call]
    """The registry's calls by name."""

    async def CreateCatalog(self, request: pb.CreateCatalogRequest, context: Context) -> pb.Catalog:
        """Create a catalog."""
        return await self._changed("CreateCatalog", request)

    async def GetCatalog(self, request: pb.GetCatalogRequest, context: Context) -> pb.Catalog:
        """Return a catalog."""
        found: pb.Catalog = await self._registry["GetCatalog"](request)
        return found

    async def ListCatalogs(
        self, request: pb.ListCatalogsRequest, context: Context
    ) -> pb.ListCatalogsResponse:
        """List the catalogs that the caller's token permits."""
        answer: pb.ListCatalogsResponse = await self._registry["ListCatalogs"](request)
        permitted = access.caller.get().may_use
        shown = [each for each in answer.catalogs if permitted(each.catalog_id)]
        return pb.ListCatalogsResponse(catalogs=shown, next_page_token=answer.next_page_token)

    async def UpdateCatalog(self, request: pb.UpdateCatalogRequest, context: Context) -> pb.Catalog:
        """Change a catalog."""
        return await self._changed("UpdateCatalog", request)

    async def DeleteCatalog(self, request: pb.DeleteCatalogRequest, context: Context) -> pb.Catalog:
        """Delete a catalog."""
        return await self._changed("DeleteCatalog", request)

    async def UndeleteCatalog(
        self, request: pb.UndeleteCatalogRequest, context: Context
    ) -> pb.Catalog:
        """Restore a deleted catalog."""
        return await self._changed("UndeleteCatalog", request)

    async def _changed(self, name: str, request: Any) -> pb.Catalog:
        """Make a call that changes the registry, and read the registry again."""
        changed: pb.Catalog = await self._registry[name](request)
        await self._catalogs.refresh()
        return changed
