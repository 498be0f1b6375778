"""Requests of trainings, and the report of a model's training."""

import json

from sightline.ranker.v1 import recipe_pb2
from sightline_client import ItemItem, PartVerdict, SightlineClient, TrainingLoss, TrainingRecipe
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import Line, flat, line

__all__ = ["line"]


async def test_a_request_says_only_what_was_given(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    recipe = TrainingRecipe(
        loss=TrainingLoss.BPR, user_ids=False, style_dimension=0, attribute_keys=("grape",)
    )
    await client.train_model(recipe, seed=3, search_trials=0, ablation=False)
    await client.train_model(incremental=True)
    first, second = gateway.requests["TrainModel"]
    assert first.recipe == recipe_pb2.Recipe(
        loss=recipe_pb2.Recipe.LOSS_BPR,
        user_ids=False,
        style_dimension=0,
        attribute_keys=["grape"],
    )
    assert (first.HasField("search_trials"), first.HasField("search_seconds")) == (True, False)
    assert (first.HasField("ablation"), first.ablation, first.incremental) == (True, False, False)
    assert (second.HasField("recipe"), second.incremental) == (False, True)


async def test_a_model_says_how_it_was_trained(client: SightlineClient) -> None:
    older, model = await client.list_models()
    assert (older.recipe, older.additions) == (None, ())
    assert model.recipe == TrainingRecipe(
        loss=TrainingLoss.WARP, dimension=64, style_dimension=0, attribute_keys=("grape",)
    )
    assert model.recipe.item_item is ItemItem.UNKNOWN
    assert (model.blend, model.blend_learned_from) == ({"session": 1.5}, "validation")
    (addition,) = model.additions
    assert (addition.part, addition.addition) == ("user_ids", -0.01)
    assert addition.verdict is PartVerdict.NOTHING


def test_options_of_a_training_are_its_recipe(line: Line, gateway: FakeGateway) -> None:
    options = "--loss logistic --dimension 64 --epochs 9 --threads 2 --search 40"
    result = line("models", "train", *options.split(), "--search-seconds", "60", "--no-ablation")
    assert result.exit_code == 0, result.output
    (request,) = gateway.requests["TrainModel"]
    assert request.recipe == recipe_pb2.Recipe(
        loss=recipe_pb2.Recipe.LOSS_LOGISTIC, dimension=64, epochs=9, threads=2
    )
    assert (request.search_trials, request.search_seconds, request.ablation) == (40, 60, False)


def test_without_options_a_training_is_as_the_settings_say(
    line: Line, gateway: FakeGateway
) -> None:
    assert line("models", "train").exit_code == 0
    assert line("models", "train", "--incremental").exit_code == 0
    first, second = gateway.requests["TrainModel"]
    assert not first.HasField("recipe")
    assert not first.HasField("ablation")
    assert second.incremental


def test_a_training_that_found_nothing_new_says_so(line: Line, gateway: FakeGateway) -> None:
    told = "Nothing has changed since model m1 was trained: no new model."
    assert told not in flat(line("models", "train").stdout)
    gateway.job_states[-1].results.add(name="nothing_new", value="true")
    result = line("models", "train")
    assert result.exit_code == 0
    assert told in flat(result.stdout)


def test_a_model_is_shown_with_its_recipe_and_what_each_part_adds(line: Line) -> None:
    printed = flat(line("models", "show", "m1").stdout)
    assert "dimension 64" in printed
    assert "continued from m0" in printed
    assert "best of 12 recipes" in printed
    assert "session 1.5 (validation)" in printed
    assert (
        "user_ids ndcg@10 0.2500 0.2600 -0.0100 -0.0200 to +0.0050 900 nothing: disabled" in printed
    )
    assert "stored no recipe" in flat(line("models", "show").stdout)
    shown = json.loads(line("models", "show", "m1", "--json").stdout)
    assert shown["recipe"]["dimension"] == 64


def test_a_model_that_is_not_there_is_1(line: Line) -> None:
    result = line("models", "show", "m9")
    assert result.exit_code == 1
    assert "MODEL_NOT_FOUND" in result.stderr
