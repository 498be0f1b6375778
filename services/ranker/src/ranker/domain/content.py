"""Prediction of item-to-item weights from the features of a product (learning/training/content.py).

A product that no shopper liked in training has no row of item-to-item weights. Its vector c_i is
the sum of the vectors of its features and of pairs of them, less their usual sum; a shopper's
vector p is the sum of the vectors of liked products. Their inner product is the predicted score.
The last component is the level of new products: 1 for each of them, 0 in the vectors of features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ranker.domain.arrays import Flags, Floats, Ints

PAIR = " & "
"""Separator of the names of a pair of features."""
MOST_OF_PRODUCT = 32
"""Maximum number of known features of one product that are used, the first by name: pairs grow with
their square."""


@dataclass(frozen=True, slots=True)
class Content:
    """Vectors of features, of liked products and of products that nobody liked. Arrays are
    read-only."""

    names: tuple[str, ...]
    """Sorted features, ``kind=value`` as named by features.py."""
    pairs: Ints
    """(pairs, 2) indexes of two features of one product, the smaller first"""
    vectors: Floats
    """(names + pairs, width)"""
    usual: Floats
    """(width,) mean sum over the products that it was learned from"""
    sources: Ints
    """(sources,) rows of the model's products that speak for a shopper, ascending"""
    source_vectors: Floats
    """(sources, width)"""
    rows: Ints
    """(new,) rows of the model's products without likes, ascending"""
    row_vectors: Floats
    """(new, width)"""
    name_places: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Index of each feature in `vectors`."""
    pair_places: Mapping[tuple[int, int], int] = field(init=False, repr=False, compare=False)
    """Index of each pair in `vectors`."""

    def __post_init__(self) -> None:
        names = {name: place for place, name in enumerate(self.names)}
        pairs = map(tuple, self.pairs.tolist())
        places = {pair: len(names) + place for place, pair in enumerate(pairs)}
        object.__setattr__(self, "name_places", names)
        object.__setattr__(self, "pair_places", places)

    def made_of(self, features: Sequence[str]) -> list[int]:
        """Return the indexes in `vectors` of a product with these features; [] if none is known."""
        places, pairs = self.name_places, self.pair_places
        known = sorted([places[name] for name in {*features} if name in places])[:MOST_OF_PRODUCT]
        return known + [pairs[pair] for pair in combinations(known, 2) if pair in pairs]

    def places_of(self, features: Sequence[str]) -> Ints:
        """Return the index in `vectors` of each feature; -1 if it has none."""
        return np.array([self.name_places.get(name, -1) for name in features], np.int64)

    def of(self, products: Sequence[Sequence[str]]) -> Floats:
        """Return the vectors of products with these features, (products, width); the level alone
        if none of a product's features is known."""
        made = [self.made_of(features) for features in products]
        found = np.zeros((len(products), len(self.usual)), np.float32)
        found[:, -1] = 1
        known = [row for row, places in enumerate(made) if places]
        if known:
            starts = np.cumsum([0, *(len(made[row]) for row in known[:-1])])
            rows = self.vectors[[place for row in known for place in made[row]]]
            found[known] = np.add.reduceat(rows, starts, axis=0) - self.usual
        return found

    def of_shopper(self, liked: Ints) -> Floats | None:
        """Return the vector of a shopper who likes these rows of the model; None if none of them
        is a source."""
        places, known = _found(self.sources, liked)
        if not known.any():
            return None
        vector: Floats = self.source_vectors[places[known]].sum(axis=0)
        return vector

    def of_rows(self, rows: Ints) -> Floats | None:
        """Return the vectors of these rows of the model, (rows, width); zeros for liked products
        and for row -1. None: all would be zeros."""
        places, known = _found(self.rows, rows)
        if True not in known:
            return None
        vectors = np.zeros((rows.size, self.usual.size), np.float32)
        vectors[known] = self.row_vectors[places[known]]
        return vectors

    def label(self, place: int) -> str:
        """Return the name of a row of `vectors`: "tag=Comedy", or "brand=A & tag=Comedy"."""
        if place < len(self.names):
            return self.names[place]
        first, second = self.pairs[place - len(self.names)].tolist()
        return f"{self.names[first]}{PAIR}{self.names[second]}"


def _found(among: Ints, wanted: Ints) -> tuple[Ints, Flags]:
    """Return the place of each wanted number in the ascending `among`, and whether it is there."""
    if not among.size:
        return np.zeros(wanted.size, np.int64), np.zeros(wanted.size, np.bool_)
    places = np.minimum(among.searchsorted(wanted), among.size - 1)
    return places, among[places] == wanted
