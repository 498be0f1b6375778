"""Calls about catalogs: what a token shows, and that a change is known when its call returns."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.servicer.registry import RegistryCalls
from servicekit.admission.access import ANYONE, Caller, CatalogForbidden, Role, caller
from servicekit.catalogs.known import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from servicekit.rpc.owned import public_services
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb

NAMES = ("a", "b", "default")


class Calls(RegistryCalls):
    """The calls over a registry in memory."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.target = ""
        self.most = 2
        self._catalogs = KnownCatalogs(("default",), self, aliases=True)
        self._registry = {
            "CreateCatalog": self.create,
            "UpdateCatalog": self.create,
            "ListCatalogs": self.listed,
            "SetCatalogAlias": self.set_alias,
            "DeleteCatalogAlias": self.set_alias,
            "ListCatalogAliases": self.aliases,
        }

    async def read(self, known_revision: str) -> CatalogList:
        entries = [ListedCatalog(name, "u", CatalogState.ACTIVE) for name in self.created]
        aliases = (("shop", self.target),) if self.target else ()
        return CatalogList(f"{len(entries)}{self.target}", tuple(entries), aliases)

    async def set_alias(self, request: Any) -> pb.CatalogAlias:
        self.target = request.catalog_id
        return pb.CatalogAlias(alias_id=request.alias_id, catalog_id=request.catalog_id)

    async def aliases(self, request: Any) -> pb.ListCatalogAliasesResponse:
        shown = [pb.CatalogAlias(alias_id=f"x-{name}", catalog_id=name) for name in NAMES]
        return pb.ListCatalogAliasesResponse(aliases=shown)

    async def create(self, request: Any) -> pb.Catalog:
        self.created.append(request.catalog_id)
        return pb.Catalog(catalog_id=request.catalog_id)

    async def listed(self, request: Any) -> pb.ListCatalogsResponse:
        """Return a page of the registry, whose token names the last catalog of the page."""
        size = min(request.page_size or 100, self.most)
        rest = [name for name in NAMES if name > request.page_token]
        shown = [pb.Catalog(catalog_id=name) for name in rest[:size]]
        token = rest[size - 1] if len(rest) > size else ""
        return pb.ListCatalogsResponse(catalogs=shown, next_page_token=token)


@contextmanager
def permitting(*catalogs: str) -> Iterator[None]:
    token = caller.set(Caller.of("ops", frozenset({Role.OPERATE}), frozenset(catalogs)))
    yield
    caller.reset(token)


async def test_a_new_catalog_is_known_when_its_call_returns() -> None:
    calls = Calls()
    await calls.CreateCatalog(pb.CreateCatalogRequest(catalog_id="new"), None)  # type: ignore[arg-type]
    assert "new" in calls._catalogs


async def test_a_token_shows_its_own_catalogs_only() -> None:
    calls, request = Calls(), pb.ListCatalogsRequest()
    calls.most = 100
    for permitted, shown in (("b", ["b"]), ("*", list(NAMES))):
        with permitting(permitted):
            answer = await calls.ListCatalogs(request, None)  # type: ignore[arg-type]
            aliases = await calls.ListCatalogAliases(pb.ListCatalogAliasesRequest(), None)  # type: ignore[arg-type]
        assert [each.catalog_id for each in aliases.aliases] == shown
        assert [each.catalog_id for each in answer.catalogs] == shown
        assert not answer.next_page_token
    assert caller.get() is ANYONE


async def test_a_switch_is_known_when_its_call_returns() -> None:
    calls = Calls()
    for name in ("default", "default"):
        request = pb.SetCatalogAliasRequest(catalog_id=name, alias_id="shop")
        await calls.SetCatalogAlias(request, None)  # type: ignore[arg-type]
        assert calls._catalogs.resolve("shop") == name


async def test_only_a_token_that_permits_an_alias_s_name_changes_it() -> None:
    calls = Calls()
    change = pb.SetCatalogAliasRequest(catalog_id="default", alias_id="shop")
    delete = pb.DeleteCatalogAliasRequest(alias_id="shop")
    with permitting("default"):
        with pytest.raises(CatalogForbidden):
            await calls.SetCatalogAlias(change, None)  # type: ignore[arg-type]
        with pytest.raises(CatalogForbidden):
            await calls.DeleteCatalogAlias(delete, None)  # type: ignore[arg-type]
    assert calls.target == ""
    with permitting("default", "shop"):
        await calls.SetCatalogAlias(change, None)  # type: ignore[arg-type]
    assert calls.target == "default"


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize("allowed", [("b",), ("a", "default"), ("a", "b", "default"), ("none",)])
async def test_pages_are_made_of_what_the_caller_may_see(
    allowed: tuple[str, ...], most: int
) -> None:
    calls = Calls()
    calls.most = most
    with permitting(*allowed):
        found: list[str] = []
        token, pages = "", 0
        while pages == 0 or token:
            request = pb.ListCatalogsRequest(page_size=1, page_token=token)
            page = await calls.ListCatalogs(request, None)  # type: ignore[arg-type]
            found += [each.catalog_id for each in page.catalogs]
            token, pages = page.next_page_token, pages + 1
            told = base64.urlsafe_b64decode(token + "==").decode()
            assert not any(f'"{name}"' in told for name in NAMES if name not in allowed)
    assert found == [name for name in NAMES if name in allowed]
    assert pages == max(len(found), 1)


LISTS = {
    "ListCatalogs": "filtered before it is paged: see above",
    "ListJobs": "the owners list only kinds that the caller may see",
}
"""Lists whose entries not every caller of the method may see."""
OF_ONE_CATALOG = {
    *("ListProducts", "ListMisfits", "ListModels", "ListExperimentUnits", "ExportUser"),
    *("ListBackups", "ListTakedowns", "ListAuditEntries", "ReadAuditChain", "Recommend", "List"),
    *("ListAlerts", "ListDeadLetters", "ListDistinctProducts"),
}
"""Lists of the catalog that the request names, whose entries all its callers may see."""


def test_every_list_says_whose_entries_it_pages() -> None:
    """A new list is added to one of the tables: a page token may name the last entry of a page."""
    paged = {
        method.name
        for service in public_services()
        for method in service.methods
        if "next_page_token" in method.output_type.fields_by_name
    }
    assert paged == LISTS.keys() | OF_ONE_CATALOG
