"""The ablation's figures for given features."""

from pathlib import Path

import numpy as np
import pytest

from lab.cases import ablation, photo_measures
from lab.cases.photo_measures import PhotoFeatures, PhotoTask
from lab.datasets import grocery
from lab.datasets.grocery import Grocery, GroceryPhotos, Labels

RNG = np.random.default_rng(0)


def task(products: Labels, scenes: Labels) -> PhotoTask:
    names = np.unique(products)
    train = GroceryPhotos([Path(str(place)) for place in range(len(products))], products)
    iconic = GroceryPhotos([Path(str(name)) for name in names], names)
    return PhotoTask(Grocery(train, train, iconic, ["all"] * len(names)), scenes)


def clusters(products: Labels, noise: float, width: int = 40) -> tuple[PhotoFeatures, Labels]:
    centres = np.random.default_rng(1).normal(size=(products.max() + 1, width))
    photos = centres[products] + noise * RNG.normal(size=(len(products), width))
    return PhotoFeatures(photos.astype(np.float32), centres.astype(np.float32)), products


def test_photos_of_one_scene_are_no_answer_to_one_another() -> None:
    products = np.repeat(np.arange(6), 8)
    seen, _ = clusters(products, 0.01)
    apart = photo_measures.measured(seen, seen, task(products, np.arange(len(products))))
    assert {name: hits.mean() for name, hits in apart.items()} == dict.fromkeys(
        photo_measures.MEASURES, 1.0
    )
    together = photo_measures.measured(seen, seen, task(products, products))
    for measure in (photo_measures.NEAREST, photo_measures.PRECISION, photo_measures.FITTED):
        assert together[measure].mean() == 0
    assert together[photo_measures.ICONIC].mean() == 1


def test_average_precision_is_that_of_the_ranking() -> None:
    similar = np.array([[0.9, 0.8, 0.7, -np.inf], [0.1, 0.2, 0.3, 0.4]], np.float32)
    wanted = np.array([[True, False, True, True], [False, False, False, False]])
    assert photo_measures.precisions(similar, wanted) == pytest.approx([(1 + 2 / 3) / 2, 0])


def test_discrimination_finds_what_noise_that_all_products_share_hides() -> None:
    products, draw = np.repeat(np.arange(10), 12), np.random.default_rng(3)
    seen, _ = clusters(products, 0.3)
    shared = draw.normal(size=(len(products), 5)) @ draw.normal(size=(5, 40)) * 10
    hidden = PhotoFeatures((seen.train + shared).astype(np.float32), seen.iconic)
    found = photo_measures.measured(hidden, hidden, task(products, np.arange(len(products))))
    assert found[photo_measures.FITTED].mean() > found[photo_measures.NEAREST].mean() + 0.3


@pytest.mark.slow
def test_a_gain_s_interval_is_wider_when_photos_are_of_few_scenes() -> None:
    better, worse = (RNG.random(400) < 0.6).astype(float), (RNG.random(400) < 0.5).astype(float)
    better[:200] = worse[:200]
    alone = photo_measures.gain(better, worse, np.arange(400))
    scenes = photo_measures.gain(better, worse, np.arange(400) // 20)
    assert alone.low < alone.value < alone.high
    assert alone.value == pytest.approx((better - worse).mean())
    few = photo_measures.gain(np.repeat([1.0, 0.0], 200), np.zeros(400), np.arange(400) // 100)
    many = photo_measures.gain(np.repeat([1.0, 0.0], 200), np.zeros(400), np.arange(400))
    assert few.high - few.low > 3 * (many.high - many.low)
    assert scenes.value == alone.value
    assert photo_measures.gain(worse, worse, np.arange(400)).high == 0


def test_scenes_are_photos_of_one_product_that_hang_together() -> None:
    turn = np.radians([0, 25, 50, 120, 0])
    vectors = np.stack((np.cos(turn), np.sin(turn)), axis=1).astype(np.float32)
    assert grocery.scenes(vectors, np.array([3, 3, 3, 3, 4])).tolist() == [0, 0, 0, 3, 4]


def test_without_the_data_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA", raising=False)
    result = ablation.run(lambda _line: None)
    assert not result.tables
    assert "NOT MEASURED" in result.warnings[0]
