"""Processes that are ended so that a load ends; tests/wire/test_watchdog.py uses a real server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as pb_grpc

from tests.engines import free_port
from tests.waiting import SECONDS
from triton_engine import watchdog
from triton_engine.watchdog import (
    EVERY,
    LOOK_SECONDS,
    LOST_LOOKS,
    REST_SECONDS,
    STILL_LOOKS,
    Server,
    Watchdog,
)

IDLE = "import time; print(flush=True); time.sleep(99)"
BUSY = "print(flush=True)\nwhile True: pass"

Start = Callable[..., psutil.Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that looks like a model's."""
    started: list[subprocess.Popen[bytes]] = []

    def one(model: str = "m", body: str = IDLE) -> psutil.Process:
        script = tmp_path / model / "1" / "model.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(body)
        process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return psutil.Process(process.pid)

    yield one
    for process in started:
        process.kill()
        process.communicate()


def settled(process: psutil.Process) -> psutil.Process:
    """Return it once it does nothing."""
    while process.status() == psutil.STATUS_RUNNING:
        time.sleep(0.01)
    return process


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class Stage:
    """Watchdog, its reports, and a server that it may end."""

    def __init__(self, start: Start, moving: set[str]) -> None:
        self.moving = moving
        self.server = settled(start("server"))
        self.processes: list[psutil.Process] = []
        self.watchdog = Watchdog(lambda: self.moving, lambda _: self.processes, self.server)

    def look(self, times: int) -> None:
        for _ in range(times):
            self.watchdog.look()


def test_processes_that_do_nothing_while_their_model_is_loading_are_ended(start: Start) -> None:
    stage = Stage(start, {"m"})
    stage.processes = [settled(start()), settled(start())]
    stage.look(STILL_LOOKS)
    assert not any(map(ended, stage.processes))
    stage.look(1)
    assert [each.wait(SECONDS) for each in stage.processes] == [-signal.SIGKILL] * 2
    assert not ended(stage.server)
    stage.processes = []
    stage.look(STILL_LOOKS)
    assert not ended(stage.server)
    stage.look(1)
    assert stage.server.wait(SECONDS) == -signal.SIGKILL, "the load went on without them"


@pytest.mark.full
def test_while_one_of_them_works_nothing_is_ended(start: Start) -> None:
    stage = Stage(start, {"m"})
    stage.processes = [settled(start()), start(body=BUSY)]
    for _ in range(3 * LOST_LOOKS):
        stage.look(1)
        time.sleep(0.005)
    assert not any(map(ended, [*stage.processes, stage.server]))


def test_a_process_that_somebody_stopped_is_left_alone(start: Start) -> None:
    stage = Stage(start, {"m"})
    stage.processes = [settled(start())]
    stage.processes[0].suspend()
    stage.look(3 * LOST_LOOKS)
    assert not any(map(ended, [*stage.processes, stage.server]))


def test_a_model_that_is_ready_may_do_nothing_and_a_later_load_begins_anew(start: Start) -> None:
    stage = Stage(start, {"m"})
    stage.processes = [settled(start())]
    for _ in range(4):
        stage.look(STILL_LOOKS)
        stage.moving = set()
        stage.look(STILL_LOOKS)
        stage.moving = {"m"}
    assert not any(map(ended, [*stage.processes, stage.server]))


def test_a_server_that_waits_for_a_process_that_is_gone_is_ended_later(start: Start) -> None:
    stage = Stage(start, {"m"})
    stage.look(LOST_LOOKS)
    assert not ended(stage.server)
    stage.look(1)
    assert stage.server.wait(SECONDS) == -signal.SIGKILL


def test_a_server_that_starts_is_left_to_whoever_started_it(start: Start) -> None:
    stage = Stage(start, {EVERY})
    stage.processes = [settled(start())]
    stage.look(LOST_LOOKS)
    assert not ended(stage.processes[0])
    stage.look(1)
    assert stage.processes.pop().wait(SECONDS) == -signal.SIGKILL
    stage.look(3 * LOST_LOOKS)
    assert not ended(stage.server)


@pytest.mark.full
@pytest.mark.slow
def test_a_process_that_works_between_two_looks_is_seen(start: Start) -> None:
    process = start(body="print(flush=True)\nfor n in range(3 * 10**7): pass\n" + IDLE)
    before = watchdog.work([process])
    settled(process)
    assert before != watchdog.work([process]) == watchdog.work([process])


def test_only_the_model_s_own_processes_are_its_own(start: Start) -> None:
    short, longer = start("visual_a"), start("visual_a_text")
    me = psutil.Process(os.getpid())
    assert watchdog.processes_of(me, "visual_a") == [short]
    assert watchdog.processes_of(me, "visual_a/1") == [short]
    assert watchdog.processes_of(me, "visual_a/2") == []
    assert watchdog.processes_of(me, EVERY) == [short, longer]
    assert watchdog.processes_of(short, EVERY) == []


class Index(pb_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # no types
    """A server's repository."""

    def RepositoryIndex(self, _request: Any, _context: Any) -> Any:
        reported = [
            "a 1 READY",
            "a 2 LOADING",
            "b  LOADING",
            "c 1 UNLOADING",
            "d 1 UNAVAILABLE",
            "e  ",
        ]
        answer = pb.RepositoryIndexResponse()
        for name, version, state in (each.split(" ") for each in reported):
            answer.models.add(name=name, version=version, state=state)
        return answer


@pytest.mark.slow
def test_before_its_first_answer_a_server_loads_everything_and_one_that_hangs_later_nothing() -> (
    None
):
    port = free_port()
    asked = Server(port)
    assert asked.moving() == {EVERY}
    server = grpc.server(futures.ThreadPoolExecutor(1))
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(Index(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    deadline = time.monotonic() + SECONDS
    while (found := asked.moving()) == {EVERY} and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == {"a/2", "b", "c/1"}
    server.stop(0).wait()
    assert asked.moving() == set()


@pytest.mark.slow
def test_it_watches_nobody_but_the_process_that_started_it() -> None:
    line = [sys.executable, "-m", "triton_engine.watchdog", "1", "1"]
    folder = Path(watchdog.__file__).parents[1]
    assert subprocess.run(line, cwd=folder, timeout=SECONDS, check=False).returncode == 0


def test_it_checks_often_only_while_a_model_is_loading(start: Start) -> None:
    stage = Stage(start, set())
    assert stage.watchdog.look() == REST_SECONDS
    stage.moving = {"m"}
    assert stage.watchdog.look() == LOOK_SECONDS
