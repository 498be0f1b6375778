"""Measures of how well vectors of photos distinguish products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness.model import Interval
from embedder.fitting.cluster_bootstrap import intervals
from lab.datasets.featured import Floats
from lab.datasets.grocery import Grocery, Labels

Doubles: TypeAlias = npt.NDArray[np.float64]
FOLDS = 5
SHRINKAGE = 0.1
DIMENSION = 80
NEAREST, PRECISION, ICONIC = "1-NN", "mAP", "iconic"
FITTED, FITTED_ICONIC = "fitted: 1-NN", "fitted: iconic"
MEASURES = (NEAREST, PRECISION, ICONIC, FITTED, FITTED_ICONIC)


@dataclass(frozen=True, slots=True)
class PhotoFeatures:
    """Features of the photos by one variant."""

    train: Floats
    """[n, f]: the mean over views."""
    iconic: Floats
    """[81, f]."""

    def only(self, blocks: Sequence[slice]) -> "PhotoFeatures":
        """Return only these blocks of the features."""
        train, iconic = (
            np.concatenate([each[:, block] for block in blocks], axis=1)
            for each in (self.train, self.iconic)
        )
        return PhotoFeatures(train, iconic)

    def squared(self) -> "PhotoFeatures":
        """Return the squares of the head's roots: the averages that a backbone gives unfitted."""
        return PhotoFeatures(self.train**2, self.iconic**2)

    def beside(self, other: "PhotoFeatures") -> "PhotoFeatures":
        """Append other features."""
        train = np.concatenate((self.train, other.train), axis=1)
        return PhotoFeatures(train, np.concatenate((self.iconic, other.iconic), axis=1))

    def standard(self) -> "PhotoFeatures":
        """Standardize each feature by the phone photos' mean and deviation, so that blocks can be
        combined.
        """
        return PhotoFeatures(
            standardized(self.train, self.train), standardized(self.iconic, self.train)
        )


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """Photos that search for their product."""

    data: Grocery
    scenes: Labels
    """The scene of each train photo."""

    @property
    def products(self) -> Labels:
        """The product of each train photo."""
        return self.data.train.products

    def folds(self) -> Labels:
        """Return the test fold of each train photo. All photos of a scene are in one fold."""
        names, place = np.unique(self.scenes, return_inverse=True)
        drawn = np.random.default_rng(0).permutation(len(names))
        return np.asarray(drawn[place] % FOLDS, np.int64)


@dataclass(frozen=True, slots=True)
class DefaultFigures:
    """Figures of the default preprocessing."""

    hits: Mapping[str, Doubles]
    milliseconds: float


def measured(
    off_the_shelf: PhotoFeatures, fitted: PhotoFeatures, task: PhotoTask
) -> dict[str, Doubles]:
    """Return by measure how well each phone photo finds its product, 0 to 1 [n].

    `off_the_shelf` is compared as it is; `fitted` is projected into a space first.
    """
    train, iconic = unit(off_the_shelf.train), unit(off_the_shelf.iconic)
    similar = train @ train.T
    similar[task.scenes[:, None] == task.scenes] = -np.inf
    places = np.arange(len(task.products))
    found = {
        NEAREST: _right(task.products[similar.argmax(axis=1)], task),
        PRECISION: precisions(similar, task.products[:, None] == task.products),
        ICONIC: _right(task.data.iconic.products[(train @ iconic.T).argmax(axis=1)], task),
        FITTED: np.zeros(len(places)),
        FITTED_ICONIC: np.zeros(len(places)),
    }
    folds = task.folds()
    for fold in range(FOLDS):
        inside, asked = places[folds != fold], places[folds == fold]
        train, iconic = discriminated(fitted, inside, task)
        nearest = inside[(train[asked] @ train[inside].T).argmax(axis=1)]
        found[FITTED][asked] = task.products[nearest] == task.products[asked]
        shown = task.data.iconic.products[(train[asked] @ iconic.T).argmax(axis=1)]
        found[FITTED_ICONIC][asked] = shown == task.products[asked]
    return found


def _right(products: Labels, task: PhotoTask) -> Doubles:
    return np.asarray(products == task.products, np.float64)


def precisions(similar: Floats, wanted: npt.NDArray[np.bool_]) -> Doubles:
    """Return the average precision of each row's ranking.

    Pairs at -inf are left out; a row without relevant entries has 0.
    """
    order = np.argsort(-similar, axis=1, kind="stable")
    hits = np.take_along_axis(wanted & np.isfinite(similar), order, axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    summed = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1)
    return np.asarray(summed / np.maximum(hits.sum(axis=1), 1))


def discriminated(seen: PhotoFeatures, inside: Labels, task: PhotoTask) -> tuple[Floats, Floats]:
    """Project all train and iconic photos by linear discriminant analysis, at unit length.

    The within-class scatter is shrunk (J. Friedman, Regularized Discriminant Analysis, JASA 84,
    1989). It is fitted on the `inside` train photos and the iconic ones, each standardised by their
    own mean and deviation.
    """
    train = standardized(seen.train, seen.train[inside])
    iconic = standardized(seen.iconic, seen.iconic)
    rows = np.concatenate((train[inside], iconic))
    names, place = np.unique(
        np.concatenate((task.products[inside], task.data.iconic.products)), return_inverse=True
    )
    sums = np.zeros((len(names), rows.shape[1]), np.float32)
    np.add.at(sums, place, rows)
    means = sums / np.bincount(place)[:, None]
    apart = rows - means[place]
    within = apart.T @ apart / np.float32(len(rows))
    middle = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + np.diag(np.full(len(within), SHRINKAGE * middle))
    # Directions w of S w = λ W w for S of rank products - 1: w = W⁻¹ mᵀ u / √λ, by means m.
    means -= means.mean(axis=0)
    towards = np.linalg.solve(within, means.T)
    strengths, turns = np.linalg.eigh(means @ towards)
    strengths, turns = strengths[::-1][:DIMENSION], turns[:, ::-1][:, :DIMENSION]
    projection = towards @ turns / np.sqrt(np.maximum(strengths, 1e-6))
    return unit(train @ projection), unit(iconic @ projection)


def gain(better: Doubles, worse: Doubles, scenes: Labels) -> Interval:
    """Return the mean paired difference with its 95% interval by the percentile bootstrap over
    scenes, as photos of one scene are dependent.
    """
    found = better - worse
    low, high = intervals(found[:, None], scenes, seed=0)[:, 0].tolist()
    return Interval(float(found.mean()), low, high)


def unit(vectors: Floats) -> Floats:
    """Scale rows to unit length. Zero rows stay zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def standardized(vectors: Floats, by: Floats) -> Floats:
    deviation = by.std(axis=0)
    floor = np.maximum(deviation, 1e-2 * np.median(deviation) + 1e-12)
    return np.asarray((vectors - by.mean(axis=0)) / floor, np.float32)
