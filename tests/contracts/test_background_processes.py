"""Processes that no caller waits for run at the priority that servicekit.processes.background
sets."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from servicekit.processes.background import NICE
from tests.waiting import SECONDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="priorities of Linux"),
    pytest.mark.full,
]

EXPECTED = max(NICE, os.getpriority(os.PRIO_PROCESS, 0))
"""Nice value, unless the tests have a lower priority already."""
ORDINARY, IDLE = 0, 5
"""SCHED_OTHER and SCHED_IDLE."""
RUN = """
import atexit, json, os, runpy, sys
def show():
    print(json.dumps([os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)]), flush=True)
atexit.register(show)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module like `python -m`, and shows nice value and policy at its end."""


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("ranker.train --job none", IDLE),
        ("ranker.train --job none --priority low", ORDINARY),
        ("ranker.worker", ORDINARY),
        ("ranker.backups list", ORDINARY),
        ("retriever.worker", ORDINARY),
        ("embedder.fitting idle none", IDLE),
    ],
)
def test_a_process_that_no_caller_waits_for_yields_to_those_that_answer(
    tmp_path: Path, line: str, policy: int
) -> None:
    """Run each to an early end: there is no job and no order, and workers find their port taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "RANKER_CREATE_KEY": "true",
            "RANKER_WORKER_METRICS_PORT": str(taken.getsockname()[1]),
            "RETRIEVER_WORKER_METRICS_PORT": str(taken.getsockname()[1]),
        }
        running = subprocess.Popen(
            [sys.executable, "-c", RUN, *line.split()],
            stdin=subprocess.PIPE,  # left open: some end with it
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=os.environ | environment,
            text=True,
        )
        assert running.stdout is not None
        shown = running.stdout.read()
    running.communicate(timeout=SECONDS)
    assert json.loads(shown.splitlines()[-1]) == [EXPECTED, policy]
