"""The effect of a changed scene on recorded answers."""

import random
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest

from gateway.model.controls import ControlRule
from gateway.model.diversity import Diversity
from gateway.model.peers import ReplayRules
from gateway.model.query import RequestQuery
from gateway.model.replay import ExpectedOutcome, RankerReplay, RecordedAnswer
from gateway.model.scene import Scene
from gateway.recommend.anew import first_products, without_costs
from gateway.recommend.recommend import recommend
from gateway.recommend.scene_diff import (
    AnswerOrders,
    AnswerSample,
    RecentSample,
    SceneDiff,
    _summary,
    entry_changes,
    gini,
    scene_diff,
)
from sightline.common.v1.product_pb2 import Product as ProductRow
from sightline_core.answer import AnsweredProduct
from sightline_core.branch import BITS, Branch
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import DEFAULT, by_photo, ids
from tests.unit.gateway.retrieval import test_labels

SAMPLE = AnswerSample("default", "default", answers=10, since_micros=7, places=2)
CHANGED = replace(
    DEFAULT,
    version="def",
    over_fetch=3.0,
    parts_with_signals={"visual": 2.0},
    diversity=Diversity(brand_cap=1),
)


async def shop_with_answers(count: int = 2) -> Shop:
    """Return a shop that answered p3, p1, p4 and p2 to `count` requests."""
    shop = shop_with_photo()
    for _ in range(count):
        await recommend(by_photo(page_size=2), shop.deps)
    for (_, answer_id), record in shop.ranker.records.items():
        products = [AnsweredProduct(item, 0.0) for item in record.order.product_ids]
        kept = RecordedAnswer(answer_id)
        shop.ranker.replays[answer_id] = RankerReplay(kept, products, equal=True)
    shop.retriever.rows["p2"] = ProductRow(product_id="p2", brand="B", category_path=["Red"])
    return shop


async def test_places_and_exposure_before_and_after_are_compared() -> None:
    shop = await shop_with_answers()
    found = await scene_diff(SAMPLE, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    assert (found.answer_count, found.skipped_count, found.changed_count) == (2, 0, 2)
    assert (found.changed_place_share, found.replaced_share) == (1.0, 1.0)
    assert [list(one.before_product_ids) for one in found.answers] == [["p3", "p1"]] * 2
    assert [list(one.after_product_ids) for one in found.answers] == [["p2", "p4"]] * 2
    first = 1 / (1 + 1 / 1.584962500721156)  # of places 1 and 2: 1 and 1 / log2(3)
    by_name = {(one.dimension, one.name): one for one in found.exposures}
    assert by_name["product", "p3"].before == pytest.approx(first)
    assert by_name["product", "p3"].after == 0
    assert by_name["brand", "B"].after == pytest.approx(first)
    assert by_name["category", "Red"].after == pytest.approx(first)
    assert found.exposures[0].name in ("p2", "p3")  # those that change most
    figures = {one.name: (one.before, one.after) for one in found.figures}
    assert figures["products"] == (2, 2)
    assert figures["gini_products"][0] == pytest.approx(figures["gini_products"][1])
    assert [(one.path, one.replayed) for one in found.changes] == [
        ("diversity.brand_cap", True),
        ("over_fetch", False),
        ("parts_with_signals.taste", True),
        ("parts_with_signals.visual", True),
    ]


async def test_answers_are_ranked_by_the_changed_rules_and_by_what_products_are_now() -> None:
    shop = await shop_with_answers(1)
    await scene_diff(SAMPLE, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    asked = dict(shop.ranker.calls)
    rules = asked["replay"]
    assert isinstance(rules, ReplayRules)
    assert (rules.weights, rules.diversity.brand_cap) == ({"visual": 2.0}, 1)
    assert {row.product_id for row in rules.products} == {"p1", "p2", "p3", "p4"}
    assert asked["newest_answers"] == ("default", 7)
    # An answer without signals goes by the other table.
    ((key, record),) = shop.ranker.records.items()
    popular = replace(record, order=replace(record.order, branches=[BITS[Branch.POPULAR]] * 4))
    shop.ranker.records[key] = popular
    await scene_diff(SAMPLE, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    assert dict(shop.ranker.calls)["replay"].weights["popularity"] == 1.0


async def test_answers_that_can_t_be_computed_are_counted_and_left_out() -> None:
    shop = await shop_with_answers()
    shop.ranker.replays["gone"] = RankerReplay(RecordedAnswer("gone"))
    first = next(iter(shop.ranker.replays))
    shop.ranker.replays[first] = replace(shop.ranker.replays[first], recomputed=[])
    found = await scene_diff(SAMPLE, DEFAULT, DEFAULT, shop.ranker, shop.retriever)
    assert (found.answer_count, found.skipped_count) == (1, 2)
    shop.ranker.replays.clear()
    empty = await scene_diff(SAMPLE, DEFAULT, DEFAULT, shop.ranker, shop.retriever)
    assert (empty.answer_count, empty.changed_place_share, list(empty.exposures)) == (0, 0.0, [])


async def anew(shop: Shop, current: Scene, changed: Scene, costs: bool = True) -> SceneDiff:
    """Return the difference as answers to the shop's last requests show it."""
    recent = shop.deps.recent.of("default", "default", 0, 10)

    async def answer(query: RequestQuery, scene: Scene, places: int) -> Sequence[str]:
        return await first_products(query, scene, shop.deps, places)

    sample = replace(SAMPLE, places=4, costs=costs)
    return await scene_diff(
        *(sample, current, changed, shop.ranker, shop.retriever),
        recent=RecentSample(recent, answer),
    )


async def test_requests_are_answered_anew_so_that_controls_and_selection_show() -> None:
    shop = await shop_with_answers()
    records = dict(shop.ranker.records)
    pin = ControlRule(name="first", kind=ControlKind.PIN, product_ids=("p2",), place=1)
    found = await anew(shop, DEFAULT, replace(DEFAULT, controls=(pin,)))
    assert (found.anew_count, found.answer_count, found.changed_count) == (2, 2, 2)
    assert [one.after_product_ids[0] for one in found.answers] == ["p2"] * 2
    assert [one.before_product_ids[0] for one in found.answers] == ["p3"] * 2
    assert all(one.replayed for one in found.changes)
    fewer = await anew(shop, DEFAULT, replace(DEFAULT, most_candidates=1, least_candidates=1))
    assert fewer.changed_count == 2
    same = await anew(shop, DEFAULT, DEFAULT)
    assert (same.anew_count, same.changed_count, same.replaced_share) == (2, 0, 0.0)
    assert shop.ranker.records == records, "none is recorded"
    assert len(shop.deps.recent.of("default", "default", 0, 10)) == 2, "these are no requests"


async def test_labels_of_photos_are_read_anew_too() -> None:
    shop = test_labels.shop()
    answer = await recommend(test_labels.QUERY, shop.deps)
    scene = shop.scenes.get("default")
    assert list(await first_products(test_labels.QUERY, scene, shop.deps, 5)) == ids(answer)
    off = replace(scene, branches={**scene.branches, Branch.LABELS: 0.0})
    found = await anew(shop, scene, off)
    assert (found.anew_count, found.changed_count) == (1, 1)


async def test_requests_that_fail_are_left_out() -> None:
    shop = await shop_with_answers(1)
    of_another_scene = by_photo(followed=("Bruna",))
    shop.recent.note("default", of_another_scene, 1)
    found = await anew(shop, DEFAULT, DEFAULT)
    assert (found.anew_count, found.skipped_count) == (1, 1)


def test_places_that_a_change_empties_or_fills_are_changed() -> None:
    orders = [("ab", "b"), ("", "c"), ("", "")]
    found = [AnswerOrders("", list(before), list(after), None) for before, after in orders]
    made = _summary(found, len(found), {}, ())
    assert (made.answer_count, made.changed_count) == (3, 2)
    assert made.changed_place_share == pytest.approx(2 / 3)
    assert made.replaced_share == pytest.approx(1 / 6)


def test_a_scene_for_those_who_may_not_read_costs_orders_without_them() -> None:
    tables = [each.name for each in fields(DEFAULT) if each.name.startswith("parts_")]
    assert len(tables) == 3
    weights = {table: {"visual": 1.0, "margin": 2.0} for table in tables}
    by_costs = replace(DEFAULT, objective="margin", objective_strength=0.5, **weights)
    scene = without_costs(by_costs)
    assert not scene.applied_objective
    assert [getattr(scene, table) for table in tables] == [{"visual": 1.0}] * 3
    clicks = replace(DEFAULT, objective="clicks", objective_strength=0.5)
    assert without_costs(clicks).applied_objective.goal == "clicks"


async def test_expected_figures_are_of_100_answers_with_intervals_over_answers() -> None:
    shop = await shop_with_answers(2)
    outcomes = (ExpectedOutcome(0.5, 0.1, 2.0, None, "EUR"), ExpectedOutcome(0.7, 0.1, 4.0))
    for each, (key, found) in zip(outcomes, list(shop.ranker.replays.items()), strict=True):
        after = replace(each, clicks=each.clicks + 0.1, currency="EUR")
        shop.ranker.replays[key] = replace(found, outcome=each, changed_outcome=after)
    found = await scene_diff(SAMPLE, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    figures = {each.name: each for each in found.expected}
    assert figures.keys() == {"clicks", "purchases", "revenue"}
    clicks = figures["clicks"]
    assert (clicks.before.value, clicks.after.value) == pytest.approx((60, 70))
    assert (clicks.before.lower, clicks.before.upper) == pytest.approx((50, 70))
    assert (clicks.change.lower, clicks.change.upper) == pytest.approx((10, 10))
    assert (clicks.answer_count, clicks.currency_code) == (2, "")
    revenue = figures["revenue"]  # the other answer names no currency
    assert (revenue.answer_count, revenue.currency_code, revenue.before.value) == (1, "EUR", 200)


async def test_without_learned_chances_there_are_no_expected_figures() -> None:
    shop = await shop_with_answers(1)
    found = await scene_diff(SAMPLE, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    assert found.expected == ()


@pytest.mark.parametrize(("costs", "figures"), [(True, {"clicks"}), (False, set[str]())])
async def test_figures_by_weighed_margins_are_for_those_who_read_costs(
    costs: bool, figures: set[str]
) -> None:
    shop = await shop_with_answers(1)
    (key,), (answer,) = shop.ranker.records, shop.ranker.replays
    record, outcome = shop.ranker.records[key], ExpectedOutcome(0.5, None, None, None, "")
    parts = [*record.order.parts, ("margin", [0.5] * len(record.order.product_ids))]
    shop.ranker.records[key] = replace(record, order=replace(record.order, parts=parts))
    shop.ranker.replays[answer] = replace(
        shop.ranker.replays[answer], outcome=outcome, changed_outcome=outcome
    )
    sample = replace(SAMPLE, costs=costs)
    found = await scene_diff(sample, DEFAULT, CHANGED, shop.ranker, shop.retriever)
    assert {each.name for each in found.expected} == figures


def test_figures_are_the_same_bits_in_whatever_order_answers_are_added() -> None:
    draw, ids = random.Random(7), [f"p{n}" for n in range(30)]
    orders = [(draw.sample(ids, 20), draw.sample(ids, 20)) for _ in range(12)]
    rows = {item: ProductRow(product_id=item, brand=item[-1]) for item in ids}
    told = []
    for _ in range(5):
        draw.shuffle(orders)
        found = [AnswerOrders("a", *pair, None) for pair in orders]
        made = _summary(found, len(found), rows, ())
        told.append((made.exposures, made.figures, made.changed_place_share, made.replaced_share))
    assert all(each == told[0] for each in told)


async def test_the_changed_objective_ranks_again() -> None:
    shop = await shop_with_answers(1)
    margin = replace(DEFAULT, objective="margin", objective_strength=0.5)
    found = await scene_diff(SAMPLE, DEFAULT, margin, shop.ranker, shop.retriever)
    rules = dict(shop.ranker.calls)["replay"]
    assert (rules.objective.goal, rules.objective.strength) == ("margin", 0.5)
    assert [(each.path, each.replayed) for each in found.changes] == [
        ("objective", True),
        ("objective_strength", True),
    ]


def test_gini_is_0_where_all_have_the_same_and_rises_to_who_has_all() -> None:
    assert gini([]) == gini([0.0]) == gini([0.25] * 4) == 0
    assert gini([0.0, 0.0, 0.0, 1.0]) == pytest.approx(0.75)


def test_a_part_that_records_lack_is_not_said_to_be_computed() -> None:
    def fresh(weight: float) -> Scene:
        return replace(DEFAULT, parts_with_signals={"visual": 1.0, "freshness": weight})

    pairs = ((DEFAULT, fresh(1)), (fresh(0), fresh(1)), (fresh(1), fresh(2)))
    said = [one.replayed for pair in pairs for one in entry_changes(*pair) if "fresh" in one.path]
    assert said == [False, False, True]


def test_a_scene_that_is_new_changes_nothing() -> None:
    assert list(entry_changes(None, DEFAULT)) == []
    assert [one.path for one in entry_changes(DEFAULT, replace(DEFAULT, version="x"))] == []
