"""How good an answer is."""

import pytest

from gateway.model.branch import Branch
from gateway.model.causes import Degradation, DegradationCause
from gateway.model.quality import Quality, quality_of

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
