"""Use case: score and order the candidates of a request.

`RankProducts` reads the shopper's data and passes it to `rank_products`, a pure function that a
replay calls with the values of a record.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.events import History
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS, Signals
from ranker.ports import HistoryReader, Models
from ranker.serving.ranking import breakdown, diversity, rank
from ranker.serving.ranking.breakdown import Contributions, Evidence
from ranker.serving.ranking.calibrated import own_shares
from ranker.serving.ranking.controls import controlled
from ranker.serving.ranking.diversity import DEFAULT, RankPolicy
from ranker.serving.ranking.explain import explain
from ranker.serving.ranking.exploration import seed_of
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.objective import ScoreNote
from ranker.serving.ranking.order import CollapseKeys, RankedOrder, order_of
from ranker.serving.ranking.rank import RankCandidates, ScoredCandidates
from ranker.serving.ranking.shopper_reads import Shoppers, is_of
from ranker.serving.request_model import RequestModel, choose_model
from servicekit.telemetry import Stages
from sightline_core.ranking import RequestAnchors
from sightline_core.reasons import Reason
from sightline_rules.controls import Control, ControlKind, Lineup, acting
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class RankQuery:
    """A checked request to rank."""

    catalog_id: str
    actor: str | None
    """Pseudonym of the shopper; None if anonymous."""
    candidates: RankCandidates
    weights: Mapping[str, float]
    """Weight of each part of a score."""
    now_micros: int
    """Time for which the order is computed, microseconds since 1970 (UTC)."""
    policy: RankPolicy = DEFAULT
    likeness: CollapseKeys | None = None
    """Keys by which near-duplicates collapse; None disables collapsing."""
    controls: Sequence[Control] = ()
    page_size: int = 0
    """Number of products on the page for which acting controls are reported."""
    pins_first: bool = False
    """If true, pins are applied before near-duplicates collapse, otherwise after."""
    anchors: RequestAnchors | None = None
    drop_seen: bool = False
    top_k: int = 0
    """Number of products in the answer; 0: all."""
    reason_top_k: int | None = None
    """Number of products with reasons; None: all of the answer."""
    with_breakdown: bool = False
    """If true, split each part into contributions of features and products."""
    language_code: str = ""
    seed: int = 0
    session_id: str = ""
    model_version: str = ""
    """Version of the model to use; empty: the promoted one."""
    history_token: str = ""
    """Token of a history that Nominate has just read."""


@fast_dataclass(frozen=True, slots=True)
class RankState:
    """Data from which an order is computed, besides the query."""

    model: Model | None
    history: History
    shopper: FoldIn
    popularity: Doubles | None
    """Share of the most popular product's count for each candidate, 0 to 1; None if not needed."""
    anchors: Sequence[str] = ()
    """Anchors of the request; empty: the shopper's last products."""
    draws: bytes = b""
    """Seed of the random draws; empty: derived from the query."""
    signals: Signals = DEFAULTS
    """Interpretation of the events of `history`."""
    history_changed: bool = False
    """True if the history is not that of the query's token."""


@fast_dataclass(frozen=True, slots=True)
class RankedProducts:
    """An order with all reported details."""

    state: RankState
    order: RankedOrder
    """All remaining products, regardless of `top_k`."""
    arranged: ScoredCandidates
    """Input of the policy: scored candidates without pinned and buried ones."""
    draws: bytes
    """Seed of the random draws; empty if there are none."""
    reasons: Sequence[Sequence[Reason]]
    """Reasons of the first `reason_top_k` products."""
    contributions: Mapping[str, Sequence[Contributions]]
    """By part; empty unless `with_breakdown`."""
    acting_controls: Sequence[str]
    """Names of the controls that changed the first page."""
    control_merits: Sequence[float]
    """Share of relevance of the products of each control by merit, 0 to 1; for others 0. Empty if
    no control is by merit."""
    unplaced: Sequence[str]
    """Ids of pinned products that the shopper hid or has seen."""
    expected: Doubles | None = None
    """Expected value of each candidate, by its row; NaN: none. None without an objective."""
    notes: Sequence[ScoreNote] = ()
    """Data that the expected values lack."""


class RankProducts:
    """Use case with the current record and promoted models."""

    def __init__(self, reader: HistoryReader, models: Models, shoppers: Shoppers) -> None:
        self._reader, self._models, self._shoppers = reader, models, shoppers

    async def __call__(
        self, query: RankQuery, stages: Stages
    ) -> tuple[RankedProducts, RequestModel]:
        """Return the order and its model; record durations in `stages`."""
        served = choose_model(self._models, query.catalog_id, query.model_version)
        with stages.measure("history"):
            state = await self._read(query, served.model)
        with stages.measure("score"):
            return rank_products(query, state), served

    async def _read(self, query: RankQuery, model: Model | None) -> RankState:
        known = await self._shoppers.read(
            query.catalog_id,
            query.actor,
            model,
            with_seen=query.drop_seen,
            now_micros=query.now_micros,
            token=query.history_token,
        )
        known, resolved = await self._shoppers.resolve(
            query.catalog_id, query.actor, known, query.anchors
        )
        popularity = None
        if needs_popularity(query, known.shopper):
            ids = query.candidates.ids
            popularity = await self._reader.popularity(query.catalog_id, ids)
        return RankState(
            model,
            known.history,
            known.shopper,
            popularity,
            resolved.product_ids,
            signals=self._shoppers.signals,
            history_changed=not is_of(query.history_token, known.history),
        )


def needs_popularity(query: RankQuery, shopper: FoldIn) -> bool:
    """Return whether the order depends on the popularity of the candidates."""
    return bool(query.policy.popularity) or rank.needs_popularity(query.weights, shopper)


def rank_products(query: RankQuery, state: RankState) -> RankedProducts:
    """Score, arrange and collapse the candidates. Equal arguments give equal bits."""
    scored = rank.rank(
        query.candidates,
        query.weights,
        state.shopper,
        state.model,
        state.popularity,
        history=state.history,
        drop_seen=query.drop_seen,
    )
    draws = _draws(query, state) if query.policy.exploration_places else b""
    order, line, arranged = _ordered(query, state, scored, draws)
    evidence = _evidence(query, state, order)
    expected, notes = _expected(query, state, scored, arranged)
    return RankedProducts(
        state=state,
        order=order,
        arranged=arranged,
        draws=draws,
        reasons=explain(evidence, query.language_code, order.explored),
        contributions=breakdown.split(evidence) if query.with_breakdown else {},
        acting_controls=_acting(query, order, line) if line else (),
        control_merits=line.merits if line else (),
        unplaced=_unplaced(query, scored) if query.controls else (),
        expected=expected,
        notes=notes,
    )


def _draws(query: RankQuery, state: RankState) -> bytes:
    """Return the seed of the random draws."""
    who = state.history.owner(query.actor)
    return state.draws or seed_of(query.seed, who, query.session_id, query.now_micros)


def _acting(query: RankQuery, order: RankedOrder, line: Lineup) -> Sequence[str]:
    """Return the controls that changed the first page."""
    return acting(query.controls, order.ranking.rows[: query.page_size].tolist(), line.raised)


def _expected(
    query: RankQuery, state: RankState, scored: ScoredCandidates, arranged: ScoredCandidates
) -> tuple[Doubles | None, Sequence[ScoreNote]]:
    """Return the expected values by which the policy moved products, and what they lack."""
    policy = query.policy
    if not policy.has_objective:
        return None, ()
    raw_scores = _by_row(query, scored)
    found = diversity.expected_values(arranged, query.candidates, state.model, policy, raw_scores)
    values = np.full(len(query.candidates.ids), np.nan)
    values[arranged.rows[: policy.window]] = found.values
    return values, found.notes


def _by_row(query: RankQuery, scored: ScoredCandidates) -> Doubles:
    """Return the raw score of each candidate; 0 for dropped ones."""
    found = np.zeros(len(query.candidates.ids))
    found[scored.rows] = scored.raw_scores
    return found


def _ordered(
    query: RankQuery, state: RankState, scored: ScoredCandidates, draws: bytes
) -> tuple[RankedOrder, Lineup | None, ScoredCandidates]:
    """Return the final order, the order after boosts if there are controls, and the input of the
    policy."""
    policy, own = query.policy, dict[str, float]()
    if policy.calibrated:
        own |= own_shares(state.history, state.model, state.signals, query.now_micros)
    arrange = partial(
        diversity.arranged,
        candidates=query.candidates,
        model=state.model,
        popularity=state.popularity,
        seed=draws,
        now_micros=query.now_micros,
        raw_scores=_by_row(query, scored) if policy.has_objective else None,
        own_shares=own,
    )
    line, free = None, scored
    if query.controls:
        arrangement, line, free = controlled(scored, policy, query.controls, arrange)
    else:
        arrangement = arrange(scored, policy=policy)
    pins = () if query.pins_first else query.controls
    return order_of(scored, arrangement, query.likeness, state.model, pins), line, free


def _evidence(query: RankQuery, state: RankState, order: RankedOrder) -> Evidence:
    """Return evidence for the products that get reasons."""
    end = query.top_k or None
    if query.reason_top_k is not None and (end is None or query.reason_top_k < end):
        end = query.reason_top_k
    explained = order.ranking.take(slice(end))
    factors = explained.factors
    return Evidence(query.candidates, explained, state.shopper, state.model, factors)


def _unplaced(query: RankQuery, scored: ScoredCandidates) -> tuple[str, ...]:
    """Return the pinned products that are not among the scored ones, in the order of the pins."""
    pinned = [row for each in query.controls if each.kind is ControlKind.PIN for row in each.rows]
    left = frozenset(scored.rows.tolist()) if pinned else frozenset()
    return tuple(query.candidates.ids[row] for row in dict.fromkeys(pinned) if row not in left)
