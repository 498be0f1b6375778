"""The only module that knows LightFM (Kula 2015, arXiv 1507.08439).

All input is sorted and seeded, so that one thread gives the same numbers bit for bit. Several
threads overwrite each other's steps (Hogwild) and do not: the top 10 of two runs overlap by .72 to
.78.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Floats
from ranker.domain.errors import TrainingDiverged
from ranker.domain.recipe import Recipe

Places = npt.NDArray[np.int32]

Epochs = Callable[[int], None]
"""Called after each epoch with the number of epochs done."""


@dataclass(frozen=True, slots=True)
class Liked:
    """Interests as LightFM's input: each pair once, sorted by shopper and product."""

    shopper: Places
    """(pairs,) rows of the shoppers' features"""
    item: Places
    """(pairs,) rows of the products' features"""
    sign: Floats
    """(pairs,) 1: liked, -1: disliked, which only the logistic loss accepts"""
    weight: Floats
    """(pairs,) above 0: factor of the pair's step"""


@dataclass(frozen=True, slots=True)
class Side:
    """Learned factors of the features of products or of shoppers."""

    vectors: Floats
    """(features, dimension)"""
    biases: Floats
    """(features,)"""
    vector_steps: Floats
    """(features, dimension) Adagrad's sums of squared gradients, from 1: the larger, the smaller
    the next step (Duchi, Hazan, Singer 2011)"""
    bias_steps: Floats
    """(features,) the same sums for the biases"""


@dataclass(frozen=True, slots=True)
class LearnedFactors:
    """State from which a training can continue."""

    items: Side
    shoppers: Side


def fresh(features: int, dimension: int, rng: np.random.Generator) -> Side:
    """Return untrained features: small random vectors, as LightFM draws them."""
    vectors = ((rng.random((features, dimension)) - 0.5) / dimension).astype(np.float32)
    return Side(
        vectors,
        np.zeros(features, np.float32),
        np.ones((features, dimension), np.float32),
        np.ones(features, np.float32),
    )


def learn(
    liked: Liked,
    item_features: Any,
    shopper_features: Any,
    recipe: Recipe,
    *,
    epochs: int,
    start: LearnedFactors | None = None,
    known: Liked | None = None,
    progress: Epochs,
) -> LearnedFactors:
    """Fit LightFM: `epochs` passes over `liked`, from random vectors or from `start`.

    `known`: all known likes, which are never sampled as negatives; None: `liked`. `item_features`
    and `shopper_features` are CSR matrices of float32, whose rows are used as they are: normalising
    them costs 24% of nDCG@10 on MovieLens-100k. Raise TrainingDiverged when a factor is no longer
    finite.
    """
    import scipy.sparse as sp
    from lightfm import LightFM

    shape = (shopper_features.shape[0], item_features.shape[0])
    places = (liked.shopper, liked.item)
    pairs = sp.coo_matrix((liked.sign, places), shape)
    weights = sp.coo_matrix((liked.weight, places), shape)
    model = LightFM(
        no_components=recipe.dimension,
        loss=recipe.loss.value,
        max_sampled=recipe.max_sampled,
        learning_rate=recipe.learning_rate,
        item_alpha=recipe.item_alpha,
        user_alpha=recipe.user_alpha,
        random_state=recipe.seed,
    )
    if start is not None:
        _resume(model, start)
    lookup = _lookup(known or liked, shape)
    # LightFM would sort the pairs again for each epoch, and uses only those given.
    model._get_positives_lookup_matrix = lambda _: lookup
    # Build the matrices once: epochs do not change them.
    for epoch in range(epochs):
        try:
            # LightFM checks for numbers that are not finite.
            with np.errstate(invalid="ignore"):
                model.fit_partial(
                    pairs,
                    user_features=shopper_features,
                    item_features=item_features,
                    sample_weight=weights,
                    epochs=1,
                    num_threads=recipe.threads,
                )
        except ValueError as error:
            if "finite" in str(error):
                raise TrainingDiverged from error
            raise
        progress(epoch + 1)
    return LearnedFactors(_side(model, "item"), _side(model, "user"))


def _lookup(known: Liked, shape: tuple[int, int]) -> Any:
    """Return a sorted CSR matrix of known pairs, shape (shoppers, products)."""
    import scipy.sparse as sp

    lookup = sp.csr_matrix((known.sign, (known.shopper, known.item)), shape)
    lookup.sort_indices()
    return lookup


_ATTRIBUTES = {
    "vectors": "{}_embeddings",
    "biases": "{}_biases",
    "vector_steps": "{}_embedding_gradients",
    "bias_steps": "{}_bias_gradients",
}
"""LightFM's names of the attributes of `Side`; it calls Adagrad's sums gradients."""


def _side(model: Any, name: str) -> Side:
    return Side(**{key: getattr(model, of.format(name)) for key, of in _ATTRIBUTES.items()})


def _resume(model: Any, start: LearnedFactors) -> None:
    """Restore the model's state. Momentum belongs to Adadelta, which is not used."""
    for name, side in (("item", start.items), ("user", start.shoppers)):
        for one in fields(side):
            array = np.array(getattr(side, one.name), np.float32, order="C")  # LightFM writes to it
            setattr(model, _ATTRIBUTES[one.name].format(name), array)
        setattr(model, f"{name}_embedding_momentum", np.zeros_like(side.vectors))
        setattr(model, f"{name}_bias_momentum", np.zeros_like(side.biases))
