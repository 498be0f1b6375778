"""Priority of processes that no caller waits for.

Linux derives the priority of reads and writes of disks from that of the processor
(https://docs.kernel.org/block/ioprio.html).
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

NICE: Final = 10
"""Nice value: beside a process that answers, a background process gets a tenth of a core."""
_GROUP: Final = Path("/proc/self/autogroup")
_LEAST: Final = "19"
_BLAS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Priority(StrEnum):
    """Priority of a background process beside processes that answer."""

    IDLE = "idle"
    """It runs only while a core is free (SCHED_IDLE), in a new session. Not for processes that
    often hold locks of a store, because writers would wait for them on a busy machine."""
    LOW = "low"
    """It gets a tenth of a core (nice 10)."""
    NORMAL = "normal"
    """It has the priority of its parent: on a machine or in a container of its own."""


def yield_to_answers(priority: Priority = Priority.LOW) -> None:
    """Let processes that answer go first from now on; child processes inherit it."""
    if priority is Priority.NORMAL:
        return
    idle = priority is Priority.IDLE
    for thread in _threads():
        with contextlib.suppress(OSError):  # the thread has ended, or a sandbox forbids it
            os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
            if idle and sys.platform == "linux":
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    if idle and _GROUP.exists():
        # Priorities count within a session only where the kernel shares cores among sessions
        # (https://man7.org/linux/man-pages/man7/sched.7.html, autogroup).
        with contextlib.suppress(OSError):  # the leader of a group of processes keeps its session
            os.setsid()
            _GROUP.write_text(_LEAST)


def half_the_cores() -> Mapping[str, str]:
    """Return variables for the environment of a process that calculates beside others: NumPy uses
    half of the cores at most. Threads of BLAS that wait for a core spin, so that a small training
    on two busy cores took three times the processor time (measured 2026-11).
    """
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    return {name: os.environ.get(name, threads) for name in _BLAS}


def _threads() -> Iterable[int]:
    """Return the ids of this process's threads: libraries start some when they are imported, and
    on Linux each has a priority of its own."""
    if sys.platform != "linux":
        return (0,)
    return [int(task.name) for task in Path("/proc/self/task").iterdir()]
