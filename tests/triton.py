"""The real Triton, for wire tests."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.engines import ROOT

TRITON = ROOT / "deploy" / "triton"
MODELS = TRITON / "models"


@asynccontextmanager
async def real_triton(
    port: int, log: Path, load: Sequence[str], spaces: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real server with these of its models, in a group of its own.

    `spaces`: a second repository; its models are loaded when Triton is asked to.
    """
    python = TRITON / ".venv" / "bin" / "python"
    assert python.exists(), "make its environment first: make setup"
    second = () if spaces is None else ("--spaces", str(spaces))
    with log.open("wb") as out:
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
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
