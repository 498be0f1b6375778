"""Profiles of shoppers and products, as plain values (docs/integrate/profiles.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.catalog import Money


class AffinityKind(StrEnum):
    """Kind of an affinity."""

    UNKNOWN = "UNKNOWN"
    CATEGORY = "CATEGORY"
    BRAND = "BRAND"
    PRICE_BAND = "PRICE_BAND"
    TAG = "TAG"
    ATTRIBUTE = "ATTRIBUTE"
    STYLE = "STYLE"
    """Products that look similar."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """A preference of a shopper or a segment compared with all shoppers."""

    kind: AffinityKind
    key: str
    """For ATTRIBUTE: name of the attribute; otherwise ""."""
    value: str
    """For STYLE: the id of the most typical product."""
    strength: float
    """Strength, above 0, up to 1 (no other interests)."""
    share: float
    """Share of the shopper's interest, 0 to 1; 0 for segments."""
    usual_share: float
    """Share of all shoppers' interest, 0 to 1."""
    event_count: int
    product_ids: tuple[str, ...]
    """Products that are the evidence, most liked first."""
    text: str
    """The affinity in a sentence."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Frequency of a shopper's visits, by the viewed products."""

    first_event_time: datetime
    last_event_time: datetime
    days_since_last_event: float
    visit_count: int
    visits_a_week: float
    purchase_count: int
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of shoppers with similar interests."""

    segment_id: int
    """From 1; not comparable between models."""
    affinities: tuple[Affinity, ...]
    """Affinities of its shoppers, strongest first."""
    share: float
    """Share of the shoppers, 0 to 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of a model."""

    segments: tuple[Segment, ...]
    """The largest first."""
    silhouette: float
    """Mean silhouette, −1 to 1: from .25 they are groups, near 0 they divide a continuum."""
    model_version: str
    """"" if no model serves."""


@dataclass(frozen=True, slots=True)
class ShopperProfile:
    """Profile of a shopper."""

    attributes: Mapping[str, str]
    """Attributes that the shopper gave with consent."""
    affinities: tuple[Affinity, ...]
    """The strongest first."""
    disliked_product_ids: tuple[str, ...]
    """Products hidden or rated low."""
    activity: Activity | None
    """`None` if the shopper has no events."""
    segment: Segment | None
    """`None` if the shopper has no events or there are no segments."""
    robot: bool
    """True if the shopper has more events per day or minute than a person."""
    event_count: int
    """Number of events used, the newest ones."""
    model_version: str
    """"" if no model serves; then there are no affinities."""


@dataclass(frozen=True, slots=True)
class ProductProfile:
    """Profile of a product in the models."""

    product_id: str
    category: str
    brand: str
    price_band: tuple[Money, Money] | None
    """Lower (inclusive) and upper (exclusive) end; `None` without a price."""
    tags: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    """Attributes from which models learn, as (key, value); a key may repeat."""
    popularity: float
    """Share of the most popular product's count, 0 to 1."""
    trend: float | None
    """Base-2 logarithm: 1 is twice as popular lately as before; `None` if unknown."""
    style: tuple[float, ...]
    """Visual style; () without a photo."""
    style_space_version: str
    similar_style_product_ids: tuple[str, ...]
    """Products that look most similar, nearest first."""
    texts: tuple[str, ...]
    """The profile in sentences."""
    model_version: str
