"""Parts of requests, as plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline_client.values.catalog import Money
from sightline_client.values.signals import Box

if TYPE_CHECKING:
    from sightline_client.values.photos import Photo

AWAY_WEIGHT = 0.5
"""Default weight of negative signals; docs/integrate/signals.md gives the reason."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """Photos, texts and products to be far from: ``Unlike(texts="leather")``."""

    images: "Iterable[Photo]" = ()
    texts: str | Iterable[str] = ()
    products: str | Iterable[str] = ()
    weight: float = AWAY_WEIGHT
    """Weight of each, relative to 1 for positive signals; up to 100."""


@dataclass(frozen=True, slots=True)
class FacetQuery:
    """A field whose values are to be counted."""

    field: str
    """One of ``FACETED``, or ``attributes.<key>``."""
    top: int = 0
    """Maximum number of values, 1 to 200; 0: 20."""
    below: tuple[str, ...] = ()
    """For ``category``: count the categories directly below this path; (): the topmost ones."""
    bounds: tuple[Money, ...] | tuple[float, ...] = ()
    """For ``price`` and numbers: lower bounds of ranges, ascending. Empty: each unit of a rating,
    else 0, 1, 2, 5, 10, 20 and so on.
    """


@dataclass(frozen=True, slots=True)
class HeatMapOptions:
    """Detections that get a heat map."""

    product_ids: tuple[str, ...] = ()
    """Their products, up to 20; () = all."""
    max_heat_maps: int = 0
    """Maximum number of heat maps, 1 to 20; 0 = 20. The first detections get them."""


@dataclass(frozen=True, slots=True)
class PlannedProduct:
    """Facings of a product that belong together, in a plan of a shelf.

    They stand anywhere, in a row, or in a part of the photo.
    """

    product_id: str
    facings: int = 1
    """Number of units beside one another as seen from the front, 1 to 300."""
    row: int = 0
    """Row, 1 to 100, 1 = the topmost; 0 = not in a row."""
    position: int = 0
    """Position among the products of the row, 1 to 300, 1 = the leftmost; 0 = after the row's
    former entries."""
    box: Box | None = None
    """Part of the photo, for a camera that does not move; None = anywhere. Not with a row."""
