"""Recipes and results of trainings, as plain values."""

from dataclasses import dataclass
from enum import StrEnum


class TrainingLoss(StrEnum):
    """Loss function of LightFM."""

    UNKNOWN = "UNKNOWN"
    """Not given, or a loss that this client is too old to know."""
    WARP = "WARP"
    """Best for the first places of a list."""
    BPR = "BPR"
    LOGISTIC = "LOGISTIC"
    """Also learns from hides and low ratings."""


class ItemItem(StrEnum):
    """Method that learns related products from likes."""

    UNKNOWN = "UNKNOWN"
    """Not given, or a method that this client is too old to know."""
    OFF = "OFF"
    TRANSITION = "TRANSITION"
    """A regression of later interests on earlier ones."""
    EASE = "EASE"
    """The same without an order."""
    COSINE = "COSINE"
    """Item-kNN: cosine of two products' likes, without an order."""
    KNN = "KNN"
    """For large catalogs."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Recipe of a training; `None` uses the installation's settings. recipe.proto documents the
    ranges."""

    loss: TrainingLoss = TrainingLoss.UNKNOWN
    dimension: int | None = None
    """Length of the vectors."""
    epochs: int | None = None
    """Passes over all interests."""
    max_sampled: int | None = None
    """WARP: maximum number of products sampled to find a wrongly ranked one."""
    learning_rate: float | None = None
    item_alpha: float | None = None
    """L2 penalty on features of products."""
    user_alpha: float | None = None
    """L2 penalty on features of shoppers."""
    threads: int | None = None
    """Only with 1 thread do the same data and seed give the same model bit for bit."""
    attribute_keys: tuple[str, ...] = ()
    """Text attributes of products that become features; empty: those of the settings."""
    title_words: bool | None = None
    """If true, words of titles become features of products."""
    user_ids: bool | None = None
    """If true, each shopper has an individual feature."""
    shopper_attribute_keys: tuple[str, ...] = ()
    """Attributes given by shoppers that become features of theirs; empty: those of the settings."""
    style_dimension: int | None = None
    """Length of the visual style; 0 disables it."""
    style_scale: float | None = None
    """Weight of photos for products without likes; 1: as learned, 0: off."""
    shared_scale: float | None = None
    """Scale of features that products share, relative to 1 for the product's own id."""
    item_item: ItemItem = ItemItem.UNKNOWN
    transition_penalty: float | None = None
    ease_penalty: float | None = None
    neighbours: int | None = None
    """Maximum number of related products stored for each product."""
    together_support: int | None = None
    """Minimum number of baskets that two products must share to count as bought together."""


class PartVerdict(StrEnum):
    """Verdict on a part of a model."""

    UNKNOWN = "UNKNOWN"
    ADDS = "ADDS"
    NOTHING = "NOTHING"
    """The part adds nothing and is off."""
    TOO_FEW = "TOO_FEW"
    """Too few shoppers to decide; the part is unchanged."""


@dataclass(frozen=True, slots=True)
class PartAddition:
    """Contribution of a part of a model, on the validation split."""

    part: str
    """A part of the raw score, or "user_ids", "shopper_attributes", "product_attributes",
    "style"."""
    metric: str
    """E.g. "ndcg@10"; higher is better. Of "style", "explained": the share of products' own vectors
    that their photos predict; of "content" that of item-item scores that features predict."""
    with_it: float
    without: float
    addition: float
    """Mean difference, between `low` and `high` with 95% confidence."""
    low: float
    high: float
    shopper_count: int
    """Number of shoppers; for "style" of products."""
    verdict: PartVerdict
