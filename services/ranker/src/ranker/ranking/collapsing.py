"""Near-duplicates collapse into the best of them. NumPy only; the rule is shared (sightline_rules).

The best is that of the final order, after hidden products are out of it: who hides a product sees
its variants still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Ints
from sightline_rules.grouping import Grouped, grouped, near_pictures


@dataclass(frozen=True, slots=True)
class Likeness:
    """What says which products are near-duplicates: of the request's own products, `own` of them,
    and after them of the candidates."""

    own: int
    families: Sequence[str]
    """What all variants of a parent and the parent itself share."""
    hashes: npt.NDArray[np.uint64]
    """Of the photo that is shown of each; 0 = none."""
    same_pictures: Ints
    """(pairs, 2) rows of candidates that are known to show the same picture"""


@dataclass(frozen=True, slots=True)
class Collapsed:
    """What is left of an order."""

    places: Ints
    """Places in the order of those that stay, best first."""
    members: Mapping[int, Sequence[int]]
    """By such a place the rows of the candidates that collapsed into it, best first."""


def collapsed(order: Ints, likeness: Likeness | None) -> Collapsed:
    """The order, rows of candidates, best first, without near-duplicates of better ones and of the
    request's own products; None = they are products like any other."""
    if likeness is None:
        return Collapsed(np.arange(len(order)), {})
    own = likeness.own
    seats = np.concatenate([np.arange(own), order + own])
    pairs, _ = near_pictures(likeness.hashes[seats])
    known = [*pairs.tolist(), *_seated(order, likeness).tolist()]
    found: Grouped = grouped([likeness.families[seat] for seat in seats.tolist()], known)
    return Collapsed(
        np.array([place - own for place in found.kept if place >= own], np.int64),
        {
            place - own: (seats[members] - own).tolist()
            for place, members in found.members().items()
            if place >= own
        },
    )


def _seated(order: Ints, likeness: Likeness) -> Ints:
    """The known pairs by their seats; those of which one is not in the order are left out."""
    seats = np.full(len(likeness.families) - likeness.own, -1, np.int64)
    seats[order] = np.arange(len(order)) + likeness.own
    pairs = seats[likeness.same_pictures]
    left: Ints = pairs[(pairs >= 0).all(axis=1)]
    return left
