"""NumPy arrays by their types, and sparse rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each product those that go with it: the rows of a sparse matrix (CSR), read-only.

    The neighbours of product i are ``items[starts[i]:starts[i + 1]]``, sorted, with ``weights`` at
    the same places.
    """

    starts: Ints
    """(products + 1,)"""
    items: npt.NDArray[np.int32]
    """(neighbours of all,) rows of products"""
    weights: Floats
    """(neighbours of all,) how much the product speaks for each; 0 is left out"""
