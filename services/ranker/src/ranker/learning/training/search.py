"""Search for better parameters on the validation split, within a budget (Optuna, extra `train`).

TPE (Bergstra et al. 2011), seeded. The given recipe is tried first, so that the result is at least
as good on the split.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ranker.domain.errors import TrainingDiverged
from ranker.domain.recipe import Loss, Recipe

Score = Callable[[Recipe], float]
"""Score of a recipe; higher is better. Raises TrainingDiverged."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Budget of a search, which ends when the first limit is reached."""

    trials: int
    """0: no search."""
    seconds: float
    """No trial starts after this time. A search that ends by time may try fewer recipes on a busier
    machine and find another one."""


@dataclass(frozen=True, slots=True)
class RecipeTrial:
    parameters: Mapping[str, Any]
    score: float | None
    """`None` if it could not be fitted."""


def search(score: Score, recipe: Recipe, budget: Budget) -> tuple[Recipe, tuple[RecipeTrial, ...]]:
    if budget.trials < 1:
        return recipe, ()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = min(10, 1 + budget.trials // 3)  # random trials before TPE starts
    sampler = optuna.samplers.TPESampler(seed=recipe.seed, n_startup_trials=drawn)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    trials: list[RecipeTrial] = []
    end = time.monotonic() + budget.seconds
    while len(trials) < budget.trials and (not trials or time.monotonic() < end):
        if trials:
            one = study.ask()
            tried = replace(recipe, **_suggested(one, recipe))
        else:
            one, tried = None, recipe
        value = _score(score, tried)
        trials.append(RecipeTrial({name: getattr(tried, name) for name in SEARCHED}, value))
        if one is not None:
            study.tell(one, value, state=optuna.trial.TrialState.FAIL if value is None else None)
    best = max(trials, key=lambda trial: -math.inf if trial.score is None else trial.score)
    return replace(recipe, **best.parameters), tuple(trials)


def _score(score: Score, recipe: Recipe) -> float | None:
    try:
        return score(recipe)
    except TrainingDiverged:
        return None


def _suggested(trial: Any, recipe: Recipe) -> dict[str, Any]:
    """Suggest parameters of LightFM, around good values for MovieLens and the wines."""
    found: dict[str, Any] = {
        "dimension": trial.suggest_int("dimension", 8, 128, log=True),
        "epochs": trial.suggest_int("epochs", 5, 60, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "item_alpha": trial.suggest_float("item_alpha", 1e-8, 1e-4, log=True),
        "user_alpha": trial.suggest_float("user_alpha", 1e-8, 1e-4, log=True),
    }
    if recipe.loss is Loss.WARP:
        found["max_sampled"] = trial.suggest_int("max_sampled", 5, 100, log=True)
    return found


SEARCHED = ("dimension", "epochs", "learning_rate", "item_alpha", "user_alpha", "max_sampled")
