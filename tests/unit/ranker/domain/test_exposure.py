"""Shares of exposure and their intervals, and what groups of shoppers got."""

import math
import random

import numpy as np
import pytest

from ranker.domain.exposure import LEAST_SHOPPERS, ShownProduct, exposures, opportunities
from sightline_rules.shares import Z95, wilson
from tests.work import assert_at_most


def shown(
    answer: str, product: str, place: int, *, hit: bool | None = False, **fields
) -> ShownProduct:
    values = {"actor": f"of-{answer}", "weight": 1.0, **fields}
    return ShownProduct(answer, values["actor"], product, place, values["weight"], hit)


def test_a_share_is_the_discounted_exposure_of_all_answers():
    rows = [shown("1", "a", 1, hit=True), shown("1", "b", 2), shown("2", "b", 1)]
    one, other = exposures(rows, {"a": "A", "b": "B"})
    second = 1 / math.log2(3)
    assert (one.value, other.value) == ("B", "A")
    assert one.share == pytest.approx((1 + second) / (2 + second))
    assert one.share + other.share == pytest.approx(1)
    assert (one.product_count, other.outcomes_per_exposure) == (1, 1.0)
    assert exposures([], {}) == []


def test_products_without_a_value_are_a_group_and_sampled_answers_count_for_all():
    rows = [shown("1", "a", 1, weight=10.0), shown("2", "x", 1)]
    found = {one.value: one.share for one in exposures(rows, {"a": "A"})}
    assert found == pytest.approx({"A": 10 / 11, "": 1 / 11})


def test_no_share_is_above_1_by_rounding():
    draw = random.Random(5)
    for rows in range(1, 200):
        weights = [draw.uniform(0, 3) for _ in range(rows)]
        given = [shown("1", "a", place, weight=each) for place, each in enumerate(weights, 1)]
        assert [one.share for one in exposures(given, {})] == [1.0]


@pytest.mark.full
def test_the_interval_contains_the_true_share_in_95_of_100_samples():
    draw, inside, samples = random.Random(3), 0, 400
    for _ in range(samples):
        rows = []
        for answer in range(60):
            likes = draw.random() < 0.5  # answers differ: places of one answer are not independent
            chance = 0.5 if likes else 0.1
            for place in range(1, 11):
                item = "a" if draw.random() < chance else "b"
                rows.append(shown(f"{answer}", item, place))
        found = {one.value: one for one in exposures(rows, {"a": "A", "b": "B"})}
        inside += found["A"].share_low <= 0.3 <= found["A"].share_high
    assert 0.91 <= inside / samples <= 0.98


def test_groups_of_shoppers_are_compared_by_answers_with_a_success():
    rows = [
        shown(f"{value}-{n}-{again}", item, place, actor=f"{value}-{n}", hit=n < hits and not again)
        for value, hits in (("young", 10), ("old", 5))
        for n in range(LEAST_SHOPPERS)
        for again in range(2)
        for place, item in enumerate("ab", 1)
    ]
    values = {f"{value}-{n}": value for value in ("young", "old") for n in range(LEAST_SHOPPERS)}
    old, young = opportunities(rows, values)
    assert (old.value, old.shopper_count, old.answer_count) == ("old", 20, 40)
    assert (old.success_share, young.success_share) == (5 / 40, 10 / 40)
    assert young.success_low < 0.25 < young.success_high
    few = {actor: value for actor, value in values.items() if actor != "old-0"}
    assert [one.value for one in opportunities(rows, few)] == ["young"], "19 are too few"


@pytest.mark.full
@pytest.mark.parametrize("chance", [0.05, 0.2, 0.5])
def test_the_intervals_of_shoppers_with_alike_answers_contain_the_truth(chance: float):
    """Each of 40 shoppers has 20 answers, which all succeed or all fail, and show one product."""
    draw, samples = random.Random(5), 300
    values = {f"s{n}": "young" for n in range(40)}
    inside = {"success": 0, "exposure": 0}
    for _ in range(samples):
        rows = []
        for actor in values:
            hit = draw.random() < chance
            item = "a" if hit else "b"
            rows += [shown(f"{actor}-{n}", item, 1, actor=actor, hit=hit) for n in range(20)]
        (found,) = opportunities(rows, values)
        inside["success"] += found.success_low <= chance <= found.success_high
        share = {one.value: one for one in exposures(rows, {"a": "A", "b": "B"})}.get("A")
        inside["exposure"] += share is not None and share.share_low <= chance <= share.share_high
    assert inside["success"] / samples >= 0.9
    if chance > 0.05:  # with fewer than ten shoppers who see A, shares are skewed
        assert inside["exposure"] / samples >= 0.9


def test_no_success_and_no_failure_are_less_certain_with_fewer_shoppers():
    values = {f"s{n}": "young" for n in range(LEAST_SHOPPERS)}
    for hit in (False, True):
        rows = [
            shown(f"{actor}-{n}", "a", 1, actor=actor, hit=hit) for actor in values for n in "abc"
        ]
        (found,) = opportunities(rows, values)
        interval = (found.success_low, found.success_high)
        assert interval == pytest.approx(wilson(float(hit), LEAST_SHOPPERS))


def test_what_unknown_outcomes_led_to_is_left_out():
    values = {f"s{n}": "young" for n in range(LEAST_SHOPPERS)}
    rows = [shown(f"{actor}-1", "a", 1, actor=actor, hit=None) for actor in values]
    (group,) = exposures(rows, {"a": "A"})
    assert (group.share, group.outcomes_per_exposure) == (1, None)
    (found,) = opportunities(rows, values)
    assert (found.shopper_count, found.answer_count) == (LEAST_SHOPPERS, LEAST_SHOPPERS)
    assert (found.success_share, found.success_low, found.success_high) == (None, None, None)


def by_groups(shown: list[ShownProduct], groups: dict[str, str]) -> dict[str, tuple[float, ...]]:
    """Return share, its interval and success of each group, computed group by group."""
    shoppers = sorted({one.actor or one.answer_id for one in shown})
    place = {name: at for at, name in enumerate(shoppers)}
    found = {}
    for name in {groups.get(one.product_id, "") for one in shown}:
        got, total, success = np.zeros(len(shoppers)), np.zeros(len(shoppers)), 0.0
        for one in shown:
            weight = one.weight / math.log2(1 + one.place)
            total[place[one.actor or one.answer_id]] += weight
            if groups.get(one.product_id, "") == name:
                got[place[one.actor or one.answer_id]] += weight
                success += one.weight * bool(one.successful)
        share = got.sum() / total.sum()
        spread = ((got - share * total) ** 2).sum() * len(shoppers) / max(len(shoppers) - 1, 1)
        half = Z95 * math.sqrt(spread) / total.sum()
        found[name] = max(share - half, 0), share, min(share + half, 1), success / got.sum()
    return found


def made(rows: int, groups: int) -> tuple[list[ShownProduct], dict[str, str]]:
    draw = random.Random(rows)
    shown = [
        ShownProduct(
            f"a{at // 10}",
            f"s{at // 50}" if at % 7 else "",
            f"p{draw.randrange(groups * 3)}",
            at % 10 + 1,
            draw.choice([1.0, 2.5]),
            draw.random() < 0.1,
        )
        for at in range(rows)
    ]
    return shown, {f"p{at}": f"brand {at % groups}" for at in range(groups * 3 - 1)}


@pytest.mark.parametrize(("rows", "groups"), [(400, 1), (400, 7), (600, 200)])
def test_one_pass_finds_what_a_pass_for_each_group_finds(rows: int, groups: int) -> None:
    shown, of = made(rows, groups)
    expected = by_groups(shown, of)
    found = exposures(shown, of)
    assert {each.value for each in found} == expected.keys()
    for each in found:
        values = (each.share_low, each.share, each.share_high, each.outcomes_per_exposure)
        assert values == pytest.approx(expected[each.value], abs=1e-9)
        ids = {one.product_id for one in shown if of.get(one.product_id, "") == each.value}
        assert each.product_count == len(ids)


def test_the_work_does_not_grow_with_the_number_of_groups() -> None:
    few, many = made(20_000, 20), made(20_000, 2_000)
    assert_at_most(5, lambda: exposures(*few), lambda: exposures(*many))
