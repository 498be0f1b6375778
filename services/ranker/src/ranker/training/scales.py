"""How large the parts of a score are, so that each can be divided by its size."""

from collections import defaultdict

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.model import Model
from ranker.domain.signals import Interests
from ranker.ranking import fold_in, parts

QUANTILE = 0.99
SHOPPERS = 1_000
ITEMS = 20_000
SOME_SHOPPERS, SOME_ITEMS = 200, 5_000
SIZED = parts.DEFAULT_BLEND
"""How the parts that a score's scale is the size of are put together."""
HALF_SURE = 20.0
"""Pairs of likings of one shopper, a product, at which item_item counts half. Divided by its size
alone, what few pairs teach would count as much as what many do. On shares of MovieLens-100k (the
training part, strangers after 3 events) it costs .02 of nDCG@10 at 4 to 7 pairs a product, neither
gains nor costs at 16, and gains .02 at 50 and .045 at 340."""


def score_scale(model: Model, interests: Interests) -> float:
    """The 99th percentile of the size of behavioural scores, over up to 1,000 shoppers and 20,000
    products evenly taken."""
    actors = sorted(set(interests.actor.tolist()))
    chosen = actors[:: -(-len(actors) // SHOPPERS)]
    liked = _newest_first(interests, set(chosen))
    queries = [
        parts.query(model, fold_in.of(model, interests.actors[one], liked[one]), SIZED)
        for one in chosen
    ]
    vectors, factors = (np.array(column) for column in zip(*queries, strict=True))
    some = slice(None, None, -(-len(model.item_ids) // ITEMS))
    biases = np.outer(factors, model.item_biases[some])
    sizes = np.abs(vectors @ model.item_vectors[some].T + biases)
    return float(np.quantile(sizes, QUANTILE)) or 1.0


def part_scales(model: Model, interests: Interests) -> dict[str, float]:
    """By part the 99th percentile of the size of its raw scores where it has any, over up to 200
    shoppers, as they are right after their newest interest, and 5,000 products evenly taken;
    item_item's is the larger the fewer pairs it was learned from (`HALF_SURE`)."""
    actors = sorted(set(interests.actor.tolist()))
    chosen = actors[:: -(-len(actors) // SOME_SHOPPERS)]
    liked = _newest_first(interests, set(chosen))
    step = -(-len(model.item_ids) // SOME_ITEMS)
    items = parts.all_items(model).at(np.arange(0, len(model.item_ids), step))
    sizes: defaultdict[str, list[Doubles]] = defaultdict(list)
    for one in chosen:
        products = liked[one]
        shopper = fold_in.of(model, interests.actors[one], products, bought=products)
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
    """How much the likings say of products that go together, 0 to 1, see `HALF_SURE`."""
    likings = np.bincount(interests.actor)
    pairs = (likings * (likings - 1)).sum() / 2 / len(np.unique(interests.item))
    return float(pairs / (pairs + HALF_SURE))


def _newest_first(interests: Interests, actors: set[int]) -> dict[int, tuple[str, ...]]:
    """What these shoppers like, newest first; ties by product."""
    found: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in np.flatnonzero(np.isin(interests.actor, sorted(actors))).tolist():
        actor, item = interests.actor[row], interests.items[interests.item[row]]
        found[int(actor)].append((-int(interests.time[row]), item))
    return {actor: tuple(item for _, item in sorted(found[actor])) for actor in actors}
