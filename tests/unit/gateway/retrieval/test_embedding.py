"""The language that a text is searched in."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.model.query import RequestQuery
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.servicer.recommendation import RecommendationServicer
from gateway.state.request_context import RequestDependencies
from servicekit.catalogs.known import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from sightline.gateway.v1 import recommendation_service_pb2 as pb
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


@pytest.mark.parametrize("call", ["Search", "Recommend"])
@pytest.mark.parametrize(("asked", "guessed"), [("en", False), ("nl", False), ("", True)])
async def test_the_language_of_words_is_guessed_only_if_the_request_says_none(
    call: str, asked: str, guessed: bool
) -> None:
    shop = Shop()
    shop.retriever.words_of["a red wine"] = {"p1": 0.5}
    known = KnownCatalogs(("default",), Registry("fr"))
    await known.refresh()
    servicer = RecommendationServicer(replace(shop.deps, catalogs=known))
    kind = {"Search": pb.SearchRequest, "Recommend": pb.RecommendRequest}[call]
    request = kind(signals=[pb.QuerySignal(text="a red wine")], language_code=asked)
    await getattr(servicer, call)(request, None)
    assert {*shop.retriever.guessed} == {guessed}
