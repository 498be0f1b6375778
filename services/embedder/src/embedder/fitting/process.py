"""The process that fits: ``python -m embedder.fitting PRIORITY WORK``.

It reads its order from a folder, writes the model's folders into it, and reports its progress on
standard output, as lines of JSON. It runs at low priority, and ends when its standard input is
closed, hence with the service that started it.
"""

import hashlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from embedder.adapters.feature_folder import FeatureFolder
from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    FittedSpace,
    Floats,
    Labelled,
    SpaceEvaluation,
    TextMap,
    unit,
)
from embedder.domain.manifest import CATEGORIES, MAP_FILE, MATCH_COSINES, TEXT_SUFFIX
from servicekit.processes.background import Priority, yield_to_answers

ORDER: Final = "order.json"
RESULT: Final = "result.json"
SENTENCES: Final = "sentences.npy"
PROOF: Final = "proof.npz"
"""File of pixels of a few photos and of their vectors computed in NumPy: see
embedder.spaces.promote."""
GRAPH: Final = "1/model.onnx"
BACKEND: Final = "1/model.py"
LIBRARIES: Final = ("onnx", "scipy")
"""Packages of the extra `fit`; the service does not need them."""

Tell = Callable[[str, int], None]
"""Reports the stage of the fit, and how many of its steps are done."""


@dataclass(frozen=True, slots=True)
class FitRow:
    """A photo in the order."""

    photo: str
    """SHA-256 of the file: the name of its features."""
    product: str
    group: str
    kind: int
    category: tuple[str, ...]
    sentence: int
    """Row of SENTENCES; -1 if the product has no title."""


@dataclass(frozen=True, slots=True)
class FitOrder:
    """Order of a fit."""

    catalog_id: str
    backbone: Path
    """The folder of the features model in a model repository."""
    features: Path
    """Folder of the backbone's FeatureFolder."""
    baseline: Path
    """Folder of the FeatureFolder of the baseline space."""
    baseline_model: str
    max_dimension: int
    seed: int
    text_version: str
    """Version of the text space of the titles' vectors; empty if there are none."""
    create_time: float
    """Seconds since 1970."""
    shopper_views: int
    catalog_views: int
    proof: tuple[int, ...]
    """Rows of the photos whose pixels are in PROOF."""
    rows: tuple[FitRow, ...]
    shopper_photo_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FitResult:
    """Result of a fit."""

    name: str
    graph_sha256: str
    dimension: int
    categories: int
    takes_texts: bool
    evaluation: SpaceEvaluation


ORDERS: Final = TypeAdapter(FitOrder)
RESULTS: Final = TypeAdapter(FitResult)


Learn = Callable[[Labelled, Floats, FitOrder, Tell], tuple[FittedSpace, SpaceEvaluation]]
"""Fits and evaluates a space, from photos and their vectors in the space in use. Raises
FitInvalid."""


def lacking() -> list[str]:
    """Return those of LIBRARIES that are not installed."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def run(work: Path, learn: Learn, tell: Tell) -> FitResult:
    """Fit the space of the order in `work`; write the folders of its models there.

    Raises FitInvalid, and ValueError for a backbone that is no features model.
    """
    from embedder.adapters import onnx  # its onnx is an extra; the service starts without

    order = ORDERS.validate_json((work / ORDER).read_bytes())
    data = labelled(order, work)
    baseline = _read(FeatureFolder(order.baseline), order.rows)[:, 0]
    fitted, evaluation = learn(data, baseline, order, tell)
    tell("write", 0)
    made = onnx.space_graph(order.backbone / GRAPH, fitted, order.catalog_id)
    result = _result(made, fitted, evaluation)
    folder = work / result.name
    _write_space(folder, made, fitted, order, result)
    _prove_space(work, folder, fitted, data, order)
    if fitted.text_map is not None:
        folder = work / (result.name + TEXT_SUFFIX)
        _write_text_map(folder, fitted.text_map, order)
        _prove_text_map(folder, fitted.text_map)
    return result


def labelled(order: FitOrder, work: Path) -> Labelled:
    """Return the order's photos with their features; those taken together are one group."""
    from embedder.fitting.occasions import by_occasion  # its scipy is an extra, as above

    rows, path = order.rows, work / SENTENCES
    sentences = None
    if path.exists():
        # The last row is that of products without a title.
        known = np.load(path, allow_pickle=False)
        blank = np.zeros((1, known.shape[1]), np.float32)
        sentences = np.concatenate([known, blank])[[row.sentence for row in rows]]
    return by_occasion(
        Labelled(
            features=_read(FeatureFolder(order.features), rows),
            kinds=np.array([row.kind for row in rows], np.int8),
            products=[row.product for row in rows],
            groups=[row.group for row in rows],
            categories=[row.category for row in rows],
            sentences=sentences,
        )
    )


def _read(folder: FeatureFolder, rows: Sequence[FitRow]) -> Floats:
    """Return [n, views, f]."""
    first = folder.read(rows[0].photo)
    found = np.empty((len(rows), *first.shape), np.float32)
    for place, row in enumerate(rows):
        found[place] = folder.read(row.photo)
    return found


def _result(made: bytes, fitted: FittedSpace, evaluation: SpaceEvaluation) -> FitResult:
    sha256 = hashlib.sha256(made).hexdigest()
    return FitResult(
        name=f"visual_{sha256[:12]}",
        graph_sha256=sha256,
        dimension=fitted.projection.shape[1],
        categories=len(fitted.head.categories) if fitted.head is not None else 0,
        takes_texts=fitted.text_map is not None,
        evaluation=evaluation,
    )


def _write_space(
    folder: Path, made: bytes, fitted: FittedSpace, order: FitOrder, result: FitResult
) -> None:
    from embedder.adapters.triton import (
        configuration,  # its onnx is an extra; the service starts without
    )

    sizes = (result.dimension, result.categories + 1 if result.categories else 0)
    parameters = {
        "catalog": order.catalog_id,
        "shopper_views": str(order.shopper_views),
        "catalogue_views": str(order.catalog_views),
        "create_time": f"{order.create_time:.6f}",
    }
    for path in configuration.paths(order.backbone):
        text = (order.backbone / path).read_text()
        name = folder.name
        config = configuration.of_space(text, name, result.graph_sha256, sizes, parameters)
        _put(folder / path, config.encode())
    _put(folder / GRAPH, made)
    _put(folder / BACKEND, (order.backbone / BACKEND).read_bytes())
    with (folder / MAP_FILE).open("wb") as file:
        means, scales, projection = fitted.means, fitted.scales, fitted.projection
        np.savez(file, means=means, scales=scales, projection=projection)
    if fitted.head is not None:
        _put(folder / CATEGORIES, json.dumps(fitted.head.categories).encode())
        if (cosines := fitted.head.match_cosines) is not None:
            _put(folder / MATCH_COSINES, json.dumps(cosines.round(4).tolist()).encode())


def _write_text_map(folder: Path, text_map: TextMap, order: FitOrder) -> None:
    from embedder.adapters import onnx
    from embedder.adapters.triton import configuration  # as above

    made = onnx.text_graph(text_map)
    taken, given = text_map.weights.shape
    for path in configuration.paths(order.backbone):
        text = (order.backbone / path).read_text()
        sha256 = hashlib.sha256(made).hexdigest()
        parameters = {"catalog": order.catalog_id, "text_version": order.text_version}
        config = configuration.of_text_map(text, folder.name, sha256, (taken, given), parameters)
        _put(folder / path, config.encode())
    _put(folder / GRAPH, made)
    _put(folder / BACKEND, (order.backbone / BACKEND).read_bytes())


def _write_proof(folder: Path, vectors: Floats, **inputs: Any) -> None:
    """Write a few inputs of a graph, and the outputs expected of it, computed in NumPy."""
    with (folder / PROOF).open("wb") as file:
        np.savez(file, vectors=vectors, **inputs)


def _prove_space(
    work: Path, folder: Path, fitted: FittedSpace, data: Labelled, order: FitOrder
) -> None:
    rows = list(order.proof)
    kinds = data.kinds[rows]
    with np.load(work / PROOF, allow_pickle=False) as given:
        pixels = given["pixels"]
    vectors = fitted.embed(data.features[rows, 0], kinds)
    _write_proof(folder, vectors, image=pixels, kind=kinds[:, None].astype(np.float32))


def _prove_text_map(folder: Path, text_map: TextMap) -> None:
    """Write inputs and expected outputs of a text map; random vectors suffice to detect a wrong
    matrix."""
    shape = (2, len(text_map.weights))
    sentences = unit(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    _write_proof(folder, text_map.vectors(sentences), sentence=sentences)


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _leave_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def main(work: Path, learn: Learn, priority: Priority) -> None:
    """Fit the space of the order in a folder, and report the result."""
    yield_to_answers(priority)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        result = run(work, learn, lambda stage, done: _say(stage=stage, done=done))
    except FitInvalid as error:
        _say(invalid=error.message)
        return
    (work / RESULT).write_bytes(RESULTS.dump_json(result))
    _say(stage="write", done=1)
