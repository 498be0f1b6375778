"""Cost of decoding and gain by int8, without a server."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from bench.datasets import unique
from bench.harness.model import BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from bench.peers.raw import MODEL, Raw
from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from sightline_rules.photos import PhotoLimits

GRAINS = (2.0, 5.0, 8.0)
"""Files of 12 megapixels with about 0.8, 1.5 and 2.5 MB."""
GOAL_GRAIN = 5.0
PICTURES = 4
REPEATS = 5
INT8 = MODEL.with_name(f"{MODEL.name}_int8")
RECIPE = PhotoRecipe(224, 0.875, "in the graph")


@dataclass(slots=True)
class Engines:
    """int8 and float32 on the same photos in alternation."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Processor seconds of a batch of each build."""
    cosines: list[float] = field(default_factory=list)
    """Cosine between the vectors of the two builds, one per photo. Empty if there is no int8 build.
    """


def decoding() -> dict[float, tuple[float, list[float]]]:
    """Decode files of 12 megapixels.

    Return by grain their mean megabytes, and milliseconds of processor time of each.
    """
    found: dict[float, tuple[float, list[float]]] = {}
    limits = PhotoLimits()
    for grain in GRAINS:
        files = unique.photos(unique.LARGE, PICTURES, grain)
        spent = []
        for _ in range(REPEATS):
            for file in files:
                began = time.process_time()
                preprocess.pixels(file, limits, RECIPE)
                spent.append(1000 * (time.process_time() - began))
        found[grain] = (sum(map(len, files)) / len(files) / 1e6, spent)
    return found


def engines(photos: Sequence[bytes]) -> Engines:
    """Run the builds that are available."""
    raw, found = Raw(), Engines()
    pixels = np.stack([raw.cut(photo) for photo in photos])
    graph = str(MODEL / "1/model.onnx")
    if (INT8 / "1/model.onnx").is_file():
        sessions = {"fp32": _session(graph), "int8": _session(str(INT8 / "1/model.onnx"))}
        vectors: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in sessions}
        found.seconds = {name: [] for name in sessions}
        for start in range(0, len(pixels), 4):
            for name, session in sessions.items():
                began = time.process_time()
                (rows,) = session.run(["embedding"], {"image": pixels[start : start + 4]})
                found.seconds[name].append(time.process_time() - began)
                vectors[name].append(rows)
        both = [np.concatenate(rows) for rows in vectors.values()]
        found.cosines = np.einsum("nd,nd->n", *both).tolist()
    return found


def _session(graph: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def goals(decoded: Mapping[float, tuple[float, list[float]]], engine: Engines) -> list[Goal]:
    """Return the goals of decoding and int8."""
    megabytes, spent = decoded[GOAL_GRAIN]
    gain = median_ratio(engine.seconds["fp32"], engine.seconds["int8"]) if engine.seconds else None
    return [
        Goal(
            f"12 megapixels ({megabytes:.1f} MB) decoded and resized, processor time",
            25.0,
            "ms",
            percentile(spent, 0.5),
        ),
        Goal("int8's images a processor second ÷ float32's", None, "×", gain, 1.6),
    ]


def decoding_table(decoded: Mapping[float, tuple[float, list[float]]]) -> BenchTable:
    """Return the table of decoding."""
    rows = []
    for megabytes, spent in decoded.values():
        p50 = percentile(spent, 0.5)
        rows.append(
            (
                f"{megabytes:.2f}",
                f"{p50.value:.1f} ({p50.low:.1f}-{p50.high:.1f})",
                f"{p50.value / megabytes:.1f}",
            )
        )
    return BenchTable(
        title="12 megapixels, JPEG to the model's pixels, without a server",
        headers=("MB", "CPU ms", "ms/MB"),
        rows=tuple(rows),
        caption="The file's size determines the time: every byte of its entropy code is read.",
        section=None,
    )


def engine_tables(engine: Engines) -> list[BenchTable]:
    """Return the tables of the engine builds that are present."""
    tables = []
    if engine.seconds:
        gain = median_ratio(engine.seconds["fp32"], engine.seconds["int8"])
        tables.append(
            BenchTable(
                title="int8 beside float32, onnxruntime alone, one thread",
                headers=("fp32 ms", "int8 ms", "gain", "cosine, mean", "worst"),
                rows=(
                    (
                        *(f"{250 * median(each):.1f}" for each in engine.seconds.values()),
                        f"{gain.value:.2f} ({gain.low:.2f}-{gain.high:.2f})",
                        f"{np.mean(engine.cosines):.4f}",
                        f"{min(engine.cosines):.4f}",
                    ),
                ),
                caption="Per image, in alternating batches of 4. Accuracy: `bench accuracy`.",
                section=None,
            )
        )
    return tables


def figures(
    decoded: Mapping[float, tuple[float, list[float]]], engine: Engines
) -> dict[str, object]:
    """Return all figures, for programs."""
    return {
        "decoding": [{"megabytes": size, "cpu_ms": spent} for size, spent in decoded.values()],
        "int8": {"seconds": engine.seconds, "cosines": engine.cosines} if engine.seconds else None,
    }
