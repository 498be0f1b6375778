"""Fit the head that finds objects: ``python -m lab.objects.fit``.

Made photos (composites.py) of products and backgrounds that the bench does not use pass through
the backbone; the head (triton_engine/objects.py) learns from places of its grid: the middle of an
object has the score 1, which falls with the distance, and each place within an object knows its
sides. Needs $SIGHTLINE_DATA with `grocery` and `clothing`, and the built model repository. Takes 20
minutes on two cores.
"""

import argparse
import hashlib
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from PIL import Image

from bench.harness.machine import ROOT
from embedder.domain.photos import WHOLE
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.preprocessing import preprocess
from lab.datasets import featured
from lab.objects import material
from lab.objects.composites import Composite, Pixels

Floats = npt.NDArray[np.float32]

MODEL: Final = "efficientnet_lite0_objects"
SIDE: Final = 512
STEP: Final = 8
"""Pixels between two places of the head's grid."""
STAGES: Final = ("stage_3", "stage_4", "stage_6", "stage_8")
CHANNELS: Final = {
    "stage_3": (24, 2),
    "stage_4": (40, 3),
    "stage_6": (112, 1),
    "stage_8": (320, 1),
    "surroundings": (320, 1),
}
"""Channels and side of the kernel of each part of the first layer."""
HIDDEN: Final = 64
SHARPNESS: Final = 0.22
"""Distance from the middle, in sides of the object, at which the score is .61."""
PHOTOS: Final = 900
ROUNDS: Final = 10
BATCH: Final = 2_048
RATE: Final = 2e-3
DECAY: Final = 2e-3
PLACES: Final = 700
"""Places of a photo that are learned from, about."""
RECIPE: Final = PhotoRecipe(SIDE, 1.0, "", (PreprocessStep.CROP_PAD,))
HEAD: Final = (
    ROOT / "deploy" / "triton" / "triton_engine" / "backbones" / "efficientnet_lite0_objects.npz"
)


def square(pixels: Pixels) -> tuple[Pixels, tuple[float, float, float]]:
    """Return a photo as the model sees it, and the scale and offsets of boxes in it."""
    seen = preprocess.views(Image.fromarray(pixels), RECIPE, WHOLE, 1)[0]
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    return seen, (scale, (SIDE - width * scale) / 2, (SIDE - height * scale) / 2)


def boxes_in(photo: Composite, placed: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Return the facings' boxes in the square, [n, 4] in pixels."""
    scale, right, down = placed
    boxes = np.array([each.box for each in photo.facings], np.float64).reshape(-1, 4)
    return boxes * scale + [right, down, right, down]


def targets(boxes: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Return the score [places] and the distances to the sides [places, 4] in steps of the grid.

    Where boxes overlap, a place belongs to the one whose middle is nearest.
    """
    side = SIDE // STEP
    rows, columns = np.mgrid[0:side, 0:side].reshape(2, -1) * float(STEP) + STEP / 2
    scores = np.zeros(side * side, np.float32)
    sides = np.ones((side * side, 4), np.float32)
    nearest = np.full(side * side, np.inf)
    for left, top, right, bottom in boxes.tolist():
        x, y = (left + right) / 2, (top + bottom) / 2
        inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
        if not inside.any():
            row, column = (int(np.clip(v / STEP, 0, side - 1)) for v in (y, x))
            inside[row * side + column] = True
        away = np.hypot(
            (columns - x) / max(right - left, STEP), (rows - y) / max(bottom - top, STEP)
        )
        ours = inside & (away < nearest)
        nearest[ours] = away[ours]
        fall = np.exp(-(away**2 - away.min() ** 2) / SHARPNESS**2 / 2)
        scores[ours] = fall[ours]
        lengths = np.stack([columns - left, rows - top, right - columns, bottom - rows], axis=1)
        sides[ours] = np.maximum(lengths[ours], 1) / STEP
    return scores, sides


def seen_by_head(maps: Mapping[str, Floats]) -> Floats:
    """Return what the head sees at each place, [places, inputs], as its first layer orders it."""
    side = SIDE // STEP
    fine, middle = maps["stage_3"], np.pad(maps["stage_4"], ((0, 0), (1, 1), (1, 1)))
    parts = [fine[:, y::2, x::2] for y in range(2) for x in range(2)]
    parts += [middle[:, y : y + side, x : x + side] for y in range(3) for x in range(3)]
    parts += [_to_grid(maps[name]) for name in ("stage_6", "stage_8")]
    parts.append(_to_grid(_around(maps["stage_8"])))
    return np.concatenate(parts).reshape(-1, side * side).T


def _to_grid(found: Floats) -> Floats:
    """Resample [channels, h, w] to the grid, bilinear between the places' middles."""
    side = SIDE // STEP
    have = found.shape[-1]
    at = ((np.arange(side) + 0.5) * have / side - 0.5).clip(0, have - 1)
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)
    weights = np.zeros((side, have), np.float32)
    weights[np.arange(side), low] = 1 - share
    weights[np.arange(side), np.minimum(low + 1, have - 1)] += share
    return np.asarray(weights @ found @ weights.T, np.float32)


def _around(found: Floats) -> Floats:
    """Return the average of the 5 × 5 places around each, without those outside."""
    side = found.shape[-1]
    near = (np.abs(np.subtract.outer(np.arange(side), np.arange(side))) <= 2).astype(np.float32)
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray(near @ found @ near.T, np.float32)


def trunk() -> bytes:
    """Return the backbone's graph of the photo model, with the maps of STAGES as its outputs."""
    model = onnx.load_model_from_string(featured.backbone(MODEL).graph)
    sources = {node.output[0]: node.input[0] for node in model.graph.node}
    del model.graph.output[:]
    for stage in STAGES:
        name = sources[f"head.{stage}.part"]
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        model.graph.output.append(value)
    return model.SerializeToString()


@cache
def _session(graph: Path) -> onnxruntime.InferenceSession:
    return featured.session(graph.read_bytes())


def sampled(graph: Path, number: int) -> tuple[npt.NDArray[np.float16], Floats, Floats]:
    """Return what the head sees at some places of a made photo, their scores and sides."""
    photo = material.photo("fit", number)
    seen, placed = square(photo.pixels)
    maps = _session(graph).run(None, {"image": seen[None]})
    given = seen_by_head({name: found[0] for name, found in zip(STAGES, maps, strict=True)})
    scores, sides = targets(boxes_in(photo, placed))
    draw = np.random.default_rng(number)
    within, without = np.flatnonzero(scores > 0.02), np.flatnonzero(scores <= 0.02)
    high = within[scores[within] > 0.3]
    kept = [draw.permutation(places)[: PLACES // 3] for places in (high, within)]
    kept.append(draw.permutation(without)[: PLACES // 2])
    places = np.concatenate(kept)
    return given[places].astype(np.float16), scores[places], sides[places]


def learn(given: npt.NDArray[np.float16], scores: Floats, sides: Floats) -> dict[str, Floats]:
    """Return the layers of a head, by gradient descent with momentum (Kingma and Ba, Adam, 2015):
    cross-entropy of the score, and smooth absolute error of the sides' logarithms."""
    logs, some = np.log(sides), given[::17].astype(np.float32)
    mean, spread = some.mean(axis=0), some.std(axis=0) + 1e-3
    draw = np.random.default_rng(0)
    widths = (given.shape[1], HIDDEN, HIDDEN, 5)
    weights = [
        draw.normal(0, np.sqrt(2 / a), (a, b)).astype(np.float32) for a, b in pairwise(widths)
    ]
    biases = [np.zeros(width, np.float32) for width in widths[1:]]
    biases[-1][:] = -2, 1, 1, 1, 1
    steps = _Steps([*weights, *biases], ROUNDS * (len(given) // BATCH))
    for _ in range(ROUNDS):
        order = draw.permutation(len(given))
        for start in range(0, len(given) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            x = (given[rows].astype(np.float32) - mean) / spread
            steps.take(_slopes(x, scores[rows], logs[rows], weights, biases))
    first_layer = weights[0] / spread[:, None]
    return _layers(first_layer, biases[0] - (mean / spread) @ weights[0], weights, biases)


class _Steps:
    """Steps of gradient descent on some arrays, which it changes in place."""

    def __init__(self, values: Sequence[Floats], steps: int) -> None:
        """Let the rate fall to 0 along a cosine within this number of steps."""
        self._values, self._steps, self._done = values, steps, 0
        self._first = [np.zeros_like(each) for each in values]
        self._second = [np.zeros_like(each) for each in values]

    def take(self, slopes: Sequence[Floats]) -> None:
        """Take a step against the slopes of the arrays."""
        self._done += 1
        rate = RATE * 0.5 * (1 + np.cos(np.pi * self._done / self._steps))
        for place, slope in enumerate(slopes):
            self._first[place] += 0.1 * (slope - self._first[place])
            self._second[place] += 0.001 * (slope * slope - self._second[place])
            size = np.sqrt(self._second[place] / (1 - 0.999**self._done)) + 1e-8
            self._values[place][:] -= rate * self._first[place] / (1 - 0.9**self._done) / size
            if slope.ndim > 1:
                self._values[place][:] *= 1 - rate * DECAY


def _slopes(
    x: Floats, scores: Floats, logs: Floats, weights: Sequence[Floats], biases: Sequence[Floats]
) -> list[Floats]:
    first = np.maximum(x @ weights[0] + biases[0], 0)
    second = np.maximum(first @ weights[1] + biases[1], 0)
    made = second @ weights[2] + biases[2]
    last = np.empty_like(made)
    last[:, 0] = 1 / (1 + np.exp(-made[:, 0])) - scores
    last[:, 1:] = scores[:, None] * np.tanh((made[:, 1:] - logs) / 0.1) * 0.5
    last /= len(x)
    middle = (last @ weights[2].T) * (second > 0)
    start = (middle @ weights[1].T) * (first > 0)
    layers = ((x, start), (first, middle), (second, last))
    return [given.T @ slope for given, slope in layers] + [slope.sum(axis=0) for _, slope in layers]


def _layers(
    first: Floats, bias: Floats, weights: Sequence[Floats], biases: Sequence[Floats]
) -> dict[str, Floats]:
    """Return the arrays of the head's file: kernels of the first layer by part, and matrices."""
    layers, at = {}, 0
    for name, (channels, side) in CHANNELS.items():
        part = first[at : at + channels * side * side]
        at += len(part)
        kernel = part.reshape(side, side, channels, HIDDEN).transpose(3, 2, 0, 1)
        layers[name] = np.ascontiguousarray(kernel)
    layers["bias_1"] = bias
    for number in (2, 3):
        layers[f"weight_{number}"] = np.ascontiguousarray(weights[number - 1].T)
        layers[f"bias_{number}"] = biases[number - 1]
    return {name: np.asarray(value, np.float32) for name, value in layers.items()}


def write(layers: Mapping[str, Floats], path: Path) -> str:
    """Write the head's file, as float16. Return its SHA-256."""
    file = io.BytesIO()
    np.savez_compressed(file, **{k: v.astype(np.float16) for k, v in layers.items()})  # type: ignore[arg-type]
    path.write_bytes(file.getvalue())
    return hashlib.sha256(file.getvalue()).hexdigest()


def main() -> None:
    """Fit a head and write it."""
    parser = argparse.ArgumentParser(prog="python -m lab.objects.fit", description=__doc__)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--out", type=Path, default=HEAD)
    given = parser.parse_args()
    graph = ROOT / ".cache" / "objects_trunk.onnx"
    graph.parent.mkdir(exist_ok=True)
    graph.write_bytes(trunk())
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        rows = list(pool.map(partial(sampled, graph), range(given.photos), chunksize=8))
    parts = [np.concatenate([row[place] for row in rows]) for place in range(3)]
    print(write(learn(*parts), given.out), given.out)


if __name__ == "__main__":
    main()
