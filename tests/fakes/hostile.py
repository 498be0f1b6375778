"""Work that harms the process that does it. Run it in a process of servicekit.decoding only."""

import ctypes
import os
import resource
import signal
import socket
import time
from pathlib import Path


def echo(value: object) -> object:
    """Do nothing."""
    return value


def where() -> tuple[int, int]:
    """Return the ids of the process and of its parent, after a while."""
    time.sleep(0.05)
    return os.getpid(), os.getppid()


def segfault() -> None:
    """Read address 0."""
    ctypes.string_at(0)


def hang() -> None:
    """Go on for longer than a test, deaf to what Python could hear."""
    libc = ctypes.PyDLL(None)  # keeps the interpreter's lock, as a careless decoder does
    libc.sleep(600)


def eat(size: int) -> int:
    """Take so many bytes of memory."""
    return len(bytearray(size))


def sulk() -> None:
    """Raise."""
    raise ZeroDivisionError("sulking")


def die_once(mark: str) -> str:
    """Be killed the first time, as by somebody else."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def limits() -> tuple[tuple[int, int], bool]:
    """Return the limit on core files, and whether that on memory is on."""
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    return resource.getrlimit(resource.RLIMIT_CORE), memory != resource.RLIM_INFINITY


def shout() -> None:
    """Print, as C libraries do."""
    os.write(1, b"somebody's words")
    os.write(2, b"somebody's words")


def be_stillborn(*_: object) -> None:
    """Die before the first item; in place of servicekit.decoding's own loop."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_first(link: socket.socket, *_: object) -> None:
    """Never begin; in place of servicekit.decoding's own loop."""
    while link.recv(1):  # what is handed over before the first item
        pass


def give_a_function() -> object:
    """Return what can't be pickled."""
    return lambda: None


def raise_the_unspeakable() -> None:
    """Raise what can't be pickled."""

    class UnspeakableError(Exception):
        pass

    raise UnspeakableError
