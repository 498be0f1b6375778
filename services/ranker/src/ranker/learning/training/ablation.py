"""Ablation: the contribution of each part of a model on the validation split; parts that add
nothing are turned off.

Parts of the blend are left out of the score one at a time. Features (the shoppers' own ids, the
attributes that shoppers gave, the products' attributes) are left out of the training. Differences
are paired by shopper, with intervals. The prediction from photos is tested on products:
training/photo_vectors.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.model import Model
from ranker.domain.recipe import ItemItem, Recipe
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.training.blend import LEAST_SHOPPERS, UNSEARCHED
from ranker.learning.training.photo_vectors import Explained
from ranker.learning.training.recipe_validation import METRIC, Validation
from ranker.learning.training.search import RecipeTrial
from ranker.learning.training.training_data import Given
from ranker.serving.ranking.parts import OWN_PARTS

Refitted = Callable[[Recipe, bool], Model]
"""(recipe, with the shoppers' attributes) to the model of the validation split."""


class AblationVerdict(StrEnum):
    """Verdict of an ablation on a part."""

    ADDS = "adds"
    """The interval of its addition is above 0."""
    NOTHING = "nothing"
    """The part adds nothing and is turned off."""
    TOO_FEW = "too_few"
    """Too few shoppers to decide: the part is unchanged."""


@dataclass(frozen=True, slots=True)
class Addition:
    """Contribution of a part to the figure."""

    part: str
    """A part of the score, or "user_ids", "shopper_attributes", "product_attributes", "style"."""
    metric: str
    with_it: float
    without: float
    addition: float
    """Mean difference; between `low` and `high` with 95% confidence."""
    low: float
    high: float
    shopper_count: int
    """For the style and for content: number of products."""
    verdict: AblationVerdict


@dataclass(frozen=True, slots=True)
class BlendChoice:
    """Blend chosen on validation."""

    recipe: Recipe
    attributes: bool
    """True if attributes of shoppers are used."""
    trials: tuple[RecipeTrial, ...] = ()
    """Trials of a search; empty if nothing was searched."""
    additions: tuple[Addition, ...] = ()
    """Contribution of each part; empty if no shopper could be tested, or it was not requested."""


def ablate(measured: Validation, recipe: Recipe, model: Model, refitted: Refitted) -> BlendChoice:
    """Remove parts that add nothing to the rest, one at a time; features first, in a fixed order,
    because the parts of the score depend on them. `model`: model of the full recipe."""
    attributes = bool(measured.given.attributes)
    gains = measured.gains(model)
    additions = []
    for part, changes in _features(measured.given, recipe).items():
        less = replace(recipe, **changes)
        kept = attributes and part != SHOPPER_ATTRIBUTES
        other = refitted(less, kept)
        others = measured.gains(other)
        additions.append(_addition(part, gains, others))
        if additions[-1].verdict is AblationVerdict.NOTHING:
            recipe, attributes, model, gains = less, kept, other, others
    blend, found_parts = _parts(measured, model, gains)
    return BlendChoice(_blended(recipe, blend), attributes, additions=(*additions, *found_parts))


USER_IDS, SHOPPER_ATTRIBUTES = "user_ids", "shopper_attributes"
PRODUCT_ATTRIBUTES, STYLE = "product_attributes", "style"


def _features(given: Given, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the features that may add nothing, with the changes of a recipe without them;
    shoppers' attributes are not part of a recipe."""
    known: tuple[tuple[str, bool, dict[str, Any]], ...] = (
        (PRODUCT_ATTRIBUTES, bool(recipe.attribute_keys), {"attribute_keys": ()}),
        (SHOPPER_ATTRIBUTES, bool(given.attributes), {}),
        (USER_IDS, recipe.user_ids, {"user_ids": False}),
    )
    return {name: changes for name, there, changes in known if there}


def _parts(
    measured: Validation, model: Model, gains: Doubles
) -> tuple[Mapping[str, float], Sequence[Addition]]:
    """Return the remaining weights, and the contribution of each part to the others. Only the part
    that adds least is removed at a time, so that one of two equivalent parts stays. Popularity
    stays for unknown shoppers; `content` is tested on products (`of_products`)."""
    weights = dict(model.blend)
    found_parts: dict[str, Addition] = {}
    while True:
        present = [part for part in OWN_PARTS if weights.get(part, 0) > 0]
        present = [part for part in present if part not in UNSEARCHED]
        others = {
            part: measured.gains(replace(model, blend=weights | {part: 0.0})) for part in present
        }
        found = [_addition(part, gains, others[part]) for part in present]
        found_parts |= {one.part: one for one in found}
        idle = [one for one in found if one.verdict is AblationVerdict.NOTHING]
        if not idle or len(present) == 1:
            return weights, tuple(found_parts.values())
        least = min(idle, key=lambda one: one.addition).part
        weights[least], gains = 0.0, others[least]


def of_products(part: str, found: Explained) -> Addition:
    """Return the contribution of photos (STYLE) or of `content`: the share that these explain of
    the scores of products outside the training."""
    return Addition(
        part=part,
        metric="explained",
        with_it=found.share,
        without=0.0,
        addition=found.share,
        low=found.low,
        high=found.high,
        shopper_count=found.products,
        verdict=AblationVerdict.ADDS if found.helps else AblationVerdict.NOTHING,
    )


def _blended(recipe: Recipe, weights: Mapping[str, float]) -> Recipe:
    """Return the recipe with these weights, without training parts of weight 0."""
    blend = replace(recipe.blend, weights={part: one for part, one in weights.items() if one > 0})
    off = weights.get("item_item", 0.0) <= 0
    return replace(recipe, blend=blend, item_item=ItemItem.OFF if off else recipe.item_item)


def _addition(part: str, gains: Doubles, without: Doubles) -> Addition:
    found = intervals((gains - without)[:, None])
    low, high = float(found.low[0]), float(found.high[0])
    if len(gains) < LEAST_SHOPPERS:
        verdict = AblationVerdict.TOO_FEW
    else:
        verdict = AblationVerdict.ADDS if low > 0 else AblationVerdict.NOTHING
    return Addition(
        part=part,
        metric=METRIC,
        with_it=float(np.mean(gains)),
        without=float(np.mean(without)),
        addition=float(found.mean[0]),
        low=low,
        high=high,
        shopper_count=len(gains),
        verdict=verdict,
    )
