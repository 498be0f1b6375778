"""Products to decide on: without a photo, of a doubted category, or of one picture with others."""

import asyncio
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Set,
)
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from sightline_client import SightlineClient
from sightline_client.cli.language import later
from sightline_client.errors import NotFound, PermissionDenied, Unimplemented
from sightline_client.values.catalog import DistinctPair, ProductOrder
from sightline_client.values.products import Product

A = TypeVar("A")
SHOWN = 24
"""Maximum number of groups on the page: the next follow as these are decided."""
MOST_READ = 1_000
"""Maximum number of products that are read for the page."""
MOST_ALIKE = 12
"""Maximum number of products of a group."""
MOST_PAIRS = 10_000
"""Maximum number of pairs that are read: as many as a catalog may have."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_ANSWERED = 200
"""Products on a page of an answer."""


@dataclass(frozen=True, slots=True)
class UndecidedGroup:
    """Products that are decided on together: one, or several of the same picture."""

    products: Sequence[Product]
    decided: DistinctPair | None = None
    """The decision that the two are different; None: there is none about all."""

    @property
    def key(self) -> str:
        """Ids of the products, a line each, which forms have."""
        return "\n".join(each.product_id for each in self.products)


Groups: TypeAlias = AsyncGenerator[UndecidedGroup, None]


@dataclass(frozen=True, slots=True)
class UndecidedList:
    """A list of groups, in English."""

    name: str
    why: str
    """The reason to decide, in a sentence."""
    none: str
    """The sentence in place of an empty list."""
    find: Callable[[SightlineClient], Groups]
    """Yields the groups, the newest first."""
    then: str = later("What is left as it is stays out of this list until your session ends.")
    """Says what becomes of a group that is left as it is."""


async def shown(groups: Groups, left: Set[str]) -> Sequence[UndecidedGroup]:
    """Return the first groups but those with these keys, which are left as they are."""
    found: list[UndecidedGroup] = []
    async with aclosing(groups):
        async for group in groups:
            if group.key not in left:
                found.append(group)
            if len(found) == SHOWN:
                break
    return found


async def _without_photo(client: SightlineClient) -> Groups:
    listed = client.list_products(without_photo_only=True, order=ProductOrder.NEWEST)
    async with aclosing(_first(listed, MOST_READ)) as newest:
        async for each in newest:
            if not each.images:  # a suite of an earlier release lists all products
                yield UndecidedGroup([each])


async def _doubted(client: SightlineClient) -> Groups:
    listed = client.list_products(doubted_only=True, order=ProductOrder.NEWEST)
    async with aclosing(_first(listed, MOST_READ)) as newest:
        async for each in newest:
            if each.category_doubt is not None:
                yield UndecidedGroup([each])


async def _first(listed: AsyncIterator[A], most: int) -> AsyncGenerator[A, None]:
    """Yield the first entries of a list, at most so many."""
    count = 0
    async for each in listed:
        yield each
        count += 1
        if count == most:
            return


async def _alike(client: SightlineClient) -> Groups:
    """Ask for an answer of the newest products: it collapses those of the same picture."""
    listed = _first(client.list_products(order=ProductOrder.NEWEST), MOST_READ)
    newest = {each.product_id: each async for each in listed if each.images}
    if len(newest) < 2:
        return
    different = await _different_ones(client)
    answered, ids = 0, tuple(newest)
    pages = client.recommend_pages(candidates=ids, page_size=_ANSWERED, not_personal=True)
    async for page in pages:
        for item in page.results:
            alike = (item.product.product_id, *item.collapsed_product_ids)
            family = _apart([newest[each] for each in alike if each in newest])
            if group := _undecided(family, different):
                yield UndecidedGroup(group)
        answered += len(page.results)
        if answered >= len(ids):
            return


def _apart(products: Iterable[Product]) -> Sequence[Product]:
    """Return the first product of each family, by id: its variants are decided on already."""
    firsts: dict[str, Product] = {}
    for each in products:
        firsts.setdefault(each.parent_id or each.product_id, each)
    return sorted(firsts.values(), key=lambda each: each.product_id)


def _undecided(products: Sequence[Product], different: Mapping[str, Set[str]]) -> Sequence[Product]:
    """Return the products without those that are decided to differ from all others. Of many, the
    first stays with such as it may be the same product as."""
    ids = {each.product_id for each in products}
    open_ones = [
        each
        for each in products
        if ids - {each.product_id} - different.get(each.product_id, frozenset())
    ]
    if not open_ones:
        return []
    first, *others = open_ones
    known = different.get(first.product_id, frozenset())
    others.sort(key=lambda each: each.product_id in known)
    return [first, *others][:MOST_ALIKE]


async def _different_ones(client: SightlineClient) -> Mapping[str, Set[str]]:
    """Return by product those that it was decided to differ from; none where the user may not
    decide, or the suite is of an earlier release."""
    found: dict[str, set[str]] = defaultdict(set)
    with suppress(PermissionDenied, Unimplemented):
        async for pair in _first(client.list_distinct_products(), MOST_PAIRS):
            found[pair.product_id].add(pair.other_product_id)
            found[pair.other_product_id].add(pair.product_id)
    return found


async def _different(client: SightlineClient) -> Groups:
    """Yield the newest pairs that were decided to be different."""
    pairs = [each async for each in _first(client.list_distinct_products(), MOST_PAIRS)]
    pairs.sort(key=lambda each: each.create_time or _NEVER)
    newest = pairs[: -SHOWN - 1 : -1]
    for group in await asyncio.gather(*(_group_of(client, each) for each in newest)):
        if group is not None:
            yield group


async def _group_of(client: SightlineClient, pair: DistinctPair) -> UndecidedGroup | None:
    """Return the products of a pair; None: one was deleted meanwhile."""
    named = (pair.product_id, pair.other_product_id)
    with suppress(NotFound):
        return UndecidedGroup(await asyncio.gather(*map(client.get_product, named)), pair)
    return None


LISTS: Mapping[str, UndecidedList] = MappingProxyType(
    {
        "photo": UndecidedList(
            later("Without a photo"),
            later("These products are found by text and behavior alone, until they have a photo."),
            later("Every product has a photo."),
            _without_photo,
        ),
        "category": UndecidedList(
            later("Doubtful category"),
            later("A photo of these products shows something else than their category says."),
            later("No photo contradicts a category."),
            _doubted,
        ),
        "alike": UndecidedList(
            later("The same picture"),
            later(
                "The first photos of these products show the same picture, so that an answer shows"
                " one of them. The newest 1,000 products are compared, without those that no"
                " answer shows."
            ),
            later("No two of the newest 1,000 products show the same picture, but different ones."),
            _alike,
            later(
                "Different products stay out of this list until one of them is deleted or gets"
                " another first photo. An answer goes on showing one product of a picture."
            ),
        ),
        "different": UndecidedList(
            later("Different products"),
            later("These show the same picture, but were decided to be different products."),
            later("No products of one picture were decided to be different."),
            _different,
            "",
        ),
    }
)
