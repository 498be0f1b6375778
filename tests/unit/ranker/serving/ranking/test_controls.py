"""A ranking under controls: places, moves and propensities are those of the order that is shown."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.domain.answer_arrays import read_record
from ranker.domain.answer_columns import numbers
from ranker.domain.events import History, Identity, Shopper
from ranker.record.answers import content_of
from ranker.servicer.ranking import RankingServicer
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import KEY, FakeReader
from tests.unit.ranker.serving.ranking.test_order import IDS, NOW, Serving, Taking, made, requests

WEIGHTS = [pb.PartWeight(part="visual", weight=1)]


def plain(count: int = 6, **fields) -> pb.RankRequest:
    """Return candidates in the order of their ids."""
    request = pb.RankRequest(
        branches=[pb.BranchSignal(branch="visual", similarities=np.linspace(1, 0.5, count))],
        weights=WEIGHTS,
        time_micros=NOW,
        **fields,
    )
    request.candidates.product_ids.extend(IDS[:count])
    return request


def pin(place: int, *rows: int, name: str = "") -> pb.Control:
    return pb.Control(name=name or f"pin {place}", candidates=rows, place=place)


@st.composite
def controlled(draw: st.DrawFn) -> pb.RankRequest:
    request = draw(requests())
    rows = st.lists(
        st.integers(0, len(request.candidates.product_ids) - 1), max_size=3, unique=True
    )
    for index in range(draw(st.integers(1, 4))):
        made = request.controls.controls.add(name=f"c{index}", candidates=draw(rows))
        match draw(st.sampled_from(["place", "boost", "bury"])):
            case "place":
                made.place = draw(st.integers(1, 8))
            case "boost":
                made.boost = draw(st.floats(0.1, 3))
            case "bury":
                made.bury = True
    request.controls.page_size = draw(st.integers(0, 5))
    request.top_k = 0
    return request


async def ranked(request: pb.RankRequest, **hidden) -> tuple[pb.RankResponse, Taking]:
    taking = Taking()
    reader = FakeReader(**hidden)
    servicer = RankingServicer.of(["default"], KEY, reader, Serving(made()), 1000, answers=taking)
    return await servicer.Rank(request, None), taking


def unsaid(found: pb.RankResponse) -> list[int]:
    """Return the number of places that each product rose beyond its reported moves."""
    moves = [sum(move.places for move in each.moves) for each in found.moves]
    places = range(1, len(found.product_ids) + 1)
    ranks = list(found.score_ranks or places)
    rows = zip(ranks, moves or [0] * len(ranks), places, strict=True)
    return [rank - moved - place for rank, moved, place in rows]


@pytest.mark.slow
@settings(max_examples=150)
@given(request=controlled())
async def test_moves_add_up_records_agree_and_pins_keep_their_places(request: pb.RankRequest):
    found, taking = await ranked(request)
    order = list(found.product_ids)
    assert len({*order}) == len(order)

    # What a move by a control does not say, near-duplicates above do, which never move down.
    assert min(unsaid(found), default=0) >= 0
    request.collapse = False
    whole, _ = await ranked(request)
    assert not any(unsaid(whole))

    kept = read_record(content_of(taking.taken[0]))
    assert list(kept.columns.product_ids) == order
    assert list(kept.controls) == list(found.acted_controls) == list(taking.taken[0].controls)
    pinned = {
        request.candidates.product_ids[row]
        for each in request.controls.controls
        if each.WhichOneof("action") == "place"
        for row in each.candidates
    }
    chances = numbers(kept.columns.propensities)
    for place, item in enumerate(order):
        if item in pinned and len(chances):
            assert chances[place] == 1


async def test_a_pin_stands_exactly_there_though_near_duplicates_above_it_collapse():
    request = plain(collapse=True)
    request.candidates.parent_ids.extend(["f", "f", "", "", "", "f"])
    request.controls.controls.append(pin(3, 5))
    found, _ = await ranked(request)

    assert found.product_ids == [IDS[2], IDS[3], IDS[5], IDS[4]]
    assert [list(each.product_ids) for each in found.collapsed] == [[], [], IDS[:2], []]
    control = answer_pb2.Move.CAUSE_CONTROL
    assert [[(move.cause, move.places) for move in each.moves] for each in found.moves] == [
        [],
        [],
        [(control, 3)],
        [(control, -1)],
    ]


async def test_pins_first_are_left_to_the_caller_to_seat():
    request = plain(controls=pb.Controls(controls=[pin(4, 5)], pins_first=True))
    assert (await ranked(request))[0].product_ids == [IDS[5], *IDS[:5]]


async def test_caps_and_exploration_keep_to_the_places_beside_the_pins():
    request = plain(
        12, diversity=pb.Diversity(exploration_places=[3, 5], cap_places=4, brand_cap=1)
    )
    request.candidates.brands.extend("aabbccddeeff")
    request.candidates.create_time_micros.extend([1] * 8 + [NOW] * 4)
    request.controls.controls.extend([pin(1, 11), pin(5, 0)])
    request.session_id = "visit"
    found, _ = await ranked(request)

    assert (found.product_ids[0], found.product_ids[4]) == (IDS[11], IDS[0])
    assert found.product_ids[2] in IDS[8:11]
    assert found.propensities[0] == found.propensities[4] == 1
    assert found.propensities[2] == pytest.approx(1 / 3)
    # Four places are capped, of which one is pinned: brands a, b, c once each.
    assert [found.product_ids[place] for place in (1, 3)] == [IDS[1], IDS[2]]


@pytest.mark.full
@pytest.mark.slow
async def test_the_propensities_under_pins_are_the_shares_of_the_draws():
    counts: Counter[tuple[int, str]] = Counter()
    request = plain(8, diversity=pb.Diversity(exploration_places=[2, 4]))
    request.candidates.create_time_micros.extend([1] * 4 + [NOW] * 4)
    request.controls.controls.append(pin(3, 7))
    stated = {}
    for seed in range(600):
        request.seed = seed
        found, _ = await ranked(request)
        for place, (item, chance) in enumerate(
            zip(found.product_ids, found.propensities, strict=True)
        ):
            counts[place, item] += 1
            stated[place, item] = chance
    assert all(abs(count / 600 - stated[key]) < 0.08 for key, count in counts.items())
    assert stated[2, IDS[7]] == 1


async def test_boosts_move_before_diversity_and_scores_stay():
    request = plain(controls=pb.Controls(controls=[pb.Control(name="b", candidates=[5], boost=2)]))
    request.controls.page_size = 1
    found, _ = await ranked(request)
    assert (found.product_ids[0], found.acted_controls) == (IDS[5], ["b"])
    assert found.raw_scores[0] == pytest.approx(0.5)
    assert found.score_ranks == [6, 1, 2, 3, 4, 5]
    request.diversity.diversity = 0.01
    assert (await ranked(request))[0].product_ids[0] == IDS[5]


async def test_hidden_and_seen_pins_stay_out_and_are_named():
    request = plain(shopper=event_pb2.Shopper(user_id="ann"), drop_seen=True)
    request.controls.controls.append(pin(1, 0, 1, 2))
    request.controls.page_size = 2
    ann = KEY.of("default", Shopper(Identity.USER, "ann"))
    history = History(hidden=frozenset({IDS[0]}), seen=frozenset({IDS[1]}))
    found, _ = await ranked(request, histories={ann: history})
    assert found.product_ids == IDS[2:6]
    assert (found.hidden_product_ids, found.seen_product_ids) == ([IDS[0]], [IDS[1]])
    assert found.acted_controls == ["pin 1"]


@pytest.mark.parametrize(
    ("control", "field"),
    [
        ({"name": "", "bury": True}, "controls.controls"),
        ({"bury": True, "candidates": [6]}, "controls.controls[0].candidates"),
        ({"bury": True, "candidates": [1, 1]}, "controls.controls[0].candidates"),
        ({}, "controls.controls[0].action"),
        ({"place": 0}, "controls.controls[0].place"),
        ({"place": 201}, "controls.controls[0].place"),
        ({"boost": 0.0}, "controls.controls[0].boost"),
        ({"boost": float("nan")}, "controls.controls[0].boost"),
        ({"boost": 11.0}, "controls.controls[0].boost"),
    ],
)
async def test_a_bad_control_is_refused_by_its_field(control, field):
    request = plain(controls=pb.Controls(controls=[pb.Control(**{"name": "c", **control})]))
    with pytest.raises(RequestInvalid) as caught:
        await ranked(request)
    assert [item.field for item in caught.value.violations] == [field]
