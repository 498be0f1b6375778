"""The suite as a platform team uses it: health, reflection, several side by side."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from examples.wines.local import free_port_base
from local_suite.suite import Suite
from tests.stored_files import stored_files
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
SERVICES = {
    "gateway": {
        "sightline.gateway.v1.RecommendationService",
        "sightline.gateway.v1.DetectionService",
        "sightline.gateway.v1.CatalogService",
        "sightline.gateway.v1.UserEventService",
        "sightline.gateway.v1.AdminService",
        "sightline.common.v1.JobService",
    },
    "embedder": {"sightline.embedder.v1.EmbeddingService"},
    "retriever": {
        "sightline.retriever.v1.ProductService",
        "sightline.retriever.v1.VectorService",
    },
    "ranker": {
        "sightline.ranker.v1.RankingService",
        "sightline.ranker.v1.EventService",
        "sightline.ranker.v1.AnswerService",
        "sightline.gateway.v1.AdminService",
        "sightline.common.v1.JobService",
    },
}


@pytest.mark.parametrize("service", SERVICES)
async def test_reflection_lists_every_service_and_each_is_healthy(
    suite: Suite, service: str
) -> None:
    async with grpc.aio.insecure_channel(suite.addresses()[service]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICES[service]):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
        listed = await reflected(channel, list_services="")
        names = {entry.name for entry in listed.list_services_response.service}
        assert names >= SERVICES[service]
        for name in SERVICES[service]:
            found = await reflected(channel, file_containing_symbol=name)
            files = found.file_descriptor_response.file_descriptor_proto
            described = FileDescriptorProto.FromString(files[0])
            assert name.rpartition(".")[2] in {entry.name for entry in described.service}


async def reflected(
    channel: grpc.aio.Channel, **asked: str
) -> reflection_pb2.ServerReflectionResponse:
    """Return the answer to one reflection request."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**asked)]))
    async for answer in call:
        return answer
    raise AssertionError("reflection does not answer")


def local_suite(command: str, data: Path, base: int) -> subprocess.CompletedProcess[str]:
    """Run the command behind `make up`, `make down` and `make status`."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "deploy/local"),
        "DATA": str(data),
        "PORT_BASE": str(base),
    }
    return subprocess.run(
        [sys.executable, "-m", "local_suite", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS * 5,
    )


@pytest.mark.usefixtures("shop_is_open")
def test_what_is_stored_is_its_users_alone(suite: Suite) -> None:
    data = suite.layout.data
    own = {suite.layout.config, suite.layout.facts, suite.layout.lock}  # made by this process
    found = {path: stat for path, stat in stored_files(data) if path not in own}
    kept = {path.relative_to(data).parts[0] for path in found}
    assert kept >= {"retriever", "ranker", "milvus", "logs"}
    assert [str(path) for path, stat in found.items() if stat.st_mode & 0o077] == []


@pytest.mark.full
def test_a_second_suite_runs_beside_the_first_and_leaves_nothing_behind(
    suite: Suite, tmp_path: Path
) -> None:
    base = free_port_base()
    try:
        up = local_suite("up", tmp_path, base)
        assert up.returncode == 0, up.stdout + up.stderr
        assert f"127.0.0.1:{base}" in up.stdout
        sightline = Path(sys.executable).with_name("sightline")
        status = subprocess.run(
            [sightline, "status", "--target", f"127.0.0.1:{base}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert status.returncode == 0, status.stdout + status.stderr
        again = local_suite("up", tmp_path, base)
        assert again.returncode != 0
        assert "already" in again.stderr + again.stdout
    finally:
        down = local_suite("down", tmp_path, base)
    assert down.returncode == 0, down.stdout + down.stderr
    assert processes_of(tmp_path) == []
    assert all(row.healthy for row in suite.status()), suite.status()


def processes_of(data: Path) -> list[int]:
    """Return the processes that have this suite's mark in their environment."""
    marked = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"SIGHTLINE_SUITE={data}".encode() in environment.split(b"\0"):
            marked.append(int(folder.name))
    return marked
