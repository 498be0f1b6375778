"""Recipe of a training: all parameters besides the data; stored in the manifest and searched over.

Defaults are chosen on a validation split in time, never on a test; lab/research/quality.md names
the split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, get_type_hints

from pydantic import TypeAdapter

from ranker.domain.signals import Signals


class Loss(StrEnum):
    """LightFM's losses."""

    WARP = "warp"
    BPR = "bpr"
    LOGISTIC = "logistic"


class ItemItem(StrEnum):
    """Item-to-item model, learned from the interests of shoppers."""

    OFF = "off"
    TRANSITION = "transition"
    """A regression of later interests on earlier ones (Choi et al. 2021, arXiv 2103.16104); memory
    grows with the square of the number of products."""
    EASE = "ease"
    """The same without an order (Steck 2019, arXiv 1905.03375)."""
    COSINE = "cosine"
    """Item-kNN: cosine of the products' columns, without an order; memory as for KNN."""
    KNN = "knn"
    """Cosine between earlier and later interests; memory grows with the number of pairs that
    shoppers share. Replaces the other two in large catalogs."""


FROM_IMPRESSIONS = "impressions"
"""Source of a blend that was learned from shown and chosen products."""


@dataclass(frozen=True, slots=True)
class PartBlend:
    """Weights of the parts of a raw score, after each was divided by its scale."""

    weights: Mapping[str, float] = field(
        default_factory=lambda: {
            "taste": 1.0,
            "session": 1.2,
            "item_item": 1.3,
            "content": 1.0,
            "trend": 0.25,
            "popularity": 1.0,
        }
    )
    """By part; a missing part counts 0."""
    learned_from: str = "default"
    """Source: "default", "validation" (held out in time) or "impressions" (shown and chosen)."""
    sample_count: int = 0
    """Number of shoppers or impressions behind the weights; 0 for the default."""


class Between(NamedTuple):
    """Minimum and maximum of a number that callers and files may choose."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """Parameters of a training: the one place that describes them. Recipe files, their reference,
    and what TrainModel accepts follow from its fields (KEYS), each with its docstring; the message
    Recipe has the same fields."""

    loss: Loss = Loss.WARP
    """Loss function of LightFM: warp (best for the first places of a list), bpr, or logistic, which
    also learns from hides and low ratings."""
    dimension: Annotated[int, Between(2, 512)] = 30
    """Length of the vectors. 30 is best on MovieLens-100k; longer ones help from millions of
    events."""
    epochs: Annotated[int, Between(1, 1000)] = 20
    """Passes over all interests."""
    max_sampled: Annotated[int, Between(1, 1000)] = 50
    """Maximum number of products that WARP samples to find a wrongly ranked one."""
    learning_rate: Annotated[float, Between(1e-6, 10)] = 0.05
    """Learning rate of Adagrad."""
    item_alpha: Annotated[float, Between(0, 1)] = 0.0
    """L2 penalty on features of products."""
    user_alpha: Annotated[float, Between(0, 1)] = 0.0
    """L2 penalty on features of shoppers."""
    threads: Annotated[int, Between(1, 256)] = 1
    """Threads of LightFM. With 1 the same data give the same model bit for bit; more are faster,
    but give another model each time."""
    seed: int = 0
    attribute_keys: tuple[str, ...] = ("country", "grape")
    """Keys of the text attributes that become features of a product."""
    title_words: bool = False
    """If true, words of titles become features of a product: up to 4,000 words that 2 products to
    2% of the products have. They help products that no shopper likes yet, and may harm others
    slightly."""
    user_ids: bool = True
    """If true, each shopper has an individual feature in addition to those of given attributes."""
    shopper_attribute_keys: tuple[str, ...] = ()
    """Keys of the attributes given by shoppers that become features of theirs. Empty: all."""
    style_dimension: Annotated[int, Between(0, 512)] = 32
    """Length of the visual style, learned from the products' photos. 0 disables it."""
    style_scale: Annotated[float, Between(0, 100)] = 1.0
    """Factor on what photos predict for products without likes. 1: as learned. 0: off."""
    shared_scale: Annotated[float, Between(1e-3, 100)] = 0.2
    """Scale of features that products share, such as a brand, relative to 1 for the id."""
    item_item: ItemItem = ItemItem.TRANSITION
    """Item-to-item model: transition, ease, cosine, knn or off."""
    transition_penalty: Annotated[float, Between(1e-3, 1e9)] = 1600.0
    """The transitions' λ."""
    ease_penalty: Annotated[float, Between(1e-3, 1e9)] = 350.0
    """EASE's λ."""
    neighbours: Annotated[int, Between(1, 10_000)] = 200
    """Maximum number of related products stored for each product."""
    together_support: Annotated[int, Between(1, 1_000_000)] = 3
    """Minimum number of baskets that two products must share to count as bought together."""
    blend: PartBlend = field(default_factory=PartBlend)
    newcomers: Mapping[str, float] = field(default_factory=lambda: {"trend": 0.0})
    """Weights that replace those of the blend for shoppers with few events who were not in
    training. These and the next ones are chosen on folds by time: lab/research/quality.md."""
    returning: Mapping[str, float] = field(
        default_factory=lambda: {"taste": 1.0, "popularity": 1.0, "trend": 0.5}
    )
    """Weights by part for trained shoppers, toward which the blend moves as their last products
    fade."""
    signals: Signals = field(default_factory=Signals)

    def json(self) -> dict[str, Any]:
        """Return the recipe for a manifest; `recipe_of` reads it back."""
        return asdict(self)


_HINTS = get_type_hints(Recipe, include_extras=True)
_APART = frozenset({"seed", "blend", "newcomers", "returning", "signals"})
KEYS = tuple(one.name for one in fields(Recipe) if one.name not in _APART)
"""What a recipe's file and callers may set."""
RANGES: Mapping[str, Between] = MappingProxyType(
    {name: _HINTS[name].__metadata__[0] for name in KEYS if hasattr(_HINTS[name], "__metadata__")}
)
"""Minimum and maximum of each number among KEYS."""


_RECIPE = TypeAdapter(Recipe)


def recipe_of(content: Mapping[str, Any]) -> Recipe:
    """Build the recipe that `json` made, also in another release: unknown keys are ignored, missing
    ones have their defaults. ValueError if a value is invalid."""
    return _RECIPE.validate_python(content)
