"""Real engines as processes, for wire and live tests."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

from local_suite.health import http_ok
from tests.waiting import SECONDS

ROOT = Path(__file__).resolve().parent.parent
MILVUS_SERVER_PYTHON = ROOT / "deploy" / "milvus-server" / ".venv" / "bin" / "python"
MILVUS_PYTHON = ROOT / "deploy" / "milvus" / ".venv" / "bin" / "python"


Engine = TypeVar("Engine", bound="EngineProcess")


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now; raise OSError if none is found. It is below the
    ports that Linux assigns to connections and to port 0, so that no parallel test gets it before
    it is bound."""
    draw = random.Random()
    for _ in range(100):
        port = draw.randrange(12_000, 30_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port on 127.0.0.1")


@dataclass(slots=True)
class EngineProcess:
    """One engine that can be killed and restarted on the same data and port."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    name: ClassVar[str]

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        assert self.process is None, "already running"
        command = self.command()
        assert Path(command[0]).exists(), "make its environment first: make setup"
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"died at start: see {self.data}.log"
            if self.answers():
                return
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} did not answer within {SECONDS:.0f} s")

    def kill(self) -> None:
        """Kill the engine (kill -9)."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop the engine (SIGTERM). Return the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=SECONDS)
        self.process = None
        return status


@dataclass(slots=True)
class MilvusLite(EngineProcess):
    """Milvus Lite as a server process."""

    arguments: tuple[str, ...] = ()
    """Further arguments of its command line, besides folder and port."""

    name = "Milvus Lite"

    def command(self) -> list[str]:
        options = ["--data", str(self.data), "--port", str(self.port), *self.arguments]
        return [str(MILVUS_PYTHON), "-m", "milvus_engine.serve", *options]

    def answers(self) -> bool:
        """Return whether the port accepts connections: then every collection is open."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False


@dataclass(slots=True)
class MilvusServer(EngineProcess):
    """The real server of the milvus wheel."""

    metrics_port: int = field(default_factory=free_port)

    name = "the Milvus server"

    def command(self) -> list[str]:
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        python = str(MILVUS_SERVER_PYTHON)
        return [python, "-m", "milvus_server_engine.serve", "--data", str(self.data), *ports]

    def answers(self) -> bool:
        return http_ok(self.metrics_port, "/healthz")()


@contextmanager
def milvus_lite(data: Path, port: int | None = None) -> Iterator[MilvusLite]:
    """Run Milvus Lite on a free port during the block; `data` need not exist."""
    with _running(MilvusLite(data, port or free_port())) as engine:
        yield engine


@contextmanager
def milvus_server(data: Path, port: int | None = None) -> Iterator[MilvusServer]:
    """Run the real server on a free port during the block; it takes 3 s to start."""
    with _running(MilvusServer(data, port or free_port())) as engine:
        yield engine


@contextmanager
def _running(engine: Engine) -> Iterator[Engine]:
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()
