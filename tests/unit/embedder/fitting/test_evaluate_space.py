"""A space is judged on photos outside its training, and by the certainty of the difference."""

from dataclasses import replace

import numpy as np
import pytest

from embedder.domain.fitted import (
    Labelled,
    SpaceEvaluation,
    SpaceVerdict,
)
from embedder.fitting import folds
from embedder.fitting.calibration import calibrated, calibration_error
from embedder.fitting.cluster_bootstrap import intervals, quantile
from embedder.fitting.evaluate_space import evaluate, judged
from embedder.fitting.fit import FitOptions
from embedder.fitting.measuring import (
    CATEGORY,
    ICONIC,
    MATCH,
    NEAREST,
    TEXT,
    UNSEEN,
    UNSEEN_ICONIC,
    Views,
)
from embedder.fitting.nearest_photos import average_precisions, hits
from tests.fakes.labelled import labelled, plain

pytestmark = pytest.mark.slow


def judge(data: Labelled, **kwargs: object) -> SpaceEvaluation:
    return evaluate(
        data,
        FitOptions(),
        plain(data),
        "plain",
        seed=3,
        views=Views(1, 2),
        **kwargs,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def found() -> SpaceEvaluation:
    return judge(labelled(iconic=True, titles=True, products=48, photos=5))


@pytest.mark.full
def test_what_shared_nuisances_hide_is_found_again(found: SpaceEvaluation) -> None:
    assert found.verdict is SpaceVerdict.BETTER
    figures = {each.name: each for each in found.figures}
    assert {NEAREST, CATEGORY, ICONIC, UNSEEN, UNSEEN_ICONIC, TEXT} <= set(figures)
    nearest = figures[NEAREST]
    assert nearest.baseline is not None
    assert nearest.value > nearest.baseline + 0.2
    assert nearest.gain_low is not None
    assert nearest.gain_low > 0
    for each in found.figures:
        assert each.low <= each.value <= each.high or each.name.endswith("error")
    assert (found.photos, found.products, found.categories) == (288, 48, 4)
    assert -1 < figures[MATCH].value < 1
    assert figures[MATCH].queries == nearest.queries


def test_a_quantile_has_the_share_below_it_and_an_interval_around_it() -> None:
    values = np.random.default_rng(0).normal(size=2_000)
    alone = quantile(values, np.arange(2_000), 0.05, 0)
    together = quantile(values, np.arange(2_000) // 50, 0.05, 0)

    assert (values < alone[0]).mean() == pytest.approx(0.05, abs=0.001)
    assert alone[1] < -1.645 < alone[2], "the interval holds the distribution's own"
    assert together[0] == alone[0]
    assert quantile(np.full(20, 0.5), np.zeros(20, int), 0.05, 0) == (0.5, 0.5, 0.5)


@pytest.mark.full
def test_labels_that_mean_nothing_are_not_called_better() -> None:
    data = labelled(products=12, photos=6)
    products = np.random.default_rng(1).permutation(data.products).tolist()
    assert (
        judge(replace(data, products=products, sentences=None)).verdict is not SpaceVerdict.BETTER
    )


def test_photos_of_one_picture_do_not_find_one_another() -> None:
    """Evaluate products whose photos are all one picture: there is nothing to find, so no
    figures."""
    data = labelled(products=8, photos=4)
    found = judge(replace(data, groups=data.products))
    assert found.verdict is SpaceVerdict.INCONCLUSIVE
    assert NEAREST not in {each.name for each in found.figures}


@pytest.mark.full
def test_the_progress_is_reported() -> None:
    reported: list[tuple[int, int]] = []
    judge(labelled(products=6, photos=3), tell=lambda done, of: reported.append((done, of)))
    assert reported[-1] == (7, 7)


def test_folds_keep_groups_together_and_spread_products() -> None:
    draw = np.random.default_rng(0)
    groups = folds.numbered(draw.integers(0, 60, 200).tolist())
    products = groups % 10
    dealt = folds.dealt(groups, products, 5, 0)
    assert all(len(set(dealt[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    for product in range(10):
        pieces = len(set(groups[products == product].tolist()))
        assert len(set(dealt[products == product].tolist())) == min(5, pieces)


@pytest.mark.full
def test_the_verdict_is_worse_where_the_whole_interval_is() -> None:
    better = judge(labelled(products=12, photos=6))
    worse = [
        replace(each, gain_low=-0.3, gain_high=-0.1) if each.name == NEAREST else each
        for each in better.figures
    ]
    assert judged(tuple(worse), "plain")[0] is SpaceVerdict.WORSE


def test_queries_that_hang_together_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).integers(0, 2, 20), 10)[:, None].astype(float)
    apart = np.ptp(intervals(values, np.arange(200), 0))
    together = np.ptp(intervals(values, np.repeat(np.arange(20), 10), 0))
    assert together > 2 * apart


def test_precision_and_hits_are_those_of_the_order() -> None:
    photos = np.eye(3, dtype=np.float32)
    query = np.array([[0.9, 0.5, 0.1]], np.float32)
    shown, wanted = np.array([0, 1, 1]), np.array([1])
    assert not hits(query, wanted, photos, shown, 1)[0]
    assert hits(query, wanted, photos, shown, 2)[0]
    assert average_precisions(query, wanted, photos, shown)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_chances_become_as_sure_as_they_are_right() -> None:
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 5, 4000)
    logits = 2.0 * np.eye(5)[classes] + draw.normal(size=(4000, 5))
    sure = calibrated(10 * logits, classes, [])
    chances = np.exp(10 * logits / sure.temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    right = chances.argmax(axis=1) == classes
    error, low, high = calibration_error(chances.max(axis=1), right, 0)
    assert error < 0.03
    assert low <= high
    assert calibration_error(np.full(4000, 0.999), right, 0)[0] > 0.1


def test_unseen_items_are_distinguished_from_what_is_known() -> None:
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 5, 1000)
    known = 9.0 * np.eye(5)[classes] + draw.normal(size=(1000, 5))
    strange = draw.normal(size=(1000, 5))
    sure = calibrated(known, classes, [strange])
    assert (known / sure.temperature).max(axis=1).mean() > sure.unknown
    assert ((strange / sure.temperature).max(axis=1) < sure.unknown).mean() > 0.9
