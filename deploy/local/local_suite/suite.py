"""Start, inspect and stop a suite and its programs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from local_suite import processes
from local_suite.config import render
from local_suite.control import ProgramState, SupervisorControl
from local_suite.model import HOST, MARKER, Program, SuiteError, layout, make_key
from local_suite.patience import StartPatience

Report = Callable[[str], None]

UP_SECONDS = 1_800.0
"""Maximum seconds of a start."""
PROGRAM_SECONDS = 300.0
"""Maximum seconds for one program to start or to stop, on a busy machine."""
_DOWN_SECONDS = 60.0
_STRAY_SECONDS = 8.0
_POLL_SECONDS = 0.1
_KEPT_DOWN = frozenset({"STOPPED", "FATAL"})
"""States in which supervisor does not restart a program."""
_TAIL_LINES = 25
_STARTS_THAT_FAIL = 3
"""Number of restarts of one program after which the start of the suite fails."""


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """One row of `status`."""

    name: str
    state: str
    """Supervisor's state, or STOPPED without a supervisor."""
    healthy: bool
    pid: int
    address: str
    log: Path


class Suite:
    """The programs of one DATA folder under one supervisor."""

    def __init__(
        self,
        data: Path,
        programs: Sequence[Program],
        *,
        facts: Mapping[str, object] | None = None,
        report: Report = print,
    ) -> None:
        """Describe the suite; nothing is started or written yet.

        `facts` are kept for later commands on the same DATA, with the ports and the supervisor's
        socket. Raise SuiteError when `data` has a path with forbidden characters.
        """
        self.layout = layout(data)
        self.programs = {program.name: program for program in programs}
        self._facts = dict(facts or {})
        self._report = report
        groups = {program.name: program.group for program in programs}
        self._control = SupervisorControl(self.layout.socket, groups)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def http(self) -> str:
        """Address of the gateway's calls over HTTP; empty if no program answers them."""
        ports = (each.ports.get("http") for each in self.programs.values())
        return next((f"http://{HOST}:{port}" for port in ports if port), "")

    @property
    def console(self) -> str:
        """Address of the web console; empty if no program serves it."""
        ports = (each.ports.get("page") for each in self.programs.values())
        return next((f"http://{HOST}:{port}" for port in ports if port), "")

    def addresses(self) -> dict[str, str]:
        """`host:port` of every program and service that serves gRPC."""
        return {
            service: f"{HOST}:{port}"
            for name, program in self.programs.items()
            for service, port in {name: program.ports.get("grpc"), **program.serves}.items()
            if port is not None
        }

    def log(self, program: str) -> Path:
        """Return the program's log file."""
        return self.layout.logs / f"{self._known(program).name}.log"

    def pid(self, program: str) -> int:
        """Return the id of the process that does the program's work, or 0 if there is none."""
        known = self._known(program)
        pid = self._states()[known.name].pid
        return processes.child(pid) if known.forks else pid

    def up(self, seconds: float = UP_SECONDS) -> None:
        """Start all programs, detached. Return when every program answers. Raise SuiteError if the
        suite already runs, if a port is in use, or if a program does not answer: after `seconds`,
        or STUCK_SECONDS without progress. Then all programs are stopped, and the error contains the
        end of the failed one's log.
        """
        self.layout.make()
        with self._locked() as lock:
            self._check_installed()
            self._clear_strays()
            self._check_ports()
            for program in self.programs.values():
                for path in program.keys:
                    make_key(path)
            self._spawn(lock)
        try:
            self._wait_all(seconds)
        except BaseException:
            self.down()
            raise

    def run(self, seconds: float = UP_SECONDS, ready: Callable[[], None] = lambda: None) -> None:
        """Start all programs, call `ready`, and stop all after SIGINT or SIGTERM. Call it in the
        main thread. Raise SuiteError as `up`, and if the supervisor ends.
        """
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}

        def interrupt(*_: object) -> None:
            for number in numbers:  # a second Ctrl-C must not leave processes behind
                signal.signal(number, signal.SIG_IGN)
            raise KeyboardInterrupt

        try:
            for number in numbers:
                signal.signal(number, interrupt)
            self.up(seconds)
            ready()
            while self.running():
                time.sleep(0.3)
            raise SuiteError(f"the supervisor died; see {self.layout.logs}")
        except KeyboardInterrupt:
            self._report("stopping")
        finally:
            self.down()
            for number, handler in before.items():
                signal.signal(number, handler)

    def down(self) -> None:
        """Stop all programs, in any state. Do nothing if none runs."""
        with contextlib.suppress(ConnectionError, SuiteError):
            supervisor = self._control.pid()
            self._control.shutdown()
            processes.wait_gone(supervisor, _DOWN_SECONDS)
        left = processes.end(lambda: processes.marked(self.layout.data), _STRAY_SECONDS)
        if left:
            raise SuiteError(f"processes {left} could not be ended, not even by SIGKILL")
        for path in (self.layout.socket, self.layout.pid):
            path.unlink(missing_ok=True)

    def running(self) -> bool:
        """Return whether a supervisor (or a start in progress) holds this DATA."""
        try:
            with self.layout.lock.open("a") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def status(self) -> tuple[ProgramStatus, ...]:
        """Return one row a program."""
        try:
            states = self._states()
        except SuiteError:
            states = {}
        return tuple(
            ProgramStatus(
                name=name,
                state=states[name].state if name in states else "STOPPED",
                healthy=name in states and states[name].pid != 0 and program.healthy(),
                pid=states[name].pid if name in states else 0,
                address=self.addresses().get(name, ""),
                log=self.log(name),
            )
            for name, program in self.programs.items()
        )

    def kill(self, program: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the process. Return its id. The supervisor restarts the process when it
        ends. After SIGKILL the process has ended on return. Raise SuiteError if there is no
        process.
        """
        pid = self.pid(program)
        if not pid:
            raise SuiteError(f"{program} is not running")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGKILL and not processes.wait_gone(pid, 10):
            raise SuiteError(f"{program} (process {pid}) did not end after SIGKILL")
        return pid

    def stop(self, program: str, *, kill: bool = False, seconds: float = PROGRAM_SECONDS) -> None:
        """Stop the program until `start` is called; with `kill`, by SIGKILL. Raise SuiteError if it
        does not end within `seconds`.
        """
        name, since = self._known(program).name, time.monotonic()
        if kill and self.pid(program):
            self.kill(program)
        # Between an unexpected end and the restart, supervisor has no process to stop.
        while self._states()[name].state not in _KEPT_DOWN:
            if time.monotonic() - since > seconds:
                raise SuiteError(f"{program} did not stop in {seconds:.0f} s")
            self._asked(lambda: self._control.stop(name))
            time.sleep(_POLL_SECONDS)

    def start(self, program: str, seconds: float = PROGRAM_SECONDS) -> None:
        """Start the program after `stop`, and wait until it answers."""
        name = self._known(program).name
        self._asked(lambda: self._control.start(name))
        self.wait_healthy(program, seconds)

    def wait_healthy(self, program: str, seconds: float = PROGRAM_SECONDS) -> float:
        """Wait until the program answers. Return the seconds that it took. Raise SuiteError with
        the end of its log if it does not answer within `seconds`.
        """
        known = self._known(program)
        since = time.monotonic()
        while not known.healthy():
            if time.monotonic() - since > seconds:
                raise SuiteError(
                    f"{program} did not answer in {seconds:.0f} s\n{self._tail(program)}"
                )
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - since

    def _known(self, program: str) -> Program:
        try:
            return self.programs[program]
        except KeyError:
            for name, each in self.programs.items():
                if program in each.serves:
                    raise SuiteError(
                        f"{program} runs in the process {name}: start the suite with TARGET=apart"
                        " to give each service its own"
                    ) from None
            names = ", ".join(self.programs)
            raise SuiteError(f"there is no program {program!r}; there are {names}") from None

    def _states(self) -> dict[str, ProgramState]:
        try:
            return self._control.states()
        except ConnectionError as error:
            raise SuiteError(f"no suite runs in {self.layout.data}") from error

    def _asked(self, call: Callable[[], None]) -> None:
        try:
            call()
        except ConnectionError as error:
            raise SuiteError(f"no suite runs in {self.layout.data}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        with self.layout.lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SuiteError(
                    f"a suite runs in {self.layout.data} already; stop it with `make down`, "
                    "or name another folder and ports with DATA= and PORT_BASE="
                ) from None
            yield handle.fileno()

    def _clear_strays(self) -> None:
        left = processes.marked(self.layout.data)
        if not left:
            return
        self._report(f"ending {len(left)} processes of an earlier suite in this DATA")
        if still := processes.end(lambda: processes.marked(self.layout.data), _STRAY_SECONDS):
            raise SuiteError(f"processes {still} of an earlier suite could not be ended")

    def _check_installed(self) -> None:
        missing = {p.command[0] for p in self.programs.values() if not Path(p.command[0]).exists()}
        if missing:
            raise SuiteError(f"not installed yet: {', '.join(sorted(missing))}; run `make setup`")

    def _listens(self) -> dict[str, dict[str, int]]:
        """Return the ports of all programs, by program or service."""
        programs = self.programs.values()
        return {name: ports for each in programs for name, ports in each.listens().items()}

    def _check_ports(self) -> None:
        taken = [
            f"{port} ({name} {purpose})"
            for name, ports in self._listens().items()
            for purpose, port in ports.items()
            if not _free(port)
        ]
        if taken:
            raise SuiteError(
                f"in use on {HOST}: port {', '.join(taken)}; choose other ports with PORT_BASE=, "
                "or stop the programs that listen there"
            )

    def _spawn(self, lock: int) -> None:
        """Start the supervisor, which holds `lock` until it ends."""
        self.layout.socket.unlink(missing_ok=True)
        self.layout.config.write_text(render(self.layout, list(self.programs.values())))
        kept = {**self._facts, "ports": self._listens(), "socket": str(self.layout.socket)}
        self.layout.facts.write_text(json.dumps(kept))  # `sightline doctor` reads them, too
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.layout.config)],
            env=_environment(self.layout.data),
            pass_fds=(lock,),
            umask=0o077,  # for its own log, which it opens before it reads its configuration
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise SuiteError(f"the supervisor did not start: {done.stderr or done.stdout}")

    def _wait_all(self, seconds: float) -> None:
        waiting = dict(self.programs)
        starts: dict[str, set[int]] = {name: set() for name in waiting}
        patience = StartPatience(
            lambda: processes.spent(processes.marked(self.layout.data)), seconds
        )
        while waiting:
            states = self._states()
            for name, program in list(waiting.items()):
                starts[name].add(states[name].started)
                if states[name].pid and program.healthy():
                    self._report(f"  {name} answers")
                    patience.renew()
                    del waiting[name]
                elif len(starts[name]) > _STARTS_THAT_FAIL or states[name].state == "FATAL":
                    raise SuiteError(f"{name} exits repeatedly\n{self._tail(name)}")
            if waiting:
                self._wait_on(list(waiting), patience)

    def _wait_on(self, names: Sequence[str], patience: StartPatience) -> None:
        time.sleep(_POLL_SECONDS)
        if problem := patience.over():
            tails = "\n".join(self._tail(name) for name in names)
            raise SuiteError(f"no answer from {', '.join(names)} {problem}\n{tails}")
        if patience.due():
            self._report(f"  waiting for {', '.join(names)} ({patience.waited:.0f} s)")

    def _tail(self, program: str) -> str:
        log = self.log(program)
        try:
            lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            lines = []
        return "\n".join([f"--- the end of {log}:", *(lines or ["(empty)"])])


def stored_facts(data: Path) -> dict[str, object]:
    """Return the options with which the newest suite in `data` was started; empty if there was
    none.
    """
    try:
        facts: dict[str, object] = json.loads(layout(data).facts.read_text())
    except (OSError, ValueError):
        return {}
    return facts


def _environment(data: Path) -> dict[str, str]:
    """Return the environment of every process: that of this process without our own variables."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV", "DATA", "PORT_BASE")
    }
    near = ",".join(filter(None, [inherited.get("no_proxy"), HOST, "localhost"]))
    return {
        **inherited,
        MARKER: str(data),
        "PYTHONUNBUFFERED": "1",
        "no_proxy": near,
        "NO_PROXY": near,
    }


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
