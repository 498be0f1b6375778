import dataclasses

import pytest

from ranker.domain.errors import TrainingDiverged
from ranker.domain.recipe import Loss, Recipe
from ranker.learning.training.search import SEARCHED, Budget, search

LONG = 3600.0


def near_60(recipe: Recipe) -> float:
    """Return a score that is highest at dimension 60."""
    return -abs(recipe.dimension - 60)


def test_what_is_found_is_at_least_as_good_as_what_was_given() -> None:
    given = Recipe(dimension=60)
    recipe, trials = search(near_60, given, Budget(5, LONG))
    assert recipe == given
    assert trials[0].parameters["dimension"] == 60


def test_a_better_recipe_is_found_and_the_rest_of_it_stays() -> None:
    given = Recipe(dimension=8, seed=3, attribute_keys=("grape",))
    recipe, _ = search(near_60, given, Budget(30, LONG))
    assert abs(recipe.dimension - 60) < 20
    kept = {name: getattr(given, name) for name in SEARCHED}
    assert dataclasses.replace(recipe, **kept) == given


def test_the_same_seed_tries_the_same_recipes() -> None:
    one, other = (search(near_60, Recipe(), Budget(8, LONG)) for _ in range(2))
    assert one == other


def test_a_search_ends_with_its_trials() -> None:
    _, trials = search(near_60, Recipe(), Budget(4, LONG))
    assert len(trials) == 4


def test_no_trial_begins_after_the_time_is_up() -> None:
    assert len(search(near_60, Recipe(), Budget(100, 1e-9))[1]) == 1


def test_without_trials_nothing_is_searched() -> None:
    def never(recipe: Recipe) -> float:
        raise AssertionError

    recipe, trials = search(never, Recipe(), Budget(0, LONG))
    assert (recipe, trials) == (Recipe(), ())


def test_a_recipe_that_diverges_is_passed_over() -> None:
    def fragile(recipe: Recipe) -> float:
        if recipe.learning_rate > 0.04:
            raise TrainingDiverged
        return near_60(recipe)

    recipe, trials = search(fragile, Recipe(learning_rate=0.05), Budget(12, LONG))
    assert trials[0].score is None
    assert recipe.learning_rate <= 0.04


@pytest.mark.parametrize(("loss", "searched"), [(Loss.WARP, True), (Loss.LOGISTIC, False)])
def test_only_warp_has_its_tries_searched(loss: Loss, searched: bool) -> None:
    _, trials = search(near_60, Recipe(loss=loss), Budget(6, LONG))
    tries = {trial.parameters["max_sampled"] for trial in trials}
    assert (len(tries) > 1) is searched
