"""Products to decide on: without a photo, of a doubted category, or of one picture with others."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from sightline_client import SightlineClient
from sightline_client.cli.language import later
from sightline_client.values.catalog import ProductOrder
from sightline_client.values.products import Product

SHOWN = 24
"""Maximum number of groups on the page: the next follow as these are decided."""
MOST_READ = 1_000
"""Maximum number of products that are read for the page."""
MOST_ALIKE = 12
"""Maximum number of products of a group."""
_ANSWERED = 200
"""Products on a page of an answer."""

Group: TypeAlias = Sequence[Product]
"""Products that are decided on together: one, or several of the same picture."""


@dataclass(frozen=True, slots=True)
class UndecidedList:
    """A list of groups, in English."""

    name: str
    why: str
    """The reason to decide, in a sentence."""
    none: str
    """The sentence in place of an empty list."""
    find: Callable[[SightlineClient, Set[str]], Awaitable[Sequence[Group]]]
    """Returns the newest groups, but those with these keys, which are left as they are."""


def key(group: Iterable[Product]) -> str:
    """Return the ids of a group's products, a line each, which forms have."""
    return "\n".join(each.product_id for each in group)


async def _without_photo(client: SightlineClient, left: Set[str]) -> Sequence[Group]:
    listed = client.list_products(without_photo_only=True, order=ProductOrder.NEWEST)
    # A suite of an earlier release lists all products.
    return await _singly(listed, lambda each: not each.images, left)


async def _doubted(client: SightlineClient, left: Set[str]) -> Sequence[Group]:
    listed = client.list_products(doubted_only=True, order=ProductOrder.NEWEST)
    return await _singly(listed, lambda each: each.category_doubt is not None, left)


async def _singly(
    listed: AsyncIterator[Product], wanted: Callable[[Product], bool], left: Set[str]
) -> Sequence[Group]:
    found: list[Group] = []
    async for product in _newest(listed):
        if wanted(product) and product.product_id not in left:
            found.append([product])
        if len(found) == SHOWN:
            break
    return found


async def _newest(listed: AsyncIterator[Product]) -> AsyncIterator[Product]:
    count = 0
    async for product in listed:
        yield product
        count += 1
        if count == MOST_READ:
            return


async def _alike(client: SightlineClient, left: Set[str]) -> Sequence[Group]:
    """Ask for an answer of the newest products: it collapses those of the same picture."""
    listed = _newest(client.list_products(order=ProductOrder.NEWEST))
    newest = {each.product_id: each async for each in listed if each.images}
    found: list[Group] = []
    if len(newest) < 2:
        return found
    answered, ids = 0, tuple(newest)
    pages = client.recommend_pages(candidates=ids, page_size=_ANSWERED, not_personal=True)
    async for page in pages:
        for item in page.results:
            alike = (item.product.product_id, *item.collapsed_product_ids)
            group = _apart([newest[each] for each in alike if each in newest])
            if len(group) > 1 and key(group) not in left:
                found.append(group)
        answered += len(page.results)
        if len(found) >= SHOWN or answered >= len(ids):
            break
    return found[:SHOWN]


def _apart(products: Iterable[Product]) -> Group:
    """Return the first product of each family, by id: its variants are decided on already."""
    firsts: dict[str, Product] = {}
    for each in products:
        firsts.setdefault(each.parent_id or each.product_id, each)
    return sorted(firsts.values(), key=lambda each: each.product_id)[:MOST_ALIKE]


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
            later("No two of the newest 1,000 products show the same picture."),
            _alike,
        ),
    }
)
