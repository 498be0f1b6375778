"""Recipe of a training: all parameters besides the data; stored in the manifest and searched over.

Defaults are chosen on a validation split in time, never on a test; lab/research/quality.md names
the split.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

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


RANGES: Mapping[str, tuple[float, float]] = {
    "dimension": (2, 512),
    "epochs": (1, 1000),
    "max_sampled": (1, 1000),
    "learning_rate": (1e-6, 10),
    "item_alpha": (0, 1),
    "user_alpha": (0, 1),
    "threads": (1, 256),
    "style_dimension": (0, 512),
    "style_scale": (0, 100),
    "shared_scale": (1e-3, 100),
    "transition_penalty": (1e-3, 1e9),
    "ease_penalty": (1e-3, 1e9),
    "neighbours": (1, 10_000),
    "together_support": (1, 1_000_000),
}
"""Minimum and maximum of each number of a recipe that callers and settings may choose."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Parameters of a training; settings/recipe_file.py describes each."""

    loss: Loss = Loss.WARP
    dimension: int = 30
    epochs: int = 20
    max_sampled: int = 50
    learning_rate: float = 0.05
    item_alpha: float = 0.0
    user_alpha: float = 0.0
    threads: int = 1
    seed: int = 0
    attribute_keys: tuple[str, ...] = ("country", "grape")
    title_words: bool = False
    """Words gain for new products, and may cost AUC of known ones: lab/research/quality.md."""
    user_ids: bool = True
    style_dimension: int = 32
    style_scale: float = 1.0
    """Factor on what photos predict for products without interests: 1 as learned; 0 off."""
    shared_scale: float = 0.2
    """Scale of shared features of products relative to their own ids, which have 1. At 1 products
    become too similar for a session: see lab/research/quality.md."""
    item_item: ItemItem = ItemItem.TRANSITION
    transition_penalty: float = 1600.0
    ease_penalty: float = 350.0
    neighbours: int = 200
    together_support: int = 3
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


_RECIPE = TypeAdapter(Recipe)


def recipe_of(content: Mapping[str, Any]) -> Recipe:
    """Build the recipe that `json` made, also in another release: unknown keys are ignored, missing
    ones have their defaults. ValueError if a value is invalid."""
    return _RECIPE.validate_python(content)
