"""Digest of what a training learns from. Equal digests: the training would learn nothing new."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import TrainingOrder

LIBRARIES: Final = ("rectools-lightfm", "numpy", "scipy", "optuna")
"""Distributions on which a model depends."""


def digest(given: Given, order: TrainingOrder, base: str) -> str:
    """Return a digest of events, attributes, products, vectors, answers and order. `base`: version
    from which the training continues; empty: none. A later release has another digest."""
    releases = [version(name) for name in ("sightline-ranker", *LIBRARIES)]
    found = hashlib.sha256(repr((replace(order, base=None), base, releases)).encode())
    for piece in _pieces(given):
        found.update(hashlib.sha256(piece).digest())
    return found.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    """Yield bytes that are equal for equal values of the same type."""
    if isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, Mapping):
        yield from (repr(item).encode() for item in sorted(value.items()))
    elif isinstance(value, list | tuple):
        yield from (repr(item).encode() for item in value)
    elif is_dataclass(value):
        for field in fields(value):
            yield field.name.encode()
            yield from _pieces(getattr(value, field.name))
    else:
        yield repr(value).encode()
