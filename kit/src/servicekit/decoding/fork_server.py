"""The service's side of `servicekit.decoding.process`: starts processes and talks to them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from servicekit.decoding import process as program
from servicekit.decoding import wire
from servicekit.decoding.process import COMMAND, END, ID, START
from servicekit.decoding.wire import AnswerHeader, ExpectedOutput

_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    # Its threads would not survive a fork.
    "OPENBLAS_NUM_THREADS": "1",
    # Otherwise each thread of a decoder reserves 64 MiB of address space, which its limit counts.
    "MALLOC_ARENA_MAX": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""The whole environment of the processes, besides the module path."""


class ForkServer:
    """The process that others are forked from, started on first use."""

    def __init__(self, module: str, room: int) -> None:
        """Serve `module` (see process.py); `room`: bytes shared with each process."""
        self.room = room
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._one_by_one = asyncio.Lock()

    async def fork(self) -> Link:
        """Fork a process and return the link to it. Raises OSError or EOFError on failure."""
        async with self._one_by_one:
            with contextlib.ExitStack() as undo:
                # A caller that gives up leaves an unfinished exchange on the socket.
                undo.callback(self.close)
                control = self._control or await self._start()
                ours, theirs = socket.socketpair()
                undo.callback(ours.close)
                ours.setblocking(False)
                with theirs, _memory(self.room) as file:
                    room = memoryview(mmap.mmap(file, self.room))
                    socket.send_fds(control, [COMMAND.pack(START, 0)], [theirs.fileno(), file])
                (process,) = ID.unpack(await _exactly(control, ID.size))
                undo.pop_all()
        return Link(self, process, ours, room)

    def end(self, process: int) -> None:
        """Kill a process; it disappears shortly after."""
        if self._control is not None:
            with contextlib.suppress(OSError):  # the fork server ended, and all processes with it
                self._control.send(COMMAND.pack(END, process))

    def close(self) -> None:
        """Kill all processes."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control = ours
        with theirs:
            self._process = self._launched(theirs)
        await _exactly(ours, ID.size)
        return ours

    def _launched(self, control: socket.socket) -> subprocess.Popen[bytes]:
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(
            (sys.executable, "-sP", "-m", program.__name__, self._module, str(self.room)),
            stdin=control.fileno(),
            stdout=subprocess.DEVNULL,
            env=_ENVIRONMENT | paths,
            start_new_session=True,
        )


class Link:
    """Connection to one decoding process: its socket and shared memory."""

    def __init__(
        self, server: ForkServer, process: int, link: socket.socket, room: memoryview
    ) -> None:
        self.process = process
        self._server = server
        self._socket = link
        self._room = room
        self._alive = True

    async def greeting(self) -> str:
        """Return the layers that the process reports at its start. Raises as `ask` does."""
        head = wire.read(await _exactly(self._socket, wire.ANSWER.size), wire.GREETING)
        return wire.text(await _exactly(self._socket, head.note))

    async def ask(
        self, order: bytes, photo: bytes, memory: int, wanted: ExpectedOutput
    ) -> tuple[AnswerHeader, bytes, bytes]:
        """Return an answer's header, note and pixels.

        Raises OSError or EOFError when the process is gone, and AnswerInvalid.
        """
        with contextlib.suppress(BlockingIOError):
            if self._socket.recv(1):
                raise wire.AnswerInvalid("its answer is longer than requested")
            raise EOFError
        self._room[: len(photo)] = photo
        asking = wire.request(order, len(photo), memory)
        await asyncio.get_running_loop().sock_sendall(self._socket, asking)
        head = wire.read(await _exactly(self._socket, wire.ANSWER.size), wanted)
        note = await _exactly(self._socket, head.note)
        # A copy: the process may change shared memory at any time, even while it is read.
        pixels = bytes(self._room[: wanted.size]) if head.status == wire.DecodeStatus.DONE else b""
        return head, note, pixels

    def kill(self) -> None:
        """End the process; a pending `ask` raises EOFError."""
        if self._alive:
            self._alive = False
            self._server.end(self.process)

    def close(self) -> None:
        """End the process while no answer is pending."""
        self.kill()
        self._socket.close()


async def _exactly(link: socket.socket, size: int) -> bytes:
    """Read `size` bytes. Raises OSError or EOFError when the peer is gone."""
    data = b""
    while len(data) < size:
        more = await asyncio.get_running_loop().sock_recv(link, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@contextlib.contextmanager
def _memory(size: int) -> Iterator[int]:
    """Open anonymous shared memory of `size` bytes; on Linux its size is sealed."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("decoding", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as opened:
            file = os.dup(opened.fileno())
    try:
        os.ftruncate(file, size)
        if hasattr(os, "memfd_create"):
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        yield file
    finally:
        os.close(file)


_SEALS: Final = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW


def address_space(process: int) -> int:
    """Return the bytes of address space of a process; 0 if unknown."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[0]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
