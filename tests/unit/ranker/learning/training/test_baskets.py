"""Products bought together, compared with counts by hand."""

from itertools import permutations

import numpy as np
import pytest

from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.log import log_of
from ranker.domain.recipe import Recipe
from ranker.learning.training import baskets
from ranker.learning.training.baskets import bought_together

from .test_items import dense

IDS = ("a", "b", "c", "d")
RECIPE = Recipe(together_support=2)


def bought(
    who: str, what: str, *, day: float = 0, order: str = "", kind: EventType = EventType.PURCHASE
) -> Interaction:
    return Interaction(
        who, what, kind, None, int(day * DAY_MICROS), f"{who}{what}{day}{order}{kind}", 1, "", order
    )


def contents(*events: Interaction) -> list[set[str]]:
    log = log_of(events)
    rows = np.array([IDS.index(one) if one in IDS else -1 for one in log.items], dtype=np.int64)
    basket, item = baskets._contents(log, rows)
    found: dict[int, set[str]] = {}
    for one, product in zip(basket.tolist(), item.tolist(), strict=True):
        found.setdefault(one, set()).add(IDS[product])
    return sorted(found.values(), key=sorted)


def test_an_order_is_a_basket_whenever_its_events_came() -> None:
    events = [bought("u", "a", order="o"), bought("u", "b", day=3, order="o")]
    assert contents(*events, bought("u", "c", order="p"), bought("u", "d", order="p")) == [
        {"a", "b"},
        {"c", "d"},
    ]


def test_without_an_order_a_basket_is_what_one_shopper_took_on_one_day() -> None:
    cart = bought("u", "b", day=0.9, kind=EventType.ADD_TO_CART)
    others = (bought("u", "c", day=1), bought("v", "d"))
    assert contents(bought("u", "a"), cart, *others) == [{"a", "b"}]


def test_what_is_put_into_the_cart_and_bought_counts_once() -> None:
    carts = [bought("u", one, kind=EventType.ADD_TO_CART) for one in "ab"]
    assert contents(*carts, *(bought("u", one, order="o") for one in "ab")) == [{"a", "b"}]


def test_views_and_unknown_products_are_in_no_basket() -> None:
    view = bought("u", "b", kind=EventType.VIEW)
    assert contents(bought("u", "a"), view, bought("u", "elsewhere")) == []


@pytest.mark.parametrize("pairs", [baskets._PAIRS, 1])
def test_a_pair_weighs_how_much_likelier_it_is_together(
    monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    monkeypatch.setattr(baskets, "_PAIRS", pairs)
    held = ["ab", "ab", "abc", "bc", "cd", "bd"]
    events = [bought("u", one, order=f"o{n}") for n, names in enumerate(held) for one in names]
    expected = np.zeros((4, 4))
    for j, i in permutations(range(4), 2):
        both = sum({IDS[j], IDS[i]} <= set(names) for names in held)
        first = sum(IDS[j] in names for names in held)
        alone = sum(IDS[i] in names for names in held) / len(held)
        if both >= 2:
            expected[j, i] = max(both / first - alone, 0)
    made = dense(bought_together(log_of(events), IDS, RECIPE))
    np.testing.assert_allclose(made, expected, atol=1e-7)
    assert made[0, 1] > 0
    assert made[1, 2] == 0, "b and c are bought together twice, but less often than apart"


def test_only_so_many_products_of_a_basket_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baskets, "MOST_IN_BASKET", 2)
    assert contents(*(bought("u", one) for one in "dcba")) == [{"a", "b"}]


def test_nothing_bought_gives_empty_rows() -> None:
    assert not dense(bought_together(log_of([]), IDS, RECIPE)).any()
