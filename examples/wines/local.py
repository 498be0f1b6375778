"""A separate suite in a new folder and on free ports, so that it affects no other suite."""

import contextlib
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from local_suite.programs import console, sightline
from local_suite.suite import Report, Suite

_PORTS = (*range(18), 80, 95)
"""The ports that a suite takes, from PORT_BASE."""
_TRIES = 200


class Stoppable(Protocol):
    """The methods of a suite that are used here."""

    def up(self) -> None:
        """Start it. Return when it is healthy."""

    def down(self) -> None:
        """Stop it, in any state."""


S = TypeVar("S", bound=Stoppable)


def own_suite(
    report: Report, *, with_console: bool = False, vision: bool = False
) -> contextlib.AbstractContextManager[Suite]:
    """Start a suite in a fresh folder and stop it at the end. ``report`` gets its progress as
    lines. ``vision``: True adds the service of cameras."""

    def made(data: Path) -> Suite:
        base = free_port_base()
        pages = (console(base, "default"),) if with_console else ()
        return Suite(data, (*sightline(data, base, vision=vision), *pages), report=report)

    return own(made)


@contextlib.contextmanager
def own(make: Callable[[Path], S]) -> Iterator[S]:
    """Start what ``make`` returns for a new folder, and stop it at the end, also after an error.

    The folder is deleted at the end, unless an error occurred: then it stays, and the error says
    where the logs are.
    """
    data = Path(tempfile.mkdtemp(prefix="sightline-"))
    with _deleted_unless_it_failed(data):
        suite = make(data)
        # A second Ctrl-C must not leave processes behind.
        with _stopped_in_peace(suite):
            suite.up()
            yield suite


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM end the program like Ctrl-C, so that its processes are stopped too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port_base() -> int:
    """Return a PORT_BASE whose ports are all free now. Raise OSError if none is found.

    From 12,000 to 30,000: below the range that Linux gives to outgoing connections.
    """
    draw = random.Random()
    for _ in range(_TRIES):
        base = draw.randrange(12_000, 30_000, 100)
        if all(_free(base + step) for step in _PORTS):
            return base
    raise OSError(f"no {len(_PORTS)} free ports on 127.0.0.1")


@contextlib.contextmanager
def _deleted_unless_it_failed(data: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"the logs of the suite are in {data / 'logs'}")
        raise
    except BaseException:  # interrupted: the folder is not needed
        shutil.rmtree(data, ignore_errors=True)
        raise
    shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def _stopped_in_peace(suite: Stoppable) -> Iterator[None]:
    try:
        yield
    finally:
        before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            suite.down()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
