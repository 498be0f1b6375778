"""Processor time and memory of processes, as counted by the kernel (proc(5))."""

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2
"""Id of a process's clock of processor time (linux/posix-timers.h)."""
_POLL_SECONDS = 0.05
_SELDOM = 10
"""Proportional memory is sampled every 10th time, as the kernel takes milliseconds to compute it.
"""


class CommandFailed(OSError):
    """A command did not end with 0."""


@dataclass(frozen=True, slots=True)
class Stat:
    """A process and what it used so far."""

    parent: int
    seconds: float
    """Processor seconds, user and system, of the process and of children that ended and were
    reaped.
    """


@dataclass(frozen=True, slots=True)
class EndedCommand:
    """A command that ended with 0."""

    output: str
    seconds: float
    """Wall-clock seconds."""
    cpu_seconds: float
    """Processor seconds, user and system, including its children."""
    peak_bytes: int
    """Largest resident memory (VmHWM), sampled every 50 ms."""
    beside_bytes: int
    """Largest proportional memory (PSS) of the other process meanwhile; 0 if there is none."""


def read(pids: Sequence[int]) -> dict[int, Stat]:
    """Return the status of those processes of ``pids`` that still exist."""
    found = {}
    for pid in pids:
        try:
            found[pid] = parse((Path("/proc") / str(pid) / "stat").read_text())
        except OSError:
            continue
    return found


def parse(line: str) -> Stat:
    """Parse a line of /proc/PID/stat. Its process name may contain spaces and parentheses."""
    fields = line.rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    return Stat(parent=int(fields[1]), seconds=ticks / _TICKS)


def by_program(stats: Mapping[int, Stat], programs: Mapping[int, str]) -> dict[str, float]:
    """Sum processor seconds by program: of its process in ``programs`` and all descendants.

    Processes that descend from none of them count as "other".
    """
    seconds: dict[str, float] = defaultdict(float)
    for pid, stat in stats.items():
        at = pid
        while at not in programs and at in stats:
            at = stats[at].parent
        seconds[programs.get(at, "other")] += stat.seconds
    return dict(seconds)


def clock(pid: int) -> float:
    """Return the processor seconds of a process, all its threads, to the nanosecond. /proc counts
    in hundredths of a second, the time of ten quick answers. Raise OSError when the process
    is gone.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def spent(programs: Mapping[int, str], pids: Collection[int] = ()) -> dict[str, float]:
    """Return the processor seconds of each program to the nanosecond: of its process in
    ``programs`` and all descendants. Other processes of ``pids`` count as "other". Processes that
    have ended are not counted: use it for servers whose processes stay.
    """
    stats = read([int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()])
    exact = {pid: Stat(stat.parent, 0.0) for pid, stat in stats.items()}
    for pid, stat in stats.items():
        if pid in pids or _descends(pid, stats, programs):
            with suppress(OSError):
                exact[pid] = Stat(stat.parent, clock(pid))
    return by_program(exact, programs)


def _descends(pid: int, stats: Mapping[int, Stat], programs: Mapping[int, str]) -> bool:
    while pid not in programs and pid in stats:
        pid = stats[pid].parent
    return pid in programs


def of_trees(roots: Collection[int]) -> float:
    """Return the processor seconds of these processes and all descendants.

    A process that ended and was reaped counts with its parent.
    """
    stats = read([int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()])
    return by_program(stats, dict.fromkeys(roots, "theirs")).get("theirs", 0.0)


def run(command: Sequence[str], beside: int = 0) -> EndedCommand:
    """Run a command to its end and measure it.

    ``beside``: a process that works for it, whose memory is sampled too. Raise CommandFailed with
    the command's output unless it ends with 0.
    """
    before, since = _children(), time.perf_counter()
    peak = besides = looks = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while process.poll() is None:
                peak = max(peak, _peak(process.pid))
                if beside and looks % _SELDOM == 0:
                    besides = max(besides, proportional(beside))
                looks += 1
                time.sleep(_POLL_SECONDS)
        except BaseException:  # interrupted: the command is not needed any more
            process.kill()
            raise
        seconds, spent = time.perf_counter() - since, _children() - before
        output, complaint = process.communicate()
    if process.returncode:
        raise CommandFailed(f"{command[1]} ended with {process.returncode}: {complaint or output}")
    return EndedCommand(output, seconds, spent, peak, besides)


def memory_of_tree(pid: int) -> int:
    """Return proportional memory (PSS) in bytes of a process and its descendants."""
    found, waiting = 0, [pid]
    while waiting:
        at = waiting.pop()
        found += proportional(at)
        with suppress(OSError):
            for task in (Path("/proc") / str(at) / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _peak(pid: int) -> int:
    return _bytes(pid, "status", "VmHWM:")


def proportional(pid: int) -> int:
    """Return proportional memory (PSS) of a process in bytes; 0 if it has ended."""
    return _bytes(pid, "smaps_rollup", "Pss:")


def _bytes(pid: int, file: str, name: str) -> int:
    """Return the bytes that a line of /proc/PID/FILE gives in kB, or 0 when the process is gone."""
    try:
        lines = (Path("/proc") / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
