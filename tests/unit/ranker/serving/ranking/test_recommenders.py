"""Scores and order of the recommenders by counts."""

import math

import numpy as np
import pytest

from ranker.domain.counting import ALL, BOUGHT, LONG_DAYS, ORIGIN_DAY, SHORT_DAYS, VIEWED, gap_of
from ranker.domain.events import DAY_MICROS, EventType, History, Interaction
from ranker.domain.recommenders import (
    Counted,
    CountScope,
    Near,
)
from ranker.domain.signals import DEFAULTS
from ranker.serving.ranking import recommenders
from ranker.serving.ranking.recommenders import (
    FASTEST,
    PACE,
    WEIGHT,
    RecommenderList,
    Wanted,
    likelier,
)
from sightline_core.branch import RECOMMENDERS, Branch
from sightline_core.ranking import AnchorSource, RequestAnchors
from tests.fakes.ranker import NOW, did

TODAY = NOW // DAY_MICROS
CO_VIEW, CO_PURCHASE = Branch.CO_VIEW, Branch.CO_PURCHASE
TRENDING, BEST = Branch.TRENDING, Branch.BEST_SELLERS
REORDER, VIEWS = Branch.REORDER, Branch.RECENTLY_VIEWED
PUT, BUY = EventType.ADD_TO_CART, EventType.PURCHASE


def listed(
    one: Branch,
    counted: Counted = Counted(),  # noqa: B008 - it is a value
    anchors: str = "",
    trail: tuple[Interaction, ...] = (),
    left_out: str = "",
    top_k: int = 10,
) -> RecommenderList:
    wanted = Wanted((one,), CountScope(), top_k, frozenset(left_out))
    near = {one: tuple(anchors)} if one in recommenders.KINDS else {}
    (found,) = recommenders.lists(wanted, counted, near, trail, NOW)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert all(0 < score <= 1 for score in found.scores)
    return found


def near(anchor: str, days: int, **others: tuple[int, int]) -> list[Near]:
    """Return counts: `days` with the anchor; for other products the days with both, and with
    them."""
    own = Near(BOUGHT, anchor, anchor, days, days)
    return [own, *(Near(BOUGHT, anchor, item, *its) for item, its in others.items())]


ALL_DAYS = Near(BOUGHT, ALL, ALL, 100, 100)
BESIDE_A = [ALL_DAYS, *near("a", 20, b=(10, 12), c=(10, 60), d=(1, 90), e=(1, 1))]


def test_what_is_bought_anyway_gets_nothing_and_what_was_seen_once_gets_little() -> None:
    found = listed(CO_PURCHASE, Counted(near=BESIDE_A), "a")
    assert found.product_ids == ("b", "e")
    assert found.scores == pytest.approx([0.8 * (10 / 20 - 2 / 80), 0.8 * (1 / 20)])
    one = np.ones(1)
    assert likelier(100, 1, one, one) == pytest.approx(1 / (1 + WEIGHT))
    assert likelier(1, 1, one, one) > 0, "the very first order says something"


def test_anchors_speak_together_the_first_most_and_are_in_no_list() -> None:
    both = [*BESIDE_A, *near("f", 20, b=(10, 12), g=(10, 12), a=(20, 20))]
    (one,) = likelier(100, 20, np.array([12.0]), np.array([10.0]))
    other = 0.9 * one
    found = listed(CO_PURCHASE, Counted(near=both), "af")
    assert found.product_ids[:2] == ("b", "g")
    assert found.scores[:2] == pytest.approx([1 - (1 - one) * (1 - other), other])
    assert {"a", "f"}.isdisjoint(found.product_ids)


def test_pairs_of_views_are_no_pairs_of_orders() -> None:
    assert listed(CO_VIEW, Counted(near=BESIDE_A), "a").product_ids == ()
    assert listed(CO_PURCHASE, Counted(near=BESIDE_A), "x").product_ids == ()
    assert listed(CO_PURCHASE, Counted(near=BESIDE_A), "a", left_out="b").product_ids == ("e",)


def log(count: float, half_life: float) -> float:
    """Return a stored count that has decayed to this value by now."""
    return math.log2(count) + (NOW / DAY_MICROS - ORIGIN_DAY - 0.5) / half_life


def test_what_always_sells_does_not_trend() -> None:
    """Check recent interest that equals the expectation from the usual pace."""
    scale = LONG_DAYS / SHORT_DAYS
    rows = [
        (item, log(recent, SHORT_DAYS), log(usual * scale, LONG_DAYS))
        for item, recent, usual in (("always", 90, 90), ("rising", 30, 10), ("once", 1, 1 / scale))
    ]
    even = (log(5, SHORT_DAYS), log(5 * scale, LONG_DAYS))
    found = listed(TRENDING, Counted(trending=rows, whole=even))
    assert found.product_ids == ("rising", "once")
    assert found.scores == pytest.approx([20 / (30 + PACE), (1 - 1 / scale) / (1 + PACE)])
    weekend = (log(10, SHORT_DAYS), log(5 * scale, LONG_DAYS))
    found = listed(TRENDING, Counted(trending=rows, whole=weekend))
    assert found.scores[0] == pytest.approx((30 - 2 * 10) / (30 + PACE))
    opened = (log(99, SHORT_DAYS), log(99, LONG_DAYS))
    (new,) = listed(TRENDING, Counted(trending=[("new", *opened)], whole=opened)).scores
    assert new == pytest.approx((99 - 99 / scale * FASTEST) / (99 + PACE))


def test_what_was_wanted_thousands_of_years_ago_does_not_trend() -> None:
    old = (-4e5, -3e4)
    assert listed(TRENDING, Counted(trending=[("old", *old)], whole=old)).product_ids == ()


def test_best_sellers_are_shares_of_the_best_one_whether_or_not_it_is_shown() -> None:
    rows = [("a", 8.0), ("b", 7.0), ("c", 5.0), ("d", -math.inf)]
    found = listed(BEST, Counted(best=rows), left_out="a", top_k=3)
    assert (found.product_ids, found.scores) == (("b", "c"), (0.5, 0.125))
    assert listed(BEST, Counted(best=rows[3:])).product_ids == ()


def test_what_just_fell_due_comes_before_what_is_overdue_and_what_is_not_due() -> None:
    purchases = [
        (TODAY, {"today": 1}),
        (TODAY - 10, {"early": 1}),
        (TODAY - 30, {"due": 1, "own": 1}),
        (TODAY - 60, {"own": 2}),
        (TODAY - 300, {"late": 1, "never": 1}),
    ]
    monthly = {gap_of(30): 3, gap_of(300): 1}
    gaps = dict.fromkeys(("today", "early", "due", "late", ALL), monthly)
    gaps["own"] = {gap_of(3): 9}
    found = listed(REORDER, Counted(purchases=purchases, gaps=gaps))
    assert set(found.product_ids[:2]) == {"due", "own"}
    assert found.product_ids[2:] == ("late", "early", "never", "today")
    due = dict(zip(found.product_ids, found.scores, strict=True))
    assert due["own"] == 1
    assert due["late"] > 0.5 > due["early"]
    assert due["never"] == pytest.approx(due["late"] / 2)


def test_recently_viewed_are_each_once_newest_first() -> None:
    trail = tuple(did("ann", item, at=-n) for n, item in enumerate("abac"))
    found = listed(VIEWS, trail=(did("ann", "x", BUY), *trail), left_out="b")
    assert (found.product_ids, found.scores) == (("a", "c"), (1.0, 0.5))


def test_what_was_left_in_the_cart_is_listed_until_it_is_bought() -> None:
    trail = (did("ann", "a", BUY), did("ann", "b"), *(did("ann", item, PUT) for item in "cabd"))
    found = listed(Branch.LEFT_IN_CART, trail=trail, left_out="d")
    assert (found.product_ids, found.scores) == (("c", "b"), (1.0, 0.5))
    assert listed(Branch.LEFT_IN_CART, trail=trail[:2]).product_ids == ()


def test_every_recommender_has_a_list() -> None:
    assert {*recommenders.MADE} == {*RECOMMENDERS}


TRAIL = (
    did("ann", "a", BUY),
    did("ann", "b", PUT),
    did("ann", "c"),
    did("ann", "a", PUT),
    did("ann", "d", EventType.CLICK),
    did("ann", "c"),
    did("ann", "e", BUY),
    did("ann", "b", PUT),
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [(AnchorSource.VIEWED, "cd"), (AnchorSource.CART, "b"), (AnchorSource.BOUGHT, "ae")],
)
def test_anchors_come_from_what_the_shopper_did_last(source: AnchorSource, expected: str) -> None:
    assert recommenders.gone_by(RequestAnchors((), source), TRAIL, ()) == tuple(expected)
    assert recommenders.gone_by(RequestAnchors(("z",), source), TRAIL, ()) == ("z",)
    assert recommenders.gone_by(RequestAnchors((), source), TRAIL, set("abcde")) == ()
    assert recommenders.gone_by(None, TRAIL, ()) == ()


def test_without_anchors_the_last_products_are_gone_by() -> None:
    history = History(recent=TRAIL)
    names = (CO_VIEW, CO_PURCHASE, BEST)
    found = recommenders.near(names, (), history, DEFAULTS)
    assert {name: "".join(items) for name, items in found.items()} == {
        CO_VIEW: "abcde",
        CO_PURCHASE: "abe",
    }
    assert set(recommenders.near(names, ("z",), history, DEFAULTS).values()) == {("z",)}


def test_only_what_lists_need_is_read() -> None:
    wanted = Wanted((TRENDING, CO_VIEW), CountScope(), 5, frozenset("xy"))
    asked = recommenders.asked(wanted, {CO_VIEW: "a"}, "ann")
    assert (asked.best, asked.actor, asked.near) == (0, "", [(VIEWED, "a")])
    assert asked.trending == recommenders.MOST_RECENT + 2
    asked = recommenders.asked(Wanted((BEST, REORDER), CountScope(), 5, frozenset("xy")), {}, "ann")
    assert (asked.best, asked.actor, asked.near, asked.trending) == (7, "ann", [], 0)
