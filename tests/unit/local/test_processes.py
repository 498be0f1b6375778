import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_suite import processes
from local_suite.model import MARKER
from tests.waiting import SECONDS

SLEEP = "import sys, time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.communicate()


def start(data: Path, script: str = SLEEP) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARKER: str(data)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def test_only_processes_of_the_same_data_are_found(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started += [start(tmp_path / "mine"), start(tmp_path / "mine2")]
    assert processes.marked(tmp_path / "mine") == [started[0].pid]
    assert processes.marked(tmp_path) == []


def test_this_process_is_never_among_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert os.getpid() not in processes.marked(tmp_path)


def test_a_process_that_waits_to_be_reaped_has_ended(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started.append(start(tmp_path))
    started[0].kill()
    assert processes.wait_gone(started[0].pid, SECONDS)
    assert not processes.alive(started[0].pid)
    assert processes.marked(tmp_path) == []


def test_what_ignores_sigterm_is_killed_after_its_time(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started += [start(tmp_path), start(tmp_path, DEAF)]
    since = time.monotonic()
    assert processes.end(lambda: processes.marked(tmp_path), 0.5) == []
    assert time.monotonic() - since >= 0.5
    assert started[0].wait(SECONDS) == -signal.SIGTERM
    assert started[1].wait(SECONDS) == -signal.SIGKILL


def test_a_process_that_does_not_exist_is_not_alive() -> None:
    assert not processes.alive(2**22 + 1)
