"""Profiles of shoppers and products, as plain values (docs/integrate/profiles.md).

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.catalog import Money


class AffinityKind(StrEnum):
    """Kind of preference."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    CATEGORY = "CATEGORY"
    """A category with all below it. ``value`` is its path."""
    BRAND = "BRAND"
    PRICE_BAND = "PRICE_BAND"
    """A price band: half an octave, such as 10 to 14.14 EUR."""
    TAG = "TAG"
    ATTRIBUTE = "ATTRIBUTE"
    """A text attribute. ``key`` is its name."""
    STYLE = "STYLE"
    """A visual style: products that look similar. ``value`` is the id of the most typical one."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Frequency of a shopper's visits. Counts events of interest: views, clicks, carts, purchases
    and ratings."""

    first_event_time: datetime
    """Time of the oldest event (UTC)."""
    last_event_time: datetime
    """Time of the newest event (UTC)."""
    days_since_last_event: float
    """Recency: days since the newest event, not negative."""
    visit_count: int
    """Number of visits: by session id, otherwise separated by pauses of
    RANKER_SIGNAL_SESSION_GAP_MINUTES."""
    visits_a_week: float
    """Frequency: visits a week since the oldest event, over at least one week."""
    purchase_count: int
    """Number of purchases."""
    text: str
    """The activity in a sentence."""


@dataclass(frozen=True, slots=True)
class ProductProfile:
    """Profile of a product."""

    product_id: str
    category: str
    """Category, levels joined by " > ". Empty if uncategorised."""
    brand: str
    """Brand. Empty if none."""
    price_band: tuple[Money, Money] | None
    """lower (inclusive) and upper (exclusive) end; None without a price."""
    tags: tuple[str, ...]
    """Tags, sorted."""
    attributes: tuple[tuple[str, str], ...]
    """attributes from which models learn, as (key, value); a key may repeat."""
    popularity: float
    """Decayed count of interests as a share of the most popular product's, 0 to 1."""
    trend: float | None
    """Base-2 logarithm of the popularity in the last weeks over the time before, when the model was
    trained: 1 is twice as popular, −1 half as popular. None if unknown."""
    style: tuple[float, ...]
    """Visual style: principal components of the embedding of its photos, scaled as in training.
    Empty without photos."""
    style_space_version: str
    """Version of the visual space in which the style was learned. Empty without a style."""
    similar_style_product_ids: tuple[str, ...]
    """Products that look most similar, nearest first, up to 5."""
    texts: tuple[str, ...]
    """The profile in sentences."""
    model_version: str
    """Model of the profile."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """A preference of a shopper compared with all shoppers."""

    kind: AffinityKind
    """Kind of preference."""
    key: str
    """For ATTRIBUTE: name of the attribute. Otherwise empty."""
    value: str
    """The preferred value, as in the catalog; for PRICE_BAND as in ``text``."""
    strength: float
    """Strength, above 0, up to 1 (no other interests): (share − usual_share) / (1 − usual_share) ×
    S / (S + 2), where S is the weight of the shopper's interests in such products. A certain
    interest has weight 1."""
    share: float
    """Share of the shopper's interest in such products, 0 to 1."""
    usual_share: float
    """Share of all shoppers' interest in such products when the model was trained, 0 to 1."""
    event_count: int
    """Number of the shopper's events with such products."""
    product_ids: tuple[str, ...]
    """Products that are the evidence, most liked first, up to 10."""
    text: str
    """The affinity in a sentence."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of shoppers with similar interests."""

    segment_id: int
    """Number of the segment in the model, from 1. Not comparable between models."""
    affinities: tuple[Affinity, ...]
    """Affinities of its shoppers, strongest first, up to 3."""
    share: float
    """Share of the shoppers in the training, 0 to 1."""
    text: str
    """The segment in a few words."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of the serving model."""

    segments: tuple[Segment, ...]
    """Segments, largest first, up to 12."""
    silhouette: float
    """Mean silhouette, −1 to 1: how clearly the segments are separated. From 0.25 they are groups;
    near 0 they divide a continuum."""
    model_version: str
    """Model of the segments. Empty if none serves."""


@dataclass(frozen=True, slots=True)
class ShopperProfile:
    """Profile of a shopper."""

    attributes: Mapping[str, str]
    """the attributes that the shopper gave with consent."""
    affinities: tuple[Affinity, ...]
    """Affinities, strongest first, up to 5 of each kind."""
    disliked_product_ids: tuple[str, ...]
    """Products that the shopper hid or rated low, up to 50."""
    activity: Activity | None
    """Frequency of visits. None if the shopper has no events."""
    segment: Segment | None
    """Segment with the most similar interests. None if the shopper has no events or there are no
    segments."""
    robot: bool
    """True if the shopper has more events per day or minute than a person (RANKER_SIGNAL_ROBOT_…).
    These events have a low weight in training."""
    event_count: int
    """Number of events of interest that the profile is computed from: the newest ones, at most
    1,000."""
    model_version: str
    """Model that holds the products. Empty if none serves; then there are no affinities."""
