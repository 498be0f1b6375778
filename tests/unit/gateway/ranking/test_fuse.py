"""Reciprocal-rank fusion."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ranking.fuse import by_signal, fuse
from sightline_core.branch import SCORED, SIMILARITY_BRANCHES, Branch, branches_of
from sightline_core.candidates import CandidateList
from tests.fakes import fusing
from tests.fakes.gateway_values import columns


def listing(branch=Branch.VISUAL, weight=1.0, **similarities: float) -> CandidateList:
    ids = list(similarities)
    return CandidateList(
        branch, weight, columns(*ids), list(similarities.values()), [f"photo of {i}" for i in ids]
    )


def plain(branch: Branch, *ids: str, weight: float = 1.0) -> CandidateList:
    return CandidateList(branch, weight, columns(*ids))


def order(candidates) -> list[str]:
    return [candidates.columns.product_ids[place] for place in candidates.order]


def named_by_signals(candidates) -> bool:
    return any(branch in SIMILARITY_BRANCHES for branch in candidates.named)


def by_id(candidates, column) -> dict:
    """Return a column of the candidates by product."""
    return dict(zip(candidates.columns.product_ids, column, strict=True))


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

    scores = by_id(fused, fused.fused)
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 0.5 / 61, "c": 0.5 / 62})
    assert order(fused) == ["b", "a", "c"]
    both = (Branch.VISUAL, Branch.COLLABORATIVE)
    assert branches_of(by_id(fused, fused.branches)["b"]) == both
    assert fused.named == both


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
    assert fused.columns.blocks == [("all of a", range(1)), ("all of b", range(1))]


def test_what_came_together_and_stays_together_goes_on_as_it_came():
    one = listing(b=0.8, a=0.9)

    assert fuse([one], (), 10).columns is one.columns
    assert fuse([one, plain(Branch.COLLABORATIVE, "a")], (), 10).columns is one.columns
    assert fuse([one], ("b",), 10).columns.blocks == [("all of b a", [1])]


def test_similarity_and_photo_are_those_of_the_best_signal():
    fused = fuse([listing(a=0.2), listing(a=0.7)], (), 10)

    assert fused.nearest == [0.7]
    assert fused.image_ids == ["photo of a"]


def test_a_branchs_similarity_is_the_weighted_mean_over_its_signals():
    fused = fuse([listing(weight=3.0, a=0.8, b=0.4), listing(weight=1.0, a=0.0, c=0.6)], (), 10)

    similarities = by_id(fused, fused.similarities[Branch.VISUAL])
    assert similarities["a"] == pytest.approx((3 * 0.8 + 1 * 0.0) / 4)
    assert similarities["b"] == pytest.approx((3 * 0.4 + 1 * 0.0) / 4)
    assert similarities["c"] == pytest.approx((3 * 0.4 + 1 * 0.6) / 4)


def test_a_product_that_no_signal_names_has_no_similarity():
    fused = fuse([listing(a=0.9), plain(Branch.COLLABORATIVE, "b")], (), 10)

    similarities = by_id(fused, fused.similarities[Branch.VISUAL])
    assert math.isnan(similarities["b"])
    assert Branch.TEXT not in fused.similarities
    assert named_by_signals(fused)


def test_a_branch_counts_the_same_however_many_signals_it_has():
    lists = [listing(weight=1.0, a=0.9), listing(weight=3.0, b=0.9), plain(Branch.NEW, "c")]
    fused = fuse(lists, (), 10, {Branch.VISUAL: 2.0})

    assert by_id(fused, fused.fused) == {"a": 0.5 / 61, "b": 1.5 / 61, "c": 1.0 / 61}


def negative(
    weight: float = 1.0, branch: Branch = Branch.VISUAL, **similarities: float
) -> CandidateList:
    return replace(listing(weight=weight, branch=branch, **similarities), negative=True)


def test_what_is_not_wanted_is_named_by_no_list_and_falls_by_its_similarity():
    wanted = listing(a=0.9, b=0.8, c=0.7, d=0.6)
    fused = fuse([negative(a=0.9, z=0.8, d=0.1), wanted], (), 10)

    # a loses .8 of its .9; z is named by nothing that is wanted.
    assert order(fused) == ["b", "c", "d", "a"]


def test_what_is_not_wanted_takes_its_share_of_the_weights_above_its_last():
    wanted = listing(weight=2.0, a=0.9, b=0.8, c=0.75, d=0.5)

    # a loses (.7 - .3) / 2 and falls behind c, but not behind d.
    assert order(fuse([wanted, negative(a=0.7, z=0.3)], (), 10)) == ["b", "c", "a", "d"]
    twice = [negative(a=0.7, z=0.3), negative(a=0.8, z=0.3)]
    assert order(fuse([wanted, *twice], (), 10)) == ["b", "c", "d", "a"]


def test_a_similarity_loses_what_it_has_above_the_last_of_what_is_not_wanted():
    fused = fuse([listing(a=0.9, b=0.8, c=0.7), negative(weight=0.5, a=0.7, b=0.3)], (), 10)

    similarities = by_id(fused, fused.similarities[Branch.VISUAL])
    assert similarities["a"] == pytest.approx(0.9 - 0.5 * (0.7 - 0.3))
    assert similarities["b"] == pytest.approx(0.8)
    assert similarities["c"] == pytest.approx(0.7)
    assert by_id(fused, fused.nearest)["a"] == 0.9


def test_what_is_not_wanted_in_one_branch_counts_against_what_is_wanted_in_another():
    lists = [listing(weight=2.0, a=0.9, b=0.8), negative(branch=Branch.TEXT, b=0.6, z=0.2)]
    fused = fuse(lists, (), 10, {Branch.TEXT: 1.0})

    assert order(fused) == ["a", "b"]
    text = by_id(fused, fused.similarities[Branch.TEXT])
    assert text["b"] == pytest.approx(-0.5 * (0.6 - 0.2))
    assert math.isnan(text["a"])
    assert named_by_signals(fused)


def test_what_is_not_wanted_alone_only_puts_down():
    lists = [plain(Branch.COLLABORATIVE, "a", "b"), negative(a=0.9, z=0.5)]
    fused = fuse(lists, (), 10, {})

    assert order(fused) == ["b", "a"]
    assert not named_by_signals(fused)


def test_shares_of_what_is_not_wanted_are_negative():
    lists = [replace(listing(a=0.8), signal=0), replace(negative(a=0.5, z=0.3), signal=1)]

    (shares,) = by_signal(lists, ["a"])["visual"]

    assert shares == (
        ("signals[0]", pytest.approx(0.8 / 0.6)),
        ("signals[1]", pytest.approx(-0.2 / 0.6)),
    )
    assert by_signal([listing(a=0.8)], ["a"]) == {"visual": ((("signals", 1.0),),)}


def test_nothing_fuses_to_nothing():
    fused = fuse([], (), 10)

    assert fused.order == []
    assert fused.similarities == {}
    assert not named_by_signals(fused)


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


# Against the same rule on objects, one product at a time.

IDS = [f"{letter}{number}" for letter in "ab" for number in range(8)]
SIMILAR = st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.5000001, 0.75, 1.0]) | st.floats(-1, 1, width=32)


_SIMILAR = (*SCORED, Branch.GIVEN)


@st.composite
def listings(draw):
    """Draw lists as the branches make them: with ties, negatives, words, photos and gaps."""
    branch = draw(st.sampled_from(list(Branch)))
    similar = branch in _SIMILAR and draw(st.integers(0, 5)) > 0
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=len(IDS)))
    near = [draw(SIMILAR) for _ in ids] if similar else []
    fits = [draw(st.sampled_from([0.0, -0.25])) for _ in near] if draw(st.booleans()) else []
    others = [draw(st.lists(st.sampled_from(IDS), unique=True, max_size=2)) for _ in ids]
    return CandidateList(
        branch,
        draw(st.sampled_from([0.5, 1.0, 3.0])),
        columns(*ids),
        near,
        [f"photo {place}" for place in range(len(ids))] if near and draw(st.booleans()) else [],
        after=0 if near else draw(st.sampled_from([0, 3])),
        collapsed=others if draw(st.booleans()) else [],
        own=columns(*draw(st.lists(st.sampled_from(IDS), max_size=1))),
        signal=draw(st.sampled_from([None, 0, 1])),
        negative=similar and branch in SIMILARITY_BRANCHES and draw(st.booleans()),
        category_fits=fits,
    )


@pytest.mark.slow
@given(
    st.lists(listings(), max_size=5),
    st.lists(st.sampled_from(IDS), max_size=3),
    st.integers(1, 20),
    st.dictionaries(st.sampled_from(list(Branch)), st.sampled_from([0.5, 2.0])),
)
def test_columns_fuse_to_the_very_numbers_that_objects_do(lists, left_out, most, weights):
    fused = fuse(lists, left_out, most, weights)
    expected = fusing.fuse(lists, left_out, most, weights)

    assert order(fused) == [row.product_id for row in expected.rows]
    for values, name in (
        (fused.fused, "fused"),
        (fused.nearest, "similarity"),
        (fused.image_ids, "image_id"),
        ([branches_of(bits) for bits in fused.branches], "branches"),
    ):
        assert by_id(fused, values) == {row.product_id: getattr(row, name) for row in expected.rows}
    ids = order(fused)
    assert set(fused.similarities) == set(expected.similarities)
    for branch, values in expected.similarities.items():
        mine = by_id(fused, fused.similarities[branch])
        assert repr([mine[each] for each in ids]) == repr(list(values))  # NaN is NaN
    assert list(fused.own.product_ids) == list(expected.own)
    held = fused.columns.product_ids
    pairs = {frozenset((held[one], held[other])) for one, other in fused.same_pictures}
    assert pairs == {pair for pair in expected.pairs if pair <= set(ids)}
    assert by_signal(lists, ids) == fusing.by_signal(lists, ids)
