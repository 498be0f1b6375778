import dataclasses
import math

import pytest

from ranker.domain.recipe import RANGES, ItemItem, Loss, PartBlend, Recipe
from ranker.learning.training.job import order_of
from ranker.servicer.messages import message_of
from ranker.servicer.model_messages import describe, params_of
from ranker.settings import TrainSettings
from servicekit.rpc.requests import RequestInvalid
from sightline.ranker.v1 import model_service_pb2 as pb
from sightline.ranker.v1 import recipe_pb2
from tests.fakes.ranker import record

ALL = recipe_pb2.Recipe(
    loss=recipe_pb2.Recipe.LOSS_BPR,
    dimension=12,
    epochs=3,
    max_sampled=7,
    learning_rate=0.125,
    item_alpha=0.25,
    user_alpha=0.5,
    threads=2,
    attribute_keys=["grape"],
    title_words=True,
    user_ids=False,
    shopper_attribute_keys=["country"],
    style_dimension=0,
    style_scale=0.75,
    item_item=recipe_pb2.Recipe.ITEM_ITEM_KNN,
    ease_penalty=10,
    neighbours=20,
    together_support=2,
    shared_scale=0.5,
    transition_penalty=100,
)


def test_what_is_asked_for_is_what_is_trained_and_shown_again() -> None:
    """Convert to the job's parameters and back; also values that are 0 or false."""
    request = pb.TrainModelRequest(seed=4, recipe=ALL, search_trials=5, search_seconds=60)
    params = params_of(request)
    order = order_of(params, TrainSettings().training)
    assert message_of(recipe_pb2.Recipe, order.recipe) == ALL
    assert (order.recipe.seed, order.budget.trials, order.budget.seconds) == (4, 5, 60)


def test_a_request_that_says_nothing_leaves_everything_to_the_settings() -> None:
    assert params_of(pb.TrainModelRequest()) == {"seed": 0}


def test_a_message_of_a_recipe_names_fields_of_the_recipe_alone() -> None:
    named = {field.name for field in recipe_pb2.Recipe.DESCRIPTOR.fields}
    known = {field.name for field in dataclasses.fields(Recipe)}
    assert named <= known
    # Shown beside it, or a matter of the installation.
    apart = {"seed", "blend", "newcomers", "returning", "signals"}
    assert known - named == apart


def test_every_loss_and_kind_has_its_number() -> None:
    for loss in Loss:
        assert message_of(recipe_pb2.Recipe, Recipe(loss=loss)).loss
    for item_item in ItemItem:
        assert message_of(recipe_pb2.Recipe, Recipe(item_item=item_item)).item_item


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_number_out_of_its_range_is_refused_by_its_name(name: str, beyond: int) -> None:
    least, most = RANGES[name]
    value = least - 1 if beyond < 0 else most + 1
    request = pb.TrainModelRequest(recipe=recipe_pb2.Recipe(**{name: value}))
    with pytest.raises(RequestInvalid) as caught:
        params_of(request)
    assert [one.field for one in caught.value.violations] == [f"recipe.{name}"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"search_trials": -1}, "search_trials"),
        ({"search_trials": 10_001}, "search_trials"),
        ({"search_seconds": 0.0}, "search_seconds"),
        ({"search_seconds": math.nan}, "search_seconds"),
        ({"recipe": recipe_pb2.Recipe(learning_rate=math.nan)}, "recipe.learning_rate"),
        ({"recipe": recipe_pb2.Recipe(loss=99)}, "recipe.loss"),  # type: ignore[arg-type]
        ({"recipe": recipe_pb2.Recipe(attribute_keys=[""])}, "recipe.attribute_keys"),
        ({"recipe": recipe_pb2.Recipe(attribute_keys=["k"] * 101)}, "recipe.attribute_keys"),
        ({"recipe": recipe_pb2.Recipe(epochs=3), "incremental": True}, "incremental"),
        ({"search_trials": 3, "incremental": True}, "incremental"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict, path: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(RequestInvalid) as caught:
        params_of(pb.TrainModelRequest(**fields))
    assert [one.field for one in caught.value.violations] == [path]


def test_a_model_shows_how_it_was_trained() -> None:
    recipe = Recipe(
        dimension=12, seed=3, blend=PartBlend({"taste": 1.0, "session": 2.5}, "validation")
    )
    addition = {
        "part": "session",
        "metric": "ndcg@10",
        "with_it": 0.25,
        "without": 0.2,
        "addition": 0.05,
        "low": 0.01,
        "high": 0.09,
        "shopper_count": 300,
        "verdict": "adds",
    }
    training = {"recipe": recipe.json(), "ablation": [addition], "base": "lfm-1", "trials": 7}
    message = pb.Model()
    describe(message, dataclasses.replace(record("lfm-2"), training=training))
    assert (message.recipe.dimension, message.seed, message.search_trial_count) == (12, 3, 7)
    assert {one.part: one.weight for one in message.blend} == {"taste": 1.0, "session": 2.5}
    assert (message.blend_learned_from, message.base_version) == ("validation", "lfm-1")
    assert message.additions[0].verdict == recipe_pb2.PartAddition.VERDICT_ADDS
    assert message.additions[0].with_it == 0.25


def test_of_a_model_of_an_older_release_nothing_is_shown() -> None:
    message = pb.Model()
    describe(message, record("lfm-0"))
    assert message == pb.Model()
