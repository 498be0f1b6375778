"""The retriever of this process: what an answer needs is asked of what the retriever lends; other
calls go over its channel."""

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from functools import lru_cache
from inspect import signature
from operator import methodcaller
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.clients.retriever import RetrieverClient, any_of, as_sent, filter_of
from gateway.model.query import AnswerScope
from servicekit.errors import InvalidArgument
from servicekit.rpc.loans import Loan
from sightline_core.lending import LentRetriever, ReadFilter
from sightline_core.opaque_messages import Facet, FacetRequest
from sightline_core.search import CatalogSuggestions, ListedProducts, ListingRequest, VectorBlend

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 256
"""Filters of requests that stay read."""
_PLAIN = (str, int, AnswerScope)
"""Types of arguments by whose values equal calls are known."""
_serialized = methodcaller("SerializeToString", deterministic=True)


def _lent(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], name: str
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return a method like this one that calls the lent one of a name, which takes the filter of
    the scope in the place of the scope."""
    at = [*signature(method).parameters].index("scope")

    async def ask(*given: Any, **named: Any) -> T:
        retriever: LocalRetriever = given[0]
        scope: AnswerScope = given[at]

        def work(lent: Any) -> Awaitable[T]:
            found: Awaitable[T] = getattr(lent, name)(
                *given[1:at], _filter(lent, scope), *given[at + 1 :], **named
            )
            return found

        def key() -> Hashable:
            return _key((*given[1:], *named, *named.values()))

        return await retriever.ask(name, work, scope, key)

    return ask


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

    search = _lent(RetrieverClient.search, "search")
    search_each = _lent(RetrieverClient.search_each, "search_each")
    keywords = _lent(RetrieverClient.keywords, "keywords")
    columns = _lent(RetrieverClient.columns, "columns")
    checked = _lent(RetrieverClient.checked, "checked")
    _newest = _lent(RetrieverClient._newest, "newest")
    _rows = _lent(RetrieverClient._rows, "products")

    async def _count(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Sequence[Facet], int]:
        return await self.ask(
            "facets",
            lambda lent: lent.facets(catalog_id, asked, _filter(lent, scope)),
            scope,
            lambda: (
                catalog_id,
                scope,
                *map(methodcaller("SerializeToString", deterministic=True), asked),
            ),
        )

    async def _listed(
        self, catalog_id: str, asked: ListingRequest, scope: AnswerScope
    ) -> tuple[ListedProducts, int]:
        def work(lent: Any) -> Awaitable[tuple[ListedProducts, int]]:
            last = lent.read_filter(any_of(asked.last)) if asked.last else None
            page: Awaitable[tuple[ListedProducts, int]] = lent.browse(
                catalog_id, asked, _filter(lent, scope), last
            )
            return page

        return await self.ask("browse", work, scope, lambda: (catalog_id, scope, asked))

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        key = catalog_id, prefix, language_code, size
        return await self._caller.borrow_idempotent(
            self._borrowed(), "suggest", lambda lent: lent.suggest(*key), lambda: key
        )

    async def ask(
        self,
        name: str,
        work: Callable[[Any], Awaitable[T]],
        scope: AnswerScope,
        key: Callable[[], Hashable],
    ) -> T:
        """Work with what is lent, once for equal names and keys of a request. Raises ServiceError,
        whose paths are those of the caller's filter."""
        try:
            return await self._caller.borrow_idempotent(self._borrowed(), name, work, key)
        except InvalidArgument as error:
            raise as_sent(error, scope) from error


@lru_cache(KEPT)
def _filter(lent: Any, scope: AnswerScope) -> ReadFilter:
    """Return the filter of a scope. Raises FILTER_INVALID."""
    found: ReadFilter = lent.read_filter(filter_of(scope))
    return found


def _key(value: Any) -> Hashable:
    """Return what tells an argument from others."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, VectorBlend):
        return value.space, *((weight, _key(each)) for weight, each in value.parts)
    if isinstance(value, Sequence):
        return tuple(map(_key, value))
    return value.space, value.space_version, value.data
