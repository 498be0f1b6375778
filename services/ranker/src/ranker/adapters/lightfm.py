"""The only module that knows LightFM (Kula 2015, arXiv 1507.08439).

Everything goes in sorted and with the seed given, so that one thread gives the same numbers bit for
bit; more threads write over each other's steps (Hogwild) and do not (top-10 overlap of .72 to .78
between runs).
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
"""Called after each epoch with how many are done."""


@dataclass(frozen=True, slots=True)
class Liked:
    """Who likes what, as LightFM takes it: each pair once, sorted by shopper and product."""

    shopper: Places
    """(pairs,) rows of the shoppers' features"""
    item: Places
    """(pairs,) rows of the products' features"""
    sign: Floats
    """(pairs,) 1 = likes, -1 = dislikes, which only the logistic loss can take"""
    weight: Floats
    """(pairs,) above 0: how large a step the pair is worth"""


@dataclass(frozen=True, slots=True)
class Side:
    """What was learned of the features of products, or of shoppers."""

    vectors: Floats
    """(features, dimension)"""
    biases: Floats
    """(features,)"""
    vector_steps: Floats
    """(features, dimension) Adagrad's sums of squared gradients, from 1 on: the larger, the smaller
    is the next step (Duchi, Hazan, Singer 2011)"""
    bias_steps: Floats
    """(features,) the same of the biases"""


@dataclass(frozen=True, slots=True)
class LearnedFactors:
    """All that a training can go on from."""

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

    `known`: all that is known to be liked, which is never drawn as a wrong answer; None = `liked`.
    `item_features` and `shopper_features` are CSR matrices of float32, whose rows are used as they
    are: normalising them costs 24% of nDCG@10 on MovieLens-100k. TrainingDiverged.
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
    known = known or liked
    lookup = sp.csr_matrix((known.sign, (known.shopper, known.item)), shape)
    lookup.sort_indices()
    # LightFM would sort the pairs anew for each epoch, and knows only those that it is to learn.
    model._get_positives_lookup_matrix = lambda _: lookup
    for epoch in range(epochs):  # the matrices are made once: an epoch adds next to nothing to them
        try:
            with np.errstate(invalid="ignore"):  # LightFM looks itself for what is not finite
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


_ATTRIBUTES = {
    "vectors": "{}_embeddings",
    "biases": "{}_biases",
    "vector_steps": "{}_embedding_gradients",
    "bias_steps": "{}_bias_gradients",
}
"""Of `Side`: LightFM's names, which call Adagrad's sums gradients."""


def _side(model: Any, name: str) -> Side:
    return Side(**{key: getattr(model, of.format(name)) for key, of in _ATTRIBUTES.items()})


def _resume(model: Any, start: LearnedFactors) -> None:
    """Make the model what it was; momentum belongs to Adadelta, which is not used."""
    for name, side in (("item", start.items), ("user", start.shoppers)):
        for one in fields(side):
            array = np.array(getattr(side, one.name), np.float32, order="C")  # it is written to
            setattr(model, _ATTRIBUTES[one.name].format(name), array)
        setattr(model, f"{name}_embedding_momentum", np.zeros_like(side.vectors))
        setattr(model, f"{name}_bias_momentum", np.zeros_like(side.biases))
