"""The caller's own products: order, scores, unknown ids, limits, controls and fallbacks."""

import math
from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.diversity import Diversity
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.price import PricedSizes, price_of
from gateway.model.quality import Quality
from gateway.model.query import GivenCandidate, RequestQuery
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import AnchorSource
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_snapshot import fresh, row, snapshot
from tests.fakes.gateway_values import ANN, DEFAULT, FILTER, degraded, ids, photo


def given(*candidates: str | tuple[str, float], **fields: object) -> RequestQuery:
    """Return a request with candidates: ids, some with scores."""
    pairs = [each if isinstance(each, tuple) else (each, None) for each in candidates]
    return RequestQuery(candidates=tuple(GivenCandidate(*each) for each in pairs), **fields)


def rank_request(shop: Shop):
    return [request for name, request in shop.ranker.calls if name == "rank"][-1]


async def test_the_answer_has_the_candidates_alone_and_no_search_runs():
    shop = Shop()
    answer = await recommend(given("p5", "p2", "p7", shopper=ANN), shop.deps)
    assert ids(answer) == ["p5", "p2", "p7"]
    assert {name for name, *_ in shop.retriever.calls} == {"checked", "products"}
    assert {name for name, _ in shop.ranker.calls} == {"rank"}
    assert all(item.answered.branches == ("given",) for item in answer.results)
    assert (answer.quality, answer.degradations, answer.match) == (Quality.FULL, (), None)
    assert answer.versions.plan == "given: 3 of 3 → rank"


async def test_scores_are_scaled_and_order_before_the_given_place_does():
    shop = Shop()
    query = given("p1", ("p2", -10.0), ("p3", 30.0), ("p4", 10.0), ("p0", -10.0))
    answer = await recommend(query, shop.deps)
    assert ids(answer) == ["p3", "p4", "p2", "p0", "p1"]
    request = rank_request(shop)
    assert request.weights["given"] == 1.0
    assert list(request.candidates.similarities["given"]) == [1.0, 0.5, 0.0, 0.0, 0.0]


async def test_without_scores_there_is_no_part_of_them_and_equal_scores_are_1():
    shop = Shop()
    await recommend(given("p1", "p2"), shop.deps)
    assert rank_request(shop).candidates.similarities == {}
    await recommend(given(("p1", 7.0), ("p2", 7.0)), shop.deps)
    assert list(rank_request(shop).candidates.similarities["given"]) == [1.0, 1.0]


async def test_a_scene_can_set_the_weight_of_the_callers_scores():
    shop = Shop()
    parts = {"taste": 1.0, "given": 0.25}
    shop.scenes.scenes["default"] = replace(DEFAULT, parts_without_signals=parts)
    await recommend(given(("p1", 7.0)), shop.deps)
    assert rank_request(shop).weights == parts


async def test_unknown_ids_are_named_and_excluded_ones_left_out():
    shop = Shop()
    query = given("gone", "p3", "p1", "lost", exclude_product_ids=("p1",))
    answer = await recommend(query, shop.deps)
    assert ids(answer) == ["p3"]
    assert answer.missing_product_ids == ("gone", "lost")


async def test_only_unknown_ids_give_an_empty_answer_and_no_other_products():
    shop = Shop()
    shop.snapshot = fresh(snapshot([row("p9")]))
    answer = await recommend(given("gone"), shop.deps)
    assert (ids(answer), answer.missing_product_ids) == ([], ("gone",))


@pytest.mark.full
async def test_two_thousand_candidates_are_read_in_two_calls_and_all_ranked():
    shop = Shop()
    shop.retriever.record = tuple(f"q{place}" for place in range(2_000))
    answer = await recommend(given(*shop.retriever.record, filter=FILTER), shop.deps)
    checked = [call for call in shop.retriever.calls if call[0] == "checked"]
    assert [len(call[1]) for call in checked] == [1_000, 1_000]
    assert all(scope.filter is FILTER for scope in shop.retriever.scopes)
    assert len(rank_request(shop).candidates.order) == 2_000
    page = await recommend(
        given(*shop.retriever.record, filter=FILTER, page_token=answer.next_page_token), shop.deps
    )
    assert ids(page) == [f"q{place}" for place in range(20, 40)]
    assert page.results[0].rank == 21


async def test_a_page_token_belongs_to_the_same_candidates_and_scores():
    shop = Shop()
    first = await recommend(given("p1", "p2", "p3", page_size=1), shop.deps)
    for other in (("p1", "p2"), ("p1", "p2", ("p3", 1.0))):
        query = given(*other, page_size=1, page_token=first.next_page_token)
        with pytest.raises(PageTokenInvalid):
            await recommend(query, shop.deps)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (given("p1", "p2", "p1"), "candidates[2].product_id"),
        (given("p1", ""), "candidates[1].product_id"),
        (given(("p1", math.nan)), "candidates[0].score"),
        (given(("p1", -math.inf)), "candidates[0].score"),
        (given(*(f"q{place}" for place in range(2_001))), "candidates"),
        (given("p1", signals=(photo(),)), "candidates"),
        (given("p1", anchors=("p2",)), "candidates"),
        (given("p1", followed=("Ann",)), "candidates"),
    ],
)
async def test_invalid_candidates_are_refused_before_any_call(query, field):
    shop = Shop()
    with pytest.raises(RequestInvalid) as caught:
        await recommend(query, shop.deps)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert (shop.retriever.calls, shop.ranker.calls) == ([], [])


async def test_without_the_ranker_the_callers_order_stays_and_that_is_said():
    shop = Shop()
    shop.ranker.fails = {"rank": PeerUnavailable(Peer.RANKER)}
    answer = await recommend(given("p1", ("p2", 1.0), "p0", ("p3", 2.0)), shop.deps)
    assert ids(answer) == ["p3", "p2", "p1", "p0"]
    lost = answer.degradations[0]
    assert (lost.stage, lost.cause) == ("rank", DegradationCause.RANKER_UNAVAILABLE)
    assert lost.substitute == "the order of the request"
    assert answer.quality is Quality.REDUCED
    assert answer.results[0].answered.reasons[0].code == "GIVEN"


async def test_without_the_retriever_the_snapshot_shows_candidates_and_nothing_else():
    shop = Shop()
    shop.snapshot = fresh(snapshot([row("p9"), row("p2"), row("p1")]))
    shop.retriever.fails = {"checked": PeerUnavailable(Peer.RETRIEVER)}
    answer = await recommend(given("p1", "gone", "p2"), shop.deps)
    assert ids(answer) == ["p1", "p2"]
    assert answer.quality is Quality.SNAPSHOT
    assert ("given", DegradationCause.RETRIEVER_UNAVAILABLE) in degraded(answer)
    assert answer.missing_product_ids == ()


@pytest.mark.parametrize("known", [None, snapshot([row("p9")])])
async def test_candidates_that_nothing_knows_are_refused_without_the_retriever(known):
    shop = Shop()
    shop.snapshot = None if known is None else fresh(known)
    shop.retriever.fails = {"checked": PeerUnavailable(Peer.RETRIEVER)}
    with pytest.raises(NothingAvailable):
        await recommend(given("p1", "p2"), shop.deps)


async def test_controls_move_candidates_but_pin_no_other_product():
    shop = Shop()
    pin = ControlRule("pin", ControlKind.PIN, ("p3", "p8"), place=1)
    bury = ControlRule("bury", ControlKind.BURY, ("p1",))
    answer = await recommend(given("p1", "p2", "p3", controls=(pin, bury)), shop.deps)
    assert ids(answer) == ["p3", "p2", "p1"]
    states = {each.product_id: each.state for each in answer.control_outcomes if each.product_id}
    assert states["p3"] is ControlState.APPLIED
    assert states["p8"] is ControlState.EXCLUDED


async def test_hidden_candidates_are_left_out_and_counted_and_the_scene_diversifies():
    shop = Shop()
    diversity = Diversity(diversity=0.5)
    shop.scenes.scenes["default"] = replace(DEFAULT, diversity=diversity)
    shop.ranker.hidden = frozenset({"p2"})
    answer = await recommend(given("p1", "p2", shopper=ANN), shop.deps)
    assert (ids(answer), answer.hidden_count) == (["p1"], 1)
    assert rank_request(shop).diversity == diversity


async def test_a_scene_that_infers_anchors_searches_nothing_by_them():
    shop = Shop()
    shop.scenes.scenes["default"] = replace(
        DEFAULT, anchors_from=AnchorSource.CART, anchors_look_alike=True, other_categories=1
    )
    answer = await recommend(given("p1", "p2", shopper=ANN), shop.deps)
    assert ids(answer) == ["p1", "p2"]
    assert {name for name, _ in shop.ranker.calls} == {"rank"}


async def test_the_answer_is_recorded_with_the_candidates():
    shop = Shop()
    answer = await recommend(given("p1", ("p2", 1.0)), shop.deps)
    (record,) = shop.ranker.records.values()
    assert record.order.product_ids == ["p2", "p1"]
    assert answer.attribution_token


async def test_a_product_that_is_no_candidate_is_explained_as_such():
    shop = Shop()
    found = await explain(given("p1", "p2"), "p2", shop.deps)
    assert found.outcome.name == "SHOWN"
    other = await explain(given("p1", "p2"), "p5", shop.deps)
    assert other.outcome.name == "NOT_A_CANDIDATE"


def test_each_candidate_has_a_price():
    sizes = PricedSizes(products=5_000, candidates=2_000)
    none = price_of(given(), (), (), sizes).seconds
    many = price_of(given(*(f"q{place}" for place in range(2_000))), (), (), sizes)
    assert many.parts["candidates"] == pytest.approx(many.seconds - none)
    assert many.seconds > none
