"""The quality of an answer."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.model.errors import AnswerDegraded
from gateway.model.quality import NamedQuality, Quality, check_quality, quality_of
from sightline_core.branch import Branch
from sightline_core.degradations import Degradation, DegradationCause

DROPPED = ("record", DegradationCause.ANSWER_RECORD_DROPPED)
VISUAL = ("visual", DegradationCause.EMBEDDER_UNAVAILABLE)
RANK = ("rank", DegradationCause.RANKER_UNAVAILABLE)


@pytest.mark.parametrize(
    ("lost", "named", "quality"),
    [
        ([], [Branch.VISUAL], Quality.FULL),
        ([], [Branch.POPULAR], Quality.FULL),
        ([DROPPED], [Branch.VISUAL], Quality.FULL),
        ([RANK, DROPPED], [Branch.VISUAL], Quality.REDUCED),
        ([RANK], [Branch.POPULAR], Quality.REDUCED),
        ([VISUAL], [Branch.COLLABORATIVE], Quality.REDUCED),
        ([VISUAL], [Branch.POPULAR, Branch.NEW], Quality.FALLBACK),
    ],
)
def test_the_quality_says_what_is_missing(lost, named, quality):
    degradations = [Degradation(stage=stage, cause=int(cause)) for stage, cause in lost]

    assert quality_of(degradations, named, from_snapshot=False) is quality
    assert quality_of(degradations, named, from_snapshot=True) is Quality.SNAPSHOT


def test_new_products_that_were_asked_for_are_no_fallback():
    lost = [Degradation(stage="trending", cause=DegradationCause.RANKER_UNAVAILABLE)]
    new = [Branch.NEW]

    assert quality_of(lost, new, new, from_snapshot=False) is Quality.REDUCED
    assert quality_of(lost, [Branch.POPULAR], new, from_snapshot=False) is Quality.FALLBACK


def test_an_answer_below_the_minimum_is_rejected_with_both_words_and_the_causes():
    lost = [Degradation(stage="rank", cause=DegradationCause.RANKER_UNAVAILABLE)]

    assert check_quality(Quality.REDUCED, Quality.REDUCED, lost) is Quality.REDUCED
    with pytest.raises(AnswerDegraded) as rejected:
        check_quality(Quality.FALLBACK, Quality.REDUCED, lost)
    for word in ("fallback", "reduced", "RANKER_UNAVAILABLE"):
        assert word in f"{rejected.value} {rejected.value.metadata}"


def test_a_scene_names_a_quality_by_its_word():
    named = TypeAdapter(NamedQuality).validate_python

    assert {each.word for each in Quality} == {"any", "snapshot", "fallback", "reduced", "full"}
    assert all(named(each.word) is named(each) is each for each in Quality)
    for unknown in ("best", 3, None):
        with pytest.raises(ValidationError, match=r"is one of .*'full'"):
            named(unknown)
