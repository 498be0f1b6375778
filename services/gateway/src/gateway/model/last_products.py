"""What other products share with a shopper's last ones. Pure.

The affinity of product i, 0 to 1, is 1 − (1 − c_i)(1 − b_i) of its category and its brand, each the
mean over the last products a that have one::

    c_i, b_i = Σ_a w_a · s_a,i / Σ_a w_a

s_a,i is the number of levels that the paths share ÷ that of the longer path; 1 for the same brand,
else 0.

What n last products say, by looks, text, category and brand, counts n / (n + PRIOR) against what
all shoppers want: one product says little of a shopper.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from gateway.model.query import FIRST_ANCHOR, MOST_ALIKE, Signal, SignalKind
from sightline_core.columns import ProductColumns
from sightline_rules import categories
from sightline_rules.fast_dataclass import fast_dataclass

T = TypeVar("T")
MOST_GROUPS = 2
"""Groups of last products that are searched by, at most: each costs a search of every space."""

PRIOR = 2.0
"""Chosen on made shoppers, others than those of the table in lab/research/personal.md."""

Feature = tuple[str, str]
"""Kind and value, as in reasons."""


@fast_dataclass(frozen=True, slots=True)
class LastProducts:
    """A shopper's last products, newest first."""

    ids: Sequence[str] = ()
    weights: Sequence[float] = ()
    """Above 0."""
    paths: Sequence[tuple[str, ...]] = ()
    """Category paths; empty if unknown."""
    brands: Sequence[str] = ()
    """Empty if unknown."""

    @property
    def trust(self) -> float:
        """The factor of what is compared with these products, 0 to 1."""
        return len(self.ids) / (len(self.ids) + PRIOR)

    def groups(self) -> tuple[tuple[Signal, ...], ...]:
        """Return the products to search by, grouped by topmost category, the heaviest groups first.

        Different interests have no mean that is like either.
        """
        found = defaultdict[str, list[int]](list)
        for place, path in enumerate(self.paths):
            found["".join(path[:1])].append(place)
        heaviest = sorted(found.values(), key=lambda one: -sum(self.weights[each] for each in one))
        return tuple(
            tuple(
                Signal(
                    FIRST_ANCHOR - place,
                    SignalKind.PRODUCT,
                    product_id=self.ids[place],
                    weight=self.weights[place],
                )
                for place in group[:MOST_ALIKE]
            )
            for group in heaviest[:MOST_GROUPS]
        )

    def affinities(self, columns: ProductColumns) -> list[float]:
        """Return the affinity of each product."""
        facts = facts_of(columns)
        by_path = {
            path: self._unlike(self.paths, partial(_share, categories.split(path)))
            for path in {path for path, _ in facts}
        }
        by_brand = {
            brand: self._unlike(self.brands, brand.__eq__)
            for brand in {brand for _, brand in facts}
        }
        return [1 - by_path[path] * by_brand[brand] for path, brand in facts]

    def _unlike(self, held: Sequence[T], same: Callable[[T], float]) -> float:
        """Return 1 − the mean of `same` over the last products that have a value; 1 without any."""
        pairs = [(weight, same(own)) for weight, own in zip(self.weights, held, strict=True) if own]
        if not pairs:
            return 1.0
        return 1 - sum([weight * each for weight, each in pairs]) / sum([each for each, _ in pairs])

    def closest(self, path: str, brand: str) -> str:
        """Return the last product that shares most with a product, the newest of equals; empty if
        none of several shares anything."""
        levels = categories.split(path)
        shared = [
            _share(levels, own) + (brand == its != "")
            for own, its in zip(self.paths, self.brands, strict=True)
        ]
        most = max(shared, default=0.0)
        return self.ids[shared.index(most)] if most or len(self.ids) == 1 else ""

    def shared(self, path: str, brand: str) -> Feature | None:
        """Return the feature that a product shares with the last ones: the brand, else the deepest
        category; None without any."""
        if brand and brand in self.brands:
            return "brand", brand
        levels = categories.split(path)
        depth = max((_depth(levels, own) for own in self.paths), default=0)
        return ("category", categories.join(levels[:depth])) if depth else None


NO_PRODUCTS = LastProducts()


def last_products_of(weights: Mapping[str, float], columns: ProductColumns) -> LastProducts:
    """Return the last products that the record has; `weights`: by product, newest first."""
    facts = dict(zip(columns.product_ids, facts_of(columns), strict=True))
    ids = [item for item, weight in weights.items() if item in facts and weight > 0]
    return LastProducts(
        ids,
        [weights[item] for item in ids],
        [categories.split(facts[item][0]) for item in ids],
        [facts[item][1] for item in ids],
    )


def facts_of(columns: ProductColumns) -> Sequence[tuple[str, str]]:
    """Return the written category path and the brand of each product; empty if unknown."""
    paths, brands = columns.read("category_paths", ""), columns.read("brands", "")
    return list(zip(paths, brands, strict=True))


def _share(one: Sequence[str], other: Sequence[str]) -> float:
    longer = max(len(one), len(other))
    return _depth(one, other) / longer if longer else 0.0


def _depth(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of levels that two paths share."""
    depth = 0
    for own, its in zip(one, other, strict=False):
        if own != its:
            break
        depth += 1
    return depth
