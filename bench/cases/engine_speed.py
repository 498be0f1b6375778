"""Cost of decoding, gain by int8, and speed of a GPU, without a server."""

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
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = 1.0
FLOPS = 2 * 0.385e9
"""Operations for one photo in EfficientNet-Lite0: 385 million multiply-adds (its model card)."""
PEAK_FLOPS = {"H200": 67e12, "H100": 67e12, "A100": 19.5e12, "L4": 30.3e12, "T4": 8.1e12}
"""float32 without tensor cores, by NVIDIA's data sheets: the roofline of a graph in float32."""


@dataclass(slots=True)
class Engines:
    """int8 and float32 on the same photos in alternation; batches on a GPU."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Processor seconds of a batch of each build."""
    cosines: list[float] = field(default_factory=list)
    """Cosine between the vectors of the two builds, one per photo. Empty if there is no int8 build.
    """
    gpu: dict[int, float] = field(default_factory=dict)
    """Images a second on a GPU, by batch size. Empty if there is no GPU."""


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
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        session = _session(graph, "CUDAExecutionProvider")
        found.gpu = {batch: _rate(session, pixels, batch) for batch in BATCHES}
    return found


def _session(graph: str, provider: str = "CPUExecutionProvider") -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=[provider])


def _rate(session: Any, pixels: npt.NDArray[np.uint8], batch: int) -> float:
    """Return the images a second in batches of this size."""
    given = {"image": np.resize(pixels, (batch, *pixels.shape[1:]))}
    for _ in range(5):
        session.run(None, given)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        session.run(None, given)
        done += batch
    return done / (time.perf_counter() - began)


def goals(decoded: Mapping[float, tuple[float, list[float]]], engine: Engines) -> list[Goal]:
    """Return the goals of decoding, int8 and the GPU."""
    megabytes, spent = decoded[GOAL_GRAIN]
    gain = median_ratio(engine.seconds["fp32"], engine.seconds["int8"]) if engine.seconds else None
    found = [
        Goal(
            f"12 megapixels ({megabytes:.1f} MB) decoded and resized, processor time",
            25.0,
            "ms",
            percentile(spent, 0.5),
        ),
        Goal("int8's images a processor second ÷ float32's", None, "×", gain, 1.6),
    ]
    if not engine.gpu:  # else there is a table
        found.append(Goal("images/s on a GPU, batches of 1 to 64", None, "", None))
    return found


def _share(rate: float | None) -> float | None:
    """Return the share of the GPU's peak, or None without a GPU of known peak."""
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in _gpu_name()), None)
    return None if rate is None or peak is None else rate * FLOPS / peak


def _gpu_name() -> str:
    try:
        with open("/proc/driver/nvidia/gpus/0/information") as file:
            return file.read()
    except OSError:
        return ""


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
    if engine.gpu:
        tables.append(
            BenchTable(
                title="On the GPU, onnxruntime alone",
                headers=("batch", "images/s", "share of the roofline"),
                rows=tuple(
                    (str(batch), f"{rate:,.0f}", f"{_share(rate) or 0:.1%}")
                    for batch, rate in engine.gpu.items()
                ),
                caption="float32; the roofline is the data sheet's without tensor cores.",
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
        "gpu_images_per_second": engine.gpu or None,
    }
