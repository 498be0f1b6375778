"""Every call of every service, as the service itself lists them: nobody makes one without a key.

The services run as processes, with nothing behind them: a call that is admitted goes on to be
found malformed.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from servicekit.access import Role
from servicekit.status import from_rpc_error
from tests.engines import ROOT, free_port
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import SECONDS

SERVICES = ("embedder", "gateway", "ranker", "retriever")
KEY = secrets.token_hex(32)
REFUSED = ("TOKEN_MISSING", "TOKEN_INVALID")
"""By the gateway, whose callers are no peers."""


@dataclass(frozen=True, slots=True)
class Service:
    """One that asks who calls."""

    name: str
    channel: grpc.Channel

    def refusal(self, method: Any, token: str | None) -> str:
        """The reason with which a call of a request that can't be read is refused."""
        ways = (method.client_streaming, method.server_streaming)
        kind = "_".join("stream" if streams else "unary" for streams in ways)
        path = f"/{method.containing_service.full_name}/{method.name}"
        call = getattr(self.channel, kind)(path, None, None)
        metadata = [("authorization", f"Bearer {token}")] if token is not None else None
        request = iter([b"\xff"]) if method.client_streaming else b"\xff"
        try:
            answer = call(request, metadata=metadata, timeout=SECONDS)
            if method.server_streaming:
                next(answer)
        except grpc.RpcError as error:
            return from_rpc_error(error).reason
        return "answered"

    def methods(self) -> list[Any]:
        """Of all services that it offers, but for health and reflection."""
        listed = ProtoReflectionDescriptorDatabase(self.channel)
        pool = DescriptorPool(listed)
        names = [name for name in listed.get_services() if not name.startswith("grpc.")]
        return [method for name in names for method in pool.FindServiceByName(name).methods]


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Service]:
    name, folder, port = request.param, tmp_path_factory.mktemp(request.param), free_port()
    (folder / "peers.key").write_text(KEY)
    (folder / "keys.toml").write_text(entry("all", KEY, str([role.value for role in Role])))
    prefix = name.upper()
    environment = os.environ | {
        f"{prefix}_PORT": str(port),
        f"{prefix}_PEER_KEY_FILE": "peers.key",
        "GATEWAY_KEYS_FILE": "keys.toml",
        "RANKER_KEY_FILE": "pseudonym.key",
        "RANKER_CREATE_KEY": "true",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", name], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = health_pb2.HealthCheckRequest()
            health = health_pb2_grpc.HealthStub(channel)
            health.Check(asked, timeout=SECONDS, wait_for_ready=True)
            yield Service(name, channel)
    finally:
        process.terminate()
        process.wait(SECONDS)


def test_a_service_lists_all_that_its_protos_have(service: Service) -> None:
    folder: Path = ROOT / "protos" / "sightline" / service.name / "v1"
    text = "".join(file.read_text() for file in folder.glob("*.proto"))
    wanted = set(re.findall(r"^service (\w+) \{", text, re.MULTILINE))
    assert wanted
    assert {method.containing_service.name for method in service.methods()} >= wanted


def test_no_call_is_made_without_a_key(service: Service) -> None:
    found = service.methods()
    assert len(found) >= 5
    for method in found:
        nobody, guessed = REFUSED if service.name == "gateway" else ("PEER_UNKNOWN",) * 2
        assert service.refusal(method, None) == nobody, method.full_name
        assert service.refusal(method, KEY[:-1]) == guessed, method.full_name
        assert service.refusal(method, KEY) == "REQUEST_MALFORMED", method.full_name
