"""Near-duplicate collapse, one product at a time: the rule of `sightline_rules.grouping`,
implemented plainly. Tests compare with it.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from sightline_rules.duplicates import NO_HASH, same_picture


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that may stand in an answer."""

    product_id: str
    parent_id: str = ""
    image_hash: int = NO_HASH
    marks: Sequence[Hashable] = ()
    """Products with a common mark are known to show the same picture."""

    @property
    def family(self) -> str:
        """Key that a parent and all of its variants share."""
        return self.parent_id or self.product_id

    def is_like(self, other: "Candidate") -> bool:
        """Return whether one of the two certainly collapses into the other."""
        return self.family == other.family or same_picture(self.image_hash, other.image_hash)

    def is_known_like(self, other: "Candidate") -> bool:
        """Return whether other data says that one of the two collapses into the other."""
        return not set(self.marks).isdisjoint(other.marks)


@dataclass(frozen=True, slots=True)
class Group:
    """A product that stays, by its place, and the ids of those that collapse into it."""

    place: int
    collapsed: tuple[str, ...] = ()


def collapse(candidates: Iterable[Candidate]) -> tuple[Group, ...]:
    """Return the remaining candidates, best first, each with those that collapse into it: the best
    remaining one that they are like."""
    kept: dict[int, Candidate] = {}
    collapsed: dict[int, list[str]] = {}
    for place, candidate in enumerate(candidates):
        certain = (one for one, better in kept.items() if better.is_like(candidate))
        said = (one for one, better in kept.items() if better.is_known_like(candidate))
        into = next(chain(certain, said), None)
        if into is None:
            kept[place], collapsed[place] = candidate, []
        else:
            collapsed[into].append(candidate.product_id)
    return tuple(Group(place, tuple(ids)) for place, ids in collapsed.items())
