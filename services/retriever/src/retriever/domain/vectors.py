"""Vectors as callers give them: checked, and several put together into one query.

Putting together is Rocchio's (1971, "Relevance feedback in information retrieval"): towards what is
liked, away from what is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retriever.domain.model import Floats, GivenVector, VectorInvalid

LEAST_LENGTH = 1e-4
"""Of the sum of unit vectors: below it they cancel out, and float32 alone says what is left."""


def check_vector(given: GivenVector, dimension: int, path: str) -> Floats:
    """The vector as float32. Raises VectorInvalid."""
    if given.dimension != dimension:
        raise VectorInvalid(
            f"{path}.dimension", f"is {given.dimension}; the index holds {dimension}"
        )
    if len(given.data) != 4 * dimension:
        raise VectorInvalid(
            f"{path}.data", f"has {len(given.data)} bytes; {4 * dimension} are needed"
        )
    vector = np.frombuffer(given.data, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise VectorInvalid(f"{path}.data", "holds a value that is not finite")
    # A length that float32 can't hold would make every similarity NaN or 0 in the engine.
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length == 0:
        raise VectorInvalid(f"{path}.data", "is all zero")
    if not 1e-15 < length < 1e15:
        raise VectorInvalid(f"{path}.data", "has a length outside 1e-15 to 1e15")
    return vector


def blended(parts: Sequence[tuple[float, Sequence[Floats]]]) -> Floats | None:
    """One query [d], of unit length, out of parts: each a weight and its vectors, not all zero.

    The sum of weight × unit vector; a part of several vectors (a product's photos) stands for the
    mean of their unit vectors, one of none counts nothing. None = no part that counts says what is
    wanted. Raises VectorInvalid when they cancel out.
    """
    held = [(weight, _middle(vectors)) for weight, vectors in parts if len(vectors)]
    if not any(weight > 0 for weight, _ in held):
        return None
    total = np.sum([weight * middle for weight, middle in held], axis=0)
    length = float(np.linalg.norm(total))
    if length < LEAST_LENGTH * max(abs(weight) for weight, _ in held):
        raise VectorInvalid("blend", "its parts cancel out: there is nothing to be near to")
    return np.asarray(total / length, np.float32)


def _middle(vectors: Sequence[Floats]) -> Floats:
    """The unit vector amid some; float64. Photos that are each other's opposite have none: zero."""
    rows = np.stack(vectors).astype(np.float64)
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length > LEAST_LENGTH else np.zeros_like(mean))
