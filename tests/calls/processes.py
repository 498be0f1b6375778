"""Processes that run the services and count their work: one, or one for each service."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

from sightline_all.services import SERVICES

from servicekit import telemetry
from servicekit.config import ServerSettings
from servicekit.rpc import hosting, server
from tests.calls.catalog import write_catalog
from tests.calls.counting import Found, Say, Shown, measured
from tests.calls.crossing import Crossing, CrossingProfiler, check
from tests.calls.limits import APART, limits
from tests.calls.profilers import BytecodeProfiler, CallProfiler, Window
from tests.calls.suite import filled, settings_of, wait

TOGETHER: Final = "all"
"""Name of the process that runs all services."""
ORPHANED_SECONDS = 5.0
"""Seconds after which the process of a service notes that its parent is gone."""

T = TypeVar("T")


class ServiceProcess:
    """A service in a process of its own, with a profiler of its event loop."""

    def __init__(self, name: str, settings: ServerSettings, log: Path) -> None:
        """Fork the process, which serves after `serve`: before this one has threads."""
        forking = multiprocessing.get_context("fork")
        self._pipe, theirs = forking.Pipe()
        self._process = forking.Process(target=_run_alone, args=(name, settings, log, theirs))
        self._process.start()

    def serve(self) -> None:
        self._pipe.send("serve")

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()

    def start(self) -> None:
        self._ask("start")

    def stop(self) -> Window:
        window: Window = self._ask("stop")
        return window

    def quiet(self) -> None:
        self._ask("quiet")

    def crossed(self) -> list[Crossing]:
        found: list[Crossing] = self._ask("crossed")
        return found

    def end(self) -> None:
        """End the service, and wait for it."""
        self._process.terminate()
        self._process.join()


def _run_alone(name: str, settings: ServerSettings, log: Path, pipe: Connection) -> None:
    """Run a service, and do with its profiler what the other end of `pipe` asks for."""
    parent = os.getppid()

    def listen(profiler: CrossingProfiler) -> None:
        while os.getppid() == parent:
            if pipe.poll(ORPHANED_SECONDS):
                pipe.send(getattr(profiler, pipe.recv())())
        os.kill(os.getpid(), signal.SIGTERM)

    async def serve() -> None:
        profiler = CrossingProfiler(asyncio.get_running_loop())
        threading.Thread(target=listen, args=(profiler,), daemon=True).start()
        await SERVICES[name].main(settings)

    pipe.recv()
    with log.open("a", buffering=1) as sys.stderr:
        telemetry.configure_logging(name)
        server.run(serve())


async def _serve(
    settings: Mapping[str, ServerSettings], measure: Callable[[asyncio.AbstractEventLoop], T]
) -> T:
    """Return what `measure` returns in a thread while the services run."""
    host, loop = hosting.Host(), asyncio.get_running_loop()
    serving = asyncio.create_task(
        host.run({name: SERVICES[name].main(own) for name, own in settings.items()})
    )
    measuring = asyncio.ensure_future(asyncio.to_thread(measure, loop))
    await asyncio.wait({serving, measuring}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        host.stop()
    await serving
    return await measuring


def _count_together(data: Path, shown: Shown, say: Say) -> Found:
    """Count the cases with the four services in this process."""
    telemetry.configure_logging(TOGETHER)
    write_catalog(data)
    settings = settings_of(data)

    def measure(loop: asyncio.AbstractEventLoop) -> Found:
        def in_loop(work: Coroutine[Any, Any, str]) -> str:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        cases, nothing = filled(settings, in_loop).cases(), Shown()
        by_calls, by_bytecodes = (nothing, shown) if shown.bytecodes else (shown, nothing)
        calls = measured({TOGETHER: CallProfiler(loop)}, cases, by_calls, say)
        bytecodes = measured({TOGETHER: BytecodeProfiler(loop)}, cases, by_bytecodes, say)
        return {
            name: {TOGETHER: calls[name][TOGETHER] + bytecodes[name][TOGETHER]} for name in cases
        }

    return server.run(_serve(settings, measure))


def _count_apart(data: Path, shown: Shown, say: Say) -> Found:
    """Count the cases that have a limit apart, with a process for each service."""
    settings = settings_of(data, apart=True)
    running = {name: ServiceProcess(name, each, data / "log") for name, each in settings.items()}
    try:
        write_catalog(data)
        for name in ("retriever", "embedder", "ranker"):
            running[name].serve()
        for name in ("retriever", "ranker"):  # a channel waits before it tries again
            wait(settings[name])
        running["gateway"].serve()
        shop = filled(settings, asyncio.run, "")
        cases = shop.cases()
        limited = [name for name in limits() if name.endswith(APART)]
        wanted = {name: cases[name.removesuffix(APART)] for name in limited}
        found = measured(running, wanted, shown, say)
        for name, call in wanted.items():
            check(running["gateway"], name, call, say if shown.top else lambda _: None)
        return found
    finally:
        for each in running.values():
            each.end()


def count(shown: Shown, say: Say = print, *, apart: bool = False) -> Found:
    """Return the counts of all cases; apart, of calls alone.

    For a process of its own: it changes this one.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        with (data / "log").open("a") as log:
            sys.stderr = log
            try:
                return (_count_apart if apart else _count_together)(data, shown, say)
            except BaseException:
                log.flush()
                sys.stdout.write((data / "log").read_text()[-20_000:])
                raise
            finally:
                sys.stderr = sys.__stderr__
