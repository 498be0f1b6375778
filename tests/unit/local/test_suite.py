"""A real supervisor with small processes."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local_suite import processes
from local_suite.health import http_ok
from local_suite.model import Program, SuiteError
from local_suite.suite import Suite, stored_facts
from tests.engines import free_port
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests" / "fakes" / "local_program.py"

Make = Callable[..., Suite]


def program(name: str, manner: str = "", port: int = 0) -> Program:
    port = port or free_port()
    return Program(
        name=name,
        group="edge" if name == "front" else "services",
        command=(sys.executable, str(FAKE), str(port), manner),
        folder=ROOT,
        healthy=http_ok(port),
        ports={"grpc": port},
        environment={"GREETING": name},
        stop_seconds=1,
    )


def kill_supervisor(suite: Suite) -> None:
    pid = int(suite.layout.pid.read_text())
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_gone(pid, SECONDS)


def run_in_a_process(data: Path, manner: str, port: int) -> "subprocess.Popen[str]":
    script = (
        "from pathlib import Path\nimport sys\n"
        "from tests.unit.local.test_suite import Suite, program\n"
        f"suite = Suite(Path({str(data)!r}), [program('front', {manner!r}, {port})])\n"
        "suite.run(ready=lambda: print('ready', flush=True))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "deploy" / "local")},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "suite"


@pytest.fixture
def make(data: Path) -> Iterator[Make]:
    """Yield a factory of suites that are stopped at the end in any case."""
    with ExitStack() as stack:

        def made(
            *programs: Program, at: Path = data, report: Callable[[str], None] = lambda _: None
        ) -> Suite:
            suite = Suite(at, programs, report=report, facts={"port_base": 1})
            stack.callback(suite.down)
            return suite

        yield made


def test_up_returns_when_all_answer_and_down_leaves_nothing(make: Make, data: Path) -> None:
    suite = make(program("front"), program("back", "child"))
    suite.up()
    assert {row.name: (row.state, row.healthy) for row in suite.status()} == {
        "front": (suite.status()[0].state, True),
        "back": (suite.status()[1].state, True),
    }
    assert len(processes.marked(data)) == 4  # the supervisor, two programs, a child
    assert suite.log("front").read_text() == "starting as front\n"
    assert suite.running()
    suite.down()
    assert processes.marked(data) == []
    assert not suite.running()
    assert {row.state for row in suite.status()} == {"STOPPED"}
    suite.down()


def test_keys_that_programs_need_are_there_before_they_start_and_stay(
    make: Make, data: Path
) -> None:
    path = data / "keys" / "tokens.keys"
    suite = make(dataclasses.replace(program("front"), keys=(path,)))
    suite.up()
    key = path.read_text()
    suite.down()
    suite.up()
    assert path.read_text() == key


@pytest.mark.full
def test_a_start_without_progress_ends_and_says_what_it_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_suite.patience.STUCK_SECONDS", 3.0)
    monkeypatch.setattr("local_suite.patience._SAY_SECONDS", 0.5)
    lines: list[str] = []
    suite = make(program("front"), program("back", "mute"), report=lines.append)
    with pytest.raises(SuiteError, match=r"no answer from back and no progress for 3 s"):
        suite.up()
    assert any(line.startswith("  waiting for back (") for line in lines)


@pytest.mark.full
def test_a_start_that_takes_its_time_is_waited_for_as_long_as_it_works(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_suite.patience.STUCK_SECONDS", 3.0)
    monkeypatch.setattr("local_suite.patience._SAY_SECONDS", 0.5)
    monkeypatch.setattr("local_suite.patience._WORK_SECONDS", 0.05)  # others work here too
    make(program("front", "slow")).up()


def test_a_second_start_in_the_same_data_is_refused(make: Make) -> None:
    suite = make(program("front"))
    suite.up()
    pid = suite.pid("front")
    with pytest.raises(SuiteError, match=r"runs in .* already"):
        make(program("front")).up()
    assert suite.pid("front") == pid


def test_a_taken_port_is_named_and_nothing_is_started(make: Make, data: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(SuiteError, match=rf"port {port} \(back grpc\)"):
            make(program("front"), program("back", port=port)).up()
    assert processes.marked(data) == []


def test_an_environment_that_is_not_made_is_named_and_nothing_is_started(
    make: Make, data: Path
) -> None:
    lacking = dataclasses.replace(program("back"), command=("/no/such/python", "-m", "back"))
    with pytest.raises(SuiteError, match=r"/no/such/python; run `make setup`"):
        make(program("front"), lacking).up()
    assert processes.marked(data) == []


def test_two_suites_run_side_by_side(make: Make, tmp_path: Path) -> None:
    first = make(program("front"), at=tmp_path / "one")
    second = make(program("front"), at=tmp_path / "two")
    first.up()
    second.up()
    first.down()
    assert second.status()[0].healthy


def test_a_killed_program_comes_back_as_another_process(make: Make) -> None:
    suite = make(program("front"), program("back"))
    suite.up()
    front = suite.pid("front")
    killed = suite.kill("back")
    assert not processes.alive(killed)
    suite.wait_healthy("back", SECONDS)
    assert suite.pid("back") not in (0, killed)
    assert suite.pid("front") == front


def test_a_stopped_program_stays_down_until_it_is_started(make: Make) -> None:
    suite = make(program("front"))
    suite.up()
    suite.stop("front", kill=True)
    time.sleep(1.5)
    assert not suite.status()[0].healthy
    suite.stop("front")
    suite.start("front", SECONDS)
    assert suite.status()[0].healthy


@pytest.mark.full
def test_a_program_that_keeps_dying_fails_the_start_with_the_end_of_its_log(
    make: Make, data: Path
) -> None:
    with pytest.raises(SuiteError) as caught:
        make(program("front"), program("back", "crash")).up()
    assert "back exits repeatedly" in str(caught.value)
    assert "the cellar is flooded" in str(caught.value)
    assert processes.marked(data) == []


@pytest.mark.full
def test_a_program_that_never_answers_fails_the_start_after_its_time(
    make: Make, data: Path
) -> None:
    with pytest.raises(SuiteError, match=r"no answer from back in 2 s"):
        make(program("front"), program("back", "mute")).up(2)
    assert processes.marked(data) == []


def test_down_ends_what_ignores_sigterm(make: Make, data: Path) -> None:
    suite = make(program("front", "deaf"))
    suite.up()
    suite.down()
    assert processes.marked(data) == []


def test_what_a_killed_supervisor_left_is_ended_by_down_or_by_the_next_up(
    make: Make, data: Path
) -> None:
    suite = make(program("front", "child"))
    suite.up()
    kill_supervisor(suite)
    left = processes.marked(data)
    assert len(left) == 2
    suite.up()
    assert not any(processes.alive(pid) for pid in left)
    kill_supervisor(suite)
    suite.down()
    assert processes.marked(data) == []


def test_a_stale_pid_file_and_socket_do_not_matter(make: Make) -> None:
    suite = make(program("front"))
    suite.layout.make()
    suite.layout.pid.write_text(str(os.getpid()))
    suite.layout.socket.touch()
    suite.down()
    suite.layout.pid.write_text(str(os.getpid()))
    suite.layout.socket.touch()
    suite.up()
    assert suite.status()[0].healthy


def test_a_data_path_too_long_for_a_socket_works(make: Make, tmp_path: Path) -> None:
    suite = make(program("front"), at=tmp_path / ("x" * 120))
    suite.up()
    assert suite.status()[0].healthy


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_stops_everything_on_a_signal(make: Make, data: Path, number: signal.Signals) -> None:
    make()
    port = free_port()
    runner = run_in_a_process(data, "", port)
    assert runner.stdout is not None
    while runner.stdout.readline() != "ready\n":
        assert runner.poll() is None
    assert http_ok(port)()
    for _ in range(3):
        runner.send_signal(number)
    runner.stdout.read()
    assert runner.wait(SECONDS) == 0
    runner.stdout.close()
    assert processes.marked(data) == []


@pytest.mark.full
def test_run_that_is_stopped_while_it_starts_leaves_nothing(make: Make, data: Path) -> None:
    log = make(program("front")).log("front")
    runner = run_in_a_process(data, "mute", free_port())
    until = time.monotonic() + SECONDS
    while not log.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    runner.terminate()
    runner.communicate(timeout=SECONDS)
    assert processes.marked(data) == []


def test_an_unknown_program_is_refused_with_the_names_that_there_are(make: Make) -> None:
    with pytest.raises(SuiteError, match="there are front, back"):
        make(program("front"), program("back")).kill("middle")


def test_what_a_suite_was_started_with_is_kept(make: Make, data: Path) -> None:
    assert stored_facts(data) == {}
    suite = make(program("front"))
    suite.up()
    assert stored_facts(data)["port_base"] == 1
    suite.layout.facts.write_text(json.dumps({})[:-1])
    assert stored_facts(data) == {}
