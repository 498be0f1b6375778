"""Several processes that serve one port, and their supervisor.

Python computes in one thread at a time, so a stateless service is started several times to use
several cores. The kernel assigns each connection to one process (SO_REUSEPORT, socket(7)).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, multiprocess

from servicekit import telemetry
from servicekit.config import SharedServerSettings

SOON = 10.0
"""Seconds after its start. If a process ends earlier, all are stopped: it would fail again."""

_NUMBER = "SIGHTLINE_PROCESS"
_SUPERVISOR = "SIGHTLINE_SUPERVISOR"
"""Environment variables that the supervisor sets: the process's number, and its own process id."""
_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def number() -> int | None:
    """Return the number of this process, from 1; None for a single process or the supervisor."""
    given = os.environ.get(_NUMBER)
    return int(given) if given else None


def receive_when_parent_dies(number: int) -> None:
    """Have this process receive a signal when its parent dies. Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, number)


def stop_with_supervisor() -> None:
    """Receive SIGTERM when the supervisor dies. Linux only."""
    receive_when_parent_dies(signal.SIGTERM)
    if str(os.getppid()) != os.environ.get(_SUPERVISOR):
        os.kill(os.getpid(), signal.SIGTERM)  # the supervisor died before the call


def supervise(settings: SharedServerSettings, command: Sequence[str] | None = None) -> int:
    """Run `settings.processes` of `command` until SIGTERM or SIGINT. Return the exit status.

    `command` is by default that of this process. A process that dies is restarted. Signals are
    forwarded, and all processes drain; a second signal shortens the drain. Serves the merged
    metrics, and binds the port, so that no other program shares it. Raises OSError when the port is
    taken.
    """
    with (
        _held(settings.host, settings.port),
        tempfile.TemporaryDirectory(prefix="sightline-metrics-") as folder,
        _merged_metrics(settings, folder),
    ):
        supervisor = _Supervisor(command or (sys.executable, *sys.orig_argv[1:]), folder)
        return asyncio.run(supervisor.run(settings.processes))


class _Supervisor:
    def __init__(self, command: Sequence[str], folder: str) -> None:
        self._command, self._folder = command, folder
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = False

    async def run(self, count: int) -> int:
        loop = asyncio.get_running_loop()
        for which in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(which, self._stop)
        ended = await asyncio.gather(*(self._one(each) for each in range(1, count + 1)))
        return next((status for status in ended if status), 0)

    def _stop(self) -> None:
        self._stopping = True
        for process in self._running.values():
            _ask_to_end(process)

    async def _one(self, which: int) -> int:
        """Start a process, and restart it when it dies, until all are to stop."""
        log = telemetry.get_logger()
        given = {_NUMBER: str(which), _SUPERVISOR: str(os.getpid()), _METRICS: self._folder}
        while not self._stopping:
            since = time.monotonic()
            # A group of its own: a terminal's Ctrl-C would reach it twice, and cut its drain short.
            process = await asyncio.create_subprocess_exec(
                *self._command, env=os.environ | given, process_group=0
            )
            self._running[which] = process
            if self._stopping:
                _ask_to_end(process)
            status = await process.wait()
            del self._running[which]
            multiprocess.mark_process_dead(process.pid, self._folder)  # type: ignore[no-untyped-call]
            if self._stopping:
                # SIGTERM may have come before its handler was installed.
                return 0 if status == -signal.SIGTERM else status
            if time.monotonic() - since < SOON:
                log.error("a process ended during its start", process=which, status=status)
                self._stop()
                return status or 1
            log.error("a process ended; starting another one", process=which, status=status)
        return 0


def _ask_to_end(process: asyncio.subprocess.Process) -> None:
    # terminate() would consume the exit status of a process that has just ended (cpython issue
    # 127049).
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            os.kill(process.pid, signal.SIGTERM)


@contextlib.contextmanager
def _held(host: str, port: int) -> Iterator[None]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            alone.bind((host, port))
            alone.listen()  # detects other servers on this port
        except OSError as error:
            raise OSError(f"can't listen on {host} port {port}; is the port taken?") from error
    with socket.socket(family) as shared:  # bound, but accepts no connections
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((host, port))
        yield


@contextlib.contextmanager
def _merged_metrics(settings: SharedServerSettings, folder: str) -> Iterator[None]:
    if not settings.metrics_port:
        yield
        return
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    stop = telemetry.serve_metrics(settings.metrics_port, settings.host, registry)
    try:
        yield
    finally:
        stop()
