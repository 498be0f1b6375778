"""Pairs of products of the same picture that were decided to be different products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import derive_id

MOST_PAIRS = 10_000
"""Pairs of a catalog."""
MOST_NAMED = 20
"""Products of which a call names each two."""


@dataclass(frozen=True, slots=True)
class DistinctPair:
    """Two products, in the order of their ids, that were decided to be different. The decision
    holds while both have the first photos that they had then."""

    product_id: str
    other_product_id: str
    image_id: str
    """First photo of the product; empty: it had none."""
    other_image_id: str
    author: str
    """Caller who decided it; empty: it was not authenticated."""
    create_micros: int

    @property
    def pair_id(self) -> str:
        """Key of the pair within its catalog."""
        return derive_id(self.product_id, self.other_product_id)


def pairs_of(product_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return each two of the products, in the order of their ids. Raises RequestInvalid unless
    these are 2 to MOST_NAMED different ones."""
    ordered = sorted({*product_ids})
    if not 2 <= len(product_ids) <= MOST_NAMED or len(ordered) < len(product_ids):
        raise RequestInvalid.at("product_ids", f"must be 2 to {MOST_NAMED} ids, each once")
    return combinations(ordered, 2)
