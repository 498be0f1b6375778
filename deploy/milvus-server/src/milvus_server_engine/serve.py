"""Runs the Milvus server of the PyPI wheel on 127.0.0.1.

    python -m milvus_server_engine.serve --data DIR --port 8607 --metrics-port 8608

The server ends with this process, also if this process is killed (kill -9). Reasons not to use the
vendor's `milvus.default_server` (2.3.5, by its source and by trials, 2026-11): it unpacks 250 MB
into each data folder; it chooses free ports one by one without reserving them; all servers of a
machine share one pid file, so a second one does not start; and the server keeps running when the
wrapper is killed.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from milvus_server_engine import binaries, configuration
from milvus_server_engine.configuration import HOST

STOP_SECONDS = 1.0
"""Seconds that the server may take to end after SIGTERM, as in the vendor's wrapper. It never ends
by itself: its coordinator ends first, and the other parts retry calls to it forever (tried for 10
minutes). Nothing is lost: a write is in the log on disk before it is acknowledged."""

START_SECONDS = 120.0
"""Maximum seconds of a start. It takes 3 s, or a minute if the folder's old ports are in use; see
`chosen_ports`.
"""
_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1

log = logging.getLogger("milvus_server_engine")


class CannotServe(Exception):
    """The server can't be started; the message gives the reason."""


@contextmanager
def sole_owner(data: Path) -> Iterator[None]:
    """Hold the folder's lock during the block. Raise CannotServe when another process holds it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(
                f"--data {data}: another server holds this folder's lock; stop it or name another"
            ) from None
        yield


def check_free(option: str, port: int) -> None:
    """Raise CannotServe unless `port` is free on all addresses, as the server binds them."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            raise CannotServe(f"{option} {port}: the port is taken; choose another") from None


def healthy(metrics_port: int) -> bool:
    """Return whether every part of the server reports healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{metrics_port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def start(data: Path, metrics_port: int) -> subprocess.Popen[bytes]:
    """Start the server. The kernel kills it when this process ends."""
    folder = binaries.unpacked()
    # The pid file is in /run/milvus or /tmp/milvus for any folder, so its name must be unique.
    alias = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return subprocess.Popen(
        [str(folder / binaries.PROGRAM), "run", "standalone", "-alias", alias],
        cwd=data,  # it looks for ./configs
        env={
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(metrics_port),
            "LD_LIBRARY_PATH": str(folder),
        },
        stdin=subprocess.DEVNULL,
        preexec_fn=_dying_with(os.getpid()),  # noqa: PLW1509 # no thread runs yet
    )


def _dying_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before prctl
            os._exit(1)

    return prepare


def watch(server: subprocess.Popen[bytes], metrics_port: int, ready: Callable[[], None]) -> None:
    """Call `ready` once the server answers, then wait for its end.

    Raise CannotServe when it fails.
    """
    until = time.monotonic() + START_SECONDS
    while not healthy(metrics_port):
        if server.poll() is not None:
            raise CannotServe(f"the server ended with {server.returncode} at start; see above")
        if time.monotonic() > until:
            raise CannotServe(f"the server was not ready within {START_SECONDS:.0f} s; see above")
        time.sleep(_POLL_SECONDS)
    ready()
    raise CannotServe(f"the server ended by itself with {server.wait()}; see above")


def end(server: subprocess.Popen[bytes]) -> None:
    """End the server: SIGTERM, then SIGKILL after STOP_SECONDS."""
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def run(data: Path, port: int, metrics_port: int) -> None:
    """Serve until SIGTERM or SIGINT, which arrive as KeyboardInterrupt. Raise CannotServe."""
    with sole_owner(data), configuration.chosen_ports(data) as ports:
        check_free("--port", port)
        check_free("--metrics-port", metrics_port)
        configuration.write(data, port, ports)
        server = start(data, metrics_port)
        try:
            watch(server, metrics_port, lambda: _say_ready(data, port))
        finally:
            end(server)


def _say_ready(data: Path, port: int) -> None:
    log.info("ready on %s:%d, data in %s", HOST, port, data)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m milvus_server_engine.serve")
    parser.add_argument("--data", type=Path, required=True, help="folder; created if missing")
    parser.add_argument("--port", type=_port, required=True, help="where clients call")
    parser.add_argument("--metrics-port", type=_port, required=True, help="/healthz and /metrics")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1024 to 65535")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    given = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(given.data.resolve(), given.port, given.metrics_port)
    except KeyboardInterrupt:
        log.info("stopped")
        return 0
    except (CannotServe, binaries.BinariesMissing, OSError) as error:
        log.critical("cannot serve: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
