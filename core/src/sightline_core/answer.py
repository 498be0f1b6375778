"""The final order of an answer, its products and its record."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from itertools import repeat
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sightline_core.branch import Branch, branches_of
from sightline_core.candidates import Contributions
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow
from sightline_core.reasons import Move, MoveCause, Reason
from sightline_core.shoppers import Shopper
from sightline_core.versions import Versions
from sightline_rules.fast_dataclass import fast_dataclass


class Score(NamedTuple):
    """Calibrated score: the raw score as a probability, learned by the ranker from impressions."""

    chance: float
    """Probability, 0 to 1, that a shopper who is shown the product does `event` with it."""
    event: int
    """Event type, by its number in the contract."""


NO_CONTRIBUTIONS: Final[Mapping[str, Contributions]] = MappingProxyType({})


class AnsweredProduct(NamedTuple):
    """One product of an answer's final order. A tuple: a page makes dozens in one call."""

    product_id: str
    raw_score: float
    """Sum of the parts."""
    parts: tuple[tuple[str, float], ...] = ()
    reasons: tuple[Reason, ...] = ()
    matched_image_id: str = ""
    branches: tuple[Branch, ...] = ()
    """Branches that found the product."""
    collapsed: tuple[str, ...] = ()
    """Ids of the near-duplicates collapsed into it, best first."""
    score: Score | None = None
    """`None` if the model is not calibrated."""
    score_rank: int = 0
    """Rank by raw score alone, from 1; 0 if unknown."""
    moves: tuple[Move, ...] = ()
    """Why its rank differs from `score_rank`."""
    contributions: Mapping[str, Contributions] = NO_CONTRIBUTIONS
    """Features of each part, by part; only if requested, never recorded."""
    propensity: float = 0.0
    """Probability that it was placed at its rank, 0 to 1; 0 if unknown."""
    expected_value: float | None = None
    """Expected value by the objective; only if requested, never recorded."""


_product: Callable[[tuple[Any, ...]], AnsweredProduct] = partial(tuple.__new__, AnsweredProduct)
"""As AnsweredProduct._make, without a call of Python."""
_score: Callable[[tuple[float, int]], Score] = partial(tuple.__new__, Score)

FUSED = "fusion"
"""The only part of a score that is not computed by the ranker."""


@fast_dataclass(frozen=True, slots=True)
class AnswerOrder:
    """A final order, or a part of it, as columns, best first.

    Entry i of every column belongs to product i; an empty column has no value for any product.
    """

    product_ids: Sequence[str] = ()
    raw_scores: Sequence[float] = ()
    parts: Sequence[tuple[str, Sequence[float]]] = ()
    """Values by name of the part."""
    image_ids: Sequence[str] = ()
    """Photos that matched best."""
    branches: Sequence[int] = ()
    """Branches that found each product; see Candidates."""
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates collapsed into each product, best first."""
    score_ranks: Sequence[int] = ()
    """Ranks by raw score alone, from 1; empty if the order is that of the scores."""
    moves: Sequence[Sequence[Move]] = ()
    """Why ranks differ from `score_ranks`."""
    chances: Sequence[float] = ()
    """Calibrated scores, 0 to 1; empty if the model is not calibrated."""
    event: int = 0
    """Event whose probability `chances` are; see Score."""
    reasons: Sequence[tuple[Reason, ...]] = ()
    """Reasons of the first products; those of the others were not requested."""
    contributions: Mapping[str, Sequence[Contributions]] = field(default_factory=dict)
    """Features of each part of the first products, by part; only if requested."""
    expected_values: Sequence[float] = ()
    """Expected values by the objective, NaN if none; only if requested."""
    offset: int = 0
    """Index of its first product in the whole order, from 0."""
    total: int = 0
    """Length of the whole order."""
    left_out: Collection[str] = ()
    """Products of it that may no longer be shown."""

    @property
    def end(self) -> int:
        """Index in the whole order after its last product."""
        return self.offset + len(self.product_ids)

    @property
    def is_fused(self) -> bool:
        """True if the ranker did not make it."""
        return [name for name, _ in self.parts] == [FUSED]

    def rows(self, places: Sequence[int]) -> Sequence[int]:
        """Return the entries of columns of products at these indexes of the whole order."""
        return [place - self.offset for place in places] if self.offset else places

    def reasons_at(self, place: int) -> tuple[Reason, ...] | None:
        """Return the ranker's reasons for the product at this index of the whole order; None if
        they were not requested."""
        row = place - self.offset
        if row < len(self.reasons):
            return self.reasons[row]
        return () if self.is_fused else None

    def product(self, place: int, reasons: tuple[Reason, ...] = ()) -> AnsweredProduct:
        """Return the product at this index of the whole order, with these reasons."""
        return self.products([place], [reasons])[0]

    def products(
        self,
        places: Sequence[int],
        reasons: Sequence[tuple[Reason, ...]],
        contributions: Sequence[Mapping[str, Contributions] | None] = (),
    ) -> list[AnsweredProduct]:
        """Return the products at these indexes of the whole order, with these reasons.

        `contributions`: None: those of the order; empty: of no product others.
        """
        rows, count = self.rows(places), len(places)
        own = [NO_CONTRIBUTIONS] * count
        if self.contributions:
            own = [self._contributions(row) for row in rows]
        for at, given in enumerate(contributions):
            if given is not None:
                own[at] = given
        held: list[Iterable[Any]] = []
        for values, empty in (
            (self.image_ids, ""),
            (self.branches, 0),
            (self.collapsed, ()),
            (self.chances, None),
            (self.moves, ()),
        ):
            held += (map(values.__getitem__, rows) if values else repeat(empty, count),)
        images, branches, collapsed, chances, moves = held
        ranks = self.score_ranks
        columns = (
            map(self.product_ids.__getitem__, rows),
            map(self.raw_scores.__getitem__, rows),
            self._parts(rows),
            reasons,
            images,
            map(branches_of, branches),
            map(tuple, collapsed),
            map(_score, zip(chances, repeat(self.event))) if self.chances else chances,
            map(ranks.__getitem__, rows) if ranks else map((1).__add__, places),
            map(tuple, moves),
            own,
            repeat(0.0, count),
            map(self._expected, rows) if self.expected_values else repeat(None, count),
        )
        return [*map(_product, zip(*columns, strict=True))]

    def _parts(self, rows: Sequence[int]) -> Iterable[tuple[tuple[str, float], ...]]:
        named: list[Iterable[tuple[str, float]]] = []
        for name, values in self.parts:
            named += (zip(repeat(name), map(values.__getitem__, rows)),)
        return zip(*named, strict=True) if named else repeat((), len(rows))

    def _contributions(self, row: int) -> Mapping[str, Contributions]:
        return {
            part: column[row] for part, column in self.contributions.items() if row < len(column)
        }

    def _expected(self, row: int) -> float | None:
        value = self.expected_values[row]
        return None if math.isnan(value) else value


@fast_dataclass(frozen=True, slots=True)
class AnswerRecord:
    """Record of an answer, with all inputs needed for later pages."""

    answer_id: str
    request_digest: bytes
    """SHA-256 of the request without shopper and page; see tokens.py."""
    shopper: Shopper | None
    versions: Versions
    seed: int
    degradations: tuple[Degradation, ...]
    answer_micros: int
    """When it was requested, microseconds since 1970 (UTC)."""
    expire_micros: int
    """When record and token expire, microseconds since 1970 (UTC); 0: the ranker's default."""
    order: AnswerOrder = field(default_factory=AnswerOrder)
    """The whole final order, or the requested part of it."""
    hidden_count: int = 0
    arms: tuple[str, ...] = ()
    """Experiment arms of the answer."""
    controls: tuple[str, ...] = ()
    """Names of the controls that had an effect."""


class AnswerResult(NamedTuple):
    """A product of an answer. A tuple; see AnsweredProduct."""

    row: ProductRow
    rank: int
    """Rank in the whole answer, from 1."""
    answered: AnsweredProduct

    @property
    def moves(self) -> tuple[Move, ...]:
        """Moves from its score rank to its rank; they sum to the difference."""
        moves, place = self.answered.moves, self.answered.score_rank
        if not place:
            return moves
        if moves:
            moves = tuple(move for move in moves if move.cause != MoveCause.COLLAPSE)
            place -= sum([move.places for move in moves])
        # It moves up past products of the ranker's order that are not shown.
        if gained := place - self.rank:
            return (*moves, Move(cause=MoveCause.COLLAPSE, places=gained))
        return moves


result: Callable[[tuple[ProductRow, int, AnsweredProduct]], AnswerResult] = partial(
    tuple.__new__, AnswerResult
)
"""As AnswerResult._make, without a call of Python."""
