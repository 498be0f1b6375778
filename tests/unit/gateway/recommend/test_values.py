"""Values of a field for a shopper: order, products, reasons, limits, controls and fallbacks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from gateway.clients.columns import columns_of_rows
from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.diversity import Diversity
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.price import PricedSizes, price_of
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery, ValueGrouping
from gateway.model.response import ValuesAnswer
from gateway.recommend.recommend import recommend
from gateway.recommend.values import recommend_values
from gateway.state.tokens import read_attribution_token
from servicekit.keys.keyring import open_keys
from servicekit.rpc.requests import RequestInvalid
from sightline_core.columns import ProductColumns
from sightline_core.ranking import NominationBasis
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_ranker import FakeRanker
from tests.fakes.gateway_retriever import FakeRetriever
from tests.fakes.gateway_snapshot import fresh, row, snapshot
from tests.fakes.gateway_values import ANN, FILTER, by_photo, degraded, reason

BRAND = ValueGrouping("brand")
NEAREST = {f"p{place}": 0.9 - place / 20 for place in range(10)}
"""p0 is nearest to the photo, p9 farthest."""
BRANDS = dict(zip(NEAREST, "ABBACCCCD ", strict=True))


@dataclass
class DescribedRetriever(FakeRetriever):
    """A retriever whose columns have the fields of its products."""

    def _columns(self, ids: Sequence[str]) -> ProductColumns:
        return columns_of_rows([self.rows[item] for item in ids])


def shop() -> Shop:
    rows = {item: row(item, brand=brand.strip()) for item, brand in BRANDS.items()}
    ranker = FakeRanker(generated={"": (NominationBasis.POPULARITY, tuple(NEAREST))})
    return Shop(
        retriever=DescribedRetriever(rows=rows, nearest={b"photo": dict(NEAREST)}), ranker=ranker
    )


def listed(answer: ValuesAnswer) -> dict[str, list[str]]:
    """Return the ids of each value's products, best value first."""
    return {each.text: [item.row.product_id for item in each.products] for each in answer.values}


async def test_values_are_ordered_by_their_best_products_which_keep_their_ranks():
    made = shop()
    answer = await recommend_values(by_photo(), BRAND, made.deps)
    assert listed(answer) == {
        "A": ["p0", "p3"],
        "B": ["p1", "p2"],
        "C": ["p4", "p5", "p6", "p7"],
        "D": ["p8"],
    }
    assert [each.rank for each in answer.values] == [1, 2, 3, 4]
    scores = [each.score for each in answer.values]
    assert scores == sorted(scores, reverse=True)
    ranks = {item.row.product_id: item.rank for each in answer.values for item in each.products}
    assert ranks == {f"p{place}": place + 1 for place in range(9)}
    assert [each.candidate_count for each in answer.values] == [2, 2, 4, 1]
    assert answer.answer.quality is Quality.FULL
    assert answer.answer.versions.plan.endswith("rank → by brand")


async def test_a_page_has_as_many_values_and_products_as_asked_and_counts_the_others():
    grouping = replace(BRAND, products=1)
    answer = await recommend_values(by_photo(page_size=2), grouping, shop().deps)
    assert listed(answer) == {"A": ["p0"], "B": ["p1"]}
    assert answer.more_count == 2
    assert answer.answer.next_page_token == ""


async def test_an_unknown_shopper_gets_the_values_of_popular_products():
    answer = await recommend_values(RequestQuery(page_size=1), BRAND, shop().deps)
    assert list(listed(answer)) == ["A"]


async def test_more_candidates_are_ranked_than_for_a_page_and_without_diversity():
    made = shop()
    made.scene(lambda scene: replace(scene, diversity=Diversity(brand_cap=1)))
    await recommend_values(by_photo(), BRAND, made.deps)
    (request,) = [each for name, each in made.ranker.calls if name == "rank"]
    assert request.diversity == Diversity()
    assert request.top_k >= 2_000


async def test_values_whose_products_are_gone_are_left_out_and_others_take_their_places():
    made = shop()
    made.retriever.record = ["p2", "p4", "p5", "p6", "p7"]
    answer = await recommend_values(by_photo(page_size=2), BRAND, made.deps)
    assert listed(answer) == {"B": ["p2"], "C": ["p4", "p5", "p6", "p7"]}
    assert answer.more_count == 1
    assert [each.rank for each in answer.values] == [1, 2]


async def test_hidden_and_excluded_products_do_not_count():
    made = shop()
    made.ranker.hidden = frozenset({"p0"})
    query = by_photo(shopper=ANN, exclude_product_ids=("p3",))
    answer = await recommend_values(query, BRAND, made.deps)
    assert list(listed(answer)) == ["B", "C", "D"]
    assert answer.answer.hidden_count == 1


async def test_a_pin_raises_the_value_of_its_product():
    made = shop()
    pin = ControlRule("pin", ControlKind.PIN, ("p8",), place=1)
    answer = await recommend_values(by_photo(controls=(pin,)), BRAND, made.deps)
    places = list(listed(answer))
    assert places.index("D") < places.index("C")
    (outcome,) = answer.answer.control_outcomes
    assert (outcome.product_id, outcome.state) == ("p8", ControlState.APPLIED)


async def test_pins_that_are_not_shown_say_whether_they_are_gone():
    made = shop()
    made.retriever.record = [item for item in NEAREST if item != "p5"]
    pin = ControlRule("pin", ControlKind.PIN, ("p4", "p5", "p6"), place=1)
    grouping = replace(BRAND, products=2)
    answer = await recommend_values(by_photo(controls=(pin,)), grouping, made.deps)
    assert listed(answer)["C"] == ["p4"]
    outcomes = {each.product_id: each.state for each in answer.answer.control_outcomes}
    assert outcomes == {
        "p4": ControlState.APPLIED,
        "p5": ControlState.NOT_FOUND,
        "p6": ControlState.APPLIED,
    }


async def test_reasons_are_those_of_its_products_each_once():
    made = shop()
    reasons = (reason("LOOKS_LIKE_QUERY", "alike"), reason("POPULAR", "popular"))
    made.ranker.reasons_given = reasons
    answer = await recommend_values(by_photo(), BRAND, made.deps)
    assert all(each.reasons == reasons for each in answer.values)
    assert all(item.answered.reasons == reasons for item in answer.values[0].products)


async def test_the_record_holds_the_ranked_products_and_the_digest_the_field():
    made = shop()
    answer = await recommend_values(by_photo(shopper=ANN), BRAND, made.deps)
    (record,) = made.ranker.records.values()
    assert record.order.product_ids == list(NEAREST)
    token = answer.answer.attribution_token
    assert read_attribution_token(token, open_keys(), 0).answer_id == record.answer_id
    other = shop()
    await recommend_values(by_photo(shopper=ANN), ValueGrouping("category"), other.deps)
    (another,) = other.ranker.records.values()
    assert another.request_digest != record.request_digest


async def test_the_same_request_has_the_same_answer():
    one, other = [await recommend_values(by_photo(), BRAND, shop().deps) for _ in range(2)]
    assert listed(one) == listed(other)


async def test_parts_are_split_by_signal_if_asked():
    answer = await recommend_values(by_photo(explain=True), BRAND, shop().deps)
    product = answer.values[-1].products[0]
    assert product.answered.contributions["visual"][0][0] == "signals[0]"


async def test_without_the_ranker_values_follow_the_fused_order_and_that_is_said():
    made = shop()
    made.ranker.fails = {"rank": PeerUnavailable(Peer.RANKER)}
    answer = await recommend_values(by_photo(), BRAND, made.deps)
    assert next(iter(listed(answer))) == "A"
    assert answer.answer.quality is Quality.REDUCED
    assert [stage for stage, _ in degraded(answer.answer)] == ["rank", "record"]


async def test_without_the_retriever_the_values_are_those_of_the_snapshot():
    made = shop()
    made.snapshot = fresh(snapshot([row("p9", brand="Z"), row("p2", brand="B")]))
    gone = PeerUnavailable(Peer.RETRIEVER)
    made.retriever.fails = dict.fromkeys(("search", "columns", "products", "newest"), gone)
    answer = await recommend_values(by_photo(), BRAND, made.deps)
    assert listed(answer) == {"Z": ["p9"], "B": ["p2"]}
    assert answer.answer.quality is Quality.SNAPSHOT


async def test_without_anything_the_call_fails():
    made = shop()
    gone = PeerUnavailable(Peer.RETRIEVER)
    made.retriever.fails = dict.fromkeys(("search", "columns", "products", "newest"), gone)
    with pytest.raises(NothingAvailable):
        await recommend_values(by_photo(), BRAND, made.deps)


async def test_a_filter_that_nothing_passes_has_no_values():
    made = shop()
    made.retriever.nearest, made.retriever.record = {b"photo": {}}, []
    answer = await recommend_values(by_photo(filter=FILTER), BRAND, made.deps)
    assert (answer.values, answer.more_count) == ((), 0)


@pytest.mark.parametrize(
    ("query", "grouping", "field"),
    [
        (by_photo(), ValueGrouping("price"), "field"),
        (by_photo(), ValueGrouping("colour"), "field"),
        (by_photo(), ValueGrouping("brand", ("Wine",)), "category_path"),
        (by_photo(), ValueGrouping("category", ("a > b",)), "category_path"),
        (by_photo(), ValueGrouping("brand", products=11), "products_per_value"),
        (by_photo(), ValueGrouping("brand", products=-1), "products_per_value"),
        (by_photo(page_size=51), BRAND, "page_size"),
        (by_photo(page_token="t"), BRAND, "page_token"),
    ],
)
async def test_invalid_requests_are_refused_before_any_call(query, grouping, field):
    made = shop()
    with pytest.raises(RequestInvalid) as caught:
        await recommend_values(query, grouping, made.deps)
    assert [each.field for each in caught.value.violations] == [field]
    assert made.retriever.calls == []


async def test_products_of_values_are_those_of_a_recommendation():
    page = await recommend(by_photo(page_size=10), shop().deps)
    answer = await recommend_values(by_photo(), BRAND, shop().deps)
    best = {each.text: each.products[0].answered.raw_score for each in answer.values}
    scores = {item.row.product_id: item.answered.raw_score for item in page.results}
    assert best == {"A": scores["p0"], "B": scores["p1"], "C": scores["p4"], "D": scores["p8"]}


def test_the_price_counts_the_products_of_all_values_and_the_candidates():
    sizes = PricedSizes(products=5_000, candidates=1_000)
    plain = price_of(RequestQuery(page_size=10), (), (), sizes)
    grouping = ValueGrouping("brand", products=5)
    grouped = price_of(RequestQuery(page_size=10, grouping=grouping), (), (), sizes)
    assert grouped.parts["page_size"] == pytest.approx(5 * plain.parts["page_size"])
    assert grouped.parts["field"] > plain.parts["field"] == 0
