"""Triton's Python backend with onnxruntime, for any inputs and outputs of the configuration.

One process has the graph's weights once, and two threads for each priority: requests with the
parameter `bulk` compute beside others in threads of lower priority, which get a tenth of a core
while others compute. So execute() returns before its requests are answered.

One output is not the graph's: `checksum`, uint32 [N, 1], the same in each row: zlib's CRC-32 of the
request's id, then the bytes of its inputs, then those of the other outputs, each in order of names.
The build puts a copy beside each graph.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
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
BULK: Final = "bulk"
"""Name of the parameter of requests for which no shopper waits."""
NICE: Final = 10
"""Nice value of the threads that compute them."""
THREADS: Final = 2
"""Threads of each priority: as many requests compute at once, each on one core."""
IDLE_SECONDS: Final = 10.0
"""Seconds without a request after which its memory is returned to the kernel."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for a thread."""

    request: Any
    sender: Any
    inputs: Tensors


class TritonPythonModel:
    """The only instance, a process of its own."""

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
        # By its path, as a session keeps the bytes of a graph that it is given.
        self.session = onnxruntime.InferenceSession(path, _options())
        # Loading leaves a third of the process's memory free, which the C library would keep.
        self._libc = ctypes.CDLL(None)
        self._libc.malloc_trim(0)
        self._freeing = threading.Lock()
        self._grown: dict[str, tuple[tuple[int, ...], Any]] = {}
        """Shape of a row and type of a request's inputs, of the last one that had several rows or
        computed beside others; empty if memory was freed since."""
        self._computing: set[int] = set()
        self._answered_at = time.monotonic()
        self._queues: dict[bool, SimpleQueue[Asked | None]] = {
            bulk: SimpleQueue() for bulk in (False, True)
        }
        self._threads = [
            threading.Thread(target=self._work, args=(bulk,), daemon=True)
            for bulk in self._queues
            for _ in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Pass valid requests on to the threads, and refuse others."""
        for request in requests:
            sender = request.get_response_sender()
            inputs = self._tensors(request)
            if wrong := self._wrong(inputs):
                _send(sender, _refusal(wrong, pb.TritonError.INVALID_ARG))
            else:
                bulk = bool(json.loads(request.parameters()).get(BULK))
                self._queues[bulk].put(Asked(request, sender, inputs))

    def finalize(self) -> None:
        """End the threads; by then all requests are answered."""
        for bulk in self._queues:
            for _ in range(THREADS):
                self._queues[bulk].put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, bulk: bool) -> None:
        """Answer requests of one priority."""
        if bulk:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while (asked := self._next(bulk)) is not None:
            try:
                answer = self._answer(asked)
            except Exception as error:  # without an answer its caller would wait
                answer = _refusal(str(error), pb.TritonError.INTERNAL)
            _send(asked.sender, answer)

    def _next(self, bulk: bool) -> Asked | None:
        """Wait for a request of one priority; None: the model ends."""
        while True:
            try:
                return self._queues[bulk].get(timeout=IDLE_SECONDS if self._grown else None)
            except Empty:
                self._free()

    def _free(self) -> None:
        """Return memory to the kernel if the model is idle: four photos at once leave 80 MB that
        few later requests need (2026-11). Only a run can shrink onnxruntime's own memory."""
        with self._freeing:
            if not self._grown or time.monotonic() < self._answered_at + IDLE_SECONDS:
                return
            forms, self._grown = self._grown, {}
            blank = {name: np.ones((1, *shape), dtype) for name, (shape, dtype) in forms.items()}
            shrink = onnxruntime.RunOptions()
            shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            with contextlib.suppress(Exception):  # its thread must go on
                self.session.run(self.outputs, blank, shrink)
            self._libc.malloc_trim(0)

    def _answer(self, asked: Asked) -> Any:
        self._computing.add(id(asked))
        try:
            results = self.session.run(self.outputs, asked.inputs)
        finally:
            self._computing.discard(id(asked))
        if self._computing or len(results[0]) > 1:
            self._grown = {name: (v.shape[1:], v.dtype) for name, v in asked.inputs.items()}
        self._answered_at = time.monotonic()
        outputs = dict(zip(self.outputs, results, strict=True))
        if self.checks:
            outputs[CHECKSUM] = _checksum(asked.request, asked.inputs, outputs)
        return pb.InferenceResponse([pb.Tensor(name, values) for name, values in outputs.items()])

    def _tensors(self, request: Any) -> Tensors:
        """Copy a request's inputs, so that the graph gets the checked data."""
        found = {i.name: pb.get_input_tensor_by_name(request, i.name) for i in self.inputs}
        return {
            name: tensor.as_numpy().copy() for name, tensor in found.items() if tensor is not None
        }

    def _wrong(self, tensors: Tensors) -> str:
        """Return the fault of a request; empty if it is valid."""
        for wanted in self.inputs:
            if wanted.name not in tensors:
                return f"{wanted.name} is missing"
            if not wanted.fits(tensors[wanted.name]):
                got = tensors[wanted.name]
                return f"{wanted.name}: wanted {wanted.form}, got {got.dtype} {list(got.shape)}"
        if len({len(tensor) for tensor in tensors.values()}) > 1:
            return "the inputs differ in their numbers of rows"
        return ""


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


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Each request computes in its own thread, without others that spin: both halve the throughput
    # of a busy machine.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _checksum(request: Any, inputs: Tensors, outputs: Tensors) -> Array:
    found = zlib.crc32(request.request_id().encode())
    for tensors in (inputs, outputs):
        for name in sorted(tensors):
            found = zlib.crc32(tensors[name].data, found)
    rows = len(next(iter(outputs.values())))
    return np.full((rows, 1), found, np.uint32)


def _refusal(message: str, code: Any) -> Any:
    return pb.InferenceResponse([], pb.TritonError(message, code))


def _send(sender: Any, answer: Any) -> None:
    sender.send(answer, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
