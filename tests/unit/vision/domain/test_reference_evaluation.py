"""Comparison of two versions of a reference."""

from dataclasses import replace

import numpy as np
import pytest

from vision.domain.inspection import PatchMemory, PhotoScores
from vision.domain.reference_evaluation import ComparedVersion, ReferenceVerdict, evaluate

ON = tuple(at % 20 for at in range(40))
NONE = np.zeros((1, 1), np.float32)


def version(gap: float, seed: int = 0, photos: int = 99) -> ComparedVersion:
    """Return a version by which drawn defects score so many deviations above good photos."""
    rng = np.random.default_rng(seed)
    good, drawn = rng.normal(5, 1, 20), rng.normal(5 + gap, 1, 40)
    own = np.sort(rng.normal(5, 1, photos)).astype(np.float32)
    memory = PatchMemory(NONE, NONE, NONE, NONE, own, separation=0.9)
    return ComparedVersion(memory, PhotoScores(good.astype(np.float32), drawn.astype(np.float32)))


@pytest.mark.parametrize(
    ("fitted", "compared", "verdict"),
    [
        (3.0, 0.5, ReferenceVerdict.BETTER),
        (0.5, 3.0, ReferenceVerdict.WORSE),
        (2.0, 2.1, ReferenceVerdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_that_of_the_whole_interval(
    fitted: float, compared: float, verdict: ReferenceVerdict
) -> None:
    found = evaluate(version(fitted), version(compared, 1), "v1", ON)
    assert found.verdict is verdict
    gain = found.fitted.separation - found.compared.separation
    assert found.gain_low <= gain <= found.gain_high
    assert (found.compared_version, found.photos, found.defects) == ("v1", 20, 40)


def test_equal_versions_have_no_gain() -> None:
    found = evaluate(version(1), version(1), "v1", ON)
    assert (found.gain_low, found.gain_high) == (0, 0)
    assert found.fitted == found.compared


def test_false_alarms_are_photos_above_the_threshold_in_units_of_good_ones() -> None:
    one = version(1)
    high = np.where(np.arange(20) < 5, 99, one.scores.good).astype(np.float32)
    other = replace(one, scores=PhotoScores(high, one.scores.drawn))
    found = evaluate(one, other, "v1", ON)
    before, after = found.fitted.false_alarms, found.compared.false_alarms
    assert (before is not None, after is not None) == (True, True)
    assert 0.25 <= (after or 0) <= 0.25 + (before or 0)
    assert found.fitted.threshold == pytest.approx(np.sort(one.memory.scores)[-5] / one.memory.unit)
    assert found.fitted.threshold_low is not None
    assert found.fitted.threshold_low < (found.fitted.threshold or 0)


def test_too_few_photos_have_no_threshold() -> None:
    found = evaluate(version(1, photos=12), version(1), "v1", ON)
    assert (found.fitted.threshold, found.fitted.false_alarms) == (None, None)
