import numpy as np
import pytest

from ranker.learning.training import describing as module
from ranker.learning.training.describing import clusters, nearest, silhouette

CENTRES = np.array([[0, 0], [10, 0], [0, 10]], np.float32)


def blobs(sizes: tuple[int, ...] = (50, 30, 20), spread: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(3)
    parts = [
        centre + spread * rng.standard_normal((size, 2))
        for centre, size in zip(CENTRES, sizes, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)


def test_as_many_groups_are_found_as_there_are_the_largest_first() -> None:
    found = clusters(blobs(), range(2, 8), seed=1)
    assert found is not None
    assert np.bincount(found.members).tolist() == [50, 30, 20]
    np.testing.assert_allclose(found.centroids, CENTRES, atol=0.5)
    assert found.silhouette > 0.8


def test_the_same_seed_gives_the_same_groups_and_one_cloud_is_reported_as_such() -> None:
    cloud = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    one, two = (clusters(cloud, range(2, 6), seed=4) for _ in range(2))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.members, two.members)
    assert one.silhouette < 0.2


def test_what_does_not_differ_has_no_groups() -> None:
    assert clusters(np.ones((50, 3), np.float32), range(2, 8), seed=0) is None
    assert clusters(np.zeros((0, 3), np.float32), range(2, 8), seed=0) is None
    two = clusters(np.repeat(np.eye(2, dtype=np.float32), 5, axis=0), range(2, 8), seed=0)
    assert two is not None
    assert np.bincount(two.members).tolist() == [5, 5]
    assert two.silhouette == pytest.approx(1)


def test_groups_of_many_points_are_learned_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 40)
    monkeypatch.setattr(module, "JUDGED", 30)
    found = clusters(blobs(), [3], seed=1)
    assert found is not None
    assert np.bincount(found.members).tolist() == [50, 30, 20]


def test_the_silhouette_is_that_of_its_definition() -> None:
    points = np.random.default_rng(1).standard_normal((12, 2))
    members = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 5])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    values = []
    for i, group in enumerate(members):
        mates = [j for j in range(12) if members[j] == group and j != i]
        if not mates:
            values.append(0.0)
            continue
        own = distances[i, mates].mean()
        others = [distances[i, members == g].mean() for g in {0, 1, 2, 5} - {group}]
        values.append((min(others) - own) / max(own, min(others)))
    assert silhouette(distances, members) == pytest.approx(np.mean(values))
    assert silhouette(distances, np.zeros(12, int)) == 0
    assert nearest(CENTRES, CENTRES).tolist() == [0, 1, 2]
