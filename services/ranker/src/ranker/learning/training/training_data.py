"""Training data: rows of features, and interests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ranker.adapters.lightfm import Liked
from ranker.domain.arrays import Floats, Ints, stacked
from ranker.domain.errors import DataInsufficient
from ranker.domain.features import PhotoVectors, Product, vocabulary_of
from ranker.domain.log import EventColumns
from ranker.domain.recipe import Loss, Recipe
from ranker.domain.signals import Interests, interests
from ranker.learning.training import matrices
from ranker.learning.training.neighbours import places
from ranker.learning.training.shown import Shown


@dataclass(frozen=True, slots=True)
class Given:
    """Inputs of a training, in any order."""

    log: EventColumns
    products: Sequence[Product]
    vectors: PhotoVectors | None = None
    """Vectors of the products' photos; `None`: no style is learned."""
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By pseudonym: names of given attributes, as in features.py."""
    shown: Shown | None = None
    """Answers with outcomes; `None`: no blend is learned from them."""

    def at(self, log: EventColumns) -> "Given":
        """Return the same data with these events."""
        return replace(self, log=log)


@dataclass(frozen=True, slots=True)
class TrainingMatrices:
    """Training matrices: rows of features and interests."""

    recipe: Recipe
    item_ids: tuple[str, ...]
    """Sorted; all products."""
    items: matrices.Features
    """(items, features) of all products, with the features that liked ones have"""
    warm: Ints
    """Rows of liked products: only these are trained. The others would serve only as negatives, and
    the vector of an id without affinities is noise (AUC of cold products .642 with it, .717
    without): they are represented by their shared features."""
    actors: tuple[str, ...]
    """Sorted; shoppers with affinities."""
    shoppers: matrices.Features
    """(actors, features)"""
    liked: Liked
    """In rows of `warm` and of `actors`."""
    times: Ints
    """(pairs,) of `liked`: of the newest event behind each"""
    photos: PhotoVectors | None
    style: matrices.Style | None
    styles: Floats | None
    """(items, style dimension)"""
    interests: Interests
    log: EventColumns


def check(given: Given, recipe: Recipe) -> None:
    """Raise DataInsufficient if no shopper likes any of the products."""
    found = interests(given.log, recipe.signals)
    liked = {found.items[item] for item in np.unique(found.item).tolist()}
    if not liked.intersection(product.product_id for product in given.products):
        raise DataInsufficient("no shopper likes any product of this catalog yet")


@dataclass(frozen=True, slots=True)
class LikedPairs:
    """Affinities of shoppers for the products of a catalog."""

    people: Ints
    """Codes of the shoppers with affinities, ascending."""
    warm: Ints
    """Rows of liked products, ascending."""
    liked: Liked
    """In rows of `people` and of `warm`."""
    times: Ints
    """(pairs,) of `liked`: of the newest event behind each"""


def training_matrices(
    given: Given,
    recipe: Recipe,
    style: matrices.Style | None = None,
    vocabulary: Collection[str] | None = None,
) -> TrainingMatrices:
    """Return the training matrices. `style`: projection to reuse; None: fit a new one.
    `vocabulary`: words of titles that are features; None: as the recipe says, of these products.

    Raises DataInsufficient.
    """
    products = sorted(given.products, key=lambda product: product.product_id)
    ids = tuple(product.product_id for product in products)
    found = interests(given.log, recipe.signals)
    affinities = _affinities(found, places(found.items, ids), recipe)
    warm, vectors = affinities.warm, given.vectors
    style = style or matrices.learn_style(vectors, recipe.style_dimension, matrices.STYLE_SIZE)
    styles = None if style is None or vectors is None else matrices.styles_of(style, vectors, ids)
    if vocabulary is None:
        vocabulary = vocabulary_of(products) if recipe.title_words else ()
    items = matrices.of_products(products, recipe.attribute_keys, recipe.shared_scale, vocabulary)
    actors = tuple(found.actors[one] for one in affinities.people.tolist())
    attributes = given.attributes
    if keys := recipe.shopper_attribute_keys:
        attributes = {
            actor: [name for name in names if name.partition("=")[0] in keys]
            for actor, names in attributes.items()
        }
    return TrainingMatrices(
        recipe=recipe,
        item_ids=ids,
        items=items.used_by(warm),
        warm=warm,
        actors=actors,
        shoppers=matrices.of_shoppers(actors, attributes, with_ids=recipe.user_ids),
        liked=affinities.liked,
        times=affinities.times,
        photos=vectors,
        style=style,
        styles=styles,
        interests=found,
        log=given.log,
    )


def _affinities(found: Interests, row_of: Ints, recipe: Recipe) -> LikedPairs:
    """Return the affinities, with negatives if the loss needs them.

    `row_of`: rows of the products in the catalog; −1: absent. Raises DataInsufficient.
    """
    rows = row_of[found.item]
    known = rows >= 0
    if not known.any():
        raise DataInsufficient("no shopper likes any product of this catalog yet")
    warm, item = np.unique(rows[known], return_inverse=True)
    people, shopper = np.unique(found.actor[known], return_inverse=True)
    liked = Liked(
        shopper.astype(np.int32),
        item.astype(np.int32),
        np.ones(len(item), np.float32),
        found.weight[known].astype(np.float32),
    )
    times = found.time[known]
    # WARP and BPR sample negatives themselves, and would never sample disliked products.
    if recipe.loss is Loss.LOGISTIC:
        wrong = _wrong_answers(found, row_of, (people, warm), liked, recipe.seed)
        times = np.concatenate([times, np.zeros(len(wrong.item), np.int64)])
        liked = stacked(liked, wrong)
    return LikedPairs(people, warm, liked, times)


def _wrong_answers(
    found: Interests, row_of: Ints, axes: tuple[Ints, Ints], liked: Liked, seed: int
) -> Liked:
    """Return negatives for the logistic loss: products that shoppers hid or rated low, and for each
    affinity a random liked product. `axes`: codes of shoppers and rows of products of the rows of
    `liked`."""
    people, warm = axes
    shopper, item = (
        place_in(people, found.disliked_actor),
        place_in(warm, row_of[found.disliked_item]),
    )
    known = (shopper >= 0) & (item >= 0)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(warm), len(liked.item))
    pairs = np.concatenate(
        [shopper[known] * len(warm) + item[known], liked.shopper * np.int64(len(warm)) + drawn]
    )
    pairs = np.setdiff1d(pairs, liked.shopper * np.int64(len(warm)) + liked.item)
    shoppers, items = np.divmod(pairs, len(warm))
    weight = np.full(len(pairs), liked.weight.mean(), np.float32)
    ones = np.ones(len(pairs), np.float32)
    return Liked(shoppers.astype(np.int32), items.astype(np.int32), -ones, weight)


def place_in(codes: Ints, wanted: Ints) -> Ints:
    """Return the place of each in the ascending `codes`, (wanted,); -1: absent."""
    found = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[found] == wanted, found, -1)
