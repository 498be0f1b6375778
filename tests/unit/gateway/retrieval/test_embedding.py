"""The language that the embedder is asked in."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.model.query import RequestQuery
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.state.request_context import RequestDependencies
from servicekit.catalogs.known import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import words

Call = Callable[[RequestQuery, RequestDependencies], Awaitable[Any]]


class Registry:
    """A registry with one catalog, in a language."""

    def __init__(self, language_code: str) -> None:
        self._entry = ListedCatalog("default", "u", CatalogState.ACTIVE, language_code)

    async def read(self, known_revision: str) -> CatalogList | None:
        return CatalogList("1", (self._entry,))


@pytest.mark.parametrize("call", [search, recommend])
@pytest.mark.parametrize(
    ("asked", "catalogs", "expected"),
    [("de", "", "de"), ("de", "fr", "de"), ("", "fr", "fr"), ("", "", "en")],
)
async def test_a_text_is_embedded_in_the_language_of_the_request_or_else_of_its_catalog(
    call: Call, asked: str, catalogs: str, expected: str
) -> None:
    shop = Shop()
    shop.retriever.nearest[b"a red wine"] = {"p1": 0.5}
    known = KnownCatalogs(("default",), Registry(catalogs))
    await known.refresh()
    query = RequestQuery(signals=(words(),), language_code=asked)
    await call(query, replace(shop.deps, catalogs=known))
    assert shop.embedder.languages
    assert {*shop.embedder.languages} == {expected}
