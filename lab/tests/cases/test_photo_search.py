"""Shoppers' photos that search in fitted spaces, on features with known answers."""

import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from lab.cases.photo_search import (
    CATEGORY,
    FIGURES,
    GOALS,
    NEAREST,
    NEWER,
    PLAIN,
    SETTINGS,
    UNSEEN,
    VALIDATION,
    PhotoHits,
    goals,
    measured,
    table,
)
from tests.fakes.labelled import labelled

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> PhotoHits:
    return measured(labelled(iconic=True, products=24, photos=5), lambda _: None)


def test_every_setting_is_measured_on_the_same_queries(found: PhotoHits) -> None:
    counts = {
        name: {len(np.concatenate(found.hits[setting, name])) for setting in SETTINGS}
        for name in FIGURES
    }

    assert all(len(sizes) == 1 for sizes in counts.values()), counts
    assert counts[NEWER] == counts[UNSEEN] == counts[NEAREST]
    assert found.figure(PLAIN, NEAREST)[0].value > 0.5
    assert found.figure(PLAIN, CATEGORY)[0].value >= found.figure(PLAIN, NEAREST)[0].value
    assert found.figure(PLAIN, NEAREST)[1].value == 0


def test_the_table_has_a_row_for_each_setting_and_the_goals_say_whether_they_are_met(
    found: PhotoHits,
) -> None:
    assert len(table(found).rows) == len(SETTINGS)
    assert len(goals(found)) == len(GOALS)
    assert {each.verdict for each in goals(None)} == {GoalVerdict.NOT_MEASURED}
    assert sum("validation" in each.note for each in goals(None)) == len(VALIDATION)
