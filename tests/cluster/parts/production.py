"""`medium` with TLS and keys of its own for each service: they change under load."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import trustme

from servicekit.admission.access import PeerName, Role
from sightline_client import tls_credentials
from tests import certificates
from tests.chaos.model import Report
from tests.cluster.kube import NAMESPACE, Kube, Refused, until
from tests.cluster.parts.medium import install, open_for_business
from tests.cluster.parts.pages import blocks, run
from tests.cluster.parts.stage import Stage
from tests.cluster.parts.under_load import loaded
from tests.cluster.tools import ROOT
from tests.contracts.k8s import Document, kubectl
from tests.unit.gateway.callers.conftest import entry

OURS: Final = "gateway|embedder|retriever|retriever-worker|ranker|ranker-worker"
SERVERS: Final = {"gateway": 8600, "embedder": 8601, "retriever": 8602, "ranker": 8603}
DOMAIN: Final = f"{NAMESPACE}.svc.cluster.local"
ARRIVAL_SECONDS: Final = 180
"""A kubelet looks for changed Secrets every 60 to 90 s."""
PATCHES: Final = [
    # The stand-ins for Milvus and Triton are of releases that production mode rejects.
    {
        "target": {"kind": "ConfigMap", "name": name},
        "patch": f"- {{ op: replace, path: /data/{name.partition('-')[0].upper()}_MODE,"
        " value: development }",
    }
    for name in (*OURS.split("|"), "retriever-migrate", "ranker-migrate")
]


def production(stage: Stage, report: Report) -> None:
    """Install it with the component `production`, and change its keys and certificates."""
    stage.clear()
    authority = certificates.authority()
    caller = f"slk_{secrets.token_hex(16)}"
    with tempfile.TemporaryDirectory() as folder:
        given = [*issued(Path(folder), authority), callers(caller)]
        authority.cert_pem.write_to_path(Path(folder) / "ca.crt")
        stage.token = caller
        stage.credentials = tls_credentials(ca=Path(folder) / "ca.crt")
        install(stage, report, given, components=["production"], patches=PATCHES)
        open_for_business(stage)
        asyncio.run(rotate(stage, report, Path(folder), authority))
    stage.clear()


async def rotate(stage: Stage, report: Report, folder: Path, authority: trustme.CA) -> None:
    """Change everything while calls arrive."""
    async with loaded(stage, report, "production") as shop:
        name = "the keys between services changed by the handbook's commands: 0 failed"
        await shop.step(name, partial(change_keys, stage, folder))
        name = "all certificates renewed, and served by the same pods: 0 failed"
        await shop.step(name, partial(renew, stage.kube, folder, authority))


def change_keys(stage: Stage, folder: Path) -> None:
    """Run the block of docs/operations.md as it stands."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    (block,) = (each for each in blocks(text) if "secret peer-keys" in each)
    path = folder / "bin"
    path.mkdir()
    (path / "kubectl").symlink_to(kubectl())
    if failed := run(stage, f"cd {folder}\n{block}\ncd /", path):
        raise Refused("; ".join(failed))
    time.sleep(ARRIVAL_SECONDS / 2)  # until the last step has reached all pods


def renew(kube: Kube, folder: Path, authority: trustme.CA) -> None:
    """Replace all certificates, and wait until each server shows its new one."""
    before = served(kube)
    kube.apply(list(issued(folder, authority)))
    until(
        "every server shows its new certificate",
        lambda: not set(before.items()) & set(served(kube).items()),
        ARRIVAL_SECONDS,
    )


def served(kube: Kube) -> dict[str, str]:
    """Return the certificate that each server shows."""
    found = {}
    for name, port in SERVERS.items():
        (pod,) = kube.pods(name)
        found[name] = ssl.get_server_certificate((pod["status"]["podIP"], port), timeout=10)
    return found


def issued(folder: Path, authority: trustme.CA) -> Iterator[Document]:
    """Yield Secrets as components/certificates has cert-manager make them."""
    for name in PeerName:
        place = certificates.write(
            folder / f"peer-{name}", authority, name, uris=[certificates.named(name)]
        )
        yield secret(f"peer-tls-{name}", place)
    hosts = [f"{name}.{DOMAIN}" for name in ("gateway", "gateway-admin")]
    yield secret("gateway-tls", certificates.write(folder / "gateway", authority, *hosts))


def secret(name: str, place: Path) -> Document:
    """Return a Secret of the files of a folder."""
    return secret_of(name, {each.name: each.read_bytes() for each in place.iterdir()})


def callers(token: str) -> Document:
    """Return the Secret of the gateway's callers."""
    roles = json.dumps([role.value for role in Role])
    return secret_of("gateway-keys", {"keys.toml": entry("shop", token, roles).encode()})


def secret_of(name: str, data: Mapping[str, bytes]) -> Document:
    """Return a Secret."""
    kept: dict[str, Any] = {key: base64.b64encode(each).decode() for key, each in data.items()}
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": kept}
