"""A fitted map's graph gives the results of the map in NumPy."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from embedder.adapters.onnx import space_graph, text_graph
from embedder.domain.fitted import CategoryHead, FittedSpace, Floats, TextMap, unit
from tests.fakes import features


def random_fit(*, head: bool = True, seed: int = 1) -> FittedSpace:
    """Return a random map of the fake features model that differs by kind of photo."""
    random = np.random.default_rng(seed)

    def floats(*shape: int) -> Floats:
        return random.normal(size=shape).astype(np.float32)

    return FittedSpace(
        means=floats(2, features.FEATURES),
        scales=np.abs(floats(2, features.FEATURES)) + 0.1,
        projection=floats(features.FEATURES, 8),
        head=CategoryHead([("Fruit",), ("Milk", "Oat")], 3 * floats(8, 2), floats(2), 0.5)
        if head
        else None,
        text_map=TextMap(floats(384, 8), floats(8)),
    )


def photos(count: int = 5) -> np.ndarray:
    shape = (count, features.SIDE, features.SIDE, 3)
    return np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)


def run(model: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def test_the_graph_gives_the_vectors_and_chances_of_the_map_for_both_kinds(tmp_path: Path) -> None:
    path, fitted = features.write(tmp_path / "model.onnx"), random_fit()
    assert fitted.head is not None
    kinds = np.array([0, 1, 0, 1, 1], np.int8)
    (given,) = run(path.read_bytes(), image=photos())

    vectors, chances = run(
        space_graph(path, fitted), image=photos(), kind=kinds[:, None].astype(np.float32)
    )

    wanted = fitted.embed(given, kinds)
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(chances, fitted.head.chances(wanted), atol=1e-5)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert chances.shape == (5, 3)


def test_a_photo_of_another_kind_has_another_vector(tmp_path: Path) -> None:
    model = space_graph(features.write(tmp_path / "model.onnx"), random_fit())
    shopper, catalog = (
        run(model, image=photos(1), kind=np.full((1, 1), kind, np.float32))[0] for kind in (0, 1)
    )
    assert np.abs(shopper - catalog).max() > 0.1


def test_without_a_head_there_is_no_category(tmp_path: Path) -> None:
    model = space_graph(features.write(tmp_path / "model.onnx"), random_fit(head=False))
    assert len(run(model, image=photos(1), kind=np.zeros((1, 1), np.float32))) == 1


def test_the_same_map_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    path = features.write(tmp_path / "model.onnx")
    assert space_graph(path, random_fit()) == space_graph(path, random_fit())
    assert space_graph(path, random_fit()) != space_graph(path, random_fit(seed=3))


def test_a_map_of_other_features_is_refused(tmp_path: Path) -> None:
    fitted = FittedSpace(np.zeros((2, 5), "f4"), np.ones((2, 5), "f4"), np.ones((5, 2), "f4"))
    with pytest.raises(ValueError, match="48 features"):
        space_graph(features.write(tmp_path / "model.onnx"), fitted)


def test_the_text_maps_graph_gives_the_vectors_of_the_map() -> None:
    text_map = random_fit().text_map
    assert text_map is not None
    sentences = unit(np.random.default_rng(4).normal(size=(3, 384)).astype(np.float32))
    (vectors,) = run(text_graph(text_map), sentence=sentences)
    np.testing.assert_allclose(vectors, text_map.vectors(sentences), atol=1e-5)
