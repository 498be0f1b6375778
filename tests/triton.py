"""The real Triton, for wire tests and the chaos run."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.watching import family
from tests.engines import ROOT

TRITON = ROOT / "deploy" / "triton"
MODELS = TRITON / "models"


@asynccontextmanager
async def real_triton(
    port: int, log: Path, load: Sequence[str], spaces: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the real server with these models in a process group of its own. `spaces`: a second
    repository, whose models are loaded on request."""
    python = TRITON / ".venv" / "bin" / "python"
    assert python.exists(), "make its environment first: make setup"
    second = () if spaces is None else ("--spaces", str(spaces))
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", "triton_engine.serve", "--grpc-port", str(port)),
            *(*second, "--load", *load),
            cwd=TRITON,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it ended, and what it had started
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@dataclass
class KeptUp:
    """A real Triton that is restarted whenever it ends."""

    pid: int = 0
    """Id of the running process; 0 before the first."""


@asynccontextmanager
async def triton_kept_up(
    port: int, log: Path, load: Sequence[str], spaces: Path | None = None
) -> AsyncIterator[KeptUp]:
    """Run the server and restart it whenever it ends, as in production: its Python backend may
    abort it if one of its starting processes gets no processor for a second."""
    kept = KeptUp()

    async def keep() -> None:
        while True:
            async with real_triton(port, log, load, spaces) as process:
                kept.pid = process.pid
                await process.wait()

    keeping = asyncio.create_task(keep())
    try:
        yield kept
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def processes_of(model: str, triton: int) -> list[int]:
    """Return the ids of the processes in which the Triton with that id runs a model."""
    return [pid for pid in family(triton) if f"/{model}/" in _command(pid)]


def _command(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
