"""Products with vectors, generated from a seed or embedded from photos, and the exact answers to
queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.harness.engines import image_id, product_id
from bench.peers.raw import Raw
from retriever.domain.generation import VectorMetric
from retriever.domain.product import ProductContent
from retriever.domain.vectors import exact_scores
from sightline_rules.facts import Facts
from sightline_rules.filters import All, Comparison, Filter, Money, Operator, Time

Floats = npt.NDArray[np.float32]

SEED = 20
CLUSTERS = 200
SPREAD = 0.7
"""Standard deviation within a cluster; the clusters' centres have 1."""
QUERIES = 50
SHARES = (0.5, 0.05, 0.005)
"""Fractions of products that pass a filter."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
WRITTEN = Time(1)
"""Time of creation of all products."""
COMPARED = 100_000
"""Number of vectors per comparison."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Products p0, p1, … in random order of their prices and tags, and the queries."""

    vectors: Floats
    queries: Floats
    ranks: npt.NDArray[np.int64]
    """The product's position in a random order, from 0: it determines its price and tags."""
    shares: tuple[float, ...] = SHARES
    _nearest: dict[tuple[float, int], list[list[int]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return int(self.vectors.shape[1])

    def passing(self, share: float) -> npt.NDArray[np.bool_]:
        """Return a mask of the products that pass a filter of this share."""
        return self.ranks < int(share * len(self))

    def content(self, number: int) -> ProductContent:
        """Return a product's content without its vector."""
        rank = int(self.ranks[number])
        return ProductContent(
            product_id=product_id(number),
            title=f"Product {number}",
            price=Money("EUR", rank * 10**6),
            tags=tuple(tag(share) for share in self.shares if rank < int(share * len(self))),
            image_ids=(image_id(number),),
        )

    def facts(self, number: int) -> Facts:
        """Return a product's fields that filters read."""
        content = self.content(number)
        tags = frozenset(content.tags)
        return Facts(price=content.price, tags=tags, create_time=WRITTEN, update_time=WRITTEN)

    def conditions(self, share: float) -> Iterator[tuple[str, Filter]]:
        """Yield filters that this share of products passes: by an indexed field of the record and
        by one without an index.
        """
        if share == 1.0:
            yield "plain", All()
            return
        price = Money("EUR", int(share * len(self)) * 10**6)
        yield f"{share:.1%} by price", Comparison("price", Operator.LESS, price)
        yield f"{share:.1%} by tag", Comparison("tags", Operator.CONTAINS, tag(share))

    def nearest(self, share: float, count: int) -> list[list[int]]:
        """Return for each query the numbers of the exact nearest products that pass, best first."""
        if (share, count) not in self._nearest:
            self._nearest[share, count] = self._compare(np.flatnonzero(self.passing(share)), count)
        return self._nearest[share, count]

    def _compare(self, passing: npt.NDArray[np.intp], count: int) -> list[list[int]]:
        best = np.full((len(self.queries), 0), -np.inf)
        numbers = np.empty((len(self.queries), 0), dtype=np.int64)
        for start in range(0, len(passing), COMPARED):
            some = passing[start : start + COMPARED]
            scores = exact_scores(self.queries, self.vectors[some], VectorMetric.COSINE)
            best = np.concatenate([best, scores], axis=1)
            numbers = np.concatenate([numbers, np.tile(some, (len(self.queries), 1))], axis=1)
            kept = np.argsort(-best, axis=1)[:, :count]
            best = np.take_along_axis(best, kept, axis=1)
            numbers = np.take_along_axis(numbers, kept, axis=1)
        return [[int(number) for number in row] for row in numbers]


def clustered(
    count: int, dimension: int, queries: int = QUERIES, shares: tuple[float, ...] = SHARES
) -> Corpus:
    """Make vectors around random centres, and queries around the same centres."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CLUSTERS, dimension), dtype=np.float32)

    def points(number: int) -> Floats:
        found = SPREAD * rng.standard_normal((number, dimension), dtype=np.float32)
        found += centres[rng.integers(0, CLUSTERS, number)]
        return np.asarray(found, dtype=np.float32)

    return Corpus(points(count), points(queries), rng.permutation(count), shares)


def photographed(folder: Path, most: int, queries: int = QUERIES) -> Corpus | None:
    """Embed photos by the suite's own model, 1,280-d.

    Queries are photos of the same folder that are left out. Return None when there are too few
    photos.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(paths) < 2 * queries:
        return None
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(paths))[: most + queries]
    vectors = Raw().vectors([paths[place].read_bytes() for place in chosen])
    left = vectors[queries:]
    return Corpus(left, vectors[:queries], rng.permutation(len(left)))


def tag(share: float) -> str:
    """Return the tag of the products that pass a filter of this fraction."""
    return f"share {share}"
