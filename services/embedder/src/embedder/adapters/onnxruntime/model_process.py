"""The service's side of a model's process: starts it, and sends it requests."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final, Self

from embedder.adapters.onnxruntime import frames, host
from embedder.domain.errors import ModelFailed, ModelNotReady, ProcessLost, QueueFull
from embedder.domain.models import Tensors
from servicekit.tasks.promise import Promise
from servicekit.telemetry import get_logger

MOST_WAITING: Final = 64
"""Requests of one process that wait or run, abandoned ones included; more are rejected."""

_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Requests compute in threads of the program, one each.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # As in deploy/triton/triton_engine/serve.py: memory that the next layer needs is kept.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}
"""The whole environment of a process, besides the module path and _KEPT: it sees no secret."""
_KEPT: Final = ("SIGHTLINE_SUITE",)
"""Variables of the service that a process has too: the suite that it belongs to."""

_OF_MEMORY: Final = ("bad_alloc", "failed to allocate", "memoryerror", "unable to allocate")
"""Parts of the messages of onnxruntime, NumPy and Python when no memory is left."""

log = get_logger()


class ModelProcess:
    """A process that runs one model. A crash of it ends neither the service nor other models."""

    def __init__(self, model: str, link: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._model = model
        self._link, self._process = link, process
        self._numbers = itertools.count(frames.START + 1)
        self._waiting: dict[int, Promise[frames.Arrays]] = {}
        self._ended = False
        self._retired = False
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        """True if the process has ended."""
        return self._process.returncode is not None

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @classmethod
    async def start(cls, model: str, order: Mapping[str, Any], seconds: float) -> Self:
        """Return the process of a model once it has loaded the model, within `seconds`.

        `order`: what Triton's Python backend gives a model, and its memory. Raises ModelNotReady,
        and ProcessLost if it ended or took too long.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = _launched(model, theirs)
        started = cls(model, ours, process)
        try:
            async with asyncio.timeout(seconds):
                await started._load(order)
        except BaseException as error:
            started._retired = True
            started.kill()
            await started.ended()
            if isinstance(error, TimeoutError):
                raise ProcessLost("the model's process hung during its start") from None
            raise
        return started

    async def run(self, inputs: Tensors, *, bulk: bool) -> frames.Arrays:
        """Return the model's outputs by name.

        Raises ProcessLost when the process ends, QueueFull, ModelNotReady for inputs that do not
        fit the model, and ModelFailed.
        """
        if self._ended:
            raise ProcessLost("the model's process ended")
        if len(self._waiting) >= MOST_WAITING:
            raise QueueFull
        return await self._asked(next(self._numbers), {frames.BULK: bulk}, inputs)

    def retire(self, seconds: float) -> None:
        """End the process once it has answered all requests, at the latest after `seconds`."""
        self._retired = True
        if self._waiting:
            asyncio.get_running_loop().call_later(seconds, self.kill)
        else:
            self.kill()

    def kill(self) -> None:
        """End the process now; its requests fail with ProcessLost."""
        self._process.kill()

    async def ended(self) -> None:
        """Wait until the process has ended, after `kill`."""
        if self._reading is None:
            await asyncio.to_thread(self._process.wait)
        else:
            await asyncio.shield(self._reading)

    async def _load(self, order: Mapping[str, Any]) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=self._link)
        # Not in the context of the call that loads the model, which ends earlier.
        self._reading = asyncio.create_task(self._read(reader), context=Context())
        await self._asked(frames.START, order, {})

    async def _asked(self, number: int, head: Mapping[str, Any], inputs: Tensors) -> frames.Arrays:
        self._waiting[number] = answer = Promise[frames.Arrays]()
        self._writer.writelines(frames.packed(number, head, inputs))
        return await answer.value()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Take answers until the process ends."""
        try:
            while not reader.at_eof():
                sizes = await reader.readexactly(frames.SIZES.size)
                number, text, size = frames.SIZES.unpack(sizes)
                head = await reader.readexactly(text)
                self._answer(number, *frames.unpacked(head, await reader.readexactly(size)))
        except (EOFError, OSError):
            pass  # it was killed, or crashed
        finally:
            self._end()
            status = await asyncio.to_thread(self._process.wait)
            if not self._retired:
                log.warning("a model's process ended", model=self._model, status=status)

    def _answer(self, number: int, head: Mapping[str, Any], outputs: frames.Arrays) -> None:
        waiting = self._waiting.pop(number)
        if frames.ERROR in head:
            waiting.fail(_error(self._model, number, head))
        else:
            waiting.keep(outputs)
        if self._retired and not self._waiting:
            self.kill()

    def _end(self) -> None:
        self._ended = True
        self._process.kill()
        self._writer.close()
        for waiting in self._waiting.values():
            waiting.fail(ProcessLost("the model's process ended"))
        self._waiting.clear()


def _error(model: str, number: int, head: Mapping[str, Any]) -> ModelNotReady | ModelFailed:
    """Return the error that a process answered. Its message is for the log alone."""
    said = str(head[frames.ERROR])
    log.warning("a model failed", model=model, error=said)
    short = any(part in said.lower() for part in _OF_MEMORY)
    if short:
        return ModelFailed(f"{model} needs more memory than EMBEDDER_MODEL_BYTES allows")
    if "No module named 'onnxruntime'" in said:
        return ModelNotReady(
            "onnxruntime is not installed: install sightline-embedder[onnxruntime]"
        )
    if number == frames.START:
        return ModelNotReady(f"{model} can't be loaded; see the embedder's log")
    if head.get("code") == host.TritonError.INVALID_ARG:
        return ModelNotReady("the model rejects the request: it does not fit this service")
    return ModelFailed("the model failed")


def _launched(model: str, link: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (sys.executable, "-sP", "-m", host.__name__, model),
        stdin=link.fileno(),
        stdout=subprocess.DEVNULL,
        env=environment(),
        process_group=0,  # a terminal's Ctrl-C is for the service, which drains first
    )


def environment() -> Mapping[str, str]:
    """Return the whole environment of a model's process."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**_ENVIRONMENT, **kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
