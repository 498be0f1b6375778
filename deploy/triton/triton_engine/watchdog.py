"""Ends model processes that Triton would wait for forever: ``python -m triton_engine.watchdog
SERVER PORT``.

The Python backend (2.51; the source of 26.08 is the same: StubLauncher::Launch) waits without a
time limit for the first message of a model's process, even if the process was killed. It gives up
on a process that stalls for a second while it starts, but does not end it, and then waits until it
ends by itself. From then on the model counts as loading, and further loads and unloads of it hang.

A process that loads a model computes or reads files. If all processes of a model that is loading or
unloading do neither for a while, this watchdog kills them: the load fails, and can be tried again.
If no such process is left, it kills the server, and its supervisor restarts it.
"""

import argparse
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import psutil
from tritonclient.grpc import service_pb2, service_pb2_grpc

from triton_engine import control

LOOK_SECONDS, REST_SECONDS = 1.0, 10.0
"""Seconds between two checks: while a model is loading or unloading, and otherwise."""
ANSWER_SECONDS: Final = 1.0
"""Maximum seconds that a check waits for the server."""
STILL_LOOKS: Final = 3
"""Consecutive checks without progress after which the processes of a model are killed; after as
many more, the server is killed.
"""
LOST_LOOKS: Final = 20
"""The same while the server starts, and before the server is killed if there was no process, as it
may be starting one from a slow disk.
"""
WORKING: Final = {psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP, psutil.STATUS_STOPPED}
"""States of a process that works, or was stopped by a signal."""
SCRIPT: Final = "/model.py"
"""Suffix of the first argument of a model's process."""
EVERY: Final = ""
"""Stands for all models while the server starts, because it does not answer yet."""

Work = frozenset[tuple[int, float, int]]
"""For each process its id, its processor time in seconds, and the bytes that it read from disks."""

log = logging.getLogger("watchdog")


@dataclass(slots=True)
class _Load:
    """A model that is loading or unloading."""

    done: Work | None = None
    """Work of its processes at the last check; None: they were working."""
    looks: int = 0
    """Number of consecutive checks without progress."""
    killed: bool = False
    """True if its processes were killed."""

    def see(self, done: Work | None) -> None:
        self.looks = self.looks + 1 if done is not None and done == self.done else 0
        self.done = done


class Watchdog:
    """State of the models that a server is loading or unloading."""

    def __init__(
        self,
        moving: Callable[[], Collection[str]],
        processes: Callable[[str], Sequence[psutil.Process]],
        server: psutil.Process,
    ) -> None:
        """Watch the models that `moving` returns, by a part of their paths or EVERY.

        `processes`: those of a model.
        """
        self._moving = moving
        self._processes = processes
        self._server = server
        self._loads: dict[str, _Load] = {}

    def look(self) -> float:
        """Check once, and kill processes without progress. Return the seconds until the next
        check."""
        before, self._loads = self._loads, {}
        for model in self._moving():
            processes = self._processes(model)
            load = self._loads[model] = before.get(model, _Load())
            load.see(work(processes))
            known = model != EVERY and (processes or load.killed)
            if load.looks < (STILL_LOOKS if known else LOST_LOOKS):
                continue
            for process in processes:
                log.warning("process %d of %r makes no progress; killing it", process.pid, model)
                _kill(process)
            if not processes and model != EVERY:
                log.error(
                    "the server waits for a process of %r that has ended; killing the server", model
                )
                _kill(self._server)
            load.killed = True
        return LOOK_SECONDS if self._loads else REST_SECONDS


def work(processes: Sequence[psutil.Process]) -> Work | None:
    """Return the work of processes so far; None if one of them is working."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess), process.oneshot():
            if process.status() in WORKING:
                return None
            spent = process.cpu_times()
            read = process.io_counters().read_bytes
            found.add((process.pid, spent.user + spent.system, read))
    return frozenset(found)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):  # it ended meanwhile
        process.kill()


def processes_of(server: psutil.Process, model: str) -> list[psutil.Process]:
    """Return the processes in which a server runs a model, or EVERY."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in server.children():
            with suppress(psutil.NoSuchProcess):
                line = child.cmdline()
                if len(line) > 1 and line[1].endswith(SCRIPT) and _runs(line[1], model):
                    found.append(child)
    return found


def _runs(script: str, model: str) -> bool:
    return model == EVERY or f"/{model}/" in script


class Server:
    """A server's reports on its models."""

    def __init__(self, port: int, key: str = "") -> None:
        """Connect on the first call. `key`: of model control, if required."""
        self._key = [(control.HEADER, key)] if key else []
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)])
        self._calls = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._started = False

    def moving(self) -> set[str]:
        """Return the models that it is loading or unloading: NAME/VERSION, or NAME without a
        version. Empty if it does not answer.
        """
        try:
            request = service_pb2.RepositoryIndexRequest()
            answer = self._calls.RepositoryIndex(
                request, timeout=ANSWER_SECONDS, metadata=self._key
            )
        except grpc.RpcError:
            return set() if self._started else {EVERY}
        self._started = True
        moving = [each for each in answer.models if each.state in ("LOADING", "UNLOADING")]
        return {f"{each.name}/{each.version}".rstrip("/") for each in moving}


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch until the server ends."""
    parser = argparse.ArgumentParser(prog="python -m triton_engine.watchdog", description=__doc__)
    parser.add_argument("server", type=int, help="the server's process id")
    parser.add_argument("port", type=int, help="port of its gRPC endpoint on 127.0.0.1")
    parser.add_argument("--key-file", type=Path, help="file of the key of its model control")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the server too
    logging.basicConfig(format="%(asctime)s watchdog: %(message)s", stream=sys.stdout)
    if os.getppid() != given.server:
        return  # it ended already
    ended = select.poll()
    ended.register(os.pidfd_open(given.server), select.POLLIN)
    server = psutil.Process(given.server)
    asked = Server(given.port, control.key_of(given.key_file))
    watchdog = Watchdog(asked.moving, lambda name: processes_of(server, name), server)
    seconds = LOOK_SECONDS
    while not ended.poll(seconds * 1000):
        seconds = watchdog.look()


if __name__ == "__main__":
    main()
