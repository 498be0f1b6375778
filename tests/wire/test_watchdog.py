"""A model load for which the real Triton would wait without end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from tests.engines import free_port
from tests.fakes.triton import LITE0
from tests.triton import MODELS, processes_of, real_triton
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

TEXTS = "texts_16"
GRAPH = MODELS / LITE0 / "1" / "model.onnx"
STILL = 2.5
"""Seconds, after which the server gave it up."""


@dataclass
class Engine:
    """The real Triton, which serves another model already."""

    process: asyncio.subprocess.Process
    client: triton.InferenceServerClient


@asynccontextmanager
async def engine(log: Path) -> AsyncIterator[Engine]:
    port = free_port()
    async with (
        real_triton(port, log, [TEXTS]) as process,
        triton.InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        await up(client)
        yield Engine(process, client)


async def test_a_process_that_stood_still_while_it_started_is_ended_and_its_model_loads_again(
    tmp_path: Path,
) -> None:
    for _ in range(5):
        async with engine(tmp_path / "log") as serving:
            for _ in range(20):
                load = asyncio.create_task(serving.client.load_model(LITE0, client_timeout=SECONDS))
                if await stood_still(serving.process.pid, load):
                    break
                await serving.client.unload_model(LITE0, client_timeout=SECONDS)
            (outcome,) = await asyncio.gather(load, return_exceptions=True)
            assert isinstance(outcome, InferenceServerException), (
                "no process was stopped in 20 loads"
            )
            if await ended(serving.process):
                continue  # by itself, as it may: it freed memory that the process still used
            assert "is not healthy" in str(outcome)
            await serving.client.load_model(LITE0, client_timeout=SECONDS)
            photo = triton.InferInput("image", [1, 224, 224, 3], "UINT8")
            photo.set_data_from_numpy(np.zeros((1, 224, 224, 3), np.uint8))
            answer = await serving.client.infer(LITE0, [photo], client_timeout=SECONDS)
            assert answer.as_numpy("embedding").shape == (1, 1280)
            return
    pytest.fail("the server ended 5 times")


async def test_a_server_that_waits_for_a_process_that_was_killed_as_it_started_is_ended(
    tmp_path: Path,
) -> None:
    for _ in range(5):
        async with engine(tmp_path / "log") as serving:
            for _ in range(20):
                load = asyncio.create_task(serving.client.load_model(LITE0, client_timeout=SECONDS))
                found: list[int] = []
                while not found and not load.done():
                    found = processes_of(LITE0, serving.process.pid)
                    await asyncio.sleep(0)
                for pid in found[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                (outcome,) = await asyncio.gather(load, return_exceptions=True)
                assert "DEADLINE_EXCEEDED" not in str(outcome), "the load did not end"
                if await ended(serving.process):
                    break
                # It had said its first word, which ends the load at once.
            else:
                pytest.fail("none of 20 processes was killed in time")
            if serving.process.returncode == -signal.SIGKILL:
                return  # which is how the watchdog ends it; a crash of its own has another number
    pytest.fail("the server ended by itself 5 times")


async def ended(process: asyncio.subprocess.Process) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 1)
    return process.returncode is not None


async def up(client: triton.InferenceServerClient) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(InferenceServerException):
                if await client.is_model_ready(TEXTS):
                    return
            await asyncio.sleep(0.1)


async def stood_still(server: int, load: asyncio.Task[None]) -> bool:
    """Stop a process of the model while it initialises it; whether the load waits for it still."""
    found: list[int] = []
    while not load.done() and not found:
        found = [pid for pid in processes_of(LITE0, server) if initialising(pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0)
    await asyncio.sleep(STILL)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):  # the watchdog may have ended it
            os.kill(pid, signal.SIGCONT)
    return not load.done()


def initialising(pid: int) -> bool:
    """Return whether a process has read the model's graph and is still initialising."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).io_counters().read_chars > GRAPH.stat().st_size)
    return False
