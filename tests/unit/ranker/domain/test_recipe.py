import dataclasses
import json

from ranker.domain.recipe import ItemItem, Loss, PartBlend, Recipe, recipe_of
from ranker.domain.signals import Signals


def test_a_recipe_comes_back_from_json_as_it_was() -> None:
    recipe = Recipe(
        loss=Loss.BPR,
        dimension=64,
        attribute_keys=("grape",),
        item_item=ItemItem.KNN,
        blend=PartBlend({"taste": 0.5}, "validation", 12),
        signals=Signals(view=0.1, half_life_days=30),
    )
    assert recipe_of(json.loads(json.dumps(recipe.json()))) == recipe


def test_a_recipe_of_another_release_is_read_as_far_as_it_is_known() -> None:
    content = Recipe(dimension=8).json() | {"unheard_of": 3}
    del content["epochs"]
    content["signals"]["unheard_of"] = 1
    assert recipe_of(content) == dataclasses.replace(Recipe(), dimension=8)


def test_a_recipe_of_a_release_before_words_has_none() -> None:
    content = Recipe().json()
    del content["title_words"]
    assert not recipe_of(content).title_words
