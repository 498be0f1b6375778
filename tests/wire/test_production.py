"""Four services and their workers in production mode, as processes with their own keys and
certificates: they start, authenticate one another, and reject all others.
"""

import os
import secrets
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit.admission.access import PeerName, Role
from servicekit.config import PeerSettings
from servicekit.rpc.channel import connect
from servicekit.rpc.peers import PeerCredentials
from servicekit.status import from_rpc_error
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.retriever.v1 import product_service_pb2
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline_client import (
    Event,
    EventType,
    InvalidRequest,
    JobState,
    Product,
    ProductImage,
    SightlineClient,
    SyncSightlineClient,
    Unauthenticated,
    Unavailable,
    tls_credentials,
)
from tests import certificates, peers
from tests.engines import free_port
from tests.fakes.photos import photo
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import SECONDS
from tests.wire.rotation import change

pytestmark = pytest.mark.full

PEERS = ("embedder", "retriever", "ranker")
WORKERS = ("retriever.worker", "ranker.worker")
STORED = {
    "retriever": ("record.db", "photos", "backups"),
    "ranker": ("ranker.db", "models", "exports"),
}
"""Stores of each service in its folder of .data."""
TOKEN = "slk_of-whoever-looks-after-it"
KEY = secrets.token_hex(32)
AUTHORITY, PEERS_AUTHORITY = certificates.authority(), certificates.authority()
"""Authorities of the gateway's certificates to callers, and of those between services."""


def environment(ports: dict[str, int], probes: dict[str, int]) -> dict[str, str]:
    """Return the settings of each service in production; file paths are relative to the start
    folder."""
    found = {
        "GATEWAY_ADMIN_PORT": str(ports["operators"]),
        "GATEWAY_QUOTA_DECODE_SECONDS": "1",
        "GATEWAY_KEYS_FILE": "keys.toml",
        "GATEWAY_TOKEN_KEYS_FILE": "tokens.keys",
        "GATEWAY_TLS_FOLDER": "gateway-tls",
        "RANKER_KEY_FILE": "pseudonym.key",
        "EMBEDDER_TRITON_TARGET": "127.0.0.1:1",
        "RETRIEVER_MILVUS_URI": "http://127.0.0.1:1",
        "RETRIEVER_EMBEDDER_TARGET": f"127.0.0.1:{ports['embedder']}",
        "RANKER_RETRIEVER_TARGET": f"127.0.0.1:{ports['retriever']}",
        "RANKER_RECIPE_FILE": "recipe.toml",
        "RETRIEVER_BACKUP_KEYS_FILE": "tokens.keys",
    }
    for name, probe in probes.items():
        port, prefix = ports[name], name.upper()
        found |= {
            f"{prefix}_MODE": "production",
            f"{prefix}_REFLECTION": "false",
            f"{prefix}_PORT": str(port),
            f"{prefix}_PROBE_PORT": str(probe),
            f"GATEWAY_{prefix}_TARGET": f"127.0.0.1:{port}",
        }
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("production")
    (made / "recipe.toml").write_text("epochs = 2")
    peers.write_certificates(made, PEERS_AUTHORITY)
    peers.write_keys(made, peers.drawn())
    peers.show(made, "gateway-tls", AUTHORITY)
    for name in ("tokens.keys", "pseudonym.key"):
        (made / name).write_text(KEY)
    (made / "keys.toml").write_text(entry("ops", TOKEN, str([role.value for role in Role])))
    return made


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[dict[str, int]]:
    """Yield the ports of healthy services."""
    found = {name: free_port() for name in (*PEERS, "gateway", "operators")}
    probes = {name: free_port() for name in (*PEERS, "gateway")}
    settings = os.environ | environment(found, probes)
    with ExitStack() as cleanup:
        for name in (*probes, *WORKERS):
            log = cleanup.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", name],
                cwd=folder,
                env=settings | peers.settings(folder, name.replace(".", "-")),
                stdout=log,
                stderr=log,
                umask=0o022,  # as shells have it: what keeps others out is the services' own
            )
            cleanup.callback(process.wait, SECONDS)
            cleanup.callback(process.terminate)
        for port in probes.values():
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                asked = health_pb2.HealthCheckRequest()
                health = health_pb2_grpc.HealthStub(channel)
                health.Check(asked, timeout=SECONDS, wait_for_ready=True)
        yield found


@pytest.fixture
def client(ports: dict[str, int], folder: Path) -> Iterator[SyncSightlineClient]:
    credentials = tls_credentials(ca=folder / "gateway-tls/ca.crt")
    target = f"127.0.0.1:{ports['operators']}"
    with SyncSightlineClient(target, token=TOKEN, credentials=credentials, timeout=SECONDS) as made:
        yield made


def test_the_services_know_one_another(client: SyncSightlineClient) -> None:
    errors = {each.component: each.error for each in client.status().components}
    for name in ("gateway", *PEERS):
        assert errors[name] is None, name


def events() -> list[Event]:
    """Return the events of eight people, half of whom buy one product and half the other."""
    return [
        Event(f"e{n}-{product}", EventType.PURCHASE, product, user=f"u{n}")
        for n in range(8)
        for product in (f"p{n % 2}", f"p{2 + n % 2}")
    ]


def test_what_they_store_is_their_users_alone(client: SyncSightlineClient, folder: Path) -> None:
    """Check photos, backups, models and exports, written by a server, a worker or a training."""
    images = [(ProductImage(photo(seed=n)),) for n in range(4)]
    client.upsert_products(
        [Product(f"p{n}", "A wine", images=image) for n, image in enumerate(images)]
    )
    client.write_events(events())
    for job in (client.create_backup(), client.train_model(), client.export_events()):
        *_, ended = client.watch_job(job.job_id)
        assert ended.state is JobState.SUCCEEDED, ended
    for service, names in STORED.items():
        for name in names:
            path = folder / ".data" / service / name
            held = [path, *path.rglob("*")]
            assert any(each.is_file() for each in held), f"{path} holds nothing"
    stored = [folder / ".data", *(folder / ".data").rglob("*")]
    modes = {each: stat.S_IMODE(each.stat().st_mode) for each in stored}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


async def test_no_call_fails_while_every_key_and_certificate_changes(
    ports: dict[str, int], folder: Path, tmp_path: Path
) -> None:
    """Run as the last test that uses TOKEN, which is invalid afterwards."""
    gateway, retriever = (f"127.0.0.1:{ports[name]}" for name in ("operators", "retriever"))
    shutil.copytree(folder / "gateway/tls", tmp_path / "tls")
    shutil.copytree(folder / "gateway/keys", tmp_path / "keys")
    shown = ssl.get_server_certificate(("127.0.0.1", ports["gateway"]))
    traffic = await change(folder, gateway, AUTHORITY, PEERS_AUTHORITY, TOKEN, f"{TOKEN}-2")
    assert traffic.failed == []
    assert min(traffic.answered.values()) > 20
    assert ssl.get_server_certificate(("127.0.0.1", ports["gateway"])) != shown
    tls = folder / "gateway/tls"
    now, then = (known(each / "keys", tls) for each in (folder / "gateway", tmp_path))
    assert await refusal(retriever, now) == ""
    assert await refusal(retriever, then) == "PEER_UNKNOWN"
    assert (
        await refusal(retriever, known(folder / "gateway/keys", tmp_path / "tls")) == "UNAVAILABLE"
    )
    credentials = tls_credentials(ca=folder / "gateway-tls/ca.crt")
    async with SightlineClient(gateway, token=TOKEN, credentials=credentials) as former:
        with pytest.raises(Unauthenticated):
            await former.status()
    async with SightlineClient(gateway, token=f"{TOKEN}-2", credentials=credentials) as client:
        old = catalog_pb2.ListProductsRequest(page_size=1, page_token=traffic.pages[1])
        with pytest.raises(InvalidRequest, match="page"):
            await client._call(client.calls.catalog.ListProducts, old, None)


def known(keys: Path, certificate: Path) -> PeerCredentials:
    """Return credentials for calls to the retriever."""
    settings = PeerSettings(peer_keys_folder=keys, peer_tls_folder=certificate)
    return PeerCredentials.of(settings).calling(PeerName.RETRIEVER)


async def refusal(target: str, shown: PeerCredentials) -> str:
    """Return the reason for which the retriever rejects these credentials; "" if it accepts
    them."""
    channel = connect(target, peers=shown)
    try:
        await ProductServiceStub(channel).ListProducts(product_service_pb2.ListProductsRequest())
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason or error.code().name
    finally:
        await channel.close(None)
    return ""


@pytest.mark.parametrize("name", [*PEERS, "gateway", "operators"])
def test_nobody_is_answered_in_plain_text(ports: dict[str, int], name: str) -> None:
    target = f"127.0.0.1:{ports[name]}"
    with SyncSightlineClient(target, token=TOKEN) as client, pytest.raises(Unavailable):
        client.status()
