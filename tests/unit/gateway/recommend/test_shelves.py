"""Several shelves: no product twice, errors of one, price, deadline, records and determinism."""

import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.errors import (
    NothingAvailable,
    PeerUnavailable,
    RequestTooExpensive,
    SceneNotFound,
)
from gateway.model.price import RequestPrice, together
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery
from gateway.model.response import ShelfAnswer
from gateway.recommend import begin
from gateway.recommend.listing import listing
from gateway.recommend.recommend import recommend
from gateway.recommend.shelves import ShelfKind, ShelfQuery, recommend_shelves
from gateway.state.prices import RequestPrices
from gateway.state.tokens import Attributed, attributed
from gateway.state.trace import RequestTrace
from servicekit.admission import costs, quotas
from servicekit.admission.quotas import CallerUsage, QuotaKind
from servicekit.errors import ServiceError
from servicekit.keys.keyring import open_keys
from servicekit.rpc.requests import RequestInvalid
from sightline_core.ranking import NominationBasis
from sightline_rules.controls import ControlKind
from tests import virtual_time
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_snapshot import row
from tests.fakes.gateway_values import ANN, by_photo, photo, words
from tests.fakes.kit_clock import Seconds

SHARED = RequestQuery(shopper=ANN)
POPULAR = tuple(f"p{place}" for place in range(10))


def shop(**fields: object) -> Shop:
    made = Shop(**fields)
    made.ranker.generated["ann"] = (NominationBasis.POPULARITY, POPULAR)
    made.retriever.nearest[b"photo"] = {"p3": 0.9, "p1": 0.8, "p4": 0.7, "p2": 0.6}
    return made


def shelf(shelf_id: str, query: RequestQuery, kind: ShelfKind = ShelfKind.RECOMMEND) -> ShelfQuery:
    return ShelfQuery(shelf_id, kind, query)


def for_ann(shelf_id: str = "for-you", **fields: object) -> ShelfQuery:
    return shelf(shelf_id, RequestQuery(shopper=ANN, **{"page_size": 3, **fields}))


def like(shelf_id: str = "like-it", **fields: object) -> ShelfQuery:
    return shelf(shelf_id, by_photo(**{"page_size": 3, **fields}), ShelfKind.SEARCH)


def worded(shelf_id: str, page_size: int) -> ShelfQuery:
    return like(shelf_id, signals=(words(),), page_size=page_size)


def newest(shelf_id: str = "new", **fields: object) -> ShelfQuery:
    query = RequestQuery(listed=True, **{"sort": "NEWEST", "page_size": 3, **fields})
    return shelf(shelf_id, query, ShelfKind.LIST)


def ids(answer: ShelfAnswer) -> list[str]:
    rows = [getattr(each, "row", None) or each.product for each in answer.answer.results]
    return [each.product_id for each in rows]


def error_of(answer: ShelfAnswer) -> ServiceError:
    assert isinstance(answer.answer, ServiceError)
    return answer.answer


async def test_each_shelf_has_its_query_without_the_products_of_earlier_ones():
    answers = await recommend_shelves(SHARED, [like(), for_ann(), newest()], shop().deps)
    assert [each.shelf_id for each in answers] == ["like-it", "for-you", "new"]
    assert [ids(each) for each in answers] == [
        ["p3", "p1", "p4"],
        ["p0", "p2", "p5"],
        ["p6", "p7", "p8"],
    ]


async def test_equal_shelves_continue_one_another_and_run_out():
    shelves = [for_ann(f"s{place}") for place in range(5)]
    answers = await recommend_shelves(SHARED, shelves, shop().deps)
    assert [ids(each) for each in answers] == [
        ["p0", "p1", "p2"],
        ["p3", "p4", "p5"],
        ["p6", "p7", "p8"],
        ["p9"],
        [],
    ]


async def test_variants_and_same_pictures_of_earlier_products_are_left_out():
    made = shop()
    made.retriever.parents = {"p3": "parent", "p0": "parent"}
    made.retriever.hashes = {"p1": 0xF0F0_F0F0_F0F0_F000, "p2": 0xF0F0_F0F0_F0F0_F000}
    shelves = [like(page_size=2), for_ann(page_size=10)]
    first, second = await recommend_shelves(SHARED, shelves, made.deps)
    assert ids(first) == ["p3", "p1"]
    assert not {"p0", "p1", "p2", "p3"} & {*ids(second)}
    assert len(ids(second)) == 6


async def test_the_retriever_leaves_out_the_families_of_earlier_shelves_in_a_list():
    made = shop()
    await recommend_shelves(SHARED, [like(page_size=2), newest()], made.deps)
    (asked,) = made.retriever.asked
    assert list(asked.exclude_families) == ["p3", "p1"]
    assert list(asked.exclude) == []


async def test_pins_of_earlier_products_are_left_out_with_their_variants():
    made = shop()
    made.retriever.rows = {item: row(item, parent_id="parent") for item in ("p3", "p9")}
    made.retriever.parents = {"p3": "parent", "p9": "parent"}
    pin = ControlRule("pin", ControlKind.PIN, ("p3", "p9", "p8"), place=1)
    shelves = [
        like(page_size=1),
        for_ann(controls=(pin,), page_size=3),
        newest(controls=(pin,), page_size=5),
    ]
    _, own, new = await recommend_shelves(SHARED, shelves, made.deps)
    assert ids(own)[0] == "p8"
    assert not {"p3", "p9", "p8"} & {*ids(new)}
    states = {each.product_id: each.state for each in own.answer.control_outcomes}
    assert (states["p3"], states["p8"]) == (ControlState.EXCLUDED, ControlState.APPLIED)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from([worded, for_ann, newest]), st.integers(1, 6)),
        min_size=1,
        max_size=8,
    )
)
def test_no_product_is_on_two_shelves_and_the_result_is_always_the_same(kinds):
    shelves = [make(f"s{place}", page_size=size) for place, (make, size) in enumerate(kinds)]

    def answered() -> list[list[str]]:
        made = shop()
        made.retriever.nearest[b"a red wine"] = {"p3": 0.9, "p1": 0.8, "p4": 0.7, "p2": 0.6}
        answers = asyncio.run(recommend_shelves(SHARED, shelves, made.deps))
        return [ids(each) for each in answers]

    found = answered()
    everything = [item for each in found for item in each]
    assert len(everything) == len({*everything})
    assert found == answered()


async def test_the_first_shelf_is_that_of_the_call_alone():
    for one, alone in ((for_ann(), recommend), (newest(), listing)):
        (answer,) = await recommend_shelves(SHARED, [one], shop().deps)
        page = await alone(one.query, shop().deps)
        assert ids(answer) == [item.row.product_id for item in page.results]


async def test_the_next_page_of_a_shelf_is_asked_of_its_own_call():
    made = shop()
    answers = await recommend_shelves(SHARED, [like(), for_ann(), newest()], made.deps)
    own, new = answers[1], answers[2]
    token = own.answer.next_page_token
    page = await recommend(replace(for_ann().query, page_token=token), made.deps)
    assert [item.row.product_id for item in page.results] == ["p6", "p7", "p8"]
    token = new.answer.next_page_token
    page = await listing(replace(newest().query, page_token=token), made.deps)
    assert page.results[0].rank == 4


@pytest.mark.parametrize("place", [0, 1])
async def test_a_shelf_that_fails_has_an_error_and_the_others_are_answered(place):
    shelves = [for_ann(), newest()]
    shelves.insert(place, shelf("gone", RequestQuery(shopper=ANN, scene="gone")))
    answers = await recommend_shelves(SHARED, shelves, shop().deps)
    assert isinstance(error_of(answers[place]), SceneNotFound)
    assert answers[place].attribution_token == ""
    others = [ids(each) for each in answers if each is not answers[place]]
    assert others == [["p0", "p1", "p2"], ["p3", "p4", "p5"]]


async def test_an_invalid_shelf_is_refused_alone_with_its_fields():
    made = shop()
    wrong = like("wrong", min_quality=2.0)
    unread = ShelfQuery("unread", ShelfKind.NOTHING, error=RequestInvalid.at("query", "is missing"))
    answers = await recommend_shelves(SHARED, [wrong, unread, for_ann()], made.deps)
    assert error_of(answers[0]).violations[0].field == "min_quality"
    assert error_of(answers[1]).violations[0].field == "query"
    assert ids(answers[2]) == ["p0", "p1", "p2"]
    assert all(name != "search" for name, _ in made.retriever.calls)


async def test_a_branch_that_fails_at_runtime_fails_its_shelf_alone():
    made = shop()
    made.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    broken, answered = await recommend_shelves(SHARED, [like(), for_ann()], made.deps)
    assert isinstance(error_of(broken), NothingAvailable)
    assert ids(answered) == ["p0", "p1", "p2"]
    assert answered.answer.quality is Quality.FULL


async def test_without_any_answer_the_error_of_the_first_shelf_is_raised():
    made = shop()
    made.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    with pytest.raises(NothingAvailable):
        await recommend_shelves(SHARED, [like(), like("again")], made.deps)
    with pytest.raises(SceneNotFound):
        await recommend_shelves(SHARED, [for_ann(scene="gone")], made.deps)


@pytest.mark.parametrize(
    ("shared", "shelf_ids", "field"),
    [
        (SHARED, [], "shelves"),
        (SHARED, [f"s{place}" for place in range(11)], "shelves"),
        (SHARED, ["a", "b", "a"], "shelves[2].shelf_id"),
        (SHARED, ["a", ""], "shelves[1].shelf_id"),
        (SHARED, ["a" * 65], "shelves[0].shelf_id"),
        (replace(SHARED, session_id="s" * 129), ["a"], "session_id"),
        (replace(SHARED, priority=9), ["a"], "priority"),
    ],
)
async def test_what_is_wrong_for_all_shelves_fails_the_call(shared, shelf_ids, field):
    made = shop()
    with pytest.raises(RequestInvalid) as caught:
        await recommend_shelves(shared, [for_ann(each) for each in shelf_ids], made.deps)
    assert [each.field for each in caught.value.violations] == [field]
    assert made.ranker.calls == []


async def test_each_shelf_has_a_record_and_a_token_of_its_own():
    made = shop()
    answers = await recommend_shelves(SHARED, [like(), for_ann(), newest()], made.deps)
    for answer in answers:
        now = round(time.time() * 1e6)
        token = answer.attribution_token
        content, outcome = attributed(token, "default", now, ANN, open_keys())
        assert (content is not None, outcome) == (True, Attributed.NAMED)
        record = made.ranker.records["default", content.answer_id]
        assert record.order.product_ids[: len(ids(answer))] == ids(answer)
        assert record.shopper == ANN
    assert len({each.attribution_token for each in answers}) == 3


async def test_records_of_a_call_are_queued_together_after_all_shelves_were_formed():
    made = shop()
    offer, calls_before = made.answers.offer, list[int]()

    def asked() -> int:
        return len(made.retriever.calls) + len(made.ranker.calls)

    def noting(catalog_id, record):
        calls_before.append(asked())
        return offer(catalog_id, record)

    made.answers.offer = noting
    await recommend_shelves(SHARED, [like(), newest(), for_ann()], made.deps)
    assert calls_before == [asked()] * 2


async def test_a_shelf_has_more_candidates_only_if_earlier_ones_may_take_too_many():
    made = shop()
    generate, counts = made.ranker.generate, list[int]()

    async def noting(order):
        counts.append(order.top_k)
        return await generate(order)

    made.ranker.generate = noting
    for sizes, expected in (((2, 3, 3), [10, 10, 11]), ((20, 5, 10), [40, 30, 45])):
        counts.clear()
        shelves = [for_ann(f"s{place}", page_size=size) for place, size in enumerate(sizes)]
        await recommend_shelves(SHARED, shelves, made.deps)
        assert counts == expected


async def test_a_shelf_that_is_not_personal_is_recorded_without_the_shopper():
    made = shop()
    shared = replace(SHARED, not_personal=True)
    await recommend_shelves(shared, [like(), newest()], made.deps)
    assert [each.shopper for each in made.ranker.records.values()] == [None, None]


async def test_without_space_for_records_shelves_that_nothing_ranked_have_no_token():
    made = shop()
    made.answers.full = True
    answers = await recommend_shelves(SHARED, [like(), newest()], made.deps)
    assert [each.attribution_token for each in answers] == ["", ""]


async def test_searches_run_side_by_side():
    made = shop()
    made.retriever.nearest[b"other"] = {"p7": 0.9}
    begun, both = list[bytes](), asyncio.Event()
    embed = made.embedder.embed

    async def together_only(catalog_id, signals, *args, **fields):
        begun.append(signals[0].image)
        if len(begun) == 2:
            both.set()
        await both.wait()
        return await embed(catalog_id, signals, *args, **fields)

    made.embedder.embed = together_only
    shelves = [like(), like("other", signals=(photo(image=b"other"),))]
    answers = await recommend_shelves(SHARED, shelves, made.deps)
    assert [ids(each)[0] for each in answers] == ["p3", "p7"]


def test_a_shelf_that_hangs_ends_at_its_share_of_the_one_deadline_and_the_others_are_answered():
    made = shop(seconds=2.0)
    made.embedder.hang = True
    asked = recommend_shelves(SHARED, [like(), for_ann(), newest()], made.deps)
    (late, own, new), seconds = virtual_time.run(asked)
    assert isinstance(error_of(late), NothingAvailable)
    assert (ids(own), ids(new)) == (["p0", "p1", "p2"], ["p3", "p4", "p5"])
    assert seconds <= 2.0


def test_without_an_answer_of_the_ranker_all_shelves_are_answered_by_the_one_deadline(monkeypatch):
    def trace() -> RequestTrace:
        return RequestTrace(asyncio.get_running_loop().time)

    monkeypatch.setattr(begin, "RequestTrace", trace)
    made = shop(seconds=2.0)
    made.ranker.hang.add("rank")
    shelves = [for_ann(f"s{place}") for place in range(3)]
    answers, seconds = virtual_time.run(recommend_shelves(SHARED, shelves, made.deps))
    assert [ids(each) for each in answers] == [
        ["p0", "p1", "p2"],
        ["p3", "p4", "p5"],
        ["p6", "p7", "p8"],
    ]
    assert all(each.answer.quality is Quality.REDUCED for each in answers)
    assert seconds <= 2.0


def paid(shelves: list[ShelfQuery]) -> float:
    """Return what a caller pays for shelves that all fail: their price."""
    usage = CallerUsage({QuotaKind.PROCESSOR_SECONDS: 1e-9}, 2e9, Seconds())
    held = quotas.account.set(usage), costs.current.set(costs.Cost())
    made = shop()
    made.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    try:
        with pytest.raises(NothingAvailable):
            asyncio.run(recommend_shelves(SHARED, shelves, made.deps))
    finally:
        quotas.account.reset(held[0])
        costs.current.reset(held[1])
    return 2 - usage._buckets[QuotaKind.PROCESSOR_SECONDS]._level


def test_the_price_is_the_sum_of_those_of_the_shelves():
    one = paid([like()])
    assert one > 0.1
    assert paid([like(), like("again")]) == pytest.approx(2 * one)


async def test_shelves_that_cost_too_much_together_are_refused_with_their_fields():
    made = shop()
    deps = replace(made.deps, prices=RequestPrices(most_seconds=0.5))
    shelves = [like(f"s{place}") for place in range(4)]
    with pytest.raises(RequestTooExpensive) as caught:
        await recommend_shelves(SHARED, shelves, deps)
    fields = {each.field for each in caught.value.violations}
    assert fields == {f"shelves[{place}].signals" for place in range(4)}
    assert made.embedder.calls == []


def test_only_shelves_that_are_expensive_by_themselves_wait_for_others():
    cheap = RequestPrice({"": 0.03, "page_size": 0.01})
    dear = RequestPrice({"": 0.03, "filter": 0.4}, models=0.01)
    many = together({f"shelves[{place}]": cheap for place in range(9)})
    assert (many.seconds, many.is_expensive) == (pytest.approx(0.36), False)
    mixed = together({"shelves[0]": cheap, "shelves[1]": dear})
    assert mixed.seconds == pytest.approx(0.47)
    assert mixed.queue_seconds == pytest.approx(0.43)
    assert mixed.models == 0.01
    assert set(mixed.parts) == {
        "shelves[0]",
        "shelves[0].page_size",
        "shelves[1]",
        "shelves[1].filter",
    }
    assert together({"": dear}) is dear


async def test_words_are_searched_for_a_shelf_as_for_a_search():
    made = shop()
    made.retriever.nearest[b"a red wine"] = {"p6": 0.9}
    (answer,) = await recommend_shelves(SHARED, [like(signals=(words(),))], made.deps)
    assert ids(answer) == ["p6"]
