"""The bench of signals on products with known vectors."""

import numpy as np
import pytest

from embedder.domain.fitted import unit
from lab.cases import signals
from lab.cases.signals import APART, AWAY_FROM, PAIR, PHOTO, RANK, ROCCHIO, VECTOR, Shelf


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """Return twelve products of each of three kinds, around distant directions."""
    draw = np.random.default_rng(0)
    middles = np.repeat(np.eye(3, 8, dtype=np.float32), 12, axis=0)
    noise = 0.3 * draw.standard_normal((36, 8)).astype(np.float32)
    names = np.repeat(["a", "b", "c"], 12)
    return Shelf(unit(middles + noise), names, [str(row) for row in range(36)])


def test_what_is_not_wanted_leaves_the_first_ones(shelf: Shelf) -> None:
    between = unit(np.array([[1, 0.9, 0, 0, 0, 0, 0, 0]], np.float32))
    found = signals._away(shelf, between, ["a"])

    without, turned = found[PHOTO], found[f"{APART}, −0.5"]
    assert without.unwanted[0] > turned.unwanted[0]
    assert turned.wanted[0] > without.wanted[0]
    assert found[f"{ROCCHIO}, −0.5"].unwanted[0] < without.unwanted[0]


def test_a_second_photo_steadies_the_first(shelf: Shelf) -> None:
    queries = unit(np.array([[1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0.4, 0, 0, 0, 0, 0]], np.float32))
    found = signals._pairs(shelf, queries, ["a", "a"])

    assert found[VECTOR].wanted[0] > found[PHOTO].wanted[0]
    assert len(found[RANK].wanted) == 2


def test_without_the_photos_every_goal_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA", raising=False)
    result = signals.run(lambda _: None)

    assert {goal.verdict for goal in result.goals} == {"NOT MEASURED"}
    assert result.warnings
    assert PAIR in result.goals[0].name
    assert AWAY_FROM in result.goals[-1].name
