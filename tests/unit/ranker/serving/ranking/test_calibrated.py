"""Lists calibrated to the shares of categories in a shopper's history."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.events import EventType, History
from ranker.domain.model import ProductFeatures
from ranker.domain.signals import DEFAULTS, Signals
from ranker.serving.ranking.calibrated import ALPHA, calibrated, divergence, own_shares
from ranker.serving.ranking.diversity import MoveCause, RankedColumns, RankPolicy, arrange
from tests.fakes.ranker import NOW, did, model

SHARES = {"Red": 0.7, "White": 0.3}
MIXED = ["Red > Italy"] * 20 + ["White > France"] * 20
CATEGORIES = {**{f"r{n}": "Red" for n in range(7)}, **{f"w{n}": "White" for n in range(3)}}


def known(categories=CATEGORIES):
    """Return a model that knows these products' topmost categories and that they are of Italy."""
    found = model({item: [0.0] for item in categories})
    names = {"category=Red": 0, "category=Red > Italy": 1, "category=White": 2, "tag=new": 3}
    rows = []
    for item in sorted(categories):
        top = categories[item]
        below = [names["category=Red > Italy"]] * (top == "Red")
        rows.append([*([names[f"category={top}"]] if top else []), *below, names["tag=new"]])
    features = ProductFeatures(
        names=tuple(names),
        starts=np.cumsum([0, *map(len, rows)]),
        features=np.array([place for row in rows for place in row], np.int32),
        shares=np.full(len(names), 0.5, np.float32),
    )
    return replace(found, product_features=features)


def viewed(*items, **fields) -> History:
    return History(recent=tuple(did("ann", item) for item in items), **fields)


def shelf(scores, categories, shares=SHARES) -> RankedColumns:
    count = len(scores)
    return RankedColumns(
        ids=[f"p{n}" for n in range(count)],
        raw_scores=np.array(scores, float),
        brands=[""] * count,
        categories=categories,
        styles=None,
        shares=None,
        new=np.zeros(count, bool),
        own_shares=shares,
    )


def slowly(categories, relevance, shares, strength) -> list[int]:
    """Return the greedy order by the definition, computed whole for each candidate."""

    def apart(taken) -> float:
        weights = [1 / math.log2(place + 2) for place in range(len(taken))]
        total = 0.0
        for name, own in shares.items():
            pairs = zip(taken, weights, strict=True)
            held = sum(w for at, w in pairs if categories[at].split(" > ")[0] == name)
            share = held / sum(weights)
            total += own * math.log(own / ((1 - ALPHA) * share + ALPHA * own))
        return total

    order: list[int] = []
    left = list(range(len(categories)))
    while left:
        gains = [
            (1 - strength) * (sum(relevance[at] for at in order) + relevance[each])
            - strength * apart([*order, each])
            for each in left
        ]
        order.append(left.pop(int(np.argmax(gains))))
    return order


@pytest.mark.parametrize(("strength", "expected"), [(0.9, 8), (1.0, 7)])
def test_ten_products_have_about_the_proportions_of_the_history(strength, expected) -> None:
    found = arrange(shelf(range(40, 0, -1), MIXED), RankPolicy(calibrated=strength), b"")
    reds = sum(place < 20 for place in found.order[:10].tolist())
    assert reds == expected
    assert found.order.tolist()[:2] == [0, 20], "within a category the order stays"
    moved = found.moves[MoveCause.CALIBRATION]
    assert (np.arange(40) + moved == found.order).all()


def test_a_strength_of_0_is_off() -> None:
    assert not RankPolicy().steps
    assert RankPolicy(calibrated=0.1).steps
    found = arrange(shelf(range(40, 0, -1), MIXED), RankPolicy(diversity=0.2), b"")
    assert MoveCause.CALIBRATION not in found.moves


def test_without_history_or_categories_nothing_moves() -> None:
    policy = RankPolicy(calibrated=1.0)
    for given_ in (shelf([3, 2, 1], ["Red", "Red", "White"], {}), shelf([3, 2, 1], [""] * 3)):
        assert arrange(given_, policy, b"").order.tolist() == [0, 1, 2]


def test_products_after_the_window_stay() -> None:
    found = arrange(shelf(range(40, 0, -1), MIXED), RankPolicy(calibrated=1.0, window=30), b"")
    assert found.order.tolist()[30:] == list(range(30, 40))


def test_a_small_strength_keeps_the_order_of_diversity() -> None:
    rows = shelf(range(40, 0, -1), MIXED)
    diverse = arrange(rows, RankPolicy(diversity=0.5), b"").order.tolist()
    both = arrange(rows, RankPolicy(diversity=0.5, calibrated=1e-9), b"").order.tolist()
    assert both == diverse != list(range(40))


def test_the_divergence_falls_as_a_list_takes_the_shares() -> None:
    assert divergence([], SHARES) > 4
    red, both = divergence(["Red"] * 10, SHARES), divergence(["Red > A", "Red", "White"], SHARES)
    assert red == pytest.approx(0.7 * math.log(0.7 / 0.997) + 0.3 * math.log(100))
    assert 0 < both < 0.1 < red < divergence(["Rose", ""], SHARES)


@given(
    st.lists(st.sampled_from(["A", "B > C", "D", "Other", ""]), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.99),
)
def test_the_order_is_a_permutation_and_that_of_the_definition(categories, seed, strength) -> None:
    relevance = np.sort(np.random.default_rng(seed).random(len(categories)))[::-1]
    shares = {"A": 0.5, "B": 0.3, "D": 0.2}
    found = calibrated(categories, relevance, shares, strength).tolist()
    assert sorted(found) == list(range(len(categories)))
    assert found == slowly(categories, relevance.tolist(), shares, strength)


def test_shares_are_those_of_the_interests() -> None:
    found = own_shares(viewed(*CATEGORIES), known(), DEFAULTS, NOW)
    assert list(found) == ["Red", "White"]
    assert found["Red"] == pytest.approx(0.7)
    bought = did("ann", "w0", EventType.PURCHASE)
    history = History(recent=(bought, *viewed(*CATEGORIES).recent))
    assert own_shares(history, known(), DEFAULTS, NOW)["White"] > 0.35
    even = own_shares(history, known(), Signals(view=0.95, purchase=0.95), NOW)
    assert even["White"] == pytest.approx(0.3, abs=0.01)


def test_few_events_with_a_category_give_no_shares() -> None:
    five = ("r0", "r1", "r2", "w0", "w1")
    assert own_shares(viewed(*five), known(), DEFAULTS, NOW)
    assert own_shares(viewed(*["r0"] * 5), known(), DEFAULTS, NOW) == {"Red": 1.0}
    untold = known({**CATEGORIES, "w1": ""})
    for history, by in (
        (History(), known()),
        (viewed(*five[:4]), known()),
        (viewed(*five[:4], "unknown"), known()),
        (viewed(*five), untold),
        (viewed(*five), None),
        (viewed(*five), model({"r0": [0.0]})),
        (viewed(*five, hidden=frozenset({"r0"})), known()),
    ):
        assert own_shares(history, by, DEFAULTS, NOW) == {}


def test_a_merged_visitors_events_count_alike_under_either_name() -> None:
    one = viewed(*CATEGORIES)
    other = History(
        recent=tuple(
            event._replace(actor="bob" if n % 2 else "") for n, event in enumerate(one.recent)
        )
    )
    shares = [own_shares(each, known(), DEFAULTS, NOW) for each in (one, other)]
    assert shares[0] == shares[1]
