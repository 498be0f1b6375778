"""Incremental training: continues from a former model with newer events.

LightFM continues: known features keep their vectors and Adagrad's sums, new ones start as in a full
training, and a few passes go over the newer affinities and a sample of older ones (rehearsal
against forgetting: Robins 1995). Only a full training chooses words of titles. The other parts of a
model are computed from all events, which is cheap. It is useful if trainings are slow and catalog
and shoppers change little. Changes of the recipe, and the decay of old events, need a full
training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.adapters.lightfm import LearnedFactors, Side, fresh, learn
from ranker.adapters.packing import pack_texts, unpack_texts
from ranker.domain.arrays import Ints, part
from ranker.domain.errors import BaseUnusable
from ranker.domain.features import vocabulary_in
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.learning.training.fitting import Fitted, Progress, assembled
from ranker.learning.training.matrices import Style
from ranker.learning.training.neighbours import places
from ranker.learning.training.training_data import Given, training_matrices

EPOCHS_SHARE = 0.25
"""Share of the recipe's epochs; at least one epoch."""
REHEARSED = 1.0
"""Number of older affinities sampled for each newer one."""


@dataclass(frozen=True, slots=True)
class State:
    """State that a training leaves for the next one."""

    recipe: Recipe
    learned: LearnedFactors
    item_names: tuple[str, ...]
    """Names of the rows of `learned.items`."""
    shopper_names: tuple[str, ...]
    """Names of the rows of `learned.shoppers`."""
    last_event_micros: int
    """Time of the newest event; later ones are new."""
    style: Style | None = None


def refitted(given: Given, base: State, progress: Progress | None = None) -> Fitted:
    """Continue `base` on all events by its recipe; DataInsufficient, TrainingDiverged."""
    recipe = base.recipe
    same = _same_space(given, base.style)
    words = vocabulary_in(base.item_names)
    subject = training_matrices(given, recipe, base.style if same else None, words)
    rng = np.random.default_rng(recipe.seed)
    start = LearnedFactors(
        _carried(base.learned.items, base.item_names, subject.items.names, rng),
        _carried(base.learned.shoppers, base.shopper_names, subject.shoppers.names, rng),
    )
    rows = _to_learn(subject.times, base.last_event_micros, rng)
    epochs = max(1, round(recipe.epochs * EPOCHS_SHARE)) if len(rows) else 0
    learned = learn(
        part(subject.liked, rows),
        subject.items.matrix[subject.warm],
        subject.shoppers.matrix,
        recipe,
        epochs=epochs,
        start=start,
        known=subject.liked,
        progress=lambda done: progress(done, epochs) if progress else None,
    )
    return assembled(subject, learned if epochs else start)


def _same_space(given: Given, style: Style | None) -> bool:
    """Return whether the style's axes are still valid: vectors of two spaces are not
    comparable."""
    return (
        style is not None
        and given.vectors is not None
        and given.vectors.space_version == style.space_version
    )


def _carried(
    side: Side, names: Sequence[str], wanted: Sequence[str], rng: np.random.Generator
) -> Side:
    """Return the rows of `wanted`, fresh ones for new names."""
    rows = places(wanted, names)
    known = rows >= 0
    made = fresh(len(wanted), side.vectors.shape[1], rng)
    for one in fields(Side):
        getattr(made, one.name)[known] = getattr(side, one.name)[rows[known]]
    return made


def _to_learn(times: Ints, last: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the places of the newer pairs, and of a random sample of older ones; rising."""
    newer, older = np.flatnonzero(times > last), np.flatnonzero(times <= last)
    count = min(len(older), round(REHEARSED * len(newer)))
    drawn = rng.choice(older, count, replace=False) if count else older[:0]
    return np.sort(np.concatenate([newer, drawn]))


# In the files


def state_arrays(found: Fitted) -> dict[str, npt.NDArray[Any]]:
    """Return the state of a training, without what manifest and model hold."""
    sides = {"items": found.learned.items, "shoppers": found.learned.shoppers}
    arrays: dict[str, npt.NDArray[Any]] = {
        f"{name}_{one.name}": getattr(side, one.name)
        for name, side in sides.items()
        for one in fields(Side)
    }
    arrays |= pack_texts("item_names", found.model.feature_names)
    return arrays | pack_texts("shopper_names", found.shopper_names)


def state_of(
    arrays: Mapping[str, npt.NDArray[Any]], model: Model, recipe: Recipe, last_event_micros: int
) -> State:
    """Return the state of these arrays; BaseUnusable if they do not fit together."""
    try:
        names = {name: unpack_texts(f"{name}_names", arrays) for name in ("item", "shopper")}
        learned = LearnedFactors(
            _side(arrays, "items", len(names["item"]), recipe.dimension),
            _side(arrays, "shoppers", len(names["shopper"]), recipe.dimension),
        )
    except (KeyError, ValueError) as error:
        raise BaseUnusable(f"the state of model {model.version} is malformed") from error
    style = None
    if model.style_mean is not None and model.style_axes is not None:
        style = Style(model.style_mean, model.style_axes, model.style_space)
    return State(recipe, learned, names["item"], names["shopper"], last_event_micros, style)


def _side(arrays: Mapping[str, npt.NDArray[Any]], name: str, rows: int, dimension: int) -> Side:
    found = {one.name: arrays[f"{name}_{one.name}"] for one in fields(Side)}
    for field_name, array in found.items():
        shape = (rows, dimension) if field_name.startswith("vector") else (rows,)
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name}_{field_name} is not float32 of shape {shape}")
    return Side(**found)
