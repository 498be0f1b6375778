"""Engines report their version over the wire: one with published vulnerabilities ends the start of
a production process.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.engines import free_port
from tests.waiting import SECONDS

pytestmark = pytest.mark.full


class Engine(milvus_pb2_grpc.MilvusServiceServicer, service_pb2_grpc.GRPCInferenceServiceServicer):
    """Fake Milvus and Triton that report a version."""

    def __init__(self, version: str) -> None:
        self.version = version

    def Connect(self, request: Any, context: Any) -> Any:
        return milvus_pb2.ConnectResponse(identifier=1)

    def GetVersion(self, request: Any, context: Any) -> Any:
        return milvus_pb2.GetVersionResponse(version=self.version)

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerMetadataResponse(name="triton", version=self.version)


@contextmanager
def answering(version: str) -> Iterator[str]:
    """Yield the address of both engines."""
    server = grpc.server(ThreadPoolExecutor(4))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Engine(version), server)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Engine(version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def started(
    module: str, folder: Path, engines: str, **more: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a process in production mode on this machine."""
    (folder / "keys").mkdir()
    for name in ("keys/gateway.key", "keys/embedder.key", "backups.keys"):
        (folder / name).write_text(secrets.token_hex(32))
    prefix = module.partition(".")[0].upper()
    settings: Mapping[str, str] = {
        "MODE": "production",
        "REFLECTION": "false",
        "PEER_KEYS_FOLDER": "keys",
        "BACKUP_KEYS_FILE": "backups.keys",
        "TRITON_TARGET": engines,
        "MILVUS_URI": f"http://{engines}",
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=folder,
        env=os.environ | {f"{prefix}_{name}": value for name, value in settings.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.terminate()


@pytest.mark.parametrize(
    ("module", "version", "named"),
    [
        ("embedder", "2.59.0", "Triton 2.59.0"),
        ("retriever", "v2.6.9", "Milvus v2.6.9"),
        ("retriever.worker", "2.3.5", "Milvus 2.3.5"),
    ],
)
def test_one_with_published_holes_is_not_used(
    tmp_path: Path, module: str, version: str, named: str
) -> None:
    with answering(version) as engines, started(module, tmp_path, engines) as process:
        assert process.wait(SECONDS) == 2
        assert process.stderr is not None
        assert f"{named} has published vulnerabilities" in process.stderr.read()


@pytest.mark.parametrize(("module", "version"), [("embedder", "2.59.1"), ("retriever", "v2.6.10")])
def test_a_later_one_is(tmp_path: Path, module: str, version: str) -> None:
    port = free_port()
    with (
        answering(version) as engines,
        started(module, tmp_path, engines, PORT=str(port)),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        asked = health_pb2.HealthCheckRequest()
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(asked, timeout=SECONDS, wait_for_ready=True)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
