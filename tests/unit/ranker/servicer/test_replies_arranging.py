"""A policy is accepted as a whole or rejected by its fields; moves are shown where they occur."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from ranker.domain.events import History
from ranker.servicer.replies import policy_of, ranked_message, ranked_of
from ranker.serving.rank_products import RankedProducts, RankQuery, RankState
from ranker.serving.ranking.diversity import Arrangement, MoveCause, RankPolicy
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.order import RankedOrder, order_of
from ranker.serving.ranking.rank import RankCandidates, ScoredCandidates
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1.ranking_service_pb2 import CategoryCap, Diversity, RankResponse


def test_nothing_asked_for_moves_nothing():
    assert policy_of(Diversity()) == RankPolicy()
    assert not RankPolicy().steps


def test_what_is_asked_for_is_taken():
    message = Diversity(
        diversity=0.3,
        popularity=0.2,
        window=50,
        cap_places=5,
        brand_cap=2,
        category_caps=[CategoryCap(level=1, cap=3)],
        exploration_places=[4, 9],
        exploration_days=7,
        calibrated=0.4,
    )
    assert policy_of(message) == RankPolicy(
        0.3, 0.2, 50, 5, 2, ((1, 3),), (4, 9), 7.0, calibrated=0.4
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"diversity": 1.1}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"calibrated": 1.1}, "calibrated"),
        ({"popularity": -0.1}, "popularity"),
        ({"window": 1}, "window"),
        ({"window": 501}, "window"),
        ({"cap_places": 201}, "cap_places"),
        ({"brand_cap": -1}, "brand_cap"),
        ({"category_caps": [CategoryCap(level=0, cap=1)]}, "category_caps[0]"),
        ({"category_caps": [CategoryCap(level=9, cap=1)]}, "category_caps[0]"),
        ({"category_caps": [CategoryCap(level=1)]}, "category_caps[0]"),
        ({"category_caps": [CategoryCap(level=1, cap=1)] * 2}, "category_caps"),
        ({"exploration_places": [1]}, "exploration_places"),
        ({"exploration_places": [5, 4]}, "exploration_places"),
        ({"exploration_places": [4, 4]}, "exploration_places"),
        ({"exploration_places": [201]}, "exploration_places"),
        ({"exploration_places": range(2, 23)}, "exploration_places"),
        ({"exploration_days": float("inf")}, "exploration_days"),
        ({"exploration_days": -1}, "exploration_days"),
    ],
)
def test_what_is_out_of_its_range_is_refused_by_its_field(fields, field):
    with pytest.raises(RequestInvalid) as caught:
        policy_of(Diversity(**fields))
    assert [item.field for item in caught.value.violations] == [f"diversity.{field}"]


def order(
    places: Sequence[int], moves: Mapping[MoveCause, Sequence[int]], *chances: float
) -> RankedOrder:
    """Return an order of three products without collapses."""
    ranking = ScoredCandidates(np.arange(3), np.zeros(3), {}, 0, 0)
    steps = {cause: np.array(each) for cause, each in moves.items()}
    return order_of(ranking, Arrangement(np.array(places), steps, np.array(chances)), None, None)


def shown(some: RankedOrder) -> RankResponse:
    """Return the answer with this order."""
    ids = tuple(map(str, some.ranking.rows.tolist()))
    candidates = RankCandidates(ids, [], {}, np.zeros(len(ids)))
    state = RankState(None, History(), FoldIn(), None)
    ranked = RankedProducts(state, some, some.ranking, b"", (), {}, (), (), ())
    query = RankQuery("default", None, candidates, {}, 0)
    return ranked_message(ranked_of(query, ranked, ()), Stages("ranker"))


def test_moves_are_shown_by_product_and_only_where_there_are_some():
    still = order([0, 1, 2], {MoveCause.DIVERSITY: [0, 0, 0]}, 1, 1, 1)
    columns = (shown(still).score_ranks, shown(still).moves, shown(still).propensities)
    assert not any(map(len, columns))
    drawn = order([0, 1, 2], {MoveCause.EXPLORATION: [0, 0, 0]}, 0.5, 0.5, 0.5)
    assert shown(drawn).propensities == [0.5, 0.5, 0.5]
    assert [list(one.moves) for one in shown(drawn).moves] == [[], [], []]
    moves = {MoveCause.DIVERSITY: [1, -1, 0], MoveCause.BRAND_CAP: [0, 0, 0]}
    found = shown(order([1, 0, 2], moves, 1, 0.5, 1).first(2))
    assert [[(move.cause, move.places) for move in one.moves] for one in found.moves] == [
        [(answer_pb2.Move.CAUSE_DIVERSITY, 1)],
        [(answer_pb2.Move.CAUSE_DIVERSITY, -1)],
    ]
    assert (found.score_ranks, found.propensities) == ([2, 1], [1, 0.5])


def test_every_cause_has_a_number_on_the_wire():
    assert {f"CAUSE_{cause}" for cause in MoveCause} <= set(answer_pb2.Move.Cause.keys())
