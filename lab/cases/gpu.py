"""The embedder in front of Triton on a GPU, beside calls of the same Triton with tensors.

A closed loop on one machine: callers, services and Triton share its cores, Triton has the GPU. Both
systems use one Triton, whose models have the batching of their gpu.pbtxt, but run by onnxruntime in
its Python backend (lab/peers/gpu/model.py): Triton's own onnxruntime backend with TensorRT is
part of NVIDIA's image, which this bench does not need. Cells are interleaved by rounds.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from bench.harness.model import BenchResult, Goal
from bench.harness.statistics import percentile
from lab.cases import gpu_report
from lab.cases.gpu_report import BARE, OURS, PLAIN, GpuCell
from lab.peers.embedders import TRITON_PYTHON, embedder_server
from lab.peers.gpu import callers, servers
from lab.peers.gpu.callers import Callers
from lab.peers.gpu.inputs import (
    MODELS,
    PHOTOS,
    TEXTS,
    UNBATCHED,
    Tensors,
    photo_pixels,
    text_tokens,
)

Say: TypeAlias = Callable[[str], None]

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
OF_COMPONENT: Final = {"EMBEDDER_BATCH": "32", "EMBEDDER_TEXT_BATCH": "16"}
"""The embedder's settings of deploy/k8s/components/gpu."""
DECODERS: Final = {**OF_COMPONENT, "EMBEDDER_DECODE_PROCESSES": "8"}
MORE: Final = f"{OURS} with 8 decoders"
FOUR: Final = f"4 × {OURS}"
EMBEDDERS: Final[Mapping[str, Sequence[Mapping[str, str]]]] = {
    OURS: [OF_COMPONENT],
    MORE: [DECODERS],
    FOUR: [OF_COMPONENT] * 4,
    f"{OURS}{PLAIN}": [OF_COMPONENT],
    f"{MORE}{PLAIN}": [DECODERS],
}
"""Settings of the processes of each contender."""
CONTENDERS: Final = {
    PHOTOS: (BARE, f"{BARE}{PLAIN}", *EMBEDDERS),
    TEXTS: (BARE, f"{BARE}{PLAIN}", OURS, FOUR, f"{OURS}{PLAIN}"),
}
START_SECONDS = 300.0
"""Maximum seconds of the program that runs graphs without a server."""


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """Size of a measurement: callers, rounds, seconds and items."""

    provider: str
    """onnxruntime's execution provider."""
    callers: Sequence[int]
    rounds: int
    seconds: float
    """Seconds of one contender with one number of callers in one round."""
    batches: Sequence[int]
    repeats: int
    """Runs of each batch without a server."""
    items: int
    """Photos and titles whose vectors are compared."""


FULL: Final = GpuPlan(servers.CUDA, (1, 8, 32, 64), 4, 1.25, BATCHES, 100, 100)
SAMPLE: Final = GpuPlan(servers.PROCESSOR, (1, 8), 2, 0.5, (1, 2), 3, 5)
Cells: TypeAlias = Mapping[tuple[str, str, int], GpuCell]


@dataclass(slots=True)
class Running:
    """The processes that are measured."""

    triton: int
    ports: dict[str, list[int]] = field(default_factory=dict)
    pids: dict[str, list[int]] = field(default_factory=dict)
    """Embedders of each contender."""


def run(say: Say) -> BenchResult:
    """Measure on a GPU, in five minutes; without one, return goals that are NOT MEASURED."""
    if reason := servers.missing():
        say(reason)
        goals = tuple(Goal(name, None, "", None, missing=reason) for name in gpu_report.GOALS)
        return BenchResult(tables=(), figures={}, goals=goals)
    return measure(FULL, say)


def sample(say: Say) -> BenchResult:
    """Run all steps on the CPU, to test the bench where no GPU is."""
    return measure(SAMPLE, say)


def measure(plan: GpuPlan, say: Say) -> BenchResult:
    """Start all processes, measure them in interleaved rounds, and stop them."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as name:
        folder = Path(name)
        say("graphs without a server, on the GPU and on the CPU")
        alone = {model: _alone(folder, model, plan) for model in (PHOTOS, TEXTS)}
        with ExitStack() as stack:
            say("starting Triton, embedders and callers")
            running = _start(folder, plan, stack)
            calling = stack.enter_context(callers.pool())
            cells = _rounds(running, calling, plan, say)
    return gpu_report.result(cells, alone, plan.rounds, servers.gpu_name())


def _start(folder: Path, plan: GpuPlan, stack: ExitStack) -> Running:
    pid, port = stack.enter_context(servers.triton_server(folder, plan.provider))
    running = Running(pid)
    for name in (BARE, f"{BARE}{PLAIN}"):
        running.ports[name], running.pids[name] = [port], []
    wanted = [(name, settings) for name, each in EMBEDDERS.items() for settings in each]
    with ThreadPoolExecutor() as pool:
        started = pool.map(
            lambda one: stack.enter_context(
                embedder_server(folder, port, **_common(folder, one[0]), **one[1])
            ),
            wanted,
        )
        for (name, _), (pid, port_of_one) in zip(wanted, started, strict=True):
            running.pids.setdefault(name, []).append(pid)
            running.ports.setdefault(name, []).append(port_of_one)
    return running


def _common(folder: Path, contender: str) -> dict[str, str]:
    return {
        "EMBEDDER_MODELS": _model(PHOTOS, contender),
        "EMBEDDER_TEXT_MODELS": _model(TEXTS, contender),
        "EMBEDDER_BACKBONES": str(folder / "models"),
        "EMBEDDER_CACHE_BYTES": "0",
    }


def _model(model: str, contender: str) -> str:
    return model + UNBATCHED if contender.endswith(PLAIN) else model


def _rounds(running: Running, calling: Callers, plan: GpuPlan, say: Say) -> Cells:
    cells = {
        (model, name, count): GpuCell(model, name, count)
        for model, names in CONTENDERS.items()
        for count in plan.callers
        for name in names
    }
    for number in range(plan.rounds + 1):
        say(f"round {number} of {plan.rounds}" if number else "warming up")
        for cell in cells.values():
            _round(cell, running, calling, plan.seconds if number else 0.2, bool(number))
    return cells


def _round(cell: GpuCell, running: Running, calling: Callers, seconds: float, counts: bool) -> None:
    name, model = cell.contender, _model(cell.model, cell.contender)
    (triton_port,), embedders = running.ports[BARE], running.pids[name]
    worked = servers.work(triton_port, model)
    spent, began = servers.spent(running.triton, model, embedders), time.perf_counter()
    shares = calling.call(
        model, running.ports[name], cell.callers, seconds, bare=name.startswith(BARE)
    )
    wall = time.perf_counter() - began
    after = servers.spent(running.triton, model, embedders)
    works = servers.work(triton_port, model)
    if not counts:
        return
    latencies = [each for share in shares for each in share.latencies]
    items, batches = max(1, works.items - worked.items), max(1, works.batches - worked.batches)
    cell.latencies += latencies
    cell.refused += [error for share in shares for error in share.refused]
    cell.rates.append(
        sum((len(share.latencies) - len(share.refused)) / share.seconds for share in shares)
    )
    cell.medians.append(percentile(latencies, 0.5).value)
    cell.tails.append(percentile(latencies, 0.99).value)
    cell.batches.append(items / batches)
    cell.busy.append((works.busy_seconds - worked.busy_seconds) / wall)
    cell.queued.append(1000 * (works.queued_seconds - worked.queued_seconds) / items)
    for kind, before in spent.items():
        cell.costs.setdefault(kind, []).append(1000 * (after[kind] - before) / items)
    own = sum(share.cpu_seconds for share in shares) / len(latencies)
    cell.costs.setdefault("callers", []).append(1000 * own)


def _alone(folder: Path, model: str, plan: GpuPlan) -> Mapping[str, Any]:
    """Run the graph without a server: milliseconds by batch, and the vectors' differences."""
    inputs, asked = folder / f"{model}.npz", folder / f"{model}.json"
    items: Sequence[Tensors] = photo_pixels() if model == PHOTOS else text_tokens()
    arrays = {
        f"{key}.{n}": value
        for n, item in enumerate(items[: plan.items])
        for key, value in item.items()
    }
    np.savez(inputs, allow_pickle=False, **arrays)
    stated = {
        "graph": str(MODELS / model / "1" / "model.onnx"),
        "inputs": str(inputs),
        "provider": plan.provider,
        "batches": list(plan.batches),
        "repeats": plan.repeats,
    }
    asked.write_text(json.dumps(stated))
    command = [str(TRITON_PYTHON), str(Path(servers.__file__).with_name("sessions.py")), str(asked)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=START_SECONDS
    )
    if done.returncode:
        raise OSError(f"{model} without a server: {done.stderr[-2000:]}")
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
