"""Work that harms its own process, or lies. Run it by servicekit.decoding.decoders only.

An order is the name of a function here, and the photo what it is given.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from servicekit.decoding import wire
from servicekit.decoding.wire import DecodeStatus, ExpectedOutput, Made, MemoryWanted, Refused

NUMBER = ExpectedOutput(struct.Struct("!q"))
"""Form of all answers except those of `echo`."""


def prepare() -> None:
    """Prepare nothing."""


def answer(order: bytes, photo: bytes, memory: int) -> Made:
    """Do as the order says."""
    name = order.decode()
    if name == "echo":
        return Made(b"", memoryview(photo) if photo else None)
    if name.startswith("greedy"):
        return number(greedy(int(photo), memory, for_good=name == "greedy_for_good"))
    return number(globals()[name](photo.decode()) or 0)


def echoed(size: int) -> ExpectedOutput:
    """Return the expected output of `echo` for this many bytes."""
    return ExpectedOutput(struct.Struct(""), (size,) if size else ())


def number(value: int) -> Made:
    """Answer a number."""
    return Made(NUMBER.facts.pack(value))


def where(_: str) -> int:
    """Return the id of the process, after a while."""
    time.sleep(0.05)
    return os.getpid()


def rest(seconds: str) -> int:
    """Take so long."""
    time.sleep(float(seconds))
    return os.getpid()


def burn(seconds: str) -> int:
    """Take so much processor time."""
    end = time.process_time() + float(seconds)
    while time.process_time() < end:
        pass
    return os.getpid()


def segfault(_: str) -> None:
    """Read address 0."""
    ctypes.string_at(0)


def hang(_: str) -> None:
    """Run longer than a test, and ignore signals that Python handles."""
    ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock, as a careless decoder does


def leave(_: str) -> None:
    """End in good order."""
    os._exit(0)


def eat(size: str) -> int:
    """Allocate this many bytes."""
    return len(bytearray(int(size)))


KEPT: list[bytearray] = []


def keep(size: str) -> int:
    """Allocate this many bytes, and never free them."""
    KEPT.append(bytearray(int(size)))
    return os.getpid()


def greedy(size: int, memory: int, *, for_good: bool) -> int:
    """Ask for so much memory, as by a photo's header, and take nearly all of it for a while."""
    if memory < size:
        raise MemoryWanted(size)
    taken = bytearray(size - 16 * 2**20)
    time.sleep(0.1)
    if for_good:
        KEPT.append(taken)
    return len(taken)


def sulk(_: str) -> None:
    """Raise an error that work must not raise."""
    raise ZeroDivisionError("sulking")


def refuse(code: str) -> None:
    """Do not take the photo, with a text that no terminal should see."""
    raise Refused(int(code), "a\x1b[31m red photo" + "!" * 10_000)


def shout(_: str) -> None:
    """Print, as C libraries do."""
    os.write(1, b"somebody's words")
    os.write(2, b"somebody's words")


def write_on_the_link(data: bytes) -> None:
    """Write to the pipe directly, bypassing the code that answers."""
    for file in range(3, 16):
        with contextlib.suppress(OSError):
            os.write(file, data)


def answer_rubbish(_: str) -> None:
    """Answer a pickle that only an unsafe reader would load, and wait for that."""
    write_on_the_link(b"\x80\x04c" + b"posix\nsystem\n" * 100)
    time.sleep(600)


def answer_too_short(_: str) -> None:
    """Answer half of the requested bytes, and wait."""
    write_on_the_link(wire.answer(DecodeStatus.DONE, b"half"))
    time.sleep(600)


def answer_half_a_header(_: str) -> None:
    """Begin to answer, and die."""
    write_on_the_link(wire.answer(DecodeStatus.DONE, bytes(8))[:9])
    os._exit(0)


def answer_too_long(_: str) -> None:
    """Answer more pixels than requested, and wait."""
    write_on_the_link(wire.answer(DecodeStatus.DONE, bytes(8), size=2**40, shape=(2**20, 2**20)))
    time.sleep(600)


def answer_twice(_: str) -> int:
    """Answer well, and again for the next photo."""
    write_on_the_link(wire.answer(DecodeStatus.DONE, NUMBER.facts.pack(1)))
    return 666


def ask_for_all(_: str) -> None:
    """Request more memory than any machine has."""
    raise MemoryWanted(2**63)


def errors_of(tries: Callable[[], object]) -> int:
    """Return the number of the error that a try ends with; 0 = it succeeds."""
    try:
        tries()
    except OSError as error:
        return error.errno or -1
    return 0


def open_internet_socket(_: str) -> int:
    return errors_of(lambda: socket.socket(socket.AF_INET))


def open_datagram_socket(_: str) -> int:
    return errors_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


def open_local_socket(_: str) -> int:
    return errors_of(lambda: socket.socket(socket.AF_UNIX))


def write_file(path: str) -> int:
    return errors_of(lambda: Path(path).write_text("mine"))


def read_file(path: str) -> int:
    return errors_of(lambda: Path(path).read_bytes())


def remove_file(path: str) -> int:
    return errors_of(lambda: Path(path).unlink())


def list_folder(path: str) -> int:
    return errors_of(lambda: os.listdir(path))


def open_memory_file(_: str) -> int:
    return errors_of(lambda: os.memfd_create("mine"))


def fork(_: str) -> int:
    return errors_of(os.fork)


def start_program(_: str) -> int:
    return errors_of(lambda: os.execv("/bin/true", ["true"]))  # noqa: S606


def signal_process(process: str) -> int:
    return errors_of(lambda: os.kill(int(process), signal.SIGTERM))


def lift_own_limit(_: str) -> int:
    limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    try:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    except (OSError, ValueError):
        return 1
    return 0


def variables(_: str) -> int:
    """Return how many variables of the environment hold a secret."""
    found = [name for name, value in os.environ.items() if "secret" in (name + value).lower()]
    return len(found)
