"""The processes that decode, and the one that they are forked from: see
`servicekit.decoding.decoders`.

    python -m servicekit.decoding.process MODULE BYTES

MODULE has two functions. ``prepare()`` imports all that will be needed. ``answer(order, photo,
memory)``, of bytes, bytes and a number of bytes, returns Made or raises Refused or MemoryWanted, of
`servicekit.decoding.wire`. BYTES are shared with each process. Standard input is a socket, on which
the service has processes started and ended.

The first process never reads a photo. It has none of the service's environment variables, and has
imported everything that is needed: forked processes start in milliseconds and can open no file.
"""

import importlib
import mmap
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from servicekit.decoding import wire
from servicekit.decoding.confinement import Confinement
from servicekit.decoding.wire import DecodeStatus, Made
from servicekit.processes.memory import keep_memory, keep_objects

Answer = Callable[[bytes, bytes, int], Made]

START, END = b"+", b"-"
COMMAND: Final = struct.Struct("!cI")
"""START, with the link and the shared memory as descriptors, is answered with the id of a new
process; END ends the process of an id."""
ID: Final = struct.Struct("!I")


def main(module: str, room: str) -> None:
    """Start and end processes on request until the service hangs up; then end all that are left."""
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it
    keep_memory()
    work = importlib.import_module(module)
    work.prepare()
    answer: Answer = work.answer
    confinement = Confinement()
    children: set[int] = set()
    keep_objects()
    control.sendall(ID.pack(os.getpid()))
    while True:
        said, files, *_ = socket.recv_fds(control, COMMAND.size, 2)
        if not said:
            os.killpg(0, signal.SIGKILL)
        command, process = COMMAND.unpack(said)
        if command == END:
            if process in children:  # only now may its id be reused
                children.remove(process)
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            continue
        process = os.fork()
        if not process:
            control.close()
            _be_decoder(answer, confinement, socket.socket(fileno=files[0]), files[1], int(room))
        for file in files:
            os.close(file)
        children.add(process)
        control.sendall(ID.pack(process))


def _be_decoder(
    answer: Answer, confinement: Confinement, link: socket.socket, file: int, size: int
) -> NoReturn:
    """Confine this process, greet, then answer until the service hangs up."""
    status = 1
    try:
        room = memoryview(mmap.mmap(file, size))
        os.close(file)
        _silence()
        held = confinement.enter()
        link.sendall(wire.answer(DecodeStatus.READY, " ".join(held)))
        _serve(answer, link, room)
        status = 0
    finally:
        os._exit(status)


def _silence() -> None:
    """Redirect output of C libraries to /dev/null: the service's output is its log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _serve(answer: Answer, link: socket.socket, room: memoryview) -> None:
    while head := _exactly(link, wire.REQUEST.size):
        order_size, photo_size, memory = wire.asked(head, len(room))
        order = _exactly(link, order_size)
        link.sendall(_answered(answer, order, room, photo_size, memory))


def _answered(answer: Answer, order: bytes, room: memoryview, size: int, memory: int) -> bytes:
    """Return the encoded result or error of the work; pixels are left in the shared memory."""
    try:
        facts, pixels = answer(order, bytes(room[:size]), memory)
        if pixels is None or pixels.shape is None:
            return wire.answer(DecodeStatus.DONE, facts)
        room[: pixels.nbytes] = pixels.cast("B")
        return wire.answer(DecodeStatus.DONE, facts, size=pixels.nbytes, shape=pixels.shape)
    except wire.Refused as error:
        return wire.answer(DecodeStatus.REFUSED, str(error), code=error.code)
    except wire.MemoryWanted as error:
        return wire.answer(DecodeStatus.MEMORY_WANTED, size=error.size)
    except MemoryError:
        return wire.answer(DecodeStatus.OUT_OF_MEMORY)
    except Exception as error:
        return wire.answer(DecodeStatus.FAILED, f"{type(error).__name__}: {error}")


def _exactly(link: socket.socket, size: int) -> bytes:
    """Read `size` bytes; fewer at the end of the stream."""
    data = b""
    while len(data) < size and (more := link.recv(size - len(data))):
        data += more
    return data


if __name__ == "__main__":
    main(*sys.argv[1:])
