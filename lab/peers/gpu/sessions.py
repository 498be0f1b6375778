"""Run graphs by onnxruntime alone, on a GPU and on the CPU, in Triton's environment.

``python sessions.py ASKED.json`` with the fields of `Asked`, of which `inputs` are .npz files with
one row per item, or of rows of equal length in `texts`. It prints JSON: milliseconds by batch, and
how the GPU's vectors differ from the CPU's. It is a program of its own because the suite's
environment has onnxruntime for CPUs only.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
WARM = 10
"""Runs before those that are timed."""

Rows = list[Mapping[str, npt.NDArray[Any]]]
"""Inputs of single items, each [1, ...]."""


def main(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one graph."""
    rows = _rows(Path(asked["inputs"]))
    provider, graph = asked["provider"], asked["graph"]
    found: dict[str, Any] = {"ms": {}, "parity": {}}
    exact = [_vector(_session(graph, CPU), row) for row in rows]
    for name, tf32 in (("fp32", "0"), ("tf32", "1")):
        session = _session(graph, provider, tf32)
        found["ms"][name] = {
            batch: _milliseconds(session, rows, batch, asked) for batch in asked["batches"]
        }
        found["parity"][name] = _difference([_vector(session, row) for row in rows], exact)
    return found


def _session(graph: str, provider: str, tf32: str = "0") -> Any:
    if provider == CPU:
        return onnxruntime.InferenceSession(graph, providers=[CPU])
    onnxruntime.preload_dlls()
    options = {"use_tf32": tf32, "cudnn_conv_algo_search": "HEURISTIC"}
    session = onnxruntime.InferenceSession(graph, providers=[(provider, options)])
    if session.get_providers()[0] != provider:
        raise OSError(f"onnxruntime cannot use {provider}")
    return session


def _rows(path: Path) -> Rows:
    """Return the items of a file whose arrays are named INPUT.NUMBER."""
    items: dict[int, dict[str, npt.NDArray[Any]]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            name, _, number = key.rpartition(".")
            items.setdefault(int(number), {})[name] = arrays[key]
    return [items[number] for number in sorted(items)]


def _vector(session: Any, row: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    return np.asarray(session.run(None, dict(row))[0][0], np.float64)


def _difference(
    found: Sequence[npt.NDArray[np.float64]], exact: Sequence[npt.NDArray[np.float64]]
) -> dict[str, float]:
    pairs = list(zip(found, exact, strict=True))
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
    return {
        "least_cosine": min(cosines),
        "one_minus_least_cosine": 1 - min(cosines),
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
        "items": len(pairs),
    }


def _milliseconds(
    session: Any, rows: Rows, batch: int, asked: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Return milliseconds of a batch: of a call with copies, and with all tensors on the GPU."""
    alike = [rows[0]] * batch  # rows of different lengths could not be one batch
    given = {name: np.concatenate([row[name] for row in alike]) for name in rows[0]}
    repeats = asked["repeats"]
    found = {"called": _timed(lambda: session.run(None, given), repeats)}
    if asked["provider"] == CUDA:
        binding = session.io_binding()
        for name, values in given.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(values, "cuda", 0)
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(session.get_outputs()[0].name, "cuda")

        def bound() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        found["on_the_gpu"] = _timed(bound, repeats)
    return found


def _timed(call: Any, repeats: int) -> list[float]:
    for _ in range(min(WARM, repeats)):
        call()
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - began))
    return spent


if __name__ == "__main__":
    json.dump(main(json.loads(Path(sys.argv[1]).read_text())), sys.stdout)
