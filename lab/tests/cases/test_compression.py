"""The figures of the bench of smaller vectors for given vectors."""

from pathlib import Path

import numpy as np
import pytest

from lab.cases import compression
from lab.cases.compression import FORMS, Set, measure, projected, recalls

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def vectors(count: int, dimension: int = 96) -> compression.Floats:
    found = RNG.standard_normal((count, dimension))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def test_recall_counts_the_true_nearest_and_rows_that_are_just_as_near() -> None:
    truth = np.array([[0.9, 0.8, 0.8, 0.1]], np.float32)
    assert recalls(truth, np.array([[4, 3, 2, 1]]), 2, 2) == [1.0]
    assert recalls(truth, np.array([[4, 1, 3, 2]]), 2, 2) == [1.0], "the third is a tie"
    assert recalls(truth, np.array([[4, 1, 2, 3]]), 2, 2) == [0.5]
    assert recalls(truth, np.array([[1, 3, 2, 4]]), 2, 3) == [1.0]


def test_fewer_bytes_never_find_more_and_float32_finds_everything() -> None:
    rows = vectors(300)
    given = Set("random", vectors(300), rows, rows[:40], own=np.arange(40))
    found = {cost.form: cost for cost in measure(given)}
    assert found["float32"].recalls[10].low == 1.0
    assert found["float16"].recalls[10].value > 0.98
    assert 0.9 < found["int8, min to max"].recalls[10].value < 1.0
    assert found["PCA 80, float32"].recalls[10].value < found["int8, symmetric"].recalls[10].value
    assert {name: cost.size for name, cost in found.items()}["float16"] == 192
    assert found["float32"].accuracy is None


def test_a_projection_loses_nothing_that_its_directions_hold() -> None:
    basis = RNG.standard_normal((20, 64))
    flat = [np.asarray(RNG.standard_normal((n, 20)) @ basis, np.float32) for n in (200, 50, 5)]
    flat = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in flat]
    small = projected(Set("flat", *flat), 20)
    assert np.allclose(small.queries @ small.rows.T, flat[2] @ flat[1].T, atol=1e-5)


def test_accuracy_lost_is_by_the_labels_of_the_nearest_other_row() -> None:
    rows = np.repeat(vectors(25), 2, axis=0) + 1e-3 * vectors(50)
    labels = np.repeat([f"pair {number}" for number in range(25)], 2)
    given = Set("pairs", vectors(10), rows, rows[:4], labels, labels[:4], np.arange(4))
    first = measure(given)[0]
    assert first.accuracy is not None
    assert first.lost is not None
    assert (first.accuracy.value, first.lost.value) == (1.0, 0.0)


def test_a_form_is_left_out_where_there_is_too_little_to_fit_it_on() -> None:
    given = Set("few", vectors(100), vectors(50), vectors(3))
    measured = {cost.form for cost in measure(given)}
    assert {form.name for form in FORMS} - measured == {
        "PCA 256, float32",
        "PCA 128, float32",
        "PCA 256, int8",
    }


def test_without_photos_only_made_vectors_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = Set("synthetic", vectors(100), vectors(50), vectors(3))
    monkeypatch.setattr(compression, "synthetic", lambda: few)
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path))
    result = compression.run(lambda line: None)
    assert {row[0] for row in result.tables[0].rows} == {"synthetic"}
    assert "NOT MEASURED" in result.warnings[0]
