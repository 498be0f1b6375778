"""Fits all parts of a model from events, products and a recipe. A pure function: with one thread,
equal data in any order give equal models, bit for bit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.adapters.lightfm import LearnedFactors, learn
from ranker.domain.arrays import Doubles, Floats, Neighbours
from ranker.domain.content import Content
from ranker.domain.features import ID_KIND
from ranker.domain.model import Looks, Model
from ranker.domain.recipe import Recipe
from ranker.domain.signals import Interests
from ranker.learning.training.content import LearnedContent, actor_contents, learn_content
from ranker.learning.training.matrices import CHUNK
from ranker.learning.training.neighbours import places
from ranker.learning.training.photo_vectors import Explained, predict_photo_vectors
from ranker.learning.training.sums import SUMS, sums
from ranker.learning.training.training_data import Given, TrainingMatrices, training_matrices
from ranker.serving.ranking import fold_in, parts

Progress = Callable[[int, int], None]
"""(epochs done, epochs in all)"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and the state from which a later training can continue."""

    model: Model
    """Without a version, which is derived from the manifest."""
    learned: LearnedFactors
    shopper_names: tuple[str, ...]
    """Names of the rows of `learned.shoppers`: pseudonyms, then shared attributes. The rows of
    `learned.items` are the model's `feature_names`."""
    interest_count: int
    """Number of training pairs of shopper and product."""
    shopper_count: int
    """Number of shoppers with interests."""
    interests: Interests
    """Interests of all shoppers, including products that were deleted."""
    explained: Explained | None
    """Quality of predictions from photos; `None` if not measured, or with too few photos."""
    described: Explained | None = None
    """Quality of predictions from features for `content`; `None` if not measured."""


def fitted(
    given: Given,
    recipe: Recipe,
    progress: Progress | None = None,
    *,
    beside: Model | None = None,
) -> Fitted:
    """Fit all parts of a model.

    `beside`: a model of the same events, products and recipe except LightFM's part; its other parts
    are reused, as they may take longer than LightFM's. DataInsufficient if no shopper likes any of
    the products; TrainingDiverged.
    """
    subject = training_matrices(given, recipe)
    learned = learn(
        subject.liked,
        subject.items.matrix[subject.warm],
        subject.shoppers.matrix,
        recipe,
        epochs=recipe.epochs,
        progress=lambda done: progress(done, recipe.epochs) if progress else None,
    )
    return assembled(subject, learned, beside)


def assembled(
    subject: TrainingMatrices, learned: LearnedFactors, beside: Model | None = None
) -> Fitted:
    """Build the model of all products: products and shoppers as sums of features, and the other
    parts; see `fitted`."""
    shoppers = _dense(subject.shoppers.matrix @ learned.shoppers.vectors)
    looks, explained = _looks(subject, learned, shoppers)
    model = Model(
        version="",
        score_scale=1.0,
        blend=dict(subject.recipe.blend.weights),
        newcomers=dict(subject.recipe.newcomers),
        returning=dict(subject.recipe.returning),
        attribute_keys=subject.recipe.attribute_keys,
        looks=looks,
        **_items(subject, learned, looks),
        **_features(subject, learned),
        **_shoppers(subject, learned, shoppers),
        **_style(subject),
        **_parts(subject, beside),
    )
    content = _content(model, subject, beside)
    model = with_content(model, content.content, subject.interests)
    model = replace(model, score_scale=score_scale(model, subject.interests))
    model = replace(model, part_scales=part_scales(model, subject.interests))
    return Fitted(
        model,
        learned,
        subject.shoppers.names,
        len(subject.times),
        len(subject.actors),
        subject.interests,
        explained,
        content.explained,
    )


def _items(
    subject: TrainingMatrices, learned: LearnedFactors, looks: Looks | None
) -> dict[str, Any]:
    """Return the model's products, each the sum of its features and of the prediction from its
    photos."""
    matrix, sizes = subject.items.matrix, subject.items.sizes
    vectors = _dense(matrix @ learned.items.vectors)
    if looks is not None:
        _add_looks(vectors, looks, subject)
    return {
        "item_ids": subject.item_ids,
        "item_rows": {item: row for row, item in enumerate(subject.item_ids)},
        "item_vectors": vectors,
        "item_biases": _dense(matrix @ learned.items.biases),
        "item_features": Neighbours(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data / sizes[matrix.indices],
        ),
    }


def _features(subject: TrainingMatrices, learned: LearnedFactors) -> dict[str, Any]:
    """Return the model's features of products, scaled as within a product."""
    names, sizes = subject.items.names, subject.items.sizes
    return {
        "feature_names": names,
        "feature_rows": {name: row for row, name in enumerate(names)},
        "feature_vectors": _dense(learned.items.vectors * sizes[:, None]),
        "feature_biases": _dense(learned.items.biases * sizes),
    }


def _shoppers(
    subject: TrainingMatrices, learned: LearnedFactors, vectors: Floats
) -> dict[str, Any]:
    """Return the model's shoppers that have features, and its features of shoppers.

    `vectors`: (actors, dimension) of all shoppers.
    """
    known = np.flatnonzero(np.diff(subject.shoppers.matrix.indptr))
    shared = len(subject.actors) if subject.recipe.user_ids else 0
    names = subject.shoppers.names[shared:]
    return {
        "actor_rows": {subject.actors[place]: row for row, place in enumerate(known.tolist())},
        "actor_vectors": vectors[known],
        "shopper_feature_names": names,
        "shopper_feature_rows": {name: row for row, name in enumerate(names)},
        "shopper_feature_vectors": learned.shoppers.vectors[shared:],
    }


def _style(subject: TrainingMatrices) -> dict[str, Any]:
    """Return the visual style of products, and the axes that it is measured on."""
    style = subject.style
    if style is None:
        return {"styles": subject.styles}
    return {
        "styles": subject.styles,
        "style_mean": style.mean,
        "style_axes": style.axes,
        "style_space": style.space_version,
    }


def _looks(
    subject: TrainingMatrices, learned: LearnedFactors, shoppers: Floats
) -> tuple[Looks | None, Explained | None]:
    """Return the prediction from photos for products without affinities, scaled by the recipe."""
    photos, scale = subject.photos, subject.recipe.style_scale
    if photos is None or subject.style is None or not scale:
        return None, None
    ids = [subject.item_ids[row] for row in subject.warm.tolist()]
    rows = places(ids, photos.product_ids)
    names = [f"{ID_KIND}={one}" for one, row in zip(ids, rows, strict=True) if row >= 0]
    own = learned.items.vectors[places(names, subject.items.names)]
    looks, explained = predict_photo_vectors(photos.vectors[rows[rows >= 0]], own, shoppers)
    if looks is not None:
        size = np.float32(scale)
        looks = replace(looks, effects=looks.effects * size, offset=looks.offset * size)
    return looks, explained


def _add_looks(vectors: Floats, looks: Looks, subject: TrainingMatrices) -> None:
    """Add the prediction from photos to the vectors of products without affinities."""
    if subject.photos is None:
        return
    rows = places(subject.item_ids, subject.photos.product_ids)
    rows[subject.warm] = -1
    new = np.flatnonzero(rows >= 0)
    for start in range(0, len(new), CHUNK):
        some = new[start : start + CHUNK]
        vectors[some] += looks.of(subject.photos.vectors[rows[some]])


def _parts(subject: TrainingMatrices, beside: Model | None) -> dict[str, Any]:
    """Return the parts beside LightFM's, those of `beside` if given."""
    if beside is not None:
        return {name: getattr(beside, name) for name in SUMS}
    return sums(subject.interests, subject.log, subject.item_ids, subject.recipe)


def _content(model: Model, subject: TrainingMatrices, beside: Model | None) -> LearnedContent:
    """Return the prediction from features, that of `beside` if given; none if it has no weight."""
    if not subject.recipe.blend.weights.get(parts.CONTENT):
        return LearnedContent(None, None)
    if beside is not None:
        return LearnedContent(beside.content, None)
    return content_of(model, subject.interests)


def content_of(model: Model, found: Interests) -> LearnedContent:
    """Learn the prediction from the features of a model's products, by these interests."""
    if model.item_features is None:
        return LearnedContent(None, None)
    return learn_content(found, model.item_ids, model.item_features, model.feature_names)


def with_content(model: Model, content: Content | None, found: Interests) -> Model:
    """Return the model with this prediction, and with its shoppers' vectors by these interests."""
    actors = sorted(model.actor_rows, key=model.actor_rows.__getitem__)
    contents = actor_contents(content, found, model.item_ids, actors)
    return replace(model, content=content, actor_contents=contents)


def _dense(values: npt.NDArray[np.float32]) -> Floats:
    return np.ascontiguousarray(values, np.float32)


QUANTILE = 0.99
SHOPPERS = 1_000
ITEMS = 20_000
SOME_SHOPPERS, SOME_ITEMS = 200, 5_000
SIZED = parts.DEFAULT_BLEND
"""Weights by which parts are summed to compute a score's scale."""
HALF_SURE = 20.0
"""Number of affinity pairs per product at which item_item has half its weight. Scaling by size
alone would give weights learned from few pairs the same influence as those from many. On shares of
MovieLens-100k (the training part, newcomers after 3 events) it costs .02 of nDCG@10 at 4 to 7 pairs
a product, neither gains nor costs at 16, and gains .02 at 50 and .045 at 340."""


def score_scale(model: Model, interests: Interests) -> float:
    """Return the 99th percentile of the size of behavioural scores, over up to 1,000 shoppers
    and 20,000 products, evenly spaced."""
    queries = [
        parts.query(model, fold_in.of(model, actor, liked), SIZED)
        for actor, liked in _newest_first(interests, SHOPPERS)
    ]
    vectors, factors = (np.array(column) for column in zip(*queries, strict=True))
    some = slice(None, None, -(-len(model.item_ids) // ITEMS))
    biases = np.outer(factors, model.item_biases[some])
    sizes = np.abs(vectors @ model.item_vectors[some].T + biases)
    return float(np.quantile(sizes, QUANTILE)) or 1.0


def part_scales(model: Model, interests: Interests) -> dict[str, float]:
    """Return the 99th percentile of the size of each part's nonzero raw scores, over up to 200
    shoppers right after their newest interest and 5,000 products, evenly spaced. The scale of
    item_item is larger if it was learned from few pairs (`HALF_SURE`)."""
    step = -(-len(model.item_ids) // SOME_ITEMS)
    items = parts.all_items(model).at(np.arange(0, len(model.item_ids), step))
    sizes: defaultdict[str, list[Doubles]] = defaultdict(list)
    for actor, liked in _newest_first(interests, SOME_SHOPPERS):
        shopper = fold_in.of(model, actor, liked, bought=liked)
        for name, values in parts.raw_parts(model, shopper, items).items():
            sizes[name].append(np.abs(values[values != 0]))
    together = {name: np.concatenate(found) for name, found in sizes.items()}
    scales = {
        name: float(np.quantile(found, QUANTILE)) for name, found in together.items() if len(found)
    }
    if parts.ITEM_ITEM in scales:
        scales[parts.ITEM_ITEM] /= sureness(interests)
    return scales


def sureness(interests: Interests) -> float:
    """Return the certainty of item_item, 0 to 1; see `HALF_SURE`."""
    affinities = np.bincount(interests.actor)
    pairs = (affinities * (affinities - 1)).sum() / 2 / len(np.unique(interests.item))
    return float(pairs / (pairs + HALF_SURE))


def _newest_first(interests: Interests, most: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield up to `most` shoppers, evenly taken, each with liked products, newest first; ties by
    product."""
    actors = np.unique(interests.actor)
    for actor in actors[:: -(-len(actors) // most)].tolist():
        begin, end = np.searchsorted(interests.actor, (actor, actor + 1))  # they are sorted by it
        times, items = interests.time[begin:end].tolist(), interests.item[begin:end].tolist()
        found = sorted(
            (-time, interests.items[item]) for time, item in zip(times, items, strict=True)
        )
        yield interests.actors[actor], tuple(item for _, item in found)
