"""Triton with its models on a GPU, and what its processes used."""

import asyncio
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tritonclient.grpc.aio as triton
from google.protobuf import text_format

from bench.harness import processes
from bench.harness.machine import ROOT
from bench.harness.serving import serving
from embedder.adapters import tokenizers
from lab.peers.embedders import TRITON_PYTHON
from lab.peers.gpu.inputs import MODELS, PHOTOS, TEXTS, UNBATCHED, config
from local_suite.health import triton_ready
from tests.engines import free_port

PROGRAM: Final = Path(__file__).with_name("model.py")
PROCESSOR: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
STUB: Final = b"triton_python_backend_stub"


@dataclass(frozen=True, slots=True)
class ModelWork:
    """Counts and times of a model in Triton since its start."""

    items: int
    batches: int
    busy_seconds: float
    """Time in which its process had a batch."""
    queued_seconds: float
    """Sum of the requests' times in Triton's queue."""


def missing() -> str:
    """Return why no GPU can be measured; empty: it can."""
    if not gpu_name():
        return "no GPU: nvidia-smi names none"
    asked = "import onnxruntime; print(*onnxruntime.get_available_providers())"
    done = subprocess.run(
        [str(TRITON_PYTHON), "-c", asked], check=False, capture_output=True, text=True
    )
    if CUDA not in done.stdout.split():
        return "deploy/triton/.venv has onnxruntime without CUDA (lab/README.md)"
    return ""


def gpu_name() -> str:
    """Return the first GPU's name; empty without one."""
    line = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def write_repository(folder: Path, provider: str) -> Path:
    """Write the two models, with the batching of their gpu.pbtxt and without. Return the
    repository.
    """
    for model, ending in itertools.product((PHOTOS, TEXTS), ("", UNBATCHED)):
        stated = config(model)
        stated.name += ending
        stated.platform, stated.backend = "", "python"
        stated.ClearField("optimization")  # TensorRT is part of Triton's own backend
        stated.instance_group[0].kind = stated.instance_group[0].KIND_CPU  # model.py selects it
        stated.parameters["provider"].string_value = provider
        if ending:
            stated.ClearField("dynamic_batching")
        _write_model(folder / stated.name, MODELS / model, text_format.MessageToString(stated))
    return folder


def _write_model(folder: Path, built: Path, stated: str) -> None:
    version = folder / "1"
    version.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(stated)
    shutil.copy(PROGRAM, version)
    (version / "model.onnx").symlink_to(built / "1" / "model.onnx")
    if (built / tokenizers.FILE).is_file():
        shutil.copy(built / tokenizers.FILE, folder)


@contextmanager
def triton_server(folder: Path, provider: str) -> Iterator[tuple[int, int]]:
    """Run Triton with the models, in `folder`/models. Yield process id and port."""
    models, port = write_repository(folder / "models", provider), free_port()
    command = [
        *(str(TRITON_PYTHON), "-m", "triton_engine.serve"),
        *("--models", str(models), "--grpc-port", str(port)),
    ]
    given = {"PYTHONPATH": str(ROOT / "deploy/triton")}
    with serving(command, folder / "triton.log", triton_ready(port), given) as pid:
        yield pid, port


def work(port: int, model: str) -> ModelWork:
    """Return what a model did so far, by Triton's own statistics."""
    return asyncio.run(_work(port, model))


async def _work(port: int, model: str) -> ModelWork:
    async with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        (found,) = (await client.get_inference_statistics(model)).model_stats
    parts = [
        part.ns
        for each in found.batch_stats
        for part in (each.compute_input, each.compute_infer, each.compute_output)
    ]
    return ModelWork(
        found.inference_count,
        found.execution_count,
        sum(parts) / 1e9,
        found.inference_stats.queue.ns / 1e9,
    )


def spent(triton_pid: int, model: str, embedders: Sequence[int]) -> dict[str, float]:
    """Return processor seconds so far by kind of process: Triton and its processes, embedders and
    their decoding processes."""
    kinds = {triton_pid: "Triton"}
    for child in _children(triton_pid):
        command = (Path("/proc") / str(child) / "cmdline").read_bytes()
        if STUB in command and os.fsencode(f"/{model}/") in command:
            kinds[child] = "model"
        else:
            kinds[child] = "other"
    for pid in embedders:
        kinds |= {pid: "embedder"} | dict.fromkeys(_children(pid), "decoding")
    found = processes.spent(kinds)
    return {kind: found.get(kind, 0.0) for kind in ("Triton", "model", "embedder", "decoding")}


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found
