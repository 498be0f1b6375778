"""Reciprocal-rank fusion."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fuse import Listing, by_signal, fuse, weighted
from gateway.model import Branch
from tests.fakes.gateway_peers import columns


def listing(branch=Branch.VISUAL, weight=1.0, **similarities: float) -> Listing:
    ids = list(similarities)
    return Listing(
        branch, weight, columns(*ids), list(similarities.values()), [f"photo of {i}" for i in ids]
    )


def plain(branch: Branch, *ids: str, weight: float = 1.0) -> Listing:
    return Listing(branch, weight, columns(*ids))


def order(candidates) -> list[str]:
    return [row.product_id for row in candidates.rows]


@given(
    st.dictionaries(
        st.text(alphabet="abcdef", min_size=1, max_size=3),
        st.floats(-1, 1, width=32),
        min_size=1,
        max_size=30,
    )
)
def test_one_list_alone_keeps_the_order_of_similarity_with_ties_by_id(similarities):
    expected = sorted(similarities, key=lambda item: (-similarities[item], item))

    assert order(fuse([listing(**similarities)], (), 100)) == expected


def test_a_product_scores_the_sum_of_weight_by_60_plus_place():
    fused = fuse([listing(a=0.9, b=0.8), plain(Branch.COLLABORATIVE, "b", "c", weight=0.5)], (), 10)

    scores = {row.product_id: row.fused for row in fused.rows}
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 0.5 / 61, "c": 0.5 / 62})
    assert order(fused) == ["b", "a", "c"]
    assert fused.rows[0].branches == (Branch.VISUAL, Branch.COLLABORATIVE)


def test_equal_scores_are_ordered_by_id():
    fused = fuse([plain(Branch.NEW, "b"), plain(Branch.POPULAR, "a")], (), 10)

    assert order(fused) == ["a", "b"]


def test_what_is_left_out_gives_its_place_to_nobody_and_is_gone():
    fused = fuse([listing(a=0.9, b=0.8)], ("a",), 10)

    assert order(fused) == ["b"]
    assert fused.columns.product_ids == ["b"]


def test_only_the_best_are_kept():
    assert order(fuse([listing(a=0.1, b=0.9, c=0.5)], (), 2)) == ["b", "c"]


def test_columns_follow_the_products_out_of_every_list():
    fused = fuse([listing(a=0.9), plain(Branch.COLLABORATIVE, "b")], (), 10)

    assert fused.columns.product_ids == ["a", "b"]
    assert fused.columns.category_paths == ["Wine > a", "Wine > b"]
    assert fused.columns.tags == ["tags of a", "tags of b"]


def test_similarity_and_photo_are_those_of_the_best_signal():
    fused = fuse([listing(a=0.2), listing(a=0.7)], (), 10)

    assert fused.rows[0].similarity == 0.7
    assert fused.rows[0].image_id == "photo of a"


def test_a_branchs_similarity_is_the_weighted_mean_over_its_signals():
    fused = fuse([listing(weight=3.0, a=0.8, b=0.4), listing(weight=1.0, a=0.0, c=0.6)], (), 10)

    similarities = dict(zip(order(fused), fused.similarities[Branch.VISUAL], strict=True))
    assert similarities["a"] == pytest.approx((3 * 0.8 + 1 * 0.0) / 4)
    assert similarities["b"] == pytest.approx((3 * 0.4 + 1 * 0.0) / 4)
    assert similarities["c"] == pytest.approx((3 * 0.4 + 1 * 0.6) / 4)


def test_a_product_that_no_signal_names_has_no_similarity():
    fused = fuse([listing(a=0.9), plain(Branch.COLLABORATIVE, "b")], (), 10)

    similarities = dict(zip(order(fused), fused.similarities[Branch.VISUAL], strict=True))
    assert math.isnan(similarities["b"])
    assert Branch.TEXT not in fused.similarities
    assert fused.named_by_signals


def test_a_branch_counts_the_same_however_many_signals_it_has():
    both = weighted(
        [listing(weight=1.0, a=0.9), listing(weight=3.0, b=0.9), plain(Branch.NEW, "c")],
        {Branch.VISUAL: 2.0},
    )

    assert [item.weight * item.factor for item in both] == [0.5, 1.5, 1.0]


def away(weight: float = 1.0, branch: Branch = Branch.VISUAL, **similarities: float) -> Listing:
    return replace(listing(weight=weight, branch=branch, **similarities), away=True)


def test_what_is_not_wanted_is_named_by_no_list_and_falls_by_its_similarity():
    wanted = listing(a=0.9, b=0.8, c=0.7, d=0.6)
    fused = fuse([away(a=0.9, z=0.8, d=0.1), wanted], (), 10)

    # a loses .8 of its .9; z is named by nothing that is wanted.
    assert order(fused) == ["b", "c", "d", "a"]


def test_a_similarity_loses_what_it_has_above_the_last_of_what_is_not_wanted():
    fused = fuse([listing(a=0.9, b=0.8, c=0.7), away(weight=0.5, a=0.7, b=0.3)], (), 10)

    similarities = dict(zip(order(fused), fused.similarities[Branch.VISUAL], strict=True))
    assert similarities["a"] == pytest.approx(0.9 - 0.5 * (0.7 - 0.3))
    assert similarities["b"] == pytest.approx(0.8)
    assert similarities["c"] == pytest.approx(0.7)
    assert {row.product_id: row.similarity for row in fused.rows}["a"] == 0.9


def test_what_is_not_wanted_in_one_branch_counts_against_what_is_wanted_in_another():
    lists = [listing(weight=2.0, a=0.9, b=0.8), away(branch=Branch.TEXT, b=0.6, z=0.2)]
    fused = fuse(weighted(lists, {Branch.TEXT: 1.0}), (), 10)

    assert order(fused) == ["a", "b"]
    text = dict(zip(order(fused), fused.similarities[Branch.TEXT], strict=True))
    assert text["b"] == pytest.approx(-0.5 * (0.6 - 0.2))
    assert math.isnan(text["a"])
    assert fused.named_by_signals


def test_what_is_not_wanted_alone_only_puts_down():
    lists = [plain(Branch.COLLABORATIVE, "a", "b"), away(a=0.9, z=0.5)]
    fused = fuse(weighted(lists, {}), (), 10)

    assert order(fused) == ["b", "a"]
    assert not fused.named_by_signals


def test_shares_of_what_is_not_wanted_are_negative():
    lists = [replace(listing(a=0.8), signal=0), replace(away(a=0.5, z=0.3), signal=1)]

    (shares,) = by_signal(lists, ["a"])["visual"]

    assert shares == (
        ("signals[0]", pytest.approx(0.8 / 0.6)),
        ("signals[1]", pytest.approx(-0.2 / 0.6)),
    )
    assert by_signal([listing(a=0.8)], ["a"]) == {"visual": ((("signals", 1.0),),)}


def test_nothing_fuses_to_nothing():
    fused = fuse([], (), 10)

    assert fused.rows == ()
    assert fused.similarities == {}
    assert not fused.named_by_signals


def test_signals_share_a_similarity_by_weight_and_what_they_say():
    lists = [
        replace(listing(a=0.8, b=0.2), signal=0),
        replace(listing(weight=3.0, a=0.4), signal=2),
        plain(Branch.COLLABORATIVE, "a", "c"),
    ]

    shares = by_signal(lists, ["a", "b", "c"])

    # a: (.8 + 3 × .4) / 4 = .5; b counts with the second list's lowest similarity.
    assert shares == {
        "visual": (
            (("signals[0]", pytest.approx(0.4)), ("signals[2]", pytest.approx(0.6))),
            (("signals[0]", pytest.approx(1 / 7)), ("signals[2]", pytest.approx(6 / 7))),
            (),
        )
    }


def test_a_similarity_of_nothing_has_no_shares():
    assert by_signal([replace(listing(a=0.0), signal=0)], ["a"]) == {"visual": ((),)}
    assert by_signal([plain(Branch.POPULAR, "a")], ["a"]) == {}
