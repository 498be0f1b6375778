"""Values that products had before their last changes: pages of a listing share one order."""

from bisect import bisect_right

import numpy as np

from retriever.columns.arrays import Ints

MOST_FORMER = 100_000
"""Changes of one column that are kept; above it the older half is forgotten."""


class FormerValues:
    """Changes of one column, oldest first. A process has those since it first read the catalog."""

    def __init__(self) -> None:
        self._commits: list[int] = []
        self._places: list[int] = []
        self._values: list[Ints] = []

    def note(self, commit: int, places: Ints, before: Ints, after: Ints) -> None:
        """Note the values that a commit changed; shape (places, numbers of one value)."""
        for row in np.flatnonzero((before != after).any(axis=1)).tolist():
            self._commits.append(commit)
            self._places.append(int(places[row]))
            self._values.append(before[row])
        if len(self._commits) > MOST_FORMER:
            for kept in (self._commits, self._places, self._values):
                del kept[: MOST_FORMER // 2]

    def as_of(self, commit: int, places: Ints, now: Ints) -> Ints:
        """Return the values at a commit of the products at these places. `now`: those of now."""
        start = bisect_right(self._commits, commit)
        if start == len(self._commits):
            return now
        # The oldest change after the commit holds the value of that time.
        changed, first = np.unique(self._places[start:], return_index=True)
        at = np.searchsorted(changed, places).clip(max=len(changed) - 1)
        rows = np.flatnonzero(changed[at] == places)
        values = now.copy()
        if len(rows):
            values[rows] = [self._values[start + each] for each in first[at[rows]].tolist()]
        return values
