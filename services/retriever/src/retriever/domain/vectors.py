"""Vectors from callers: validation, and blending of several into one query, as in Rocchio 1971,
"Relevance feedback in information retrieval": towards positive examples, away from negative ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retriever.domain.category_mismatch import Classification
from retriever.domain.errors import VectorInvalid
from retriever.domain.generation import VectorMetric

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GivenVector:
    """A vector as a caller gave it, unchecked."""

    space: str
    space_version: str
    dimension: int
    data: bytes
    classification: Classification | None = None
    """The photo's category, if the embedder was asked for it."""


@dataclass(frozen=True, slots=True)
class VectorWrite:
    """A photo's vector, or a product's own, to store."""

    image_id: str
    """Empty where a product has one vector."""
    vector: Floats
    product_id: str = ""
    """The product that must have the photo. If empty, any product."""
    digest: str = ""
    """Digest of the embedded text; the vector is not stored if the product's text has changed.
    Empty: of the present text."""


LEAST_LENGTH = 1e-4
"""Minimum length of the sum of unit vectors: below it they cancel out, and the remainder is
rounding."""


def check_vector(given: GivenVector, dimension: int, path: str) -> Floats:
    """Return the vector as float32. Raises VectorInvalid."""
    if given.dimension != dimension:
        raise VectorInvalid.at(
            f"{path}.dimension", f"is {given.dimension}; the index holds {dimension}"
        )
    if len(given.data) != 4 * dimension:
        raise VectorInvalid.at(
            f"{path}.data", f"has {len(given.data)} bytes; {4 * dimension} are needed"
        )
    vector = np.frombuffer(given.data, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise VectorInvalid.at(f"{path}.data", "holds a value that is not finite")
    # A length that float32 can't hold would make every similarity NaN or 0 in the engine.
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length == 0:
        raise VectorInvalid.at(f"{path}.data", "is all zero")
    if not 1e-15 < length < 1e15:
        raise VectorInvalid.at(f"{path}.data", "has a length outside 1e-15 to 1e15")
    return vector


def blended(parts: Sequence[tuple[float, Sequence[Floats]]]) -> Floats | None:
    """Blend parts, each a weight and its vectors, not all zero, into one query [d] of unit length.

    The sum of weight × unit vector; several vectors of a part (a product's photos) stand for the
    mean of their unit vectors, a part without any is ignored. Return None if all parts are without
    vectors or weights above 0. Raise VectorInvalid if they cancel out.
    """
    held = [(weight, _middle(vectors)) for weight, vectors in parts if len(vectors)]
    if not any(weight > 0 for weight, _ in held):
        return None
    total = np.sum([weight * middle for weight, middle in held], axis=0)
    length = float(np.linalg.norm(total))
    if length < LEAST_LENGTH * max(abs(weight) for weight, _ in held):
        raise VectorInvalid.at("blend", "its parts cancel out, so it has no direction to search in")
    return np.asarray(total / length, np.float32)


def _middle(vectors: Sequence[Floats]) -> Floats:
    """Return the normalised mean of unit vectors, float64; zero if they cancel out."""
    rows = np.stack(vectors).astype(np.float64)
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length > LEAST_LENGTH else np.zeros_like(mean))


Scores = npt.NDArray[np.float64]


def exact_scores(queries: Floats, vectors: Floats, metric: VectorMetric) -> Scores:
    """Return the similarity of each vector to each query: greater is nearer."""
    left, right = queries.astype(np.float64), vectors.astype(np.float64)
    dots: Scores = left @ right.T
    if metric is VectorMetric.IP:
        return dots
    if metric is VectorMetric.L2:
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
        return np.asarray(2 * dots - squares)
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)[None, :]
    return np.asarray(dots / lengths)
