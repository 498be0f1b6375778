"""Counts of shoppers by product with differential privacy (Dwork et al. 2006, "Calibrating Noise to
Sensitivity in Private Data Analysis", TCC).

The unit is a shopper: each is counted in a bounded number of products, once in each. Counts of
products that only a few shoppers have would show that these exist; they are left out below a
threshold (Korolova et al. 2009, "Releasing Search Queries and Clicks Privately", WWW), which costs
`DELTA`. Expenses add up.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from ranker.domain.events import DAY_MICROS
from ranker.domain.selection import Selection, params, selection_of

COUNTS = "export_counts"
"""Kind of the job."""
DELTA = 1e-8
"""Probability by which the bound of epsilon may be exceeded, of one export."""
MOST_EPSILON = 10.0
DEFAULT_PRODUCTS, MOST_PRODUCTS = 8, 100
Key = tuple[str, str]
"""Value of the attribute, empty without one; product."""


@dataclass(frozen=True, slots=True)
class CountsOrder:
    """What is counted."""

    selection: Selection
    epsilon: float
    attribute: str
    """Key of an attribute; empty: of all shoppers together."""
    most_products: int

    def params(self) -> dict[str, Any]:
        """Return the job's parameters as JSON values."""
        given = {name: getattr(self, name) for name in ("epsilon", "attribute", "most_products")}
        return {**params(self.selection), **given}

    @property
    def text(self) -> str:
        """Describe it for the ledger."""
        types = ", ".join(one.value for one in self.selection.types)
        return f"shoppers by product, {types}" + (
            f", by {self.attribute}" if self.attribute else ""
        )


def order_of(catalog_id: str, given: Mapping[str, Any]) -> CountsOrder:
    """Build the order from the result of `params`."""
    return CountsOrder(
        selection_of(catalog_id, given),
        float(given["epsilon"]),
        str(given["attribute"]),
        int(given["most_products"]),
    )


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """A catalog's budget."""

    epsilon: float
    """Maximum sum of epsilon within `days`."""
    days: float

    def since(self, now_micros: int) -> int:
        """Return the time before which expenses have ended, microseconds since 1970 (UTC)."""
        return now_micros - int(self.days * DAY_MICROS)


@dataclass(frozen=True, slots=True)
class NoisyCounts:
    """Counts with noise."""

    counts: Mapping[Key, int]
    threshold: int
    """Counts below it are left out."""
    scale: float
    """Of the noise, a discrete Laplace distribution: its standard deviation is about 1.4 times as
    large."""


AddNoise = Callable[[Mapping[Key, int], CountsOrder, int], NoisyCounts]
"""(counts, order, floor): adds noise; `floor` is the minimum of the threshold."""


def bounded(
    pairs: Iterable[tuple[str, str]], values: Mapping[str, str] | None, most_products: int
) -> dict[Key, int]:
    """Count shoppers by (value of the attribute, product). `pairs`: distinct (shopper, product),
    those of a shopper together, so that only one shopper's are held. `values`: of the attribute by
    shopper; None: without one. Each shopper counts in at most `most_products` products, which a
    hash chooses."""
    counts: Counter[Key] = Counter()
    for actor, theirs in groupby(pairs, itemgetter(0)):
        if values is None or actor in values:
            value = "" if values is None else values[actor]
            products = [product_id for _, product_id in theirs]
            counts.update((value, item) for item in _some(actor, products, most_products))
    return dict(counts)


def _some(actor: str, products: Sequence[str], most: int) -> Sequence[str]:
    """Return at most that many of the products."""
    if len(products) <= most:
        return products
    drawn = {hashlib.sha256(f"{actor} {item}".encode()).digest(): item for item in products}
    return [drawn[one] for one in heapq.nsmallest(most, drawn)]
