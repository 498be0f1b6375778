"""Runs a server during a block."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.harness.machine import ROOT
from local_suite.health import Probe

START_SECONDS = 120.0


class ServerRefused(Exception):
    """A server refused a request."""


@contextmanager
def serving(
    command: Sequence[str],
    log: Path,
    ready: Probe,
    given: Mapping[str, str] | None = None,
    folder: Path = ROOT,
) -> Iterator[int]:
    """Run a server during the block.

    Yield its process id. Raise OSError when it does not get ready.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | (given or {}),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise OSError(f"{command[0]} did not get ready: see {log}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        with suppress(ProcessLookupError):  # and the remaining processes of its session
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
