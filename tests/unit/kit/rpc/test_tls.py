"""TLS between services: peers without a valid certificate are rejected, and certificates change
without a restart.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from servicekit.admission.access import PeerName
from servicekit.config import PeerSettings, ServerSettings
from servicekit.rpc import channel, server
from servicekit.rpc.peers import PeerCredentials
from servicekit.rpc.server import RunningServer
from servicekit.rpc.tls import Certificates
from servicekit.status import from_rpc_error
from servicekit.watched_files import Unreadable
from sightline.embedder.v1 import embedding_service_pb2
from tests import certificates
from tests.engines import free_port
from tests.fakes.kit_echo import Echo, acting, binding
from tests.waiting import SECONDS, until

OURS, OTHERS = certificates.authority(), certificates.authority()
EMBEDDING = embedding_service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name
"""A service whose Classify the gateway alone may call."""
GATEWAY, RANKER = certificates.named("gateway"), certificates.named("ranker")
Call = Callable[[], Awaitable[str]]


def peers_in(folder: Path, *names: str, **more: Any) -> PeerCredentials:
    return PeerCredentials.of(PeerSettings(peer_tls_folder=folder, peer_names=names, **more))


def write(folder: Path, signer: trustme.CA, *names: str, **more: Any) -> Path:
    """Write a certificate of a gateway."""
    return certificates.write(folder, signer, *names, **{"uris": [GATEWAY], **more})


@asynccontextmanager
async def served(known: PeerCredentials, probe_port: int = 0) -> AsyncIterator[RunningServer]:
    running = await server.start(
        [acting(Echo(), EMBEDDING, "Classify")],
        ServerSettings(probe_port=probe_port),
        "shop",
        known.access(),
        tls=known.tls,
    )
    yield running
    await running.stop()


@asynccontextmanager
async def calling(running: RunningServer, known: PeerCredentials) -> AsyncIterator[Call]:
    """Yield a call that returns the reason of its rejection; empty if it is accepted."""
    async with channel.connect(f"127.0.0.1:{running.port}", peers=known) as peer:
        method = peer.unary_unary(f"/{EMBEDDING}/Classify", None, None)

        async def call() -> str:
            try:
                await method(b"x", timeout=SECONDS)
            except grpc.aio.AioRpcError as error:
                return from_rpc_error(error).reason
            return ""

        yield call


async def test_peers_show_one_another_their_certificates(tmp_path: Path) -> None:
    ours = peers_in(write(tmp_path / "ours", OURS))
    others = peers_in(write(tmp_path / "others", OTHERS))
    async with served(ours) as running:
        async with calling(running, ours) as call:
            assert await call() == ""
        async with calling(running, others) as call:
            assert await call() == "UNAVAILABLE"
        async with calling(running, PeerCredentials()) as call:
            assert await call() == "UNAVAILABLE"


async def test_who_believes_the_service_but_shows_nothing_is_not_heard(tmp_path: Path) -> None:
    folder = write(tmp_path / "ours", OURS)
    roots = (folder / "ca.crt").read_bytes()
    async with served(peers_in(folder)) as running:
        credentials = grpc.ssl_channel_credentials(roots)
        async with grpc.aio.secure_channel(f"127.0.0.1:{running.port}", credentials) as peer:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await peer.unary_unary("/test.Echo/Unary", None, None)(b"x", timeout=SECONDS)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ([GATEWAY], ""),
        ([RANKER], "PEER_FORBIDDEN"),
        ([certificates.named("gateway", "example.org")], "PEER_UNKNOWN"),
        ([certificates.named("other")], "PEER_UNKNOWN"),
        ([GATEWAY, RANKER], "PEER_UNKNOWN"),
        (["spiffe://cluster.local/ns/shop/sightline/gateway"], "PEER_UNKNOWN"),
        ([], "PEER_UNKNOWN"),
    ],
)
async def test_the_service_that_a_certificate_names_makes_the_calls_that_name_it(
    tmp_path: Path, uris: list[str], reason: str
) -> None:
    known = peers_in(write(tmp_path / "embedder", OURS, uris=[certificates.named("embedder")]))
    shown = peers_in(write(tmp_path / "caller", OURS, "gateway", "ranker", uris=uris))
    async with served(known) as running, calling(running, shown) as call:
        assert await call() == reason


async def test_a_trust_domain_of_ones_own(tmp_path: Path) -> None:
    uris = [certificates.named("gateway", "shop.example")]
    folder = write(tmp_path / "ours", OURS, uris=uris)
    known = peers_in(folder, peer_trust_domain="shop.example")
    async with served(known) as running, calling(running, known) as call:
        assert await call() == ""
    async with served(peers_in(folder)) as running, calling(running, known) as call:
        assert await call() == "PEER_UNKNOWN"


async def test_a_certificate_is_good_for_its_usage_alone(tmp_path: Path) -> None:
    """Check certificates as components/certificates of deploy/k8s issues them: a caller can't use a
    server's."""
    serving, calls = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    embedder = peers_in(
        write(tmp_path / "embedder", OURS, uris=[certificates.named("embedder")], usage=serving)
    )
    for usage, reason in ((calls, ""), (serving, "UNAVAILABLE")):
        gateway = peers_in(write(tmp_path / "gateway", OURS, usage=usage))
        async with served(embedder) as running, calling(running, gateway) as call:
            assert await call() == reason


async def test_other_names_can_be_required_too(tmp_path: Path) -> None:
    gateway = write(tmp_path / "gateway", OURS, "gateway")
    worker = write(tmp_path / "worker", OURS, "worker")
    async with served(peers_in(worker, "gateway")) as running:
        async with calling(running, peers_in(gateway)) as call:
            assert await call() == ""
        async with calling(running, peers_in(worker)) as call:
            assert await call() == "PEER_UNKNOWN"


async def test_key_and_certificate_are_both_asked_for_and_name_one_service(tmp_path: Path) -> None:
    folder = write(tmp_path / "ours", OURS)
    for name in ("caller", "here"):
        (tmp_path / name).mkdir()
    keys = {name: secrets.token_hex(32) for name in ("gateway", "ranker")}
    for name, key in keys.items():
        (tmp_path / f"here/{name}.key").write_text(key)
    known = peers_in(folder, peer_keys_folder=tmp_path / "here")
    async with served(known) as running:
        async with calling(running, peers_in(folder)) as call:
            assert await call() == "PEER_UNKNOWN"
        for name, reason in (("gateway", ""), ("ranker", "PEER_UNKNOWN")):
            (tmp_path / "caller/embedder.key").write_text(keys[name])
            both = peers_in(folder, peer_keys_folder=tmp_path / "caller")
            async with calling(running, both.calling(PeerName.EMBEDDER)) as call:
                assert await call() == reason


async def test_certificates_change_while_both_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    here, there = (write(tmp_path / name, OURS) for name in ("here", "there"))
    former = peers_in(write(tmp_path / "former", OURS))
    async with served(peers_in(there)) as running, calling(running, peers_in(here)) as call:
        assert await call() == ""
        write(there, OTHERS, changed=2)
        assert await call() == "", "a connection that is there goes on"
        write(here, OTHERS, changed=2)
        assert await call() == ""
        async with calling(running, former) as outdated:
            assert await outdated() == "UNAVAILABLE"


def ends(file: str) -> datetime:
    """Return the expiry of a peer's certificate, as the metric reports it."""
    labels = {"side": "peers", "file": file}
    found = REGISTRY.get_sample_value("sightline_certificate_expiry_timestamp_seconds", labels)
    assert found is not None
    return datetime.fromtimestamp(found, UTC)


async def test_a_metric_says_when_certificates_end_also_those_that_nobody_asked_for_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("servicekit.rpc.server.RENEW_SECONDS", 0.01)
    first, later = datetime(2090, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC)
    folder = write(tmp_path / "ours", OURS, end=first)
    async with served(peers_in(folder)):
        assert ends("tls.crt") == first
        authority = x509.load_pem_x509_certificate(OURS.cert_pem.bytes())
        assert ends("ca.crt") == authority.not_valid_after_utc
        write(folder, OURS, changed=2, end=later)
        await until(lambda: ends("tls.crt") == later)


async def test_calls_in_progress_outlast_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    folder = write(tmp_path / "ours", OURS)
    known, echo = peers_in(folder), Echo()
    running = await server.start([binding(echo)], ServerSettings(), "shop", tls=known.tls)
    async with channel.connect(f"127.0.0.1:{running.port}", peers=known) as peer:
        method = peer.unary_unary("/test.Echo/Unary", None, None)
        waiting = method(b"wait", timeout=SECONDS)
        await echo.started.wait()
        write(folder, OTHERS, changed=2)
        assert await method(b"x", timeout=SECONDS) == b"x"
        echo.go_on.set()
        assert await waiting == b"wait"
    await running.stop()


async def test_probes_speak_plain_text_on_a_port_of_their_own(tmp_path: Path) -> None:
    known, port = peers_in(write(tmp_path / "ours", OURS)), free_port()
    async with served(known, port), channel.connect(f"127.0.0.1:{port}") as probe:
        for name in ("", EMBEDDING):
            asked = health_pb2.HealthCheckRequest(service=name)
            answer = await health_pb2_grpc.HealthStub(probe).Check(asked, timeout=SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await probe.unary_unary(f"/{EMBEDDING}/Classify", None, None)(b"x", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def without(name: str, folder: Path) -> None:
    (folder / name).unlink()


def garbled(name: str, folder: Path) -> None:
    (folder / name).write_text("no PEM")


def of_another(name: str, folder: Path) -> None:
    other = write(folder.parent / "another", OURS)
    (folder / name).write_bytes((other / name).read_bytes())


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
@pytest.mark.parametrize("spoil", [without, garbled])
def test_files_that_can_not_be_used_are_named(
    tmp_path: Path, name: str, spoil: Callable[[str, Path], None]
) -> None:
    folder = write(tmp_path / "ours", OURS)
    spoil(name, folder)
    with pytest.raises(Unreadable, match=name.replace(".", r"\.")):
        peers_in(folder)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "ours", OURS)
    of_another("tls.key", folder)
    with pytest.raises(Unreadable, match="no certificate and its key"):
        Certificates(folder, None, "peers")


def test_names_need_certificates() -> None:
    with pytest.raises(ValueError, match="peer_tls_folder"):
        PeerSettings(peer_names=("gateway",))
