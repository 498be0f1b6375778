"""Conversion of photo files to a model's features, as in the product, without a suite."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from bench.harness.machine import ROOT
from embedder.adapters.triton.description import OUTPUTS, described
from embedder.domain.fitted import unit
from embedder.domain.photos import PhotoView
from embedder.domain.recipes import PhotoRecipe, words
from embedder.preprocessing import preprocess
from sightline_rules.photos import PhotoLimits

Floats: TypeAlias = npt.NDArray[np.float32]

MODELS = ROOT / "deploy" / "triton" / "models"
KEPT = ROOT / ".cache" / "features"
"""Cache of computed features, by all that they depend on; `make clean` empties it."""
CHUNK = 32
"""Number of photos per task."""
BATCH = 4
HEAD = "head"
"""Name of the block with the square roots of the last layer."""
_INPUT = "image"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A built photo model."""

    name: str
    recipe: PhotoRecipe
    blocks: Mapping[str, slice]
    """Position of each block in the features. Empty if the model returns vectors."""
    graph: bytes

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return OUTPUTS[1] if self.blocks else OUTPUTS[0]


@cache
def backbone(name: str) -> Backbone:
    """Return the model of this name. Raise OSError unless its graph has the configured hash."""
    folder = MODELS / name
    config = text_format.Parse(
        (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    found = described(service_pb2.ModelConfigResponse(config=config))
    graph = (folder / "1" / "model.onnx").read_bytes()
    if hashlib.sha256(graph).hexdigest() != found.hashes["1"]:
        raise OSError(f"{folder} holds another graph than its configuration says")
    if not isinstance(found.recipe, PhotoRecipe):
        raise OSError(f"{folder} does not accept photos")
    ends, blocks = 0, {}
    for part in config.parameters["blocks"].string_value.split():
        block, _, size = part.partition("=")
        blocks[block] = slice(ends, ends + int(size))
        ends += int(size)
    return Backbone(name, found.recipe, blocks, graph)


def features(
    model: Backbone, paths: Sequence[Path], recipe: PhotoRecipe, views: int, keep: Path = KEPT
) -> Floats:
    """Compute the features of each view of each photo, float32 [n, views, f], on all cores."""
    path = keep / f"{_key(model, paths, recipe, views)}.npy"
    if path.is_file():
        return np.asarray(np.load(path), np.float32)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, get_context("spawn"), _quiet) as pool:
        tasks = [pool.submit(_chunk, model.name, chunk, recipe, views) for chunk in chunks]
        found: Floats = np.concatenate([task.result() for task in tasks])
    keep.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(unfinished, found)
    unfinished.replace(path)
    return found


def heads(model: Backbone, paths: Sequence[Path]) -> Floats:
    """Return the backbone's unit vectors [n, 1280] without a fitted space, of one view."""
    # The features contain the square roots of the head's averages.
    roots = features(model, paths, model.recipe, 1)[:, 0, model.blocks[HEAD]]
    return unit(np.square(roots))


def there(name: str) -> bool:
    """Return whether a model was built."""
    return (MODELS / name / "1" / "model.onnx").is_file()


def pixels(paths: Sequence[Path], recipe: PhotoRecipe, views: int) -> npt.NDArray[np.uint8]:
    """Return the model's input of each view of each photo, uint8 [n, views, side, side, 3]."""
    limits, look = PhotoLimits(), PhotoView(views=views)
    made = [preprocess.pixels(path.read_bytes(), limits, recipe, look)[0] for path in paths]
    shape = (len(paths), views, recipe.side, recipe.side, 3)
    return np.frombuffer(b"".join(made), np.uint8).reshape(shape)


def milliseconds(paths: Sequence[Path], recipe: PhotoRecipe, views: int, rounds: int = 3) -> float:
    """Return the processor milliseconds per photo from file to the model's input, the fastest of
    some rounds.
    """
    spent = []
    for _ in range(rounds + 1):  # the first one loads libraries
        since = time.process_time()
        pixels(paths, recipe, views)
        spent.append(time.process_time() - since)
    return 1000 * min(spent[1:]) / len(paths)


def session(graph: bytes) -> onnxruntime.InferenceSession:
    """Open a graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options)


@cache
def opened(name: str) -> onnxruntime.InferenceSession:
    """Open a model's graph on one thread, once a process."""
    return session(backbone(name).graph)


def _chunk(name: str, paths: Sequence[Path], recipe: PhotoRecipe, views: int) -> Floats:
    given = pixels(paths, recipe, views).reshape(-1, recipe.side, recipe.side, 3)
    made: list[Floats] = [
        opened(name).run([backbone(name).output], {_INPUT: given[start : start + BATCH]})[0]
        for start in range(0, len(given), BATCH)
    ]
    found = np.concatenate(made).reshape(len(paths), views, -1)
    return np.asarray(found, np.float32)


def _quiet() -> None:
    """Lower the priority of a worker process."""
    os.nice(5)


def _key(model: Backbone, paths: Sequence[Path], recipe: PhotoRecipe, views: int) -> str:
    seen = hashlib.sha256(model.graph)
    order = f"{preprocess.NARROW} narrow before mirrored" if views > 1 else f"{preprocess.NARROW}"
    seen.update(f"{words(recipe)} {order} {views}".encode())
    for path in paths:
        seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:32]
