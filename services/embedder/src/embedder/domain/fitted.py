"""What a space is fitted on, and what fitting makes: maps in NumPy, which their graphs repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SHOPPER: Final = 0
CATALOGUE: Final = 1
KINDS: Final = 2
"""Which camera a photo is from: what `Labelled.kinds` and the rows of `Fitted.means` count by."""


def unit(vectors: Floats) -> Floats:
    """Return the rows brought to unit length; one of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A catalog's photos as features, with what they show; n photos."""

    features: Floats
    """[n, views, f]: a backbone's features of each view, not standardised. The first view is the
    one that a query of one view has."""
    kinds: npt.NDArray[np.int8]
    """[n]: SHOPPER or CATALOGUE."""
    products: Sequence[str]
    """Of each photo; a variant's is its parent."""
    groups: Sequence[str]
    """Photos of one group are the same picture and never stand on both sides of a fold."""
    categories: Sequence[tuple[str, ...]]
    """From the root down; empty = uncategorised."""
    sentences: Floats | None = None
    """[n, 384]: the text model's unit vector of the product's title; zeros = it has none. None =
    there is no text model."""


@dataclass(frozen=True, slots=True)
class CategoryHead:
    """Finds categories of a fitted vector: softmax of ``vector @ weights + biases``, with
    `unknown` as one logit more, the last."""

    categories: Sequence[tuple[str, ...]]
    """The C full paths."""
    weights: Floats
    """[d, C]."""
    biases: Floats
    """[C]."""
    unknown: float
    """The logit of everything else; all logits are calibrated on photos that the head had not
    seen."""

    def chances(self, vectors: Floats) -> Floats:
        """Return the chances [n, C + 1] of each category, of the unknown last."""
        known = vectors @ self.weights + self.biases
        unknown = np.full((len(known), 1), self.unknown, known.dtype)
        logits = np.concatenate([known, unknown], axis=1)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class TextMap:
    """Brings a text's vector into the visual space: ``sentence @ weights + biases``, to unit
    length."""

    weights: Floats
    """[384, d]."""
    biases: Floats
    """[d]."""

    def vectors(self, sentences: Floats) -> Floats:
        """Return the vectors [n, d], of unit length, of the text model's vectors [n, 384]."""
        return unit(sentences @ self.weights + self.biases)


@dataclass(frozen=True, slots=True)
class FittedSpace:
    """A space: ``(features - means[kind]) / scales[kind] @ projection``, to unit length."""

    means: Floats
    """[KINDS, f]: of a catalog with one kind of photos both rows are alike."""
    scales: Floats
    """[KINDS, f], above 0."""
    projection: Floats
    """[f, d], d at most 256."""
    head: CategoryHead | None = None
    """`None` if too few categories have photos."""
    text_map: TextMap | None = None
    """`None` if too few products have titles."""

    def embed(self, features: Floats, kinds: npt.NDArray[np.int8]) -> Floats:
        """Return the vectors [n, d], of unit length, of photos' features [n, f] and kinds [n]."""
        standard = np.divide(features - self.means[kinds], self.scales[kinds])
        return unit(standard @ self.projection)


class SpaceVerdict(StrEnum):
    """Verdict on a fitted space against the baseline space."""

    BETTER = "BETTER"
    """The whole interval of the gain in 1-NN is above 0."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval holds 0."""
    WORSE = "WORSE"
    """The whole interval is below 0."""


@dataclass(frozen=True, slots=True)
class SpaceFigure:
    """A figure with the interval that 95% of resampled queries give."""

    name: str
    """As in sightline.embedder.v1.Figure."""
    value: float
    """With the fitted space, 0 to 1."""
    low: float
    high: float
    queries: int
    baseline: float | None = None
    """Value with the baseline space, on the same queries; `None` if the baseline has no such
    figure."""
    gain_low: float | None = None
    gain_high: float | None = None
    """Fitted less baseline, of the same resampled queries."""


@dataclass(frozen=True, slots=True)
class SpaceEvaluation:
    """Evaluation of a fit, by cross-validation."""

    verdict: SpaceVerdict
    text: str
    """Reason for the verdict, in a sentence."""
    figures: tuple[SpaceFigure, ...]
    baseline_model: str
    photos: int
    products: int
    categories: int
    """With enough photos for the head."""
    seed: int
