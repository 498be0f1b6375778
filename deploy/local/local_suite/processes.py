"""Processes of a suite, found by their environment variable."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from local_suite.model import MARKER

_PROC = Path("/proc")


def marked(data: Path) -> list[int]:
    """Return the ids of the living processes of the suite in `data`, without this one."""
    wanted = f"{MARKER}={data}".encode()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                found.append(int(entry.name))
    return sorted(found)


def alive(pid: int) -> bool:
    """Return whether the process exists and has not ended. A zombie has ended."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2]
    except OSError:
        return False
    return after_name.split()[0] not in "ZX"


def child(pid: int) -> int:
    """Return the id of the one living child of a process, or 0 if it has none."""
    with contextlib.suppress(OSError):
        children = (_PROC / f"{pid}/task/{pid}/children").read_text().split()
        return next((each for each in map(int, children) if alive(each)), 0)
    return 0


def spent(pids: Iterable[int]) -> float:
    """Return the seconds of processor time that processes have used so far, user and system.

    Processes that have ended count as 0.
    """
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def end(pids: Callable[[], list[int]], seconds: float) -> list[int]:
    """Send SIGTERM to `pids()`, and SIGKILL to those that last longer than `seconds`.

    Call `pids` repeatedly, because ended processes may leave children. Return the ids that remain
    five seconds after SIGKILL.
    """
    asked: set[int] = set()
    kill_at = time.monotonic() + seconds
    give_up_at = kill_at + 5
    while left := pids():
        now = time.monotonic()
        if now > give_up_at:
            return left
        for pid in left:
            if now > kill_at:
                _send(pid, signal.SIGKILL)
            elif pid not in asked:
                asked.add(pid)
                _send(pid, signal.SIGTERM)
        time.sleep(0.05)
    return []


def wait_gone(pid: int, seconds: float) -> bool:
    """Return whether the process ends within `seconds`."""
    until = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
