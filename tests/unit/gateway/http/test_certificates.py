"""Certificates of the HTTP face: they change while it serves, and a broken one changes nothing."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from gateway.http import tls
from servicekit.watched_files import Unreadable
from tests import certificates
from tests.broken_files import WAYS, removed
from tests.waiting import until

SIGNER = certificates.authority()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("servicekit.watched_files.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(tls, "RENEW_SECONDS", 0.01)
    return certificates.write(tmp_path / "tls", SIGNER)


def stale() -> float | None:
    return REGISTRY.get_sample_value("sightline_key_file_stale", {"keys": "tls"})


async def shown(port: int) -> bytes | None:
    """Return the certificate of a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    SIGNER.configure_trust(context)
    _, writer = await asyncio.open_connection(certificates.HOST, port, ssl=context)
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


@pytest.mark.first(2)
@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_broken_certificate_leaves_the_former_one_in_use(
    folder: Path, way: str, name: str
) -> None:
    held = tls.CallersTls(folder, None)
    server = await asyncio.start_server(lambda *_: None, certificates.HOST, 0, ssl=held.context)
    renewing = asyncio.create_task(held.renew())
    try:
        port = server.sockets[0].getsockname()[1]
        former = await shown(port)
        certificates.write(folder, SIGNER, changed=2)
        WAYS[way](folder / name)
        await until(lambda: stale() == 1)
        assert await shown(port) == former

        removed(folder / name)
        certificates.write(folder, SIGNER, changed=3)
        await until(lambda: stale() == 0)
        assert await shown(port) != former
    finally:
        renewing.cancel()
        server.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_certificate_is_named_at_the_start(folder: Path, way: str) -> None:
    WAYS[way](folder / "ca.crt")
    with pytest.raises(Unreadable, match=str(folder / "ca.crt")):
        tls.CallersTls(folder, folder / "ca.crt")
