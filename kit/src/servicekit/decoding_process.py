"""A process that decodes, and what it shares with the service: see `servicekit.decoding`."""

import asyncio
import contextlib
import mmap
import os
import pickle
import resource
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from servicekit.memory import keep_memory

T = TypeVar("T")

_ROOM = 16 * 2**20
"""Bytes of an item or a result up to which it lies in shared memory; a larger one crosses the
socket. Only what is used of it is ever taken from the machine."""
_HEAD = 8
"""Bytes that tell the length of an item or a result."""


@dataclass(frozen=True, slots=True)
class Link:
    """The service's end of what it shares with one process."""

    socket: socket.socket
    room: memoryview
    """Where the item lies, and then its result."""

    async def send(self, item: bytes) -> None:
        """Raises OSError when the other side is gone."""
        crossing = _laid(item, self.room)
        await asyncio.get_running_loop().sock_sendall(self.socket, crossing)

    async def received(self) -> memoryview:
        """The next answer. Raises OSError or EOFError when the other side is gone."""
        size = int.from_bytes(await self._exactly(_HEAD))
        return self.room[:size] if size <= _ROOM else await self._exactly(size)

    async def _exactly(self, size: int) -> memoryview:
        data = memoryview(bytearray(size))
        missing = data
        while missing:
            count = await asyncio.get_running_loop().sock_recv_into(self.socket, missing)
            if not count:
                raise EOFError
            missing = missing[count:]
        return data


def shared(link: socket.socket) -> memoryview:
    """Memory for both ends of a link; the other end gets it as a file."""
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("decoding")
            stack.callback(os.close, file)
        else:  # not Linux
            file = stack.enter_context(tempfile.TemporaryFile()).fileno()
        os.ftruncate(file, _ROOM)
        socket.send_fds(link, [bytes(1)], [file])
        return memoryview(mmap.mmap(file, _ROOM))


def _laid(data: bytes, room: memoryview) -> bytes:
    """Put data where the other side finds it; return what has to cross the socket."""
    head = len(data).to_bytes(_HEAD)
    if len(data) > _ROOM:
        return head + data
    room[: len(data)] = data
    return head


def serve(link: socket.socket, memory: int, seconds: float) -> None:
    """Greet, then do items until the service hangs up."""
    _enter()
    _, (file,), *_ = socket.recv_fds(link, 1, 1)
    room = memoryview(mmap.mmap(file, _ROOM))
    os.close(file)
    link.sendall(_laid(b"", room))
    with contextlib.suppress(OSError, EOFError), link.makefile("rb") as crossing:
        while head := crossing.read(_HEAD):
            size = int.from_bytes(head)
            item = room[:size] if size <= _ROOM else crossing.read(size)
            todo = pickle.loads(item)  # noqa: S301 - from our own service
            link.sendall(_laid(_done(todo, memory, seconds), room))


def _done(item: tuple[Callable[..., Any], Any, Any], memory: int, seconds: float) -> bytes:
    """What an item raises and returns, pickled."""
    try:
        outcome = None, _limited(memory, seconds, *item)
        return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        try:
            return pickle.dumps((error, None), pickle.HIGHEST_PROTOCOL)
        except Exception:
            return pickle.dumps((TypeError(f"{type(error).__name__} can't be passed on"), None))


def _enter() -> None:
    """Set a process up: it ends at once on SIGTERM, and leaves and prints nothing."""
    keep_memory()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the service ends it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the photo
    # C libraries print what they please, and the service's output is its log.
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    os.close(silence)


def _limited(memory: int, seconds: float, function: Callable[..., T], args: Any, kwargs: Any) -> T:
    """Run one item. The limits hold for it only: what passes items on must never meet them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Only the end of a process whose service was killed while it hung; and of threads gone wild.
    most_seconds = int(usage.ru_utime + usage.ru_stime + 2 * seconds) + 2
    limits = {resource.RLIMIT_AS: _taken() + memory, resource.RLIMIT_CPU: most_seconds}
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, soft in limits.items():
        resource.setrlimit(kind, (soft, before[kind][1]))
    try:
        return function(*args, **kwargs)
    finally:
        for kind, limit in before.items():
            resource.setrlimit(kind, limit)


def _taken() -> int:
    """Bytes of address space that this process has now."""
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(statm, 100).split()[0]) * resource.getpagesize()
    finally:
        os.close(statm)
