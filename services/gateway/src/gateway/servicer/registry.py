"""Calls about catalogs, passed on to the registry in the retriever."""

from collections.abc import Callable
from typing import Any

from gateway.servicer.passthrough import Call
from servicekit.admission import access
from servicekit.catalogs.known import KnownCatalogs
from servicekit.rpc.requests import page_place, page_size, page_token
from servicekit.rpc.server import Context
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb

DEFAULT_PAGE, MOST_LISTED = 100, 1_000
"""As in the registry."""
PERMITTED = ("permitted catalogs",)


def _check_alias(request: Any) -> None:
    """Raise CatalogForbidden unless the caller may change an alias: its token permits the name, as
    it would a catalog's, so that an operator of some catalogs can't redirect requests for others.
    """
    if not access.caller.get().may_use(request.alias_id):
        raise access.CatalogForbidden


def _changing(name: str, check: Callable[[Any], None] | None = None) -> Any:
    """Return the method that makes a call which changes the registry, and reads the registry again.
    `check`: raises an error for requests that are refused."""

    async def change(calls: "RegistryCalls", request: Any, _: Context) -> Any:
        if check is not None:
            check(request)
        changed = await calls._registry[name](request)
        await calls._catalogs.refresh()
        return changed

    return change


class RegistryCalls:
    """The part of AdminService about catalogs."""

    _catalogs: KnownCatalogs
    _registry: dict[str, Call]
    """The registry's calls by name."""

    CreateCatalog = _changing("CreateCatalog")
    UpdateCatalog = _changing("UpdateCatalog")
    DeleteCatalog = _changing("DeleteCatalog")
    UndeleteCatalog = _changing("UndeleteCatalog")
    SetCatalogAlias = _changing("SetCatalogAlias", _check_alias)
    DeleteCatalogAlias = _changing("DeleteCatalogAlias", _check_alias)

    async def GetCatalog(self, request: pb.GetCatalogRequest, context: Context) -> pb.Catalog:
        """Return a catalog."""
        found: pb.Catalog = await self._registry["GetCatalog"](request)
        return found

    async def ListCatalogs(
        self, request: pb.ListCatalogsRequest, context: Context
    ) -> pb.ListCatalogsResponse:
        """List the catalogs that the caller's token permits."""
        listed = self._registry["ListCatalogs"]
        caller = access.caller.get()
        if caller.catalogs is None:
            found: pb.ListCatalogsResponse = await listed(request)
            return found
        # Pages are made of what the caller may see, so that no token names another catalog.
        size = page_size(request.page_size, DEFAULT_PAGE, MOST_LISTED)
        after = "".join(page_place(request.page_token, PERMITTED, str))
        shown, token = list[pb.Catalog](), ""
        while len(shown) <= size:
            asked = pb.ListCatalogsRequest(
                catalog_id=request.catalog_id,
                request_id=request.request_id,
                page_size=MOST_LISTED,
                page_token=token,
            )
            answer = await listed(asked)
            shown += [
                each
                for each in answer.catalogs
                if each.catalog_id > after and caller.may_use(each.catalog_id)
            ]
            token = answer.next_page_token
            if not token:
                break
        following = page_token(PERMITTED, shown[size - 1].catalog_id) if len(shown) > size else ""
        return pb.ListCatalogsResponse(catalogs=shown[:size], next_page_token=following)

    async def ListCatalogAliases(
        self, request: pb.ListCatalogAliasesRequest, context: Context
    ) -> pb.ListCatalogAliasesResponse:
        """List the aliases that stand for catalogs that the caller's token permits."""
        answer: pb.ListCatalogAliasesResponse = await self._registry["ListCatalogAliases"](request)
        permitted = access.caller.get().may_use
        shown = [each for each in answer.aliases if permitted(each.catalog_id)]
        return pb.ListCatalogAliasesResponse(aliases=shown)


NAMES = tuple(name for name in vars(RegistryCalls) if not name.startswith("_"))
"""Calls about catalogs: they may name one that is not in use."""
