"""Nothing that the evaluation compares depends on the events that it holds out."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.recipe import PartBlend, Recipe
from ranker.learning.evaluation.splits import split_globally
from ranker.learning.training.job import recipe_in, refitting
from ranker.learning.training.search import Budget
from ranker.learning.training.shown import Shown
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import SHARE, Trained, TrainingOrder, train
from tests.fakes.ranker import NOW
from tests.fakes.trainings import drawn_vectors, wines
from tests.unit.ranker.learning.training.test_learning import DEFAULT, SERVED, SIZE, feedback

pytestmark = pytest.mark.slow

RECIPE = Recipe(epochs=2, blend=DEFAULT)


def given() -> Given:
    """Return the wines, with enough answers to learn a blend from before the held-out part."""
    products, events = wines()
    log, answers = log_of(events), feedback(answers=4_000)
    first, last = int(log.time[0]), int(log.time[-1])
    micros = np.repeat(np.linspace(first, last, 4_000, dtype=np.int64), SIZE)
    served = dataclasses.replace(
        answers,
        micros=micros,
        shown_micros=micros,
        clicked_micros=np.where(answers.clicked, micros + 1_000_000, 0),
    )
    return Given(log, products, drawn_vectors(products), shown=Shown(served, SERVED))


def changed_later(one: Given) -> tuple[Given, int]:
    """Return the same data with other events and clicks in the held-out part, and its start."""
    held = split_globally(one.log, SHARE)
    start, moment = len(held.before), held.moment_micros
    assert moment is not None
    assert one.shown is not None
    rng = np.random.default_rng(3)
    item, value = one.log.item.copy(), one.log.value.copy()
    item[start:], value[start:] = rng.permutation(item[start:]), rng.permutation(value[start:])
    seen = one.shown.feedback
    late = seen.micros >= moment
    # An earlier answer that is clicked in the held-out part is as unknown as a later one.
    early = ~late & ~seen.clicked & (rng.random(len(seen)) < 0.3)
    clicked = np.where(late, seen.rank == SIZE, seen.clicked | early)
    after = np.where(early, moment, seen.clicked_micros)
    times = np.where(late & clicked, seen.micros + 1_000_000, after)
    other = dataclasses.replace(seen, clicked=clicked, clicked_micros=times)
    log = dataclasses.replace(one.log, item=item, value=value)
    return dataclasses.replace(one, log=log, shown=Shown(other, SERVED)), moment


def trained(one: Given) -> Trained:
    order = TrainingOrder(RECIPE, Budget(2, 600))
    return train(one, order, None, lambda *_: None, NOW)


def manifest(made: Trained) -> Mapping[str, Any]:
    return {"recipe": made.recipe.json(), "attributes": made.attributes}


def learned(model: Model) -> dict[str, Any]:
    """Return what distinguishes two models."""
    calibration = model.calibration
    return {
        "blend": dict(model.blend),
        "vectors": model.item_vectors.tolist(),
        "examination": model.examination,
        "calibration": None if calibration is None else calibration.chances.tolist(),
    }


@pytest.fixture(scope="module")
def both() -> tuple[tuple[Given, Trained], tuple[Given, Trained], int]:
    one = given()
    other, moment = changed_later(one)
    return (one, trained(one)), (other, trained(other)), moment


@pytest.mark.full
def test_the_recipe_is_as_it_was_chosen_before_the_held_out_part(both) -> None:
    (_, made), (_, later), _ = both
    assert made.recipe == later.recipe
    assert made.recipe.blend.learned_from != "impressions"
    assert made.additions[:-2] == later.additions[:-2], "but those of the final fit"


@pytest.mark.full
def test_what_is_compared_as_production_has_not_seen_the_held_out_part(both) -> None:
    (one, made), (other, later), moment = both
    models = []
    for given_then, trained_then in ((one, made), (other, later)):
        before = split_globally(given_then.log, SHARE).before
        assert before.time[-1] < moment
        models.append(refitting(given_then, manifest(trained_then))(before))
    assert learned(models[0]) == learned(models[1])
    assert models[0].blend != dict(made.recipe.blend.weights), "it learned from earlier answers"


@pytest.mark.when("rules", "services/ranker")
def test_the_served_model_has_learned_from_all_events(both) -> None:
    (_, made), (_, later), _ = both
    assert made.learned is not None
    assert made.learned.blend.learned_from == "impressions"
    assert learned(made.fitted.model) != learned(later.fitted.model)
    assert made.fitted.model.blend == dict(made.learned.blend.weights)


def test_the_blend_that_an_older_release_learned_from_everything_is_not_used() -> None:
    blend = PartBlend({"taste": 9.0}, "impressions", 9_000)
    old = {"recipe": dataclasses.replace(RECIPE, blend=blend).json()}
    assert recipe_in(old) == dataclasses.replace(RECIPE, blend=PartBlend())
