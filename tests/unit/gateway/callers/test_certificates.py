"""TLS to callers, on both ports: certificates change while a gateway serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import access_of, build, listeners
from servicekit.admission.access import Role
from servicekit.keys.keyring import open_keys
from servicekit.rpc import server
from tests import certificates
from tests.engines import free_port
from tests.unit.gateway.callers.conftest import entry
from tests.unit.gateway.callers.test_admission import asked

OURS, OTHERS = certificates.authority(), certificates.authority()
NAME = "sightline.gateway.v1.UserEventService/CreateVisitor"


@pytest.fixture
def keys(path: Path) -> Path:
    path.write_text(entry("all", "all", str([role.value for role in Role])))
    return path


@asynccontextmanager
async def gateway(keys: Path, folder: Path, *, asks: bool) -> AsyncIterator[list[int]]:
    """Run a gateway. Yield its ports. `asks`: callers need a certificate."""
    settings = GatewaySettings(
        port=0,
        admin_port=free_port(),
        keys_file=keys,
        tls_folder=folder,
        tls_callers_ca_file=folder / "ca.crt" if asks else None,
    )
    built = build(settings, SceneFiles(), open_keys)
    first, *also = listeners(settings, access_of(settings))
    running = await server.start(
        built.bindings, settings, "gateway", first.access, tls=first.tls, also=also
    )
    yield list(running.ports)
    await running.stop()
    await built.close(0)


def caller(port: int, folder: Path, *, shows: bool) -> grpc.aio.Channel:
    """Return a channel that trusts the authority of a folder and, with `shows`, sends its
    certificate."""
    read = {name: (folder / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt")}
    own = (read["tls.key"], read["tls.crt"]) if shows else (None, None)
    credentials = grpc.ssl_channel_credentials(read["ca.crt"], *own)
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)


@pytest.mark.parametrize("asks", [False, True])
async def test_certificates_change_while_callers_are_answered(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, asks: bool
) -> None:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    there = certificates.write(tmp_path / "there", OURS)
    former = certificates.write(tmp_path / "former", OURS)
    newer = certificates.write(tmp_path / "newer", OTHERS)

    async def answered(port: int, folder: Path, *, shows: bool = True) -> bool:
        async with caller(port, folder, shows=shows) as channel:
            return (await asked(channel, NAME, "all")) is None

    async with gateway(keys, there, asks=asks) as ports:
        for port in ports:
            assert (await answered(port, former), await answered(port, newer)) == (True, False)
            assert await answered(port, former, shows=False) != asks
        async with caller(ports[0], former, shows=True) as connected:
            assert await asked(connected, NAME, "all") is None
            certificates.write(there, OTHERS, changed=2)
            for port in ports:
                assert (await answered(port, former), await answered(port, newer)) == (False, True)
                assert await answered(port, newer, shows=False) != asks
            assert await asked(connected, NAME, "all") is None, "who is connected goes on"
