"""Triton's Python backend with onnxruntime, for any inputs and outputs of the configuration.

One output is not the graph's: `checksum`, uint32 [N, 1], the same in each row: zlib's CRC-32 of the
request's id, then the bytes of its inputs, then those of the other outputs, each in order of names.
The build puts a copy beside each graph.
"""

import ctypes
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import triton_python_backend_utils as pb  # type: ignore[import-not-found] # Triton has it

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
"""The inputs of one request by name, each [N, ...] with the same N."""

TYPES: Final = {
    "TYPE_UINT8": np.uint8,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP32": np.float32,
}
ANY: Final = -1
"""A variable dimension in the configuration."""
CHECKSUM: Final = "checksum"
"""Name of the output that shows that an answer belongs to the request. The server gives up a
request if this process stalls for a second. Then both may read memory that the other writes, and
the late answer is delivered to the next request (2.51; the code of 26.08 is the same).
"""


class TritonPythonModel:
    """One instance, a process of its own with one compute thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph that the configuration names; a different one is rejected."""
        config = json.loads(args["model_config"])
        version = args["model_version"]
        parameter = f"version_{version}_sha256"
        if parameter not in config["parameters"]:
            raise pb.TritonModelException(f"config.pbtxt has no parameter {parameter}")
        wanted = config["parameters"][parameter]["string_value"]
        path = Path(args["model_repository"]) / version / "model.onnx"
        with path.open("rb") as graph:
            found = hashlib.file_digest(graph, "sha256").hexdigest()
        if found != wanted:
            raise pb.TritonModelException(
                f"{path.name} of version {version} has sha256 {found}, config.pbtxt says {wanted}"
            )
        self.inputs = [_Input(stated) for stated in config["input"]]
        names = [stated["name"] for stated in config["output"]]
        self.checks = CHECKSUM in names
        self.outputs = [name for name in names if name != CHECKSUM]
        self.max_batch = config["max_batch_size"]
        # By its path, as a session keeps the bytes of a graph that it is given.
        self.session = onnxruntime.InferenceSession(path, _options())
        # Loading leaves a third of the process's memory free, which the C library would keep.
        ctypes.CDLL(None).malloc_trim(0)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; several of one shape are run together, up to the batch limit."""
        taken = [self._tensors(request) for request in requests]
        answers: list[Any] = [None] * len(requests)
        for group in self._groups(taken, answers):
            for place, outputs in self._run(group, taken):
                if self.checks:
                    outputs[CHECKSUM] = _checksum(requests[place], taken[place], outputs)
                tensors = [pb.Tensor(name, values) for name, values in outputs.items()]
                answers[place] = pb.InferenceResponse(tensors)
        return answers

    def _tensors(self, request: Any) -> Tensors:
        """Copy a request's inputs, so that the graph gets the checked data."""
        found = {i.name: pb.get_input_tensor_by_name(request, i.name) for i in self.inputs}
        return {
            name: tensor.as_numpy().copy() for name, tensor in found.items() if tensor is not None
        }

    def _groups(self, taken: Sequence[Tensors], answers: list[Any]) -> Iterator[list[int]]:
        """Split the valid requests into runs, and reject the others."""
        group: list[int] = []
        size = 0
        for place, tensors in enumerate(taken):
            if wrong := self._wrong(tensors):
                answers[place] = _refusal(wrong)
                continue
            count = _count(tensors)
            apart = group and _shapes(tensors) != _shapes(taken[group[0]])
            if apart or (group and size + count > self.max_batch):
                yield group
                group, size = [], 0
            group.append(place)
            size += count
        if group:
            yield group

    def _wrong(self, tensors: Tensors) -> str:
        """Return the fault of a request, or None."""
        for wanted in self.inputs:
            if wanted.name not in tensors:
                return f"{wanted.name} is missing"
            if not wanted.fits(tensors[wanted.name]):
                got = tensors[wanted.name]
                return f"{wanted.name}: wanted {wanted.form}, got {got.dtype} {list(got.shape)}"
        if len({len(tensor) for tensor in tensors.values()}) > 1:
            return "the inputs differ in their numbers of rows"
        return ""

    def _run(
        self, group: list[int], taken: Sequence[Tensors]
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Run a group at once; yield the graph's outputs for each request."""
        first = taken[group[0]]
        together = len(group) > 1
        batch = {
            name: np.concatenate([taken[place][name] for place in group]) if together else values
            for name, values in first.items()
        }
        results = self.session.run(self.outputs, batch)
        start = 0
        for place in group:
            end = start + _count(taken[place])
            named = zip(self.outputs, results, strict=True)
            yield place, {name: result[start:end] for name, result in named}
            start = end


class _Input:
    """One input of the configuration."""

    def __init__(self, stated: Mapping[str, Any]) -> None:
        self.name: str = stated["name"]
        self.dtype = np.dtype(TYPES[stated["data_type"]])
        self.shape = tuple(int(side) for side in stated["dims"])
        sides = ", ".join("T" if side == ANY else str(side) for side in self.shape)
        self.form = f"{self.dtype} [N, {sides}]"

    def fits(self, values: Array) -> bool:
        """Return whether an array has the required type and shape, with at least one row."""
        shape = values.shape[1:]
        return (
            values.dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(side in (ANY, got) for side, got in zip(self.shape, shape, strict=True))
            and values.size > 0
        )


def _count(tensors: Tensors) -> int:
    return len(next(iter(tensors.values())))


def _shapes(tensors: Tensors) -> list[tuple[int, ...]]:
    return [tensor.shape[1:] for tensor in tensors.values()]


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # One thread an instance, and no spinning: both halve the throughput of a busy machine.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _checksum(request: Any, inputs: Tensors, outputs: Tensors) -> Array:
    found = zlib.crc32(request.request_id().encode())
    for tensors in (inputs, outputs):
        for name in sorted(tensors):
            found = zlib.crc32(tensors[name].data, found)
    return np.full((_count(outputs), 1), found, np.uint32)


def _refusal(message: str) -> Any:
    return pb.InferenceResponse([], pb.TritonError(message, pb.TritonError.INVALID_ARG))
