"""A small fitted space as the embedder would write it, without fitting: a map of random numbers
behind a real features model, a head and a map of texts.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from embedder.adapters.onnx import space_graph, text_graph
from embedder.adapters.triton import configuration
from embedder.domain.fitted import CategoryHead, FittedSpace, TextMap
from embedder.domain.manifest import CATEGORIES, TEXT_SUFFIX
from tests.engines import ROOT

BACKBONE = ROOT / "deploy/triton/models/efficientnet_lite0_features"
DIMENSION = 24
SENTENCE = 896
PATHS = (("Fruit", "Apple"), ("Fruit", "Pear"), ("Dairy", "Milk"))


@dataclass(frozen=True)
class MadeSpace:
    """A space that was put into a folder of models."""

    name: str
    fitted: FittedSpace

    def vectors(self, features: np.ndarray, kinds: list[int]) -> np.ndarray:
        """Return the expected output of a fitted space's graph, computed without the graph."""
        return self.fitted.embed(features, np.array(kinds, np.int8))


def make(models: Path, catalog: str, text_version: str = "", create_time: float = 1.0) -> MadeSpace:
    """Write a space and its map of texts into a model repository; equal catalogs, equal files."""
    fitted = _fitted(catalog)
    made = space_graph(BACKBONE / "1/model.onnx", fitted, catalog)
    name = f"visual_{hashlib.sha256(made).hexdigest()[:12]}"
    parameters = {
        "catalog": catalog,
        "shopper_views": "1",
        "catalogue_views": "2",
        "create_time": str(create_time),
    }
    sizes = (DIMENSION, len(PATHS) + 1)
    _write(models / name, made, sizes, parameters, configuration.of_space)
    (models / name / CATEGORIES).write_text(json.dumps(PATHS))
    assert fitted.text_map is not None
    parameters = {"catalog": catalog, "text_version": text_version}
    mapped, sizes = text_graph(fitted.text_map), (SENTENCE, DIMENSION)
    _write(models / (name + TEXT_SUFFIX), mapped, sizes, parameters, configuration.of_text_map)
    return MadeSpace(name, fitted)


def _fitted(catalog: str) -> FittedSpace:
    rng = np.random.default_rng(list(catalog.encode()))
    width = _width()
    means = rng.normal(0.2, 0.1, (2, width)).astype("f4")
    scales = rng.uniform(0.5, 1.5, (2, width)).astype("f4")
    projection = (rng.normal(size=(width, DIMENSION)) / width**0.5).astype("f4")
    weights = rng.normal(0, 3, (DIMENSION, len(PATHS))).astype("f4")
    head = CategoryHead(PATHS, weights, np.zeros(len(PATHS), "f4"), unknown=-1.0)
    text_map = TextMap(
        rng.normal(size=(SENTENCE, DIMENSION)).astype("f4"), np.zeros(DIMENSION, "f4")
    )
    return FittedSpace(means, scales, projection, head, text_map)


def _width() -> int:
    """Return the number of features of the backbone."""
    given = onnx.load(BACKBONE / "1/model.onnx", load_external_data=False).graph.output[0]
    width: int = given.type.tensor_type.shape.dim[-1].dim_value
    return width


def _write(folder: Path, made: bytes, sizes: tuple[int, int], parameters, configure) -> None:  # type: ignore[no-untyped-def]
    sha256 = hashlib.sha256(made).hexdigest()
    for path in configuration.paths(BACKBONE):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (BACKBONE / path).read_text()
        target.write_text(configure(text, folder.name, sha256, sizes, parameters))
    (folder / "1").mkdir()
    (folder / "1" / "model.onnx").write_bytes(made)
    (folder / "1" / "model.py").write_bytes((BACKBONE / "1/model.py").read_bytes())
