"""Answers from the snapshot when the record can't be read, and rejected requests."""

import time
from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.errors import AnswerDegraded, FilterInvalid, NothingAvailable, PeerUnavailable
from gateway.model.quality import Quality
from gateway.model.query import CallersFilter, RequestQuery
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.state.trace import RequestTrace
from servicekit.errors import Code, Unavailable
from sightline.common.v1 import filter_pb2, product_pb2
from sightline.common.v1.product_pb2 import Product as ProductRow
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import NominationBasis
from sightline_rules.controls import ControlKind
from tests import virtual_time
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_snapshot import READ_MICROS, brand_is, row, snapshot
from tests.fakes.gateway_values import ANN, by_photo, degraded, ids, near

GONE = PeerUnavailable(Peer.RETRIEVER)
NO_STORE = Unavailable("no SQL", reason="STORE_UNAVAILABLE")
SOLD_OUT = product_pb2.AVAILABILITY_OUT_OF_STOCK
POPULAR = [row("s1", brand="A"), row("s2", brand="B"), row("p3", brand="B")]
NEW = [row("n1", brand="B"), row("n2", brand="B", availability=SOLD_OUT)]


def without_record(error: Unavailable = GONE) -> Shop:
    shop = shop_with_photo()
    shop.snapshot = snapshot(POPULAR, NEW)
    shop.retriever.fails = dict.fromkeys(("search", "columns", "newest", "products"), error)
    return shop


@pytest.mark.parametrize("error", [GONE, NO_STORE])
async def test_without_the_record_popular_products_are_shown_as_they_were(error):
    answer = await recommend(by_photo(), without_record(error).deps)

    assert ids(answer) == ["s1", "s2", "p3", "n1"], "what is sold out stays out"
    assert [each.answered.branches for each in answer.results] == [("popular",)] * 3 + [("new",)]
    assert answer.quality is Quality.SNAPSHOT
    assert ("hydrate", DegradationCause.RETRIEVER_UNAVAILABLE) in degraded(answer)
    (shown,) = [each for each in answer.degradations if each.stage == "hydrate"]
    assert shown.as_of_micros == READ_MICROS
    assert not answer.no_good_match


async def test_only_what_is_proven_to_pass_is_shown():
    answer = await recommend(by_photo(filter=brand_is("B")), without_record().deps)

    assert ids(answer) == ["s2", "p3", "n1"]


async def test_where_nothing_is_proven_to_pass_the_caller_learns_when_to_try_again():
    with pytest.raises(NothingAvailable) as caught:
        await recommend(by_photo(filter=brand_is("C")), without_record().deps)

    assert caught.value.retry_after is not None


async def test_a_filter_that_is_wrong_is_the_callers_mistake_also_then():
    wrong = filter_pb2.Filter(comparison=filter_pb2.Comparison(field="colour"))
    shop = without_record()

    with pytest.raises(FilterInvalid) as caught:
        await recommend(by_photo(filter=CallersFilter(wrong, b"", False)), shop.deps)
    assert [each.field for each in caught.value.violations] == ["filter.comparison.field"]


async def test_what_the_shopper_hid_and_what_the_caller_leaves_out_stays_out():
    shop = without_record()
    shop.ranker.hidden = frozenset({"s1"})

    answer = await recommend(RequestQuery(shopper=ANN, exclude_product_ids=("s2",)), shop.deps)

    assert ids(answer) == ["p3", "n1"]
    assert answer.hidden_count == 1


async def test_a_shopper_who_hid_all_of_it_gets_no_empty_answer():
    shop = without_record()
    shop.ranker.hidden = frozenset({"s1", "s2", "p3", "n1"})

    with pytest.raises(NothingAvailable):
        await recommend(RequestQuery(shopper=ANN), shop.deps)


async def test_without_the_ranker_too_hides_are_reported_as_unknown():
    shop = without_record()
    shop.ranker.fails = dict.fromkeys(("rank", "generate"), PeerUnavailable(Peer.RANKER))

    answer = await recommend(RequestQuery(shopper=ANN), shop.deps)

    assert ids(answer) == ["s1", "s2", "p3", "n1"]
    assert ("rank", DegradationCause.PROFILE_UNAVAILABLE) in degraded(answer)
    assert answer.results[0].answered.reasons[0].code == "POPULAR"


async def test_a_write_that_has_to_be_seen_is_not_proven_by_a_snapshot():
    with pytest.raises(NothingAvailable):
        await recommend(by_photo(min_index_token="t"), without_record().deps)


async def test_products_of_the_category_that_is_asked_about_come_first():
    shop = without_record()
    red, white = ("Wine", "Red"), ("Wine", "White")
    shop.snapshot = snapshot([row("w", *white), row("r", *red), row("x", "Beer"), row("q", *red)])

    assert ids(await recommend(RequestQuery(signals=(near("q"),)), shop.deps)) == ["r", "w", "x"]


async def test_other_categories_are_kept_to_by_what_the_snapshot_knows_of_the_anchors():
    shop = without_record()
    shop.retriever.fails["categories"] = GONE
    shop.scene(lambda scene: replace(scene, other_categories=1))
    shop.snapshot = snapshot(
        [row("w", "Wine", "White"), row("b", "Beer"), row("q", "Wine", "Red"), row("x", "Food")]
    )
    answer = await recommend(RequestQuery(anchors=("q",)), shop.deps)

    assert ids(answer) == ["b", "x"]
    assert ("anchors", DegradationCause.RETRIEVER_UNAVAILABLE) in degraded(answer)


@pytest.mark.parametrize("lost", [(), ("rank", "generate")])
async def test_controls_act_on_what_the_snapshot_proves(lost):
    shop = without_record()
    shop.ranker.fails = dict.fromkeys(lost, PeerUnavailable(Peer.RANKER))
    controls = (
        ControlRule("hero", ControlKind.PIN, ("n1", "n2", "p9"), place=1),
        ControlRule("last", ControlKind.BURY, filter=brand_is("A")),
        ControlRule("out", ControlKind.EXCLUDE, ("p3",)),
    )
    answer = await recommend(RequestQuery(controls=controls), shop.deps)

    assert ids(answer) == ["n1", "s2", "s1"]
    said = {item.product_id: item.state for item in answer.control_outcomes if item.product_id}
    assert said == {
        "n1": ControlState.APPLIED,
        "n2": ControlState.UNAVAILABLE,
        "p9": ControlState.UNAVAILABLE,
    }
    assert "checked" not in [name for name, _ in shop.retriever.calls], "it was just now gone"


async def test_products_that_were_found_are_shown_as_they_were_and_then_what_is_popular():
    shop = shop_with_photo()
    shop.snapshot = snapshot(POPULAR, NEW)
    shop.retriever.fails["products"] = NO_STORE

    answer = await recommend(by_photo(page_size=3), shop.deps)

    assert ids(answer) == ["p3", "s1", "s2"], "of what was found only p3 is held"
    assert answer.results[0].answered.branches == ("visual", "popular")
    assert answer.quality is Quality.SNAPSHOT


async def test_a_search_shows_what_it_found_and_nothing_else():
    shop = shop_with_photo()
    shop.snapshot = snapshot(POPULAR)
    shop.retriever.fails["products"] = NO_STORE

    found = await search(by_photo(), shop.deps)

    assert ids(found) == ["p3"]
    assert found.degradations[0].as_of_micros == READ_MICROS
    shop.snapshot = snapshot(NEW)
    with pytest.raises(NothingAvailable):
        await search(by_photo(), shop.deps)


async def test_without_the_ranker_the_record_judges_what_was_popular():
    shop = Shop()
    shop.snapshot = snapshot([row("p7"), row("gone"), row("p2")])
    shop.ranker.fails = dict.fromkeys(("rank", "generate"), PeerUnavailable(Peer.RANKER))

    answer = await recommend(RequestQuery(page_size=2), shop.deps)

    assert ids(answer) == ["p7", "p2"]
    assert answer.quality is Quality.FALLBACK
    assert not any(each.as_of_micros for each in answer.degradations)


async def test_nothing_of_the_snapshot_is_looked_at_while_all_is_well():
    class Untouched(dict[str, ProductRow]):
        def __getitem__(self, product_id: str) -> ProductRow:
            raise AssertionError(product_id)

    shop = shop_with_photo()
    shop.snapshot = replace(snapshot(POPULAR), rows=Untouched())

    assert (await recommend(by_photo(shopper=ANN), shop.deps)).quality is Quality.FULL


def test_a_record_that_hangs_leaves_time_for_the_snapshot(monkeypatch):
    def now() -> float:
        return time.perf_counter()  # which virtual time replaces after the default was read

    monkeypatch.setattr(RequestTrace.__init__, "__defaults__", (now,))
    shop = without_record()
    shop.seconds, shop.retriever.fails = 1.0, {}
    shop.retriever.hang = {"search", "columns", "newest", "products"}

    answer, seconds = virtual_time.run(recommend(by_photo(), shop.deps))

    assert ids(answer) == ["s1", "s2", "p3", "n1"]
    assert answer.quality is Quality.SNAPSHOT
    assert seconds < 0.99


async def test_a_better_answer_is_refused_no_caller():
    for least in (Quality.ANY, Quality.SNAPSHOT):
        query = by_photo(min_answer_quality=least)
        assert (await recommend(query, without_record().deps)).results


async def test_an_answer_poorer_than_asked_for_is_refused():
    with pytest.raises(AnswerDegraded) as caught:
        await recommend(by_photo(min_answer_quality=Quality.FALLBACK), without_record().deps)

    error = caught.value
    assert (error.code, error.reason) == (Code.UNAVAILABLE, "ANSWER_DEGRADED")
    assert error.retry_after is not None
    assert error.metadata == {
        "quality": "snapshot",
        "least": "fallback",
        "causes": "RETRIEVER_UNAVAILABLE",
    }


async def test_a_scene_may_refuse_too_and_then_nothing_is_ranked_or_recorded():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, min_answer_quality=Quality.REDUCED))
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p5", "p6"))

    with pytest.raises(AnswerDegraded, match="fallback"):
        await recommend(by_photo(), shop.deps)
    assert "rank" not in shop.ranker.asked
    assert (await recommend(by_photo(min_answer_quality=2), shop.deps)).quality is Quality.FALLBACK


async def test_products_left_out_take_no_place_of_others():
    shop = without_record()
    shop.snapshot = snapshot([row(f"s{n}") for n in range(30)])
    left_out = tuple(f"s{n}" for n in range(20))

    query = RequestQuery(page_size=2, exclude_product_ids=left_out)

    assert ids(await recommend(query, shop.deps)) == ["s20", "s21"]
