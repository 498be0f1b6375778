"""A process with a loop that hangs reports it; its metrics alone would not."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from servicekit import liveness, telemetry
from servicekit.liveness import EVENT_LOOP, LIVENESS, Liveness
from tests.engines import free_port
from tests.fakes.kit_clock import Seconds
from tests.waiting import SECONDS, until


def test_a_loop_is_missed_once_it_is_overdue_unless_it_rests() -> None:
    clock = Seconds()
    made = Liveness(clock)
    assert made.overdue() == []
    made.report("looks", 10)
    made.report("works", 100)
    clock.now += 11
    assert made.overdue() == ["looks"]
    made.report("looks", 10)
    assert made.overdue() == []
    clock.now += 200
    made.suspend("looks")
    assert made.overdue() == ["works"]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
async def test_a_blocked_event_loop_is_not_alive_though_metrics_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "BLOCKED_SECONDS", 0.4)
    monkeypatch.setattr(LIVENESS, "_due", {})  # loops of other tests
    port = free_port()
    stop = telemetry.serve_metrics(port)
    block, done = asyncio.Event(), threading.Event()

    async def main() -> tuple[tuple[int, str], int]:
        assert await asyncio.to_thread(get, port, "/live") == (200, "alive")
        asking = asyncio.get_running_loop().run_in_executor(None, lambda: asked(port))
        await block.wait()
        done.wait(SECONDS)  # what must not happen
        return await asking

    def asked(port: int) -> tuple[tuple[int, str], int]:
        loop.call_soon_threadsafe(block.set)
        end = time.monotonic() + SECONDS
        while (live := get(port, "/live"))[0] == 200 and time.monotonic() < end:
            time.sleep(0.05)
        metrics = get(port, "/metrics")[0]
        done.set()
        return live, metrics

    loop = asyncio.get_running_loop()
    try:
        live, metrics = await liveness.with_heartbeat(main())
    finally:
        stop()
    assert live == (503, f"no report from: {EVENT_LOOP}")
    assert metrics == 200
    await until(lambda: EVENT_LOOP not in LIVENESS.overdue())


PROGRAM = """
import asyncio, sys, time
from servicekit import liveness

liveness.LOOK_SECONDS = 0.05

async def main():
    print("runs", flush=True)
    if sys.argv[1] == "migrates":
        with liveness.may_block("migrations"):
            time.sleep(1)
        await asyncio.sleep(0.5)
        print("serves", flush=True)
        return
    while sys.argv[1] == "steps":
        await asyncio.sleep(0.01)
        print("step", flush=True)
    def the_culprit():
        time.sleep(60)
    the_culprit()

asyncio.run(liveness.with_heartbeat(main(), 0.2))
"""


def program(manner: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, manner]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, bufsize=1)


@pytest.mark.slow
def test_a_process_whose_loop_is_blocked_ends_and_says_where() -> None:
    _, said = (ended := program("blocks")).communicate(timeout=SECONDS)
    assert ended.returncode == liveness.BLOCKED_STATUS
    assert said.startswith("ends: the event loop took no step for 0.2 s")
    assert "in the_culprit" in said


@pytest.mark.slow
def test_a_step_that_may_block_does_not_end_the_process() -> None:
    said, _ = (ended := program("migrates")).communicate(timeout=SECONDS)
    assert (ended.returncode, said) == (0, "runs\nserves\n")


@pytest.mark.slow
def test_a_process_that_was_stopped_as_a_whole_goes_on() -> None:
    running = program("steps")
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "runs\n"
        os.kill(running.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(running.pid, signal.SIGCONT)
        until_step = time.monotonic() + 1
        while time.monotonic() < until_step:
            assert running.stdout.readline() == "step\n"
    finally:
        running.kill()
        running.communicate()
