"""Recipes and results of trainings, as plain values."""

from dataclasses import dataclass
from enum import StrEnum


class TrainingLoss(StrEnum):
    """Loss that LightFM minimises."""

    UNKNOWN = "UNKNOWN"
    """One that this client is too old to know, or not given."""
    WARP = "WARP"
    """The best for the first places of a list."""
    BPR = "BPR"
    LOGISTIC = "LOGISTIC"
    """Also learns from what people hide and rate low."""


class ItemItem(StrEnum):
    """Method that learns related products from likes."""

    UNKNOWN = "UNKNOWN"
    """One that this client is too old to know, or not given."""
    OFF = "OFF"
    TRANSITION = "TRANSITION"
    """A regression of what people like next on what they liked before."""
    EASE = "EASE"
    """The same without an order."""
    KNN = "KNN"
    """For large catalogs."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Recipe of a training; None follows the installation's settings. recipe.proto has the
    ranges."""

    loss: TrainingLoss = TrainingLoss.UNKNOWN
    dimension: int | None = None
    """Length of the vectors."""
    epochs: int | None = None
    """Passes over all interests."""
    max_sampled: int | None = None
    """WARP: products tried to find one that is ranked wrongly."""
    learning_rate: float | None = None
    item_alpha: float | None = None
    """L2 penalty on features of products."""
    user_alpha: float | None = None
    """L2 penalty on features of shoppers."""
    threads: int | None = None
    """1 = the same data and seed give the same model bit for bit."""
    attribute_keys: tuple[str, ...] = ()
    """Text attributes of products that become features; empty = as the settings say."""
    user_ids: bool | None = None
    """Whether each shopper has a feature of their own."""
    style_dimension: int | None = None
    """Length of the visual style; 0 = none."""
    style_scale: float | None = None
    """Weight of photos for products without likes; 1 = as learned, 0 = none."""
    shared_scale: float | None = None
    """How large the features are that products share, where the product's own id is 1."""
    item_item: ItemItem = ItemItem.UNKNOWN
    transition_penalty: float | None = None
    ease_penalty: float | None = None
    neighbours: int | None = None
    """Most products that are kept of those that go with a product."""
    together_support: int | None = None
    """Least baskets that two products must share to count as bought together."""


class PartVerdict(StrEnum):
    """Verdict on a part of a model."""

    UNKNOWN = "UNKNOWN"
    ADDS = "ADDS"
    NOTHING = "NOTHING"
    """It adds nothing: it is off."""
    TOO_FEW = "TOO_FEW"
    """There were too few shoppers to tell: it stayed as it was."""


@dataclass(frozen=True, slots=True)
class PartAddition:
    """Gain of one part of a model, on the validation split."""

    part: str
    """A part of the raw score, or "user_ids", "shopper_attributes", "product_attributes",
    "style"."""
    metric: str
    """E.g. "ndcg@10"; higher is better. Of "style", "explained": the share of products' own vectors
    that their photos predict."""
    with_it: float
    without: float
    addition: float
    """Mean difference; between `low` and `high` with 95% confidence."""
    low: float
    high: float
    shopper_count: int
    """Of "style", products."""
    verdict: PartVerdict
