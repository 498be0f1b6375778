"""A server and a worker wait until another process creates their tables: alive, not ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.engines import free_port
from tests.waiting import SECONDS, until

PORTS = {"retriever": "RETRIEVER_PORT", "ranker.worker": "RANKER_WORKER_METRICS_PORT"}
"""Ports of readiness checks, which open only when they no longer wait."""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        **{name: str(free_port()) for name in PORTS.values()},
        "RETRIEVER_MIGRATIONS": "wait",
        "RANKER_MIGRATIONS": "wait",
        "RETRIEVER_DATABASE_URL": f"sqlite:///{tmp_path}/retriever/record.db",
        "RANKER_DATABASE_URL": f"sqlite:///{tmp_path}/ranker/ranker.db",
        "RETRIEVER_MILVUS_URI": "http://127.0.0.1:1",
        "RETRIEVER_DECODE_PROCESSES": "1",
    }


@pytest.fixture
def started(settings: dict[str, str], tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    with ExitStack() as cleanup:
        found = {}
        for name in PORTS:
            log = cleanup.enter_context((tmp_path / f"{name}.log").open("w"))
            command = [sys.executable, "-m", name]
            process = subprocess.Popen(
                command, cwd=tmp_path, env=settings, stdout=log, stderr=log, text=True
            )
            cleanup.callback(process.wait, SECONDS)
            cleanup.callback(process.terminate)
            found[name] = process
        yield found


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


@pytest.mark.full
async def test_what_waits_is_not_ready_until_the_command_has_run(
    started: dict[str, subprocess.Popen[str]], settings: dict[str, str], tmp_path: Path
) -> None:
    for name, process in started.items():
        log = tmp_path / f"{name}.log"
        await until(lambda log=log: "waiting for migrations" in log.read_text())
        assert '"wanted": "00' in log.read_text()
        assert not listens(settings[PORTS[name]])
        assert process.poll() is None
    worker = started["ranker.worker"]
    worker.terminate()
    assert worker.wait(SECONDS) == -signal.SIGTERM
    made = [sys.executable, "-m", "retriever.migrate"]
    subprocess.run(made, env=settings, check=True)  # noqa: ASYNC221 - nobody else is here
    target = f"127.0.0.1:{settings['RETRIEVER_PORT']}"
    async with grpc.aio.insecure_channel(target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="sightline.retriever.v1.ProductService")
        answer = await health.Check(asked, timeout=SECONDS, wait_for_ready=True)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
