import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from lab.cases import training
from ranker.learning.training.training_data import training_matrices


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a shop and a number of rounds that take no time, and train in this process."""
    for name, value in {"PRODUCTS": 40, "SHOPPERS": 30, "EVENTS": 400, "ROUNDS": 2}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training, "_apart", training._train)


def test_a_made_up_shop_is_the_same_each_time() -> None:
    one, other = training.shop(50, 20, 300), training.shop(50, 20, 300)
    assert one.products == other.products
    np.testing.assert_array_equal(one.log.item, other.log.item)
    assert len(one.log) == 300
    assert (np.diff(one.log.time) >= 0).all()


def test_both_learn_the_same_from_the_same(small: None) -> None:
    subject = training_matrices(training.shop(40, 30, 400), training.RECIPE)
    ours, theirs = training._ours(subject), training._bare(subject)
    np.testing.assert_array_equal(ours.items.vectors, theirs.item_embeddings)  # type: ignore[attr-defined]


def test_a_measurement_shows_the_ratio_and_each_size(small: None) -> None:
    said: list[str] = []
    result = training._measure(said.append, (60, 90))
    (goal,) = result.goals
    assert goal.verdict in (GoalVerdict.MET, GoalVerdict.MISSED)
    assert goal.at_most == training.MOST_RATIO
    assert [row[0] for row in result.tables[1].rows] == ["60", "90"]
    assert len(result.figures["ours_seconds"]) == 2  # type: ignore[arg-type]
    assert len(said) == 3
