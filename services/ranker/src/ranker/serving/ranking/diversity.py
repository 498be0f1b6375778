"""Rearranges ranked products by a policy, and reports the causes of moves. A policy is a tuple of
steps, those that it uses of the six below, each a permutation of the result of the one before; all
but the last are deterministic::

    objective     by (1 − o) · r_i + o · v_i, which is r_i in the steps below
    popularity    by r_i − p · √share_i
    diversity     maximal marginal relevance (Carbonell, Goldstein 1998, SIGIR): the next product is
                  argmax (1 − d) · (r_i − p · √share_i) − d · max_{j above} s_ij
    calibration   categories in the proportions of the shopper's history (calibrated.py); the k-th
                  product is as relevant as the k-th most relevant one, so that diversity stays
    caps          the next product whose brand and categories are below their caps
    exploration   some positions get new products from further down, drawn uniformly

r_i is the raw score from 0 (least of the window) to 1 (largest); v_i the expected value of the
objective (objective.py) on the same scale; share_i the product's decayed
count over that of the most popular product; s_ij, 0 to 1, the mean of the cosine of the visual
styles (opposite styles count 0) and of the levels shared by the category paths over those of the
longer path, each where both products have it. All steps but the last apply to the window only.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import count as naturals
from itertools import zip_longest
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.events import DAY_MICROS
from ranker.domain.model import Model
from ranker.serving.ranking.calibrated import calibrated
from ranker.serving.ranking.exploration import explored
from ranker.serving.ranking.objective import ExpectedValues, ObjectiveGoal, expected, scaled, toward
from ranker.serving.ranking.parts import UNKNOWN
from ranker.serving.ranking.rank import RankCandidates, ScoredCandidates, rows_by_id
from sightline_rules.categories import ancestors, join, split
from sightline_rules.fast_dataclass import fast_dataclass


class MoveCause(StrEnum):
    """Cause of a move; the names are those of Move.Cause without its prefix."""

    CONTROL = "CONTROL"
    OBJECTIVE = "OBJECTIVE"
    POPULARITY = "POPULARITY"
    DIVERSITY = "DIVERSITY"
    CALIBRATION = "CALIBRATION"
    CATEGORY_CAP = "CATEGORY_CAP"
    BRAND_CAP = "BRAND_CAP"
    EXPLORATION = "EXPLORATION"


@fast_dataclass(frozen=True, slots=True)
class RankPolicy:
    """Criteria beside the raw score; bounds as in the Diversity message."""

    diversity: float = 0.0
    """0 (off) to 1."""
    popularity: float = 0.0
    """0 (off) to 1."""
    window: int = 100
    """Number of best products that are rearranged."""
    cap_places: int = 10
    """Number of first positions in which the caps apply."""
    brand_cap: int = 0
    """Maximum number of products of one brand in them; 0: no limit."""
    category_caps: tuple[tuple[int, int], ...] = ()
    """(level from 1, maximum number of products of one category in them)"""
    exploration_places: tuple[int, ...] = ()
    """From 1, ascending."""
    exploration_days: float = 30.0
    """Days for which a product is new."""
    objective: ObjectiveGoal = ObjectiveGoal.UNSPECIFIED
    objective_strength: float = 0.0
    """0 (off) to 1."""
    calibrated: float = 0.0
    """0 (off) to 1."""

    has_objective: bool = field(init=False, repr=False, compare=False)
    """True if expected values may move a product."""
    steps: "tuple[Step, ...]" = field(init=False, repr=False, compare=False)
    """Steps of the policy, in their order; empty if it can't move any product."""

    def __post_init__(self) -> None:
        goal = self.objective is not ObjectiveGoal.UNSPECIFIED and self.objective_strength > 0
        used: tuple[tuple[object, Step], ...] = (
            (goal, _approach_objective),
            (self.popularity, _lower_popular),
            (self.diversity, _diversify),
            (self.calibrated, _calibrate),
            (self.category_caps or self.brand_cap, _cap),
            (self.exploration_places, _explore),
        )
        object.__setattr__(self, "has_objective", goal)
        object.__setattr__(self, "steps", tuple([step for use, step in used if use]))


@fast_dataclass(frozen=True, slots=True)
class RankedColumns:
    """Columns of ranked products, best first; every column has one entry a product."""

    ids: Sequence[str]
    raw_scores: Doubles
    """Falling."""
    brands: Sequence[str]
    """Empty if unknown: never capped. For the window; none without a cap."""
    categories: Sequence[str]
    """Paths; empty if none: never capped. At least for the window."""
    styles: Floats | None
    """(window, style dimension); NaN row: no photo. None without styles."""
    shares: Doubles | None
    """Popularity in the window, 0 to 1; None disables the popularity step."""
    new: npt.NDArray[np.bool_]
    """True if each product is new."""
    expected: Doubles | None = None
    """Expected values in the window; NaN: none. None disables the objective."""
    own_shares: Mapping[str, float] = field(default_factory=dict)
    """Shares of the topmost categories in the shopper's history; empty disables calibration."""


@fast_dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of ranked products."""

    order: Ints
    """Positions in the ranking (from 0), in the new order."""
    moves: Mapping[MoveCause, Ints]
    """By cause, in the order of the steps: positions by which each product moved up (> 0) or down,
    along `order`. Their sum is the position in the ranking minus the new position."""
    propensities: Doubles
    """Along `order`: the probability, over all seeds, of having this position."""

    @property
    def explored(self) -> frozenset[int]:
        """Positions (from 0) that exploration filled."""
        moved = self.moves.get(MoveCause.EXPLORATION)
        return frozenset(() if moved is None else np.flatnonzero(moved > 0).tolist())


def arranged(
    ranking: ScoredCandidates,
    candidates: RankCandidates,
    model: Model | None,
    popularity: Doubles | None,
    policy: RankPolicy,
    *,
    seed: bytes,
    now_micros: int,
    raw_scores: Doubles | None = None,
    own_shares: Mapping[str, float] = MappingProxyType({}),
) -> Arrangement:
    """Arrange ranked candidates by the policy. `popularity` is a share (0 to 1) for each candidate;
    None disables the popularity step. `raw_scores`: of each candidate, if those of the ranking are
    boosted. `own_shares`: see RankedColumns."""
    if not policy.steps:
        count = ranking.rows.size
        return Arrangement(np.arange(count), {}, np.zeros(count) + 1)
    shelf = shelf_of(
        *(ranking, candidates, model, popularity, policy),
        now_micros=now_micros,
        own_shares=own_shares,
    )
    if policy.has_objective:
        values = expected_values(ranking, candidates, model, policy, raw_scores).values
        shelf = replace(shelf, expected=values)
    return arrange(shelf, policy, seed)


def expected_values(
    ranking: ScoredCandidates,
    candidates: RankCandidates,
    model: Model | None,
    policy: RankPolicy,
    raw_scores: Doubles | None = None,
) -> ExpectedValues:
    """Return the expected values of the window of a ranking; see `arranged`."""
    window = ranking.rows[: policy.window]
    scores = ranking.raw_scores[: policy.window] if raw_scores is None else raw_scores[window]
    offers = candidates.offers.take(window) if candidates.offers is not None else None
    return expected(policy.objective, scores, offers, model)


def shelf_of(
    ranking: ScoredCandidates,
    candidates: RankCandidates,
    model: Model | None,
    popularity: Doubles | None,
    policy: RankPolicy,
    *,
    now_micros: int,
    own_shares: Mapping[str, float] = MappingProxyType({}),
) -> RankedColumns:
    """Return the ranked candidates' columns for the policy; see `arranged`."""
    rows = ranking.rows
    window = rows[: policy.window]
    since = now_micros - policy.exploration_days * DAY_MICROS
    created = candidates.created_micros
    ids = [*map(candidates.ids.__getitem__, rows.tolist())]
    shown = window.tolist()
    return RankedColumns(
        ids=ids,
        raw_scores=ranking.raw_scores,
        brands=candidates.brands_of(shown) if policy.brand_cap else (),
        categories=candidates.categories_of(shown),
        styles=_styles(model, ids[: policy.window]) if policy.diversity else None,
        shares=None if popularity is None else popularity[window],
        new=np.zeros(rows.size, bool) if created is None else created[rows] > max(since, 0),
        own_shares=own_shares,
    )


def _styles(model: Model | None, ids: Sequence[str]) -> Floats | None:
    """Return styles, (n, style dimension); NaN: the model has no photo of the product."""
    if model is None or model.styles is None or not model.styles.size:
        return None
    rows = rows_by_id(model, ids)
    found: Floats = model.styles[rows]
    found[rows == UNKNOWN] = np.nan
    return found


def arrange(shelf: RankedColumns, policy: RankPolicy, seed: bytes) -> Arrangement:
    """Arrange the products by the policy; equal seeds give equal orders."""
    made = _Arranging(shelf, policy, seed)
    for step in policy.steps:
        step(made)
    return Arrangement(
        order=made.order,
        moves={cause: moved[made.order] for cause, moved in made.moves.items()},
        propensities=made.propensities,
    )


class _Arranging:
    """An order under construction, changed step by step."""

    def __init__(self, shelf: RankedColumns, policy: RankPolicy, seed: bytes) -> None:
        count = len(shelf.ids)
        self.shelf, self.policy, self.seed = shelf, policy, seed
        self.window = min(policy.window, count)
        self.relevance = scaled(shelf.raw_scores[: self.window])
        self.order: Ints = np.arange(count)
        self.propensities: Doubles = np.zeros(count) + 1
        self.moves: dict[MoveCause, Ints] = {}
        """Moves by cause, for each product in the order of the ranking."""
        self._places = self.order
        """Position of each product: the inverse permutation."""

    @property
    def first(self) -> Ints:
        """Return the products of the window in their present order."""
        return self.order[: self.window]

    def take(self, cause: MoveCause, order: Ints) -> None:
        """Rearrange the first products into this order; the others stay."""
        before, self._places = self._places, self._places.copy()
        self.order = np.concatenate([order, self.order[order.size :]])
        self._places[self.order] = np.arange(self.order.size)
        self.moves[cause] = before - self._places


def _approach_objective(made: _Arranging) -> None:
    if made.shelf.expected is None:
        return
    values = made.shelf.expected[: made.window]
    made.relevance = toward(made.relevance, values, made.policy.objective_strength)
    made.take(MoveCause.OBJECTIVE, np.argsort(-made.relevance, kind="stable"))


def _lower_popular(made: _Arranging) -> None:
    if made.shelf.shares is None:
        return
    shares = made.shelf.shares[: made.window]
    made.relevance = made.relevance - made.policy.popularity * np.sqrt(shares)
    made.take(MoveCause.POPULARITY, np.argsort(-made.relevance, kind="stable"))


def _diversify(made: _Arranging) -> None:
    order = _diverse(made.shelf, made.relevance, made.first, made.policy)
    made.take(MoveCause.DIVERSITY, order)


def _calibrate(made: _Arranging) -> None:
    if not made.shelf.own_shares:
        return
    before = made.first
    paths = [made.shelf.categories[product] for product in before.tolist()]
    falling = np.sort(made.relevance)[::-1]
    order = calibrated(paths, falling, made.shelf.own_shares, made.policy.calibrated)
    made.take(MoveCause.CALIBRATION, before[order])


def _cap(made: _Arranging) -> None:
    """Apply category caps, then brand caps on top: both hold, and each move has one cause."""
    shelf, policy, before = made.shelf, made.policy, made.first
    rules: list[tuple[Sequence[str], int]] = [
        ([join(split(path)[:level]) for path in shelf.categories[: made.window]], most)
        for level, most in policy.category_caps
    ]
    if rules:
        made.take(MoveCause.CATEGORY_CAP, _capped(before, policy.cap_places, rules))
    if policy.brand_cap:
        rules.append((shelf.brands[: made.window], policy.brand_cap))
        made.take(MoveCause.BRAND_CAP, _capped(before, policy.cap_places, rules))


def _explore(made: _Arranging) -> None:
    shelf = made.shelf
    order, made.propensities = explored(
        made.order, shelf.new, made.policy.exploration_places, shelf.ids, made.seed
    )
    made.take(MoveCause.EXPLORATION, order)


def _diverse(shelf: RankedColumns, relevance: Doubles, order: Ints, policy: RankPolicy) -> Ints:
    """Order the window by maximal marginal relevance; ties keep the order of `order`."""
    alike = similarity(shelf.categories[: order.size], shelf.styles)[order[:, None], order]
    worth = (1 - policy.diversity) * relevance[order]
    left = (
        worth - policy.diversity * alike
    )  # row: the product placed above; column: the product to place
    taken = np.zeros(order.size, np.int64)
    for place in range(order.size):
        taken[place] = best = worth.argmax()
        np.minimum(worth, left[best], out=worth)
        worth[best] = -np.inf
    return order[taken]


def similarity(categories: Sequence[str], styles: Floats | None) -> Doubles:
    """Return similarities of products, (n, n), 0 to 1: the mean over the features that both
    have."""
    shared, known = _shared_levels(categories)
    if styles is not None:
        lengths = np.sqrt(np.add.reduce(styles * styles, axis=1))
        shown = np.isfinite(lengths) & (lengths > 0)
        units = np.where(shown[:, None], styles, 0) / np.where(shown, lengths, 1)[:, None]
        shared += np.minimum(np.maximum(units @ units.T, 0), 1)
        known += shown[:, None] & shown
    alike: Doubles = shared / np.maximum(known, 1)
    return alike


_lines = lru_cache(4_096)(ancestors)
"""Returns a path after its ancestors, root first; products share few paths."""


def _shared_levels(categories: Sequence[str]) -> tuple[Doubles, Doubles]:
    """Return shared levels of two paths over those of the longer one, (n, n), and 1 where both
    have a path, else 0."""
    lines = [*map(_lines, categories)]
    shared, depths = np.zeros((len(lines), len(lines))), np.zeros(len(lines))
    # Two products share a level if they have the same path down to it; None: a shorter path.
    for paths in zip_longest(*lines):
        codes: dict[str | None, int] = dict(zip(dict.fromkeys(paths), naturals(1), strict=False))
        codes[None] = 0
        level = np.array([*map(codes.__getitem__, paths)])
        shared += (level[:, None] == level) & (level > 0)
        depths += level > 0
    known = ((depths > 0)[:, None] & (depths > 0)).astype(np.float64)
    return shared / np.maximum(np.maximum(depths[:, None], depths), 1), known


def _capped(order: Ints, places: int, rules: Sequence[tuple[Sequence[str], int]]) -> Ints:
    """Return the order with a cap on each group in its first positions. A rule is the group of each
    product (empty: none) and the maximum of a group. Products above a cap are deferred, and follow
    in their order when no other product is left."""
    taken: dict[int, None] = {}
    counts = [Counter[str]() for _ in rules]
    for product in order.tolist():
        groups = [rule[0][product] for rule in rules]
        if all(
            not group or counted[group] < most
            for (_, most), counted, group in zip(rules, counts, groups, strict=True)
        ):
            taken[product] = None
            for counted, group in zip(counts, groups, strict=True):
                counted[group] += 1
            if len(taken) == places:
                break
    rest = [product for product in order.tolist() if product not in taken]
    return np.array([*taken, *rest], dtype=np.int64)


Step = Callable[[_Arranging], None]
"""Rearranges an order under construction; one that lacks its data leaves it."""

DEFAULT = RankPolicy()
"""Orders by the raw score alone."""
