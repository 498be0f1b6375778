"""The report of labels, from made hits and times, and how photos and words are matched."""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from bench.harness.model import BenchResult, GoalVerdict
from lab.cases import labels
from lab.cases.labels import (
    ALL,
    BLANK,
    CROSSED,
    LOOSE,
    PACKAGES,
    TEN,
    WEIGHT,
    WEIGHTS,
    WINES,
    LabelFigures,
)
from lab.harness.rounds import RoundFigures
from retriever.columns.word_index import WordIndex
from retriever.domain.words import Words

MET, MISSED = GoalVerdict.MET, GoalVerdict.MISSED


def _result(
    gained: int,
    *,
    lost: int = 0,
    ten: float = 300.0,
    blank: float = 100.0,
    photos_of_a_scene: int = 1,
) -> BenchResult:
    """Report 100 queries, of which labels right `gained` and make `lost` loose ones wrong.
    `photos_of_a_scene`: those of the cross-validation."""
    before = np.arange(100) < 50
    better, worse = np.arange(100) < 50 + gained, np.arange(100) < 50 - lost
    hits = {
        name: {weight: with_labels if weight == WEIGHT else before for weight in WEIGHTS}
        for name, with_labels in (
            (PACKAGES, better),
            (CROSSED, better),
            (LOOSE, worse),
            (ALL, better),
            (WINES, better),
        )
    }
    times = {TEN: [ten] * 9, BLANK: [blank] * 9}
    unread, alone = dict.fromkeys(hits, 0.25), dict.fromkeys(hits, np.arange(100))
    scenes = {**alone, CROSSED: np.arange(100) // photos_of_a_scene}
    return labels._result(LabelFigures(hits, unread, scenes, RoundFigures(times, times)))


def _verdicts(result: BenchResult) -> list[GoalVerdict]:
    return [each.verdict for each in result.goals]


def test_goals_are_gains_losses_and_the_times_of_both_kinds_of_photos() -> None:
    assert _verdicts(_result(20)) == [MET] * 8
    assert _verdicts(_result(2)) == [MISSED] * 5 + [MET] * 3
    assert _verdicts(_result(20, lost=1)) == [MET] * 5 + [MISSED, MET, MET]
    assert _verdicts(_result(20, ten=351, blank=151)) == [MET] * 6 + [MISSED] * 2


def test_a_gain_of_a_single_scene_by_cross_validation_is_not_shown() -> None:
    alone, together = _result(20), _result(20, photos_of_a_scene=50)

    assert _verdicts(alone)[2:4] == [MET, MET]
    assert _verdicts(together)[2:4] == [MET, MISSED]


def test_the_tables_show_the_paired_gain_with_its_interval_and_both_kinds_of_photos() -> None:
    hits, costs = _result(10).tables

    rows = {row[0]: row[1:] for row in hits.rows}
    assert rows[PACKAGES][:2] == ("100", "25%")
    assert rows[PACKAGES][2] == "0.500"
    assert rows[PACKAGES][-1].startswith("0.100 (0.0")
    assert rows[LOOSE][-1] == "0.000 (0.000 to 0.000)"
    assert [row[0] for row in costs.rows] == [TEN, BLANK]


def test_a_label_decides_between_products_that_look_alike() -> None:
    catalog = labels._Catalog(
        cosines=np.array([[0.80, 0.79], [0.80, 0.5]], np.float32),
        matches=np.array([[0.0, 1.0], [0.0, 1.0]], np.float32),
        right=np.array([1, 0]),
        scenes=np.arange(2),
    )

    everything = np.ones(2, np.bool_)
    assert catalog.hits(0.0, everything).tolist() == [False, True]
    assert catalog.hits(WEIGHT, everything).tolist() == [True, True]
    assert catalog.hits(WEIGHT, np.array([False, True])).tolist() == [True]


def test_products_match_by_the_words_of_a_label_and_not_without_one() -> None:
    index = WordIndex()
    for place, title in enumerate(("merlot", "malbec")):
        index.put(place, Words(title, "", ""))

    found = labels._matches(index, [["MERLOT 2019"], []])

    assert found[0, 0] > 0
    assert found[0, 1] == 0
    assert not found[1].any()


def test_a_wines_photo_is_made_smaller_and_darker_the_same_way_for_the_same_draw(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (100, 200), (200, 200, 200)).save(tmp_path / "wine.png")

    made = labels._changed(tmp_path / "wine.png", random.Random(1))

    assert made == labels._changed(tmp_path / "wine.png", random.Random(1))
    with Image.open(io.BytesIO(made)) as photo:
        assert photo.size == (80, 160)
        assert np.asarray(photo).mean() < 150


def test_without_data_no_goal_is_measured_and_the_reason_is_given() -> None:
    goals = labels._absent().goals

    assert {each.verdict for each in goals} == {GoalVerdict.NOT_MEASURED}
    assert all("$SIGHTLINE_DATA" in each.missing for each in goals)
