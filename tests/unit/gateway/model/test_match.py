"""The verdict on the best match, by branch, threshold and missing branches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from gateway.model.match import (
    LEAST_REFUSED,
    MOST_REFUSED,
    SHARES,
    Match,
    MatchBasis,
    MatchRule,
    SearchedSpace,
    Thresholds,
    learned,
)
from gateway.ranking.wording import matched
from retriever.domain.generation import NEAREST_SHARES
from sightline_core.answer import AnswerOrder
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_values import columns

MEASURED = (0.4, 0.45, 0.6, 0.65, 0.7, 0.8)
VISUAL = SearchedSpace(SpaceVersion(space="visual", version="v1", generation="g1"), MEASURED)
TEXT = SearchedSpace(SpaceVersion(space="text", version="t1", generation="g2"), MEASURED)
LEARNED = Thresholds(refuse=0.05)


def near(cosine: float, branch: Branch = Branch.VISUAL, *, negative: bool = False) -> CandidateList:
    """Return a list whose nearest product is not its first one, as similarity does not decide its
    order."""
    return CandidateList(
        branch, 1.0, columns("far", "near"), [cosine - 0.1, cosine], negative=negative
    )


def judged(
    *listings: CandidateList,
    thresholds: Thresholds = LEARNED,
    asked: float = 0.0,
    min_quality: float = 0.0,
    order: AnswerOrder | None = None,
    photos: Mapping[int, Sequence[float]] | None = None,
    incomplete: bool = False,
) -> Match:
    rule = MatchRule(thresholds, min_quality, asked, photos or {})
    found = rule.judge(listings, [VISUAL, TEXT], order, incomplete=incomplete)
    assert found is not None
    return found


def outcome(match: Match) -> str:
    return match.outcome.name


def test_the_catalogs_own_photos_say_what_a_good_match_has():
    good, poor = judged(near(0.61)), judged(near(0.59))

    assert (outcome(good), outcome(poor)) == ("GOOD", "POOR")
    assert (poor.basis, poor.product_id) == (MatchBasis.CATALOG, "near")
    assert (poor.value, poor.threshold) == pytest.approx((0.59, 0.6))
    assert (poor.space.version, poor.branch) == ("v1", "visual")
    assert not good.is_poor
    assert poor.is_poor


def test_a_match_says_in_words_what_it_has_and_what_it_should_have():
    expected = (
        "Nothing in the catalog looks like this: the best match has 0.410, and at least 0.600 is"
        " required."
    )
    assert matched(judged(near(0.41)), "") == expected
    assert "0.410" in matched(judged(near(0.41)), "zh-CN")
    assert matched(judged(near(0.41)), "zh-CN") != expected


def test_between_measured_shares_the_threshold_is_interpolated():
    assert SHARES == NEAREST_SHARES  # of two services, by their contract
    assert learned(MEASURED, 0.05) == pytest.approx(0.6)
    assert learned(MEASURED, 0.075) == pytest.approx(0.625)


def test_what_the_fit_measured_for_a_photo_goes_before_the_catalogs_own_photos():
    photo, product = (replace(near(0.65), signal=signal) for signal in (0, 1))
    photos = {0: (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)}

    of_photo, of_product = (judged(each, photos=photos) for each in (photo, product))
    assert (outcome(of_photo), of_photo.basis) == ("POOR", MatchBasis.CATALOG)
    assert of_photo.threshold == pytest.approx(0.7)
    assert outcome(of_product) == "GOOD"
    assert outcome(judged(photo, product, photos=photos)) == "GOOD"
    assert outcome(judged(photo, photos=photos, min_quality=0.6)) == "GOOD"
    assert outcome(judged(photo, photos=photos, thresholds=Thresholds())) == "NO_THRESHOLD"


@pytest.mark.parametrize(
    ("asked", "min_quality", "cosines", "basis", "threshold"),
    [
        (0.9, 0.8, {"visual@v1": 0.7}, MatchBasis.REQUEST, 0.9),
        (0.0, 0.8, {"visual@v1": 0.7}, MatchBasis.SCENE, 0.7),
        (0.0, 0.8, {"visual@v0": 0.7}, MatchBasis.SCENE, 0.8),
        (0.0, 0.0, {"visual@v0": 0.7}, MatchBasis.CATALOG, 0.6),
    ],
    ids=["the request's", "the scene's for the version", "the scene's", "the catalog's"],
)
def test_which_threshold_goes_before_which(asked, min_quality, cosines, basis, threshold):
    thresholds = Thresholds(refuse=0.05, cosines=cosines)
    found = judged(near(0.5), thresholds=thresholds, asked=asked, min_quality=min_quality)

    assert (found.basis, outcome(found)) == (basis, "POOR")
    assert found.threshold == pytest.approx(threshold)


def test_what_the_catalogs_photos_have_says_nothing_of_texts():
    found = judged(near(0.2, Branch.TEXT))
    assert (outcome(found), found.threshold is not None) == ("NO_THRESHOLD", False)

    own = Thresholds(refuse=0.05, cosines={"text@t1": 0.3})
    assert outcome(judged(near(0.2, Branch.TEXT), thresholds=own)) == "POOR"
    assert outcome(judged(near(0.4, Branch.TEXT), thresholds=own)) == "GOOD"


def test_of_several_signals_one_good_match_is_enough():
    own = Thresholds(refuse=0.05, cosines={"text@t1": 0.3})
    found = judged(near(0.2), near(0.4, Branch.TEXT), thresholds=own)

    assert (outcome(found), found.branch) == ("GOOD", "text")


def test_what_could_not_be_judged_may_be_a_match():
    found = judged(near(0.2), near(0.4, Branch.TEXT))

    assert (outcome(found), found.branch) == ("NO_THRESHOLD", "text")
    assert not found.is_poor


def test_a_lost_branch_might_have_had_the_match():
    found = judged(near(0.2), incomplete=True)

    assert outcome(found) == "INCOMPLETE"
    assert not found.is_poor
    assert outcome(judged(near(0.7), incomplete=True)) == "GOOD"


def test_words_are_evidence_for_a_match_where_the_scene_says_so_and_never_against_one():
    words, text = near(0.6, Branch.KEYWORDS), near(0.2, Branch.TEXT)
    cosines = {"text@t1": 0.3}

    assert outcome(judged(text, words, thresholds=Thresholds(cosines=cosines))) == "POOR"
    wordy = Thresholds(cosines=cosines, min_words=0.5)
    assert outcome(judged(text, words, thresholds=wordy)) == "GOOD"
    few = Thresholds(min_words=0.7)
    assert outcome(judged(near(0.2, Branch.TEXT), words, thresholds=few)) == "NO_THRESHOLD"


def test_calibrated_scores_decide_where_there_are_some():
    order = AnswerOrder(product_ids=["p1", "p2"], chances=[0.02, 0.04], event=3)
    thresholds = Thresholds(refuse=0.05, min_chance=0.03)
    good = judged(near(0.2), thresholds=thresholds, order=order)
    poor = judged(near(0.9), thresholds=replace(thresholds, min_chance=0.05), order=order)

    assert (outcome(good), good.basis, good.product_id) == ("GOOD", MatchBasis.CHANCE, "p2")
    assert (outcome(poor), poor.event) == ("POOR", 3)
    uncalibrated = judged(near(0.2), thresholds=thresholds, order=AnswerOrder(product_ids=["p1"]))
    assert uncalibrated.basis == MatchBasis.CATALOG


def test_a_search_that_finds_nothing_has_no_match():
    found = judged(CandidateList(Branch.VISUAL, 1.0, columns()))

    assert (outcome(found), found.is_poor) == ("NOTHING_FOUND", True)


def test_without_signals_that_are_wanted_there_is_nothing_to_match():
    unwanted = near(0.2, negative=True)
    assert MatchRule(LEARNED, 0.0, 0.9).judge([unwanted], [VISUAL], incomplete=False) is None
    popular = CandidateList(Branch.POPULAR, 1.0, columns("p1"))
    assert MatchRule(LEARNED, 0.0, 0.9).judge([popular], [], incomplete=False) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"refuse": 0.6}, "0.01 to 0.5"),
        ({"refuse": float("nan")}, "0.01 to 0.5"),
        ({"cosines": {"visual": 0.5}}, "BRANCH@VERSION"),
        ({"cosines": {"visual@v1": float("nan")}}, "finite"),
        ({"min_chance": 1.5}, "less than or equal"),
        ({"min_words": float("nan")}, "finite"),
    ],
)
def test_thresholds_out_of_range_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Thresholds(**wrong)


def test_a_value_at_the_threshold_is_a_good_match():
    assert outcome(judged(near(0.5), asked=0.5)) == "GOOD"


@pytest.mark.parametrize("share", [LEAST_REFUSED, MOST_REFUSED])
def test_the_first_and_the_last_measured_share_are_valid(share):
    assert Thresholds(refuse=share).refuse == share


def test_of_two_good_matches_that_furthest_above_its_threshold_is_named():
    own = Thresholds(refuse=0.05, cosines={"text@t1": 0.3})
    found = judged(near(0.4, Branch.TEXT), near(0.95), thresholds=own)

    assert (outcome(found), found.branch) == ("GOOD", "visual")


def test_a_threshold_of_zero_is_furthest_from_a_value_far_above_it():
    no_photo_is_alike = replace(VISUAL, nearest_cosines=(0.0,) * len(MEASURED))
    rule = MatchRule(Thresholds(refuse=0.05, cosines={"text@t1": 0.5}), 0.0, 0.0)
    listings = [near(0.6, Branch.TEXT), near(0.3)]
    found = rule.judge(listings, [no_photo_is_alike, TEXT], incomplete=False)

    assert found is not None
    assert (outcome(found), found.branch, found.threshold) == ("GOOD", "visual", 0.0)


def test_of_two_poor_matches_that_with_a_value_of_zero_is_the_worse_one():
    found = judged(near(0.0), near(0.1, Branch.TEXT), asked=0.6)

    assert (outcome(found), found.branch) == ("POOR", "text")
