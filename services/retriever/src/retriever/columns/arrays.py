"""Types of arrays with one entry per place."""

from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Places: TypeAlias = Ints | slice
"""Places of products. A slice begins at the first one: copies of all values take a third of the
time."""
_Value = TypeVar("_Value", bound=np.generic)


def at(values: npt.NDArray[_Value], places: Places) -> npt.NDArray[_Value]:
    """Return copies of the values at some places, so that threads can read them while products are
    written."""
    found = values[places]
    return found.copy() if type(places) is slice else found


def count(places: Places) -> int:
    """Return the number of places."""
    return int(places.stop) if isinstance(places, slice) else len(places)


def numbers(places: Places) -> Ints:
    """Return the numbers of places."""
    return np.arange(places.stop) if isinstance(places, slice) else places


def where(places: Places, flags: Flags) -> Places:
    """Return the places whose flag is set."""
    if isinstance(places, slice):
        return places if flags.all() else np.flatnonzero(flags)
    return places[flags]
