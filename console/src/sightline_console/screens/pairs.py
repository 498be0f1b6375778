"""Answers side by side: the products of a request before and after a change, and what moved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from sightline_client.cli.work import answer_pages
from sightline_client.values.products import Product
from sightline_client.values.scenes import ChangedAnswer
from sightline_console.screens.visit import Visit

PLACES = 6
"""Number of products that are compared."""
SECONDS = 60.0
"""Maximum seconds of a comparison."""
Products = Mapping[str, Product | None]
"""Id → product, in the order of an answer; None: unknown."""


@dataclass(frozen=True, slots=True)
class Place:
    """A product at a place before or after a change."""

    product_id: str
    product: Product | None
    """None: unknown."""
    was: int
    """Its place on the other side; 0: not there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The products of one request, before and after."""

    title: str
    before: tuple[Place, ...]
    after: tuple[Place, ...]
    problem: str = ""

    @property
    def is_same(self) -> bool:
        """True if nothing changes."""
        return not self.moved

    @property
    def moved(self) -> int:
        """Number of places with another product."""
        places = zip_longest(self.before, self.after)
        return sum(
            not (one and other and one.product_id == other.product_id) for one, other in places
        )

    @property
    def places(self) -> int:
        """Number of places of the longer side."""
        return max(len(self.before), len(self.after))

    @property
    def replaced(self) -> int:
        """Number of products that only one side has."""
        return sum(not each.was for each in (*self.before, *self.after))


def paired(title: str, before: Products, after: Products) -> Pair:
    """Return two answers side by side."""
    return Pair(title, _places(before, after), _places(after, before))


def _places(one: Products, other: Products) -> tuple[Place, ...]:
    at = {product_id: place for place, product_id in enumerate(other, 1)}
    return tuple(Place(key, product, at.get(key, 0)) for key, product in one.items())


async def of_answers(
    visit: Visit, answers: Iterable[tuple[str, ChangedAnswer | None]]
) -> list[Pair]:
    """Return changed answers with their titles and products. None: the answer does not change."""
    held = list(answers)
    ids = [
        product_id
        for _title, each in held
        if each is not None
        for product_id in (*each.before_product_ids, *each.after_product_ids)
    ]
    known = await answer_pages.products_of(visit.client, dict.fromkeys(ids))
    return [
        Pair(title, (), ())
        if each is None
        else paired(
            title,
            {key: known.get(key) for key in each.before_product_ids},
            {key: known.get(key) for key in each.after_product_ids},
        )
        for title, each in held
    ]
