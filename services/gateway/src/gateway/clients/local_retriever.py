"""The retriever of this process: what an answer needs is asked of what the retriever lends; other
calls go over its channel."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.clients.retriever import COUNTED, RetrieverClient, as_sent, filter_of
from gateway.model.query import AnswerScope
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.rpc.loans import Loan
from sightline_core.columns import ProductColumns
from sightline_core.lending import LentRetriever, ReadFilter
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.search import CheckedProducts, NearestProducts, ProductRows, VectorBlend

T = TypeVar("T")
KEPT = 256
"""Filters of requests that stay read."""


class LocalRetriever(RetrieverClient):
    """Searches and reads with what the retriever lends."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        sized: Callable[[str, int], object],
        borrowed: Callable[[], Loan[LentRetriever] | None],
    ) -> None:
        """`borrowed` returns the loan; None while the retriever does not serve."""
        super().__init__(channel, caller, sized)
        self._borrowed = borrowed

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        return await self._ask(
            "search",
            lambda lent, passing: lent.search(
                catalog_id,
                near,
                passing,
                top_k=top_k,
                exclude=exclude,
                min_index_token=min_index_token,
            ),
            scope,
            *(catalog_id, _key(near), top_k, tuple(exclude), min_index_token),
        )

    async def search_each(
        self,
        catalog_id: str,
        blends: Sequence[VectorBlend],
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> Sequence[NearestProducts | ServiceError]:
        return await self._ask(
            "search",
            lambda lent, passing: lent.search_each(
                catalog_id,
                blends,
                passing,
                top_k=top_k,
                exclude=exclude,
                min_index_token=min_index_token,
            ),
            scope,
            *(catalog_id, *map(_key, blends), top_k, tuple(exclude), min_index_token),
        )

    async def keywords(
        self,
        catalog_id: str,
        text: str,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str = "",
        correct: bool = False,
        labelled: bool = False,
    ) -> NearestProducts:
        return await self._ask(
            "keywords",
            lambda lent, passing: lent.keywords(
                catalog_id,
                text,
                passing,
                top_k=top_k,
                exclude=exclude,
                language_code=language_code,
                correct=correct,
                labelled=labelled,
            ),
            scope,
            *(catalog_id, text, top_k, tuple(exclude)),
            *(language_code, correct, labelled),
        )

    async def columns(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> ProductColumns:
        return await self._ask(
            "columns",
            lambda lent, passing: lent.columns(catalog_id, ids, passing),
            scope,
            *(catalog_id, tuple(ids)),
        )

    async def categories(self, catalog_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        found = await self.columns(catalog_id, ids, AnswerScope())
        return dict(zip(found.product_ids, found.read("category_paths", ""), strict=True))

    async def checked(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> CheckedProducts:
        return await self._ask(
            "checked",
            lambda lent, passing: lent.checked(catalog_id, ids, passing),
            scope,
            *(catalog_id, tuple(ids)),
        )

    async def newest(self, catalog_id: str, scope: AnswerScope, count: int) -> ProductColumns:
        return await self._ask(
            "newest",
            lambda lent, passing: lent.newest(catalog_id, passing, count),
            scope,
            *(catalog_id, count),
        )

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: AnswerScope,
        titles: Sequence[str] = (),
        *,
        unshown: bool = False,
    ) -> ProductRows:
        asked = ids or titles[:1]
        found, count = await self._ask(
            "products",
            lambda lent, passing: lent.products(
                catalog_id, asked, passing, titles, unshown=unshown
            ),
            scope,
            *(catalog_id, tuple(asked), tuple(titles), unshown),
        )
        self._sized(catalog_id, count)
        return found

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Facet, ...]:
        return (await self._count(catalog_id, asked, scope))[0]

    async def product_count(self, catalog_id: str, scope: AnswerScope) -> int:
        return (await self._count(catalog_id, COUNTED, scope))[1]

    async def _count(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[tuple[Facet, ...], int]:
        key = tuple(each.SerializeToString(deterministic=True) for each in asked)
        return await self._ask(
            "facets",
            lambda lent, passing: lent.facets(catalog_id, asked, passing),
            scope,
            *(catalog_id, key),
        )

    async def _ask(
        self,
        name: str,
        work: Callable[[LentRetriever, ReadFilter], Awaitable[T]],
        scope: AnswerScope,
        *key: Hashable,
    ) -> T:
        async def ask(lent: Any) -> T:
            return await work(lent, _filter(lent, scope))

        try:
            return await self._caller.borrow_idempotent(self._borrowed(), name, ask, scope, *key)
        except InvalidArgument as error:
            raise as_sent(error, scope) from error


@lru_cache(KEPT)
def _filter(lent: Any, scope: AnswerScope) -> ReadFilter:
    """Return the filter of a scope. Raises FILTER_INVALID."""
    found: ReadFilter = lent.read_filter(filter_of(scope))
    return found


def _key(near: Vector | str | VectorBlend) -> Hashable:
    if isinstance(near, str):
        return near
    if isinstance(near, VectorBlend):
        return near.space, *((weight, _key(each)) for weight, each in near.parts)
    return near.space, near.space_version, near.data
