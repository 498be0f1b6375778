"""Training data and result of fitting a space: maps in NumPy, equal to their ONNX graphs."""

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
"""Cameras of photos, as numbered in `Labelled.kinds` and the rows of `FittedSpace.means`."""
MATCH_SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of good matches below the cosines of `CategoryHead.match_cosines`, as in the contract."""


def unit(vectors: Floats) -> Floats:
    """Scale the rows to unit length; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Features and labels of a catalog's n photos."""

    features: Floats
    """[n, views, f]: a backbone's features of each view, not standardised. Queries with one view
    use the first."""
    kinds: npt.NDArray[np.int8]
    """[n]: SHOPPER or CATALOGUE."""
    products: Sequence[str]
    """Product of each photo; for a variant, its parent."""
    groups: Sequence[str]
    """Photos of one group are the same picture or were taken together; always in the same fold."""
    categories: Sequence[tuple[str, ...]]
    """From the root down; empty = uncategorised."""
    sentences: Floats | None = None
    """[n, 384]: the text model's unit vector of the product's title; zeros if it has no title. None
    without a text model."""


@dataclass(frozen=True, slots=True)
class CategoryHead:
    """Classification head: softmax of ``vector @ weights + biases``, with `unknown` appended as the
    last logit."""

    categories: Sequence[tuple[str, ...]]
    """The C full paths."""
    weights: Floats
    """[d, C]."""
    biases: Floats
    """[C]."""
    unknown: float
    """The logit of all other categories; all logits are calibrated on photos outside the head's
    training."""
    match_cosines: Floats | None = None
    """[views, C, MATCH_SHARES]: cosines to the nearest photo that these shares of shoppers' photos
    stay below, by the number of averaged views and the category seen in the photo; `None` with too
    few shoppers' photos."""

    def chances(self, vectors: Floats) -> Floats:
        """Return the probability [n, C + 1] of each category, the unknown one last."""
        known = vectors @ self.weights + self.biases
        unknown = np.full((len(known), 1), self.unknown, known.dtype)
        logits = np.concatenate([known, unknown], axis=1)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class TextMap:
    """Map from a text's vector to the visual space: ``sentence @ weights + biases``, scaled to unit
    length."""

    weights: Floats
    """[384, d]."""
    biases: Floats
    """[d]."""

    def vectors(self, sentences: Floats) -> Floats:
        """Map the text model's vectors [n, 384] to vectors [n, d] of unit length."""
        return unit(sentences @ self.weights + self.biases)


@dataclass(frozen=True, slots=True)
class FittedSpace:
    """A fitted space: ``(features - means[kind]) / scales[kind] @ projection``, scaled to unit
    length."""

    means: Floats
    """[KINDS, f]; the rows are equal if the catalog has one kind of photos."""
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
    """A figure with its 95% bootstrap interval."""

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
    """Fitted space less baseline, on the same resampled queries."""


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
