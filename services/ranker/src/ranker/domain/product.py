"""Products, as models learn from them."""

from dataclasses import dataclass

from ranker.domain.arrays import Floats


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in millionths of the currency's unit."""

    micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class Product:
    """What a model can learn from about a product."""

    product_id: str
    category: str = ""
    """Path from the root down, levels joined by " > "; empty = uncategorised."""
    brand: str = ""
    price: Money | None = None
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """Text attributes as (key, value); a key may repeat."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """What products look like: one vector each of the retriever's visual space."""

    product_ids: tuple[str, ...]
    """Sorted; products without a photo are left out."""
    vectors: Floats
    """(products, dimension)"""
    space_version: str
