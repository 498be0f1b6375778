"""Calls about catalogs: what a token shows, and that a change is known when its call returns."""

from typing import Any

from gateway.servicer.registry import RegistryCalls
from servicekit.access import ANYONE, Caller, Role, caller
from servicekit.catalogs import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb

NAMES = ("a", "b", "default")


class Calls(RegistryCalls):
    """The calls over a registry in memory."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self._catalogs = KnownCatalogs(("default",), self)
        self._registry = {
            "CreateCatalog": self.create,
            "UpdateCatalog": self.create,
            "ListCatalogs": self.listed,
        }

    async def read(self, known_revision: str) -> CatalogList:
        entries = [ListedCatalog(name, "u", CatalogState.ACTIVE) for name in self.created]
        return CatalogList(str(len(entries)), tuple(entries))

    async def create(self, request: Any) -> pb.Catalog:
        self.created.append(request.catalog_id)
        return pb.Catalog(catalog_id=request.catalog_id)

    async def listed(self, request: Any) -> pb.ListCatalogsResponse:
        shown = [pb.Catalog(catalog_id=name) for name in NAMES]
        return pb.ListCatalogsResponse(catalogs=shown, next_page_token="next")


async def test_a_new_catalog_is_known_when_its_call_returns() -> None:
    calls = Calls()
    await calls.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"), None)  # type: ignore[arg-type]
    assert "new" in calls._catalogs


async def test_a_token_shows_its_own_catalogs_only() -> None:
    calls, request = Calls(), pb.ListCatalogsRequest()
    for permitted, shown in ((frozenset({"b"}), ["b"]), (frozenset({"*"}), list(NAMES))):
        token = caller.set(Caller.of("ops", frozenset({Role.OPERATE}), permitted))
        answer = await calls.ListCatalogs(request, None)  # type: ignore[arg-type]
        caller.reset(token)
        assert [each.catalog_id for each in answer.catalogs] == shown
        assert answer.next_page_token == "next"
    assert caller.get() is ANYONE
