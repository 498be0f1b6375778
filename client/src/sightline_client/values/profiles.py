"""What is known of shoppers and products, as plain values (docs/integrate/profiles.md)."""

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
    """Products that look alike."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """Something that a shopper, or a group of them, likes more than others do."""

    kind: AffinityKind
    key: str
    """For ATTRIBUTE: which one; else ""."""
    value: str
    """For STYLE: the id of the most typical product."""
    strength: float
    """Above 0, up to 1 = they like nothing else."""
    share: float
    """Of their interest, 0 to 1; 0 for groups."""
    usual_share: float
    """Of everybody's interest, 0 to 1."""
    event_count: int
    product_ids: tuple[str, ...]
    """From which it was inferred, those liked most first."""
    text: str
    """The same in a sentence."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Frequency of a shopper's visits, by what was viewed."""

    first_event_time: datetime
    last_event_time: datetime
    days_since_last_event: float
    visit_count: int
    visits_a_week: float
    purchase_count: int
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of shoppers with like interests."""

    segment_id: int
    """From 1; another model numbers anew."""
    affinities: tuple[Affinity, ...]
    """What sets them apart, the strongest first."""
    share: float
    """Of the shoppers, 0 to 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Segments:
    """The groups that a model knows."""

    segments: tuple[Segment, ...]
    """The largest first."""
    silhouette: float
    """How clearly they stand apart, −1 to 1; from .25 there are groups, near 0 there is a cloud."""
    model_version: str
    """"" = no model serves."""


@dataclass(frozen=True, slots=True)
class ShopperProfile:
    """Profile of a shopper."""

    attributes: Mapping[str, str]
    """What they shared of themselves with their consent."""
    affinities: tuple[Affinity, ...]
    """The strongest first."""
    disliked_product_ids: tuple[str, ...]
    """Hidden or rated low."""
    activity: Activity | None
    """None = they never did anything."""
    segment: Segment | None
    """None = nothing is known, or no groups are."""
    robot: bool
    """They did more than people do."""
    event_count: int
    """Events that were looked at, the newest ones."""
    model_version: str
    """"" = no model serves, and there are no affinities."""


@dataclass(frozen=True, slots=True)
class ProductProfile:
    """Profile of a product in the models."""

    product_id: str
    category: str
    brand: str
    price_band: tuple[Money, Money] | None
    """From, to below; None = no price."""
    tags: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    """Those that models learn from, as (key, value); a key may repeat."""
    popularity: float
    """Share of the most popular product's, 0 to 1."""
    trend: float | None
    """Base-2 logarithm: 1 = twice as popular lately as before; None = not known."""
    style: tuple[float, ...]
    """Visual style; () = no photo."""
    style_space_version: str
    similar_style_product_ids: tuple[str, ...]
    """Which look most like it, nearest first."""
    texts: tuple[str, ...]
    """The same in sentences."""
    model_version: str
