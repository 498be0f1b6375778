"""Triton's Python backend with onnxruntime on a GPU, in batches that Triton forms.

The bench puts a copy beside each graph. Triton's own onnxruntime backend is part of NVIDIA's image
only; this program runs the same graph on the same GPU, in one process per model. The inputs of one
call have equal shapes: Triton batches only such requests.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb  # type: ignore[import-not-found] # Triton has it

CUDA: Final = "CUDAExecutionProvider"
SIZES: Final = (1, 2, 4, 8, 16, 32)
"""Sizes of batches of photos, each with a session of its own: whenever the number of rows changes,
onnxruntime plans all convolutions again, which takes 0.4 s (H200, 2026-11)."""
ANY: Final = 0
"""Key of the session for any number of rows, of graphs without convolutions."""


class TritonPythonModel:
    """The only instance, a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph once for each size of a batch, and run it."""
        config = json.loads(args["model_config"])
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        provider = config["parameters"]["provider"]["string_value"]
        self.inputs = [stated["name"] for stated in config["input"]]
        self.outputs = [stated["name"] for stated in config["output"]]
        shape = [int(side) for side in config["input"][0]["dims"]]
        self.sessions = {}
        for rows in SIZES if min(shape) > 0 else (ANY,):
            loaded = self.sessions[rows] = session(graph, provider)
            if loaded.get_providers()[0] != provider:
                raise pb.TritonModelException(f"onnxruntime cannot use {provider}")
            if rows != ANY:
                blank = np.zeros((rows, *shape), np.uint8)
                loaded.run(self.outputs, {self.inputs[0]: blank})

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer all requests of a batch by one run of the graph."""
        tensors = {name: [_rows(request, name) for request in requests] for name in self.inputs}
        counts = [len(rows) for rows in tensors[self.inputs[0]]]
        try:
            found = self._run({name: np.concatenate(rows) for name, rows in tensors.items()})
        except Exception as error:  # without an answer the callers would wait
            failed = pb.TritonError(str(error), pb.TritonError.INTERNAL)
            return [pb.InferenceResponse([], failed) for _ in requests]
        ends = np.cumsum(counts)[:-1]
        split = [np.split(values, ends) for values in found]
        return [
            pb.InferenceResponse(
                [pb.Tensor(name, each) for name, each in zip(self.outputs, parts, strict=True)]
            )
            for parts in zip(*split, strict=True)
        ]

    def _run(self, tensors: dict[str, Any]) -> list[Any]:
        """Run the graph on a batch, filled up to the next size."""
        count = len(tensors[self.inputs[0]])
        size = next((size for size in self.sessions if size >= count), ANY)
        if size != ANY:
            tensors = {
                name: np.concatenate([rows, np.zeros((size - count, *rows.shape[1:]), rows.dtype)])
                for name, rows in tensors.items()
            }
        return [values[:count] for values in self.sessions[size].run(self.outputs, tensors)]


def session(graph: Path, provider: str) -> onnxruntime.InferenceSession:
    """Load a graph. In float32: by default onnxruntime would round products to TF32."""
    if provider == CUDA:
        onnxruntime.preload_dlls()  # those of pip's nvidia packages, if they are installed
        exact = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
        return onnxruntime.InferenceSession(graph, providers=[(CUDA, exact)])
    return onnxruntime.InferenceSession(graph, providers=[provider])


def _rows(request: Any, name: str) -> Any:
    return pb.get_input_tensor_by_name(request, name).as_numpy()
