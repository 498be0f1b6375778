"""Each step of diversity, and the sum of its moves."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise, takewhile
from itertools import product as product_of
from operator import eq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.events import DAY_MICROS, History
from ranker.serving.ranking import diversity, fold_in
from ranker.serving.ranking.diversity import RankedColumns, RankPolicy, arrange, similarity
from ranker.serving.ranking.exploration import seed_of
from ranker.serving.ranking.objective import ObjectiveGoal
from ranker.serving.ranking.rank import rank
from sightline_rules.categories import split
from tests.fakes.ranker import NOW, candidates, model, product

SEED = seed_of(7, "ann", "", NOW)


def shelf(scores, *, brands=(), categories=(), styles=None, shares=None, new=()):
    count = len(scores)
    return RankedColumns(
        ids=[f"p{place}" for place in range(count)],
        raw_scores=np.array(scores, float),
        brands=brands or [""] * count,
        categories=categories or [""] * count,
        styles=None if styles is None else np.array(styles, np.float32),
        shares=None if shares is None else np.array(shares, float),
        new=np.isin(np.arange(count), list(new)),
    )


def order(given_: RankedColumns, seed: bytes = SEED, **policy) -> list[int]:
    return arrange(given_, RankPolicy(**policy), seed).order.tolist()


REDS = ["Wine > Red > Italy", "Wine > Red > Italy", "Wine > Red > France", "Wine > White", "Beer"]


def test_categories_are_alike_by_the_levels_that_they_share():
    found = similarity([*REDS, ""], None)
    np.testing.assert_allclose(found[0], [1, 1, 2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(found, found.T)


def test_the_same_word_under_another_branch_is_no_shared_level():
    assert similarity(["Wine > Red", "Beer > Red"], None)[0, 1] == 0


@given(st.lists(st.lists(st.sampled_from("ABC"), max_size=4).map(" > ".join), max_size=12))
def test_levels_count_as_shared_down_to_the_first_that_differs(paths):
    found = similarity(paths, None)
    for (one, path), (other, its) in product_of(enumerate(paths), repeat=2):
        own, theirs = split(path), split(its)
        same = [*takewhile(bool, map(eq, own, theirs))]
        both = own and theirs
        assert found[one, other] == (len(same) / max(len(own), len(theirs)) if both else 0)


def test_styles_and_categories_count_alike_where_both_products_have_them():
    styles = np.array([[1, 0], [1, 1], [-1, 0], [np.nan, np.nan]], np.float32)
    found = similarity(["A", "A", "A", "A"], styles)
    np.testing.assert_allclose(found[0], [1, (1 + 0.5**0.5) / 2, 0.5, 1.0], rtol=1e-6)
    assert similarity([""] * 4, styles)[0, 3] == 0


def test_maximal_marginal_relevance_is_that_of_the_paper():
    """Compare with the definition, computed one product at a time."""
    draw = np.random.default_rng(3)
    scores = np.sort(draw.normal(size=30))[::-1]
    styles = draw.normal(size=(30, 4)).astype(np.float32)
    paths = [f"A > {number}" for number in draw.integers(0, 4, 30)]
    weight = 0.4
    relevance = (scores - scores.min()) / np.ptp(scores)
    alike = similarity(paths, styles)
    expected: list[int] = []
    while len(expected) < 30:
        left = [one for one in range(30) if one not in expected]
        expected.append(
            max(
                left,
                key=lambda one: (
                    (1 - weight) * relevance[one]
                    - weight * max((alike[one, other] for other in expected), default=0.0)
                ),
            )
        )
    found = order(shelf(scores, categories=paths, styles=styles), diversity=weight)
    assert found == expected


def test_the_more_diversity_is_asked_for_the_less_alike_the_first_places_are():
    draw = np.random.default_rng(5)
    groups = draw.integers(0, 6, 100)
    styles = draw.normal(size=(6, 8))[groups] + 0.1 * draw.normal(size=(100, 8))
    # The best products are of few groups.
    scores = np.sort(draw.normal(size=100) - 0.5 * groups)[::-1]
    groups = np.sort(groups)
    paths = [f"G{number}" for number in groups]
    alike = similarity(paths, styles.astype(np.float32))
    means = []
    for weight in (0.0, 0.1, 0.2, 0.4, 0.8):
        first = order(shelf(scores, categories=paths, styles=styles), diversity=weight)[:10]
        means.append(alike[np.ix_(first, first)][~np.eye(10, dtype=bool)].mean())
    assert all(after <= before for before, after in pairwise(means))
    assert means[-1] < 0.5 * means[0]


def test_popularity_comes_off_the_relevance_as_its_root():
    given_ = shelf([1.0, 0.8, 0.0], shares=[1.0, 0.25, 0.0])
    assert order(given_, popularity=0.3) == [0, 1, 2]  # .7, .65, 0
    assert order(given_, popularity=0.5) == [1, 0, 2]  # .5, .55, 0
    assert order(given_, popularity=1.0) == [1, 0, 2]  # 0, .3, 0: equal ones stay
    assert order(shelf([1.0, 0.8, 0.0]), popularity=1.0) == [0, 1, 2]


def test_a_brand_over_its_cap_waits_behind_the_capped_places():
    given_ = shelf([6, 5, 4, 3, 2, 1], brands=["a", "a", "a", "b", "", ""])
    assert order(given_, brand_cap=1, cap_places=3) == [0, 3, 4, 1, 2, 5]
    assert order(given_, brand_cap=2, cap_places=3) == [0, 1, 3, 2, 4, 5]


def test_a_cap_yields_where_nothing_else_is_left():
    assert order(shelf([3, 2, 1], brands=["a", "a", "a"]), brand_cap=1, cap_places=3) == [0, 1, 2]


def test_a_category_is_capped_at_its_level_and_a_short_path_counts_whole():
    given_ = shelf([5, 4, 3, 2, 1], categories=REDS)
    assert order(given_, category_caps=((1, 2),), cap_places=3) == [0, 1, 4, 2, 3]
    assert order(given_, category_caps=((2, 1),), cap_places=3) == [0, 3, 4, 1, 2]


def test_brand_and_category_caps_hold_together():
    draw = np.random.default_rng(1)
    brands = [f"b{number}" for number in draw.integers(0, 6, 60)]
    paths = [f"Top{number % 4} > {number}" for number in draw.integers(0, 9, 60)]
    given_ = shelf(np.arange(60, 0, -1), brands=brands, categories=paths)
    first = order(given_, brand_cap=2, category_caps=((1, 3), (2, 2)), cap_places=10)[:10]
    assert max(Counter(brands[one] for one in first).values()) <= 2
    assert max(Counter(paths[one].split(" > ")[0] for one in first).values()) <= 3
    assert max(Counter(paths[one] for one in first).values()) <= 2


def test_only_the_window_moves():
    given_ = shelf([4, 3, 2, 1], brands=["a", "a", "a", "b"])
    assert order(given_, brand_cap=1, window=3) == [0, 1, 2, 3]


@st.composite
def shelves(draw):
    count = draw(st.integers(0, 24))
    numbers = st.floats(-5, 5, width=32)
    scores = sorted(draw(st.lists(numbers, min_size=count, max_size=count)), reverse=True)
    texts = st.lists(
        st.sampled_from(["", "A", "A > B", "A > C", "D"]), min_size=count, max_size=count
    )
    return shelf(
        scores,
        brands=draw(texts),
        categories=draw(texts),
        styles=draw(
            st.none()
            | st.lists(
                st.tuples(numbers, numbers) | st.just((np.nan, np.nan)),
                min_size=count,
                max_size=count,
            ).map(lambda rows: np.array(rows, np.float32).reshape(-1, 2))
        ),
        shares=draw(st.none() | st.lists(st.floats(0, 1), min_size=count, max_size=count)),
        new=draw(st.sets(st.integers(0, 23))),
    )


policies = st.builds(
    RankPolicy,
    diversity=st.floats(0, 1),
    popularity=st.floats(0, 1),
    window=st.integers(2, 30),
    cap_places=st.integers(1, 12),
    brand_cap=st.integers(0, 3),
    category_caps=st.sampled_from([(), ((1, 2),), ((1, 3), (2, 1))]),
    exploration_places=st.sets(st.integers(2, 12), max_size=4).map(lambda one: tuple(sorted(one))),
)


@pytest.mark.slow
@given(given_=shelves(), policy=policies)
def test_every_product_stays_and_its_moves_sum_to_the_way_that_it_went(given_, policy):
    window = slice(policy.window)  # what is known of those behind it is not even read
    given_ = replace(
        given_,
        brands=given_.brands[window],
        categories=given_.categories[window],
        styles=None if given_.styles is None else given_.styles[window],
        shares=None if given_.shares is None else given_.shares[window],
    )
    found = arrange(given_, policy, SEED)
    places = np.arange(len(given_.ids))
    np.testing.assert_array_equal(np.sort(found.order), places)
    went = sum(found.moves.values(), start=np.zeros(len(places), int))
    np.testing.assert_array_equal(went, found.order - places)
    assert np.all((found.propensities > 0) & (found.propensities <= 1))
    again = arrange(given_, policy, SEED)
    np.testing.assert_array_equal(again.order, found.order)


def test_what_is_known_of_candidates_comes_from_columns_and_model():
    made = model({"a": [1.0], "b": [0.0]})
    made = replace(made, styles=np.array([[1.0, 0.0], [np.nan, np.nan]], np.float32))
    given_ = candidates(
        [product("z", "Beer", brand="x"), product("a", "Wine"), product("b")],
        {"visual": [0.1, 0.9, 0.5]},
    )
    days = np.array([1, 40, 0]) * DAY_MICROS
    created = np.where(days, NOW - days, 0)
    given_ = replace(given_, created_micros=created)
    nobody = fold_in.of(made, None, [])
    ranking = rank(given_, {"visual": 1.0}, nobody, made, None, history=History())
    policy = RankPolicy(diversity=0.5, brand_cap=1)
    shares = np.array([0.1, 0.2, 0.3])
    found = diversity.shelf_of(ranking, given_, made, shares, policy, now_micros=NOW)
    assert list(found.ids) == ["a", "b", "z"]
    assert list(found.categories) == ["Wine", "", "Beer"]
    assert list(found.brands) == ["", "", "x"]
    columns = replace(given_, brands=["x", "", ""], categories=["Beer", "Wine", ""])
    apart = diversity.shelf_of(ranking, columns, made, shares, policy, now_micros=NOW)
    assert (apart.brands, apart.categories) == (found.brands, found.categories)
    assert found.styles[0].tolist() == [1.0, 0.0]
    assert np.isnan(found.styles[1:]).all()
    assert found.shares.tolist() == [0.2, 0.3, 0.1]
    assert found.new.tolist() == [False, False, True]


@pytest.mark.parametrize(
    "used",
    [
        {"popularity": 0.1},
        {"diversity": 0.1},
        {"calibrated": 0.1},
        {"brand_cap": 1},
        {"category_caps": ((1, 2),)},
        {"exploration_places": (3,)},
        {"objective": ObjectiveGoal.CLICKS, "objective_strength": 0.5},
    ],
    ids=lambda used: next(iter(used)),
)
def test_a_policy_has_a_step_for_what_it_uses_and_no_other(used):
    assert RankPolicy().steps == ()
    assert len(RankPolicy(**used).steps) == 1
    with_window = RankPolicy(window=50, cap_places=5, exploration_days=1.0, **used)
    assert with_window.steps == RankPolicy(**used).steps
