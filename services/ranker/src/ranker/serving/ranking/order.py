"""The final order of an answer: the ranking after arrangement and collapse. Near-duplicates
collapse into the best of them in the final order, after hidden products were removed: a shopper who
hides a product still sees its variants. The rule is shared (sightline_rules).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.model import Model
from ranker.serving.ranking.diversity import Arrangement, MoveCause
from ranker.serving.ranking.rank import ScoredCandidates, calibrated
from sightline_rules.controls import Control, apply_pins
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.grouping import all_differ, grouped


@fast_dataclass(frozen=True)
class CollapseKeys:
    """Keys that identify near-duplicates: first of the `own` products of the request, then of the
    candidates."""

    own: int
    families: Sequence[str]
    """Family: shared by a parent and all its variants."""
    hashes: npt.NDArray[np.uint64]
    """Hash of the displayed photo of each; 0: none."""
    same_pictures: Ints
    """(pairs, 2): rows of candidates that show the same picture"""

    @property
    def all_differ(self) -> bool:
        """Whether no two of these products may be near-duplicates; True only if that is cheap to
        know."""
        return all_differ(self.families, self.hashes, self.same_pictures)


def collapsed(
    order: Ints, likeness: CollapseKeys | None
) -> tuple[Ints, Mapping[int, Sequence[int]]]:
    """Collapse near-duplicates in `order`, rows of candidates, best first. Return the remaining
    positions, and by position the rows that collapsed into it. Near-duplicates of the request's own
    products are dropped. Without keys nothing collapses."""
    if likeness is None:
        return np.arange(len(order)), {}
    own = likeness.own
    seats = np.concatenate([np.arange(own), order + own])
    families = [likeness.families[seat] for seat in seats.tolist()]
    found = grouped(families, likeness.hashes[seats], _seated(order, likeness))
    members = {
        place - own: (seats[behind] - own).tolist()
        for place, behind in found.members().items()
        if place >= own
    }
    return np.array([place - own for place in found.kept if place >= own], np.int64), members


def _seated(order: Ints, likeness: CollapseKeys) -> Ints:
    """Return the known pairs by their positions; pairs with a product outside the order are
    omitted."""
    seats = np.full(len(likeness.families) - likeness.own, -1, np.int64)
    seats[order] = np.arange(len(order)) + likeness.own
    pairs = seats[likeness.same_pictures]
    left: Ints = pairs[(pairs >= 0).all(axis=1)]
    return left


@fast_dataclass(frozen=True, slots=True)
class RankedOrder:
    """The final order, best first; every column has one entry a product."""

    ranking: ScoredCandidates
    score_ranks: Ints
    """Positions by the raw score alone, from 1."""
    moves: Mapping[MoveCause, Ints]
    """Number of positions that each product was moved, by cause."""
    propensities: Doubles
    chances: Doubles | None
    """Calibrated scores; None if the model is not calibrated."""
    members: Sequence[Sequence[int]]
    """Rows of the near-duplicates that collapsed into each product; empty if none collapsed."""
    explored: frozenset[int]
    """Positions (from 0) that exploration filled."""
    drawn: bool
    """True if the order depends on a random draw."""
    collapsed_count: int
    """Number of products left out as near-duplicates of better ones."""

    @property
    def moved(self) -> bool:
        """Return whether any product's position differs from that of its score."""
        return True in (self.score_ranks != np.arange(1, self.score_ranks.size + 1))

    def first(self, count: int) -> "RankedOrder":
        """Return only the first `count` products; 0: all."""
        if count in (0, self.score_ranks.size):
            return self
        return RankedOrder(
            ranking=self.ranking.take(slice(count)),
            score_ranks=self.score_ranks[:count],
            moves={cause: steps[:count] for cause, steps in self.moves.items()},
            propensities=self.propensities[:count],
            chances=None if self.chances is None else self.chances[:count],
            members=self.members[:count],
            explored=self.explored,
            drawn=self.drawn,
            collapsed_count=self.collapsed_count,
        )


def order_of(
    ranking: ScoredCandidates,
    arrangement: Arrangement,
    likeness: CollapseKeys | None,
    model: Model | None,
    controls: Sequence[Control] = (),
) -> RankedOrder:
    """Return the final order of an arranged ranking. `likeness`: keys by which near-duplicates
    collapse; None disables collapsing. `controls`: their pins are applied last."""
    if likeness is not None and likeness.all_differ:
        likeness = None
    if not (arrangement.moves or controls or likeness is not None):
        return _as_ranked(ranking, arrangement, model)
    places, members = collapsed(ranking.rows[arrangement.order], likeness)
    moves = dict(arrangement.moves)
    if controls:
        rows = ranking.rows[arrangement.order][places].tolist()
        at = {row: place for place, row in enumerate(rows)}
        seats = np.array([at[row] for row in apply_pins(rows, controls)], np.int64)
        places = places[seats]
        moves[MoveCause.CONTROL] = moves[MoveCause.CONTROL].copy()
        moves[MoveCause.CONTROL][places] += seats - np.arange(len(seats))
    explored = arrangement.explored
    if explored and (likeness is not None or controls):
        explored = frozenset(n for n, place in enumerate(places.tolist()) if place in explored)
    order = arrangement.order[places]
    kept = ranking.take(order)
    return RankedOrder(
        ranking=kept,
        score_ranks=order + 1,
        moves={cause: steps[places] for cause, steps in moves.items() if steps.any()},
        propensities=arrangement.propensities[places],
        chances=calibrated(model, kept.raw_scores),
        members=[members.get(place, ()) for place in places.tolist()] if members else (),
        explored=explored,
        drawn=bool((arrangement.propensities != 1).any()),
        collapsed_count=len(arrangement.order) - len(order),
    )


def _as_ranked(
    ranking: ScoredCandidates, arrangement: Arrangement, model: Model | None
) -> RankedOrder:
    """Return the order of a ranking that nothing changes."""
    return RankedOrder(
        ranking=ranking,
        score_ranks=arrangement.order + 1,
        moves={},
        propensities=arrangement.propensities,
        chances=calibrated(model, ranking.raw_scores),
        members=(),
        explored=frozenset(),
        drawn=False,
        collapsed_count=0,
    )
