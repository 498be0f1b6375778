"""Every call of every service, as the service itself lists them: only the services that its proto
names can make it, by their certificates and keys.

The services run as processes, with nothing behind them: a call that is admitted goes on to be
found malformed.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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

from servicekit.admission.access import MethodRule, PeerName, Role, rule
from servicekit.status import from_rpc_error
from tests import certificates
from tests.contracts.test_peers import services
from tests.engines import ROOT, free_port
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import SECONDS

SERVICES = ("embedder", "gateway", "ranker", "retriever", "vision")
REGISTRY = "sightline.common.v1.CatalogListService."
TOKEN = secrets.token_hex(32)
AUTHORITY = certificates.authority()
ALL = [*services()]
"""All services of the protos, whose rules are loaded by this."""


Call = Callable[..., str]
"""(method, the token of a caller of the gateway) to the reason of its refusal."""


def _refusal(channel: grpc.Channel, method: Any, sent: Mapping[str, str | None]) -> str:
    """Return the reason for which a call with an unreadable request is rejected."""
    ways = (method.client_streaming, method.server_streaming)
    kind = "_".join("stream" if streams else "unary" for streams in ways)
    path = f"/{method.containing_service.full_name}/{method.name}"
    call = getattr(channel, kind)(path, None, None)
    metadata = [(name, value) for name, value in sent.items() if value]
    request = iter([b"\xff"]) if method.client_streaming else b"\xff"
    try:
        answer = call(request, metadata=metadata, timeout=SECONDS)
        if method.server_streaming:
            next(answer)
    except grpc.RpcError as error:
        return from_rpc_error(error).reason
    return "answered"


@dataclass(frozen=True, slots=True)
class Service:
    """Service that authenticates its callers."""

    name: str
    folder: Path
    """Certificates and keys of each service, in a folder of its name."""
    port: int

    def channel(self, peer: str | None) -> grpc.Channel:
        """Return a channel with the certificate of a peer; `None`: no certificate."""
        tls = self.folder / (peer or self.name) / "tls"
        shown = [(tls / name).read_bytes() for name in ("tls.key", "tls.crt")] if peer else []
        credentials = grpc.ssl_channel_credentials((tls / "ca.crt").read_bytes(), *shown)
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials)

    @contextmanager
    def shown(self, peer: str | None, key: str | None = "") -> Iterator[Call]:
        """Yield the calls of a peer by its certificate and key. `key`: a different key; `None`
        sends none."""
        held = self.folder / (peer or "") / "keys" / f"{self.name}.key"
        sent = held.read_text() if key == "" and held.exists() else key
        with self.channel(peer) as channel:
            yield lambda method, token=None: _refusal(
                channel, method, {"x-sightline-peer-key": sent, "authorization": token}
            )

    def methods(self) -> list[Any]:
        """Return the methods of all services that it offers, except health and reflection."""
        with self.channel("gateway") as channel:
            listed = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(listed)
            names = [name for name in listed.get_services() if not name.startswith("grpc.")]
            every = [method for name in names for method in pool.FindServiceByName(name).methods]
            return [method for method in every if self.serves(method)]

    def serves(self, method: Any) -> bool:
        """Return whether the service answers a method of a service that it offers."""
        named = method.containing_service.name == "JobService" or self.name == "gateway"
        return named or rule_of(method).owner in (None, self.name)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the certificates and keys of all services, as docs/operate/access.md describes
    them."""
    folder: Path = tmp_path_factory.mktemp("installation")
    for name in PeerName:
        (folder / name / "keys").mkdir(parents=True)
        uris = [certificates.named(name)]
        certificates.write(folder / name / "tls", AUTHORITY, uris=uris)
    for caller in PeerName:
        for called in SERVICES:
            # Of each pair, whether the one has to call the other or not.
            if caller != called:
                key = secrets.token_hex(32)
                (folder / caller / "keys" / f"{called}.key").write_text(key)
                (folder / called / "keys" / f"{caller}.key").write_text(key)
    return folder


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest, installation: Path) -> Iterator[Service]:
    name, port, probe = request.param, free_port(), free_port()
    folder, prefix = installation / name, request.param.upper()
    (folder / "keys.toml").write_text(entry("all", TOKEN, str([role.value for role in Role])))
    environment = os.environ | {
        f"{prefix}_PORT": str(port),
        f"{prefix}_PROBE_PORT": str(probe),
        f"{prefix}_PEER_KEYS_FOLDER": "keys",
        f"{prefix}_PEER_TLS_FOLDER": "tls",
        "GATEWAY_TLS_FOLDER": "tls",
        "GATEWAY_KEYS_FILE": "keys.toml",
        "RANKER_KEY_FILE": "pseudonym.key",
        "RANKER_CREATE_KEY": "true",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", name], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{probe}") as channel:
            asked = health_pb2.HealthCheckRequest()
            health = health_pb2_grpc.HealthStub(channel)
            health.Check(asked, timeout=SECONDS, wait_for_ready=True)
        yield Service(name, installation, port)
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.mark.full
def test_a_service_lists_all_that_its_protos_have(service: Service) -> None:
    folder: Path = ROOT / "protos" / "sightline" / service.name / "v1"
    text = "".join(file.read_text() for file in folder.glob("*.proto"))
    wanted = set(re.findall(r"^service (\w+) \{", text, re.MULTILINE))
    assert wanted or service.name == "vision"  # it has public calls alone
    assert {method.containing_service.name for method in service.methods()} >= wanted


def rule_of(method: Any) -> MethodRule:
    return rule(f"{method.containing_service.full_name}/{method.name}")


@pytest.mark.full
def test_each_call_is_made_by_the_peers_that_its_proto_names_and_by_no_others(
    service: Service,
) -> None:
    """Try each call as each peer; the gateway's callers are no peers and need tokens."""
    found = service.methods()
    assert len(found) >= 5
    for peer in set(PeerName) - {service.name}:
        with service.shown(peer) as refusal:
            for method in found:
                if service.name == "gateway":
                    wanted = "TOKEN_MISSING"
                elif peer in rule_of(method).peers:
                    wanted = "REQUEST_MALFORMED"
                else:
                    wanted = "PEER_FORBIDDEN"
                assert refusal(method) == wanted, (peer, method.full_name)


@pytest.mark.first(1)
def test_no_call_is_made_without_a_key_or_with_anothers(service: Service) -> None:
    """Check also that every peer needs a token for the gateway's calls."""
    stolen = service.folder / "retriever" / "keys"
    others = [stolen / "gateway.key", stolen / "ranker-worker.key"]
    keys = [None, secrets.token_hex(32), *(path.read_text() for path in others)]
    for key in keys if service.name != "retriever" else keys[:2]:
        with service.shown("gateway" if service.name != "gateway" else "ranker", key) as refusal:
            for method in service.methods():
                if service.name == "gateway":
                    assert refusal(method, f"Bearer {key}") == "TOKEN_INVALID"
                    assert refusal(method, f"Bearer {TOKEN}") == "REQUEST_MALFORMED"
                else:
                    assert refusal(method) == "PEER_UNKNOWN", method.full_name


@pytest.mark.full
def test_a_service_that_is_taken_over_can_make_no_call_but_its_own(service: Service) -> None:
    """Make all calls as a compromised embedder, which has its certificate and the keys that it
    shares with others: it may read the retriever's list of catalogs and confirm a removal, so all
    other calls must be rejected."""
    if service.name == "embedder":
        return
    held = [*(service.folder / "embedder" / "keys").iterdir()]
    assert len(held) == len(PeerName) - 1
    for key in held:
        with service.shown("embedder", key.read_text()) as refusal:
            found = {method.full_name: refusal(method) for method in service.methods()}
            others = {why for name, why in found.items() if not name.startswith(REGISTRY)}
            assert others <= {"PEER_UNKNOWN", "PEER_FORBIDDEN", "TOKEN_MISSING"}, key


@pytest.mark.full
def test_a_caller_without_a_certificate_is_not_heard(service: Service) -> None:
    with service.shown(None) as refusal:
        found = {refusal(method) for method in service.methods()}
    assert found == {"TOKEN_MISSING" if service.name == "gateway" else "UNAVAILABLE"}
