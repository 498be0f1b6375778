"""A process is forked again when it dies, and ends with its parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.waiting import SECONDS, until

pytestmark = pytest.mark.slow

PROGRAM = """
import os, signal, sys, time
from servicekit.processes import respawn

respawn.SOON = float(sys.argv[1])
last = respawn.in_child()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print(os.getpid(), last, flush=True)
time.sleep(600)
"""


@contextmanager
def running(soon: float) -> Iterator[subprocess.Popen[str]]:
    """Run a program whose child prints its id and the status of the one before. `soon`: seconds in
    which a child's end is that of the parent."""
    command = (sys.executable, "-c", PROGRAM, str(soon))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def said(parent: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the id of the next child, and the status of the one before."""
    assert parent.stdout is not None
    child, last = parent.stdout.readline().split()
    return int(child), last


@pytest.mark.full
def test_a_child_that_dies_is_replaced_and_the_next_one_is_told_how() -> None:
    with running(soon=0) as parent:
        child, last = said(parent)
        assert (child != parent.pid, last) == (True, "None")
        for number in (signal.SIGKILL, signal.SIGABRT):
            os.kill(child, number)
            former = child
            child, last = said(parent)
            assert child != former
            assert last == str(-number)
        assert parent.poll() is None
        assert [each.pid for each in psutil.Process(parent.pid).children()] == [child]


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_both(number: signal.Signals) -> None:
    with running(soon=0) as parent:
        child, _ = said(parent)
        parent.send_signal(number)
        assert parent.wait(SECONDS) == (3 if number == signal.SIGTERM else 128 + number)
        assert not psutil.pid_exists(child)


@pytest.mark.full
def test_a_child_that_dies_soon_ends_the_parent_with_its_status() -> None:
    with running(soon=SECONDS) as parent:
        child, _ = said(parent)
        os.kill(child, signal.SIGKILL)
        assert parent.wait(SECONDS) == 128 + signal.SIGKILL


async def test_a_child_dies_with_its_parent() -> None:
    with running(soon=0) as parent:
        child, _ = said(parent)
        parent.kill()

        async def gone() -> bool:
            return not psutil.pid_exists(child)

        await until(gone)
