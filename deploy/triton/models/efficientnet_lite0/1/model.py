"""Triton's Python backend around onnxruntime: uint8 image [side, side, 3] to float32 embedding.

The build puts a copy beside each graph.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import triton_python_backend_utils as pb  # type: ignore[import-not-found] # Triton has it

Images = npt.NDArray[np.uint8]


class TritonPythonModel:
    """One instance, a process of its own with one compute thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph that the configuration names; a different one is refused."""
        config = json.loads(args["model_config"])
        version = args["model_version"]
        parameter = f"version_{version}_sha256"
        if parameter not in config["parameters"]:
            raise pb.TritonModelException(f"config.pbtxt has no parameter {parameter}")
        wanted = config["parameters"][parameter]["string_value"]
        path = Path(args["model_repository"]) / version / "model.onnx"
        graph = path.read_bytes()
        found = hashlib.sha256(graph).hexdigest()
        if found != wanted:
            raise pb.TritonModelException(
                f"{path.name} of version {version} has sha256 {found}, config.pbtxt says {wanted}"
            )
        (self.input,) = config["input"]
        (self.output,) = config["output"]
        self.shape = tuple(int(side) for side in self.input["dims"])
        self.max_batch = config["max_batch_size"]
        self.session = onnxruntime.InferenceSession(graph, _options())

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; several are run together, up to the batch limit."""
        images = [pb.get_input_tensor_by_name(r, self.input["name"]).as_numpy() for r in requests]
        answers: list[Any] = [None] * len(requests)
        for group in self._groups(images, answers):
            self._run(group, images, answers)
        return answers

    def _groups(self, images: Sequence[Images], answers: list[Any]) -> Iterator[list[int]]:
        """Split the well-shaped requests into runs; refuse the others where they stand."""
        group: list[int] = []
        size = 0
        for place, image in enumerate(images):
            if image.dtype != np.uint8 or image.shape[1:] != self.shape or not len(image):
                wanted = "x".join(map(str, self.shape))
                answers[place] = _refusal(f"wanted uint8 [N, {wanted}], got {image.shape}")
                continue
            if group and size + len(image) > self.max_batch:
                yield group
                group, size = [], 0
            group.append(place)
            size += len(image)
        if group:
            yield group

    def _run(self, group: list[int], images: Sequence[Images], answers: list[Any]) -> None:
        batch = images[group[0]] if len(group) == 1 else np.concatenate([images[i] for i in group])
        (vectors,) = self.session.run([self.output["name"]], {self.input["name"]: batch})
        start = 0
        for place in group:
            end = start + len(images[place])
            tensor = pb.Tensor(self.output["name"], vectors[start:end])
            answers[place] = pb.InferenceResponse([tensor])
            start = end


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # One thread an instance, and no spinning: both halve the throughput of a busy machine.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _refusal(message: str) -> Any:
    return pb.InferenceResponse([], pb.TritonError(message, pb.TritonError.INVALID_ARG))
