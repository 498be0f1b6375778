"""Real engines as processes, for wire and live tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MILVUS_PYTHON = ROOT / "deploy" / "milvus" / ".venv" / "bin" / "python"


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class MilvusLite:
    """One Milvus Lite process that can be killed and started again on the same data and port."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 30.0) -> None:
        """Returns once the port accepts connections, which is when every collection is open."""
        assert self.process is None, "already running"
        assert MILVUS_PYTHON.exists(), "make its environment first: make tools"
        command = [str(MILVUS_PYTHON), "-m", "milvus_engine.serve"]
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), "--port", str(self.port)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"died at start: see {self.data}.log"
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            time.sleep(0.02)
        raise TimeoutError(f"Milvus Lite did not listen on {self.port} within {timeout} s")

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.process = None
        return status


@contextmanager
def milvus_lite(data: Path, port: int | None = None) -> Iterator[MilvusLite]:
    """Runs an engine on a free port while the block runs; `data` need not exist."""
    engine = MilvusLite(data, port or free_port())
    engine.start()
    try:
        yield engine
    finally:
        engine.kill()
