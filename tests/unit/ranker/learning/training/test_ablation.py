"""Ablation on figures with known answers: the value of each part is set, with seeded noise."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from ranker.domain.arrays import Doubles
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.recipe import ItemItem, PartBlend, Recipe
from ranker.learning.training.ablation import LEAST_SHOPPERS, AblationVerdict, ablate
from ranker.learning.training.training_data import Given
from tests.fakes.ranker import model as made_model

WEIGHTS = {"taste": 1.0, "session": 2.0, "item_item": 1.0, "popularity": 1.0}
RECIPE = Recipe(
    blend=PartBlend(WEIGHTS, "validation"), attribute_keys=("grape",), item_item=ItemItem.KNN
)


@dataclasses.dataclass
class Measured:
    """Figures of shoppers, each the sum of the worths of the present parts and of the shopper's own
    noise."""

    worth: Mapping[str, float]
    shoppers: int = 1000
    given: Given = dataclasses.field(
        default_factory=lambda: Given(log_of([]), (), None, {"ann": ("age_band=25-34",)})
    )

    def gains(self, model: Model) -> Doubles:
        there = {part for part, weight in model.blend.items() if weight > 0}
        there |= {name for name in model.feature_names if name in self.worth}
        noise = np.random.default_rng(1).normal(scale=0.1, size=self.shoppers)
        own = [
            np.random.default_rng(len(name)).normal(self.worth.get(name, 0.0), 0.02, self.shoppers)
            for name in sorted(there)
        ]
        return noise + sum(own, np.zeros(self.shoppers))


def refitted(recipe: Recipe, attributes: bool) -> Model:
    there = {
        "user_ids": recipe.user_ids,
        "product_attributes": bool(recipe.attribute_keys),
        "shopper_attributes": attributes,
    }
    named = {name: [0.0] for name, on in there.items() if on}
    return dataclasses.replace(
        made_model({"p": [0.0]}, features=named), blend=dict(recipe.blend.weights)
    )


ALL = ("user_ids", "product_attributes", "shopper_attributes", "taste", "session", "item_item")


def run(worth: Mapping[str, float], shoppers: int = 1000):  # type: ignore[no-untyped-def]
    return ablate(Measured(worth, shoppers), RECIPE, refitted(RECIPE, True), refitted)  # type: ignore[arg-type]


def test_what_adds_stays() -> None:
    found = run(dict.fromkeys(ALL, 0.05))
    assert (found.recipe, found.attributes) == (RECIPE, True)
    assert {one.part for one in found.additions} == {*ALL}
    for one in found.additions:
        assert one.verdict is AblationVerdict.ADDS
        assert one.low < one.addition < one.high
        assert one.addition == pytest.approx(0.05, abs=0.005)
        assert one.with_it - one.without == pytest.approx(one.addition)


@pytest.mark.parametrize("idle", ALL)
def test_what_adds_nothing_is_off(idle: str) -> None:
    found = run(dict.fromkeys(ALL, 0.05) | {idle: -0.01})
    off = {one.part for one in found.additions if one.verdict is AblationVerdict.NOTHING}
    assert off == {idle}
    assert found.recipe.user_ids is (idle != "user_ids")
    assert bool(found.recipe.attribute_keys) is (idle != "product_attributes")
    assert found.attributes is (idle != "shopper_attributes")
    left = {*WEIGHTS} - {idle}
    assert found.recipe.blend.weights == {part: WEIGHTS[part] for part in left}
    assert (found.recipe.item_item is ItemItem.OFF) is (idle == "item_item")


def test_few_shoppers_turn_nothing_off() -> None:
    found = run(dict.fromkeys(ALL, -0.05), LEAST_SHOPPERS - 1)
    assert (found.recipe, found.attributes) == (RECIPE, True)
    assert {one.verdict for one in found.additions} == {AblationVerdict.TOO_FEW}


def test_of_two_parts_that_say_the_same_one_stays() -> None:
    class Redundant(Measured):
        def gains(self, model: Model) -> Doubles:
            either = model.blend.get("taste", 0) > 0 or model.blend.get("session", 0) > 0
            return np.random.default_rng(1).normal(0.2 * either, 0.01, self.shoppers)

    recipe = dataclasses.replace(
        RECIPE, blend=PartBlend({"taste": 1.0, "session": 1.0}, "validation")
    )
    found = ablate(Redundant({}), recipe, refitted(recipe, True), refitted)  # type: ignore[arg-type]
    assert len(found.recipe.blend.weights) == 1


def test_popularity_stays_for_those_of_whom_nothing_is_known() -> None:
    found = run(dict.fromkeys(ALL, -0.05))
    assert found.recipe.blend.weights["popularity"] == 1.0
