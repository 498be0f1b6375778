"""Fits a model: what happened, products and a recipe in, every part of a model out.

A pure function of what it is given: with one thread, the same data in any order give the same model
bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.adapters.lightfm import Learned, learn
from ranker.domain.arrays import Floats, Neighbours
from ranker.domain.log import Log
from ranker.domain.model import Model
from ranker.domain.product import Product, Vectors
from ranker.domain.recipe import Recipe
from ranker.domain.signals import Interests
from ranker.training.baskets import bought_together
from ranker.training.items import item_item
from ranker.training.popularity import popularity, trend
from ranker.training.scales import part_scales, score_scale
from ranker.training.subject import Given, Subject, subject_of

Progress = Callable[[int, int], None]
"""(epochs done, epochs in all)"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and what a later training can go on from."""

    model: Model
    """Without a version: that follows from what the manifest says."""
    learned: Learned
    shopper_names: tuple[str, ...]
    """Of the rows of `learned.shoppers`: pseudonyms, then shared attributes. Those of
    `learned.items` are the model's `feature_names`."""
    interest_count: int
    """Pairs of shopper and product that it was fitted on."""
    shopper_count: int
    """Shoppers who like something."""
    interests: Interests
    """Of all shoppers, in products that are not there any more too."""


def fit(
    log: Log,
    products: Sequence[Product],
    recipe: Recipe,
    *,
    vectors: Vectors | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> Model:
    """The model alone that `fitted` finds of these."""
    return fitted(Given(log, products, vectors, attributes or {}), recipe, progress).model


def fitted(
    given: Given,
    recipe: Recipe,
    progress: Progress | None = None,
    *,
    beside: Model | None = None,
) -> Fitted:
    """Fit all parts of a model.

    `beside`: a model of the same events and products, and of the same recipe but for LightFM's part
    of it: the other parts are taken from there, as they may take longer than LightFM's.
    DataInsufficient when nobody likes any of the products; TrainingDiverged.
    """
    subject = subject_of(given, recipe)
    learned = learn(
        subject.liked,
        subject.items.matrix[subject.warm],
        subject.shoppers.matrix,
        recipe,
        epochs=recipe.epochs,
        told=lambda done: progress(done, recipe.epochs) if progress else None,
    )
    return assembled(subject, learned, beside)


def assembled(subject: Subject, learned: Learned, beside: Model | None = None) -> Fitted:
    """The model of all products: products and shoppers as sums of their features, and the parts
    beside them; see `fitted`."""
    recipe, matrix, sizes = subject.recipe, subject.items.matrix, subject.items.sizes
    shared = len(subject.actors) if recipe.user_ids else 0
    shared_names = subject.shoppers.names[shared:]
    told = np.flatnonzero(np.diff(subject.shoppers.matrix.indptr))  # of the others nothing is known
    model = Model(
        version="",
        item_ids=subject.item_ids,
        item_rows={item: row for row, item in enumerate(subject.item_ids)},
        item_vectors=_dense(matrix @ learned.items.vectors),
        item_biases=_dense(matrix @ learned.items.biases),
        actor_rows={subject.actors[place]: row for row, place in enumerate(told.tolist())},
        actor_vectors=_dense(subject.shoppers.matrix[told] @ learned.shoppers.vectors),
        feature_names=subject.items.names,
        feature_rows={name: row for row, name in enumerate(subject.items.names)},
        feature_vectors=_dense(learned.items.vectors * sizes[:, None]),
        feature_biases=_dense(learned.items.biases * sizes),
        score_scale=1.0,
        blend=dict(recipe.blend.weights),
        attribute_keys=recipe.attribute_keys,
        styles=subject.styles,
        style_mean=None if subject.style is None else subject.style.mean,
        style_axes=None if subject.style is None else subject.style.axes,
        style_space="" if subject.style is None else subject.style.space_version,
        shopper_feature_names=shared_names,
        shopper_feature_rows={name: row for row, name in enumerate(shared_names)},
        shopper_feature_vectors=learned.shoppers.vectors[shared:],
        item_features=Neighbours(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data / sizes[matrix.indices],
        ),
    )
    model = replace(model, **_parts(subject) if beside is None else _parts_of(beside))
    model = replace(model, score_scale=score_scale(model, subject.interests))
    model = replace(model, part_scales=part_scales(model, subject.interests))
    return Fitted(
        model,
        learned,
        subject.shoppers.names,
        len(subject.times),
        len(subject.actors),
        subject.interests,
    )


def _parts(subject: Subject) -> dict[str, Any]:
    """The parts beside LightFM's."""
    found, ids, recipe = subject.interests, subject.item_ids, subject.recipe
    return {
        "item_item": item_item(found, ids, recipe),
        "bought_together": bought_together(subject.log, ids, recipe),
        "popularity": popularity(found, ids),
        "trend": trend(found, ids),
    }


def _parts_of(model: Model) -> dict[str, Any]:
    names = ("item_item", "bought_together", "popularity", "trend")
    return {name: getattr(model, name) for name in names}


def _dense(values: npt.NDArray[np.float32]) -> Floats:
    return np.ascontiguousarray(values, np.float32)
