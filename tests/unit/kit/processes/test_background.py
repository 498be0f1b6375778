"""Background processes and their children run at low priority, with all their threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from servicekit.processes.background import NICE, half_the_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of Linux")

OWN = os.getpriority(os.PRIO_PROCESS, 0)
"""Nice value of the tests."""
SHOW = """
import json, os, pathlib
tasks = [int(task.name) for task in pathlib.Path("/proc/self/task").iterdir()]
found = [[os.getpriority(os.PRIO_PROCESS, task), os.sched_getscheduler(task)] for task in tasks]
print(json.dumps(found))
"""


def priorities(call: str) -> list[list[int]]:
    """Return nice value and policy of each thread of a process after a call, then of a child's."""
    code = f"""
import subprocess, sys, threading
from servicekit.processes.background import Priority, yield_to_answers
rest = threading.Event()
threading.Thread(target=rest.wait).start()
{call}
{SHOW}
sys.stdout.flush()
subprocess.run([sys.executable, "-c", {SHOW!r}], check=True)
rest.set()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine, childs = map(json.loads, done.stdout.splitlines())
    assert len(mine) == 2
    return [*mine, *childs]


def test_every_thread_and_child_yields() -> None:
    assert {nice for nice, _ in priorities("")} == {OWN}
    assert {nice for nice, _ in priorities("yield_to_answers()")} == {max(NICE, OWN)}


def test_what_may_wait_runs_only_on_free_cores() -> None:
    assert {policy for _, policy in priorities("yield_to_answers(Priority.IDLE)")} == {5}


def test_what_has_a_machine_of_its_own_keeps_its_priority() -> None:
    assert {nice for nice, _ in priorities("yield_to_answers(Priority.NORMAL)")} == {OWN}


def test_what_may_wait_counts_little_among_sessions_too() -> None:
    group = Path("/proc/self/autogroup")
    if not group.exists():
        pytest.skip("this kernel does not share cores among sessions")
    code = (
        "from servicekit.processes.background import Priority, yield_to_answers;"
        "yield_to_answers(Priority.IDLE);"
    )
    show = "import pathlib; print(pathlib.Path('/proc/self/autogroup').read_text())"
    before = group.read_text()
    line = [sys.executable, "-c", code + show]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("nice 19")
    assert group.read_text() == before


def test_a_lower_priority_that_was_given_stays() -> None:
    call = "import os; os.nice(15); yield_to_answers()"
    assert next(nice for nice, _ in priorities(call)) == min(OWN + 15, 19)


def test_a_process_beside_others_calculates_with_half_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert half_the_cores() == {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}
