"""The process of one model: `python -m embedder.adapters.onnxruntime.host NAME`.

It runs the program that Triton's Python backend runs, `1/model.py` beside the graph: both engines
have the same checks, options, threads and priorities, and so the same vectors. In place of Triton's
module for such programs it has the few names that this one uses. Requests come by the socket that
is its standard input; the process ends when the service closes it.
"""

import contextlib
import importlib.util
import os
import resource
import socket
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy.typing as npt

from embedder.adapters.onnxruntime import frames

BACKEND: Final = "triton_python_backend_utils"
"""Name by which such programs import Triton's module."""


class Tensor:
    """An array of a request or of an answer."""

    def __init__(self, name: str, values: npt.NDArray[Any]) -> None:
        self.name, self._values = name, values

    def as_numpy(self) -> npt.NDArray[Any]:
        """Return its values."""
        return self._values


class TritonError(Exception):
    """An error that answers a request."""

    INTERNAL, INVALID_ARG = "internal", "invalid"

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        super().__init__(message)
        self.code = code


class InferenceResponse:
    """The answer to a request."""

    def __init__(self, tensors: Iterable[Tensor], error: TritonError | None = None) -> None:
        self.tensors, self.error = tensors, error


class Request:
    """A request, which is also the sender of its answer."""

    def __init__(self, link: "Link", number: int, head: dict[str, Any], inputs: frames.Arrays):
        self._link, self._number = link, number
        self._bulk = bool(head[frames.BULK])
        self.inputs = {name: Tensor(name, values) for name, values in inputs.items()}

    def request_id(self) -> str:
        """Return its id."""
        return str(self._number)

    def parameters(self) -> str:
        """Return its parameters, as JSON."""
        return '{"bulk": true}' if self._bulk else "{}"

    def get_response_sender(self) -> "Request":
        """Return what sends the answer."""
        return self

    def send(self, response: InferenceResponse, flags: int) -> None:
        """Send the only answer."""
        del flags
        if response.error is not None:
            said = {frames.ERROR: str(response.error), "code": response.error.code}
            self._link.send(self._number, said, {})
        else:
            self._link.send(self._number, {}, {t.name: t.as_numpy() for t in response.tensors})


class Link:
    """Connection to the service."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()

    def receive(self) -> tuple[int, dict[str, Any], frames.Arrays] | None:
        """Return the next message; None when the service has closed the connection."""
        try:
            head = frames.exactly(self._socket, frames.SIZES.size)
            number, *sizes = frames.SIZES.unpack(head)
            text, data = (frames.exactly(self._socket, size) for size in sizes)
            return number, *frames.unpacked(text, data)
        except (EOFError, OSError):
            return None

    def send(self, number: int, head: dict[str, Any], arrays: frames.Arrays) -> None:
        """Send a message, from any thread."""
        message = b"".join(frames.packed(number, head, arrays))
        with self._sending, contextlib.suppress(OSError):  # `receive` ends the process
            self._socket.sendall(message)


def main() -> None:
    """Load a model, and answer requests until the service closes the connection."""
    link = Link(socket.socket(fileno=sys.stdin.fileno()))
    if (order := link.receive()) is None:
        return
    try:
        model = _loaded(order[1])
    except Exception as error:  # of any kind, by any program: the service is told
        link.send(frames.START, {frames.ERROR: f"{type(error).__name__}: {error}"}, {})
        raise
    link.send(frames.START, {}, {})
    while (asked := link.receive()) is not None:
        model.execute([Request(link, *asked)])
    os._exit(0)  # without waiting for requests that nobody waits for


def _loaded(order: dict[str, Any]) -> Any:
    """Return the model that an order names, within its memory."""
    memory = int(order.pop(frames.MEMORY))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.modules[BACKEND] = _backend()
    program = Path(order["model_repository"]) / order["model_version"] / "model.py"
    spec = importlib.util.spec_from_file_location("model", program)
    if spec is None or spec.loader is None:
        raise ImportError(f"{program} is no program")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize(order)
    return model


def _backend() -> ModuleType:
    """Return a stand-in for the module that Triton gives its programs."""
    made: Any = ModuleType(BACKEND)
    made.Tensor, made.InferenceResponse, made.TritonError = Tensor, InferenceResponse, TritonError
    made.TritonModelException = RuntimeError
    made.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
    made.get_input_tensor_by_name = lambda request, name: request.inputs.get(name)
    found: ModuleType = made
    return found


if __name__ == "__main__":
    main()
