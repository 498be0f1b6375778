"""Recipes and results of trainings, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from enum import StrEnum


class TrainingLoss(StrEnum):
    """Loss function of LightFM."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    WARP = "WARP"
    """Weighted approximate-rank pairwise: best for the first places of a list."""
    BPR = "BPR"
    """Bayesian personalised ranking."""
    LOGISTIC = "LOGISTIC"
    """Logistic: also learns from hides and low ratings."""


class ItemItem(StrEnum):
    """Item-to-item model, learned from the interests of shoppers."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    OFF = "OFF"
    """None."""
    EASE = "EASE"
    """EASE (Steck 2019). Memory grows with the square of the number of products."""
    KNN = "KNN"
    """Cosine between earlier and later interests. Memory grows with the number of pairs that
    shoppers share. Replaces the others in catalogs with more than 10,000 liked products."""
    TRANSITION = "TRANSITION"
    """A regression of later interests on earlier ones (SLIT; Choi et al. 2021). Memory grows with
    the square of the number of products."""
    COSINE = "COSINE"
    """Item-kNN: the cosine of two products' likes, without an order (Deshpande, Karypis 2004).
    Memory as for KNN."""


class PartVerdict(StrEnum):
    """Result of the measurement."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    ADDS = "ADDS"
    """The part adds quality: the interval is above 0."""
    NOTHING = "NOTHING"
    """The part adds nothing and is off."""
    TOO_FEW = "TOO_FEW"
    """There were too few shoppers to decide. The part is unchanged."""


@dataclass(frozen=True, slots=True)
class PartAddition:
    """Contribution of a part of a model, measured on the validation split of the training."""

    part: str
    """A part of the raw score, or a kind of features: "user_ids", "shopper_attributes",
    "product_attributes", "style"."""
    metric: str
    """Name of the metric, e.g. "ndcg@10"; higher is better. For "style": "explained", the share (at
    most 1) of the scores from liked products' own vectors that their photos predict; each product
    is predicted from the others. For "content": the same share of item-item scores that features
    predict."""
    with_it: float
    """Value with the part and all other remaining parts."""
    without: float
    """Value without the part."""
    addition: float
    """Mean over the shoppers of the difference with − without."""
    low: float
    """Lower bound of its 95% interval."""
    high: float
    """Upper bound of its 95% interval."""
    shopper_count: int
    """Number of shoppers in the measurement; for "style" of products."""
    verdict: PartVerdict
    """Result of the measurement."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Parameters of a training. In a request all fields are optional: the installation's recipe
    file (RANKER_RECIPE_FILE) supplies missing values, and its defaults are given here. In a
    response all fields are set. Numbers out of range are rejected."""

    loss: TrainingLoss = TrainingLoss.UNKNOWN
    """Loss function of LightFM."""
    dimension: int | None = None
    """Length of the vectors, 2 to 512. Default: 30."""
    epochs: int | None = None
    """Passes over all interests, 1 to 1,000. Default: 20."""
    max_sampled: int | None = None
    """WARP: maximum number of products sampled to find a wrongly ranked one, 1 to 1,000. Default:
    50."""
    learning_rate: float | None = None
    """Learning rate of Adagrad, 0.000001 to 10. Default: 0.05."""
    item_alpha: float | None = None
    """L2 penalty on features of products, 0 to 1. Default: 0."""
    user_alpha: float | None = None
    """L2 penalty on features of shoppers, 0 to 1. Default: 0."""
    threads: int | None = None
    """Threads, 1 to 256. Default: 1. Only with 1 thread do the same data and seed give the same
    model bit for bit."""
    attribute_keys: tuple[str, ...] = ()
    """Keys of text attributes of products that become features, up to 100. If empty, those of the
    recipe file. Default: "country", "grape"."""
    title_words: bool | None = None
    """If true, words of titles become features of products: up to 4,000 words that 2 products to 2%
    of the products have. They help products that no shopper likes yet, and may harm others
    slightly. Default: false."""
    user_ids: bool | None = None
    """If true, each shopper has an individual feature in addition to those of given attributes.
    Default: true."""
    style_dimension: int | None = None
    """Length of the visual style learned from photos of products, 0 to 512. 0 disables it. Default:
    32."""
    style_scale: float | None = None
    """Factor on the taste part as predicted from photos, for products that no shopper likes yet, 0
    to 100. 1: as learned. 0: off; a model's recipe also has 0 if photos were found to have no
    predictive value. Default: 1."""
    shared_scale: float | None = None
    """Scale of features that products share (category, brand, tags, …), relative to 1 for the
    product's own id, 0.001 to 100. Default: 0.2."""
    item_item: ItemItem = ItemItem.UNKNOWN
    """Item-to-item model."""
    transition_penalty: float | None = None
    """TRANSITION: its λ, 0.001 to 1,000,000,000. Default: 1,600."""
    ease_penalty: float | None = None
    """EASE: its λ, 0.001 to 1,000,000,000. Default: 350."""
    neighbours: int | None = None
    """Maximum number of related products stored for each product, 1 to 10,000. Default: 200."""
    together_support: int | None = None
    """Minimum number of baskets that two products must share to count as bought together, 1 to
    1,000,000. Default: 3."""
