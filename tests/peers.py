"""Certificates and keys of the services of an installation: each has its own, in a folder of its
name, as deploy/k8s mounts them."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import trustme

from servicekit.admission.access import PeerName
from tests import certificates

PAIRS = (
    ("gateway", "embedder"),
    ("gateway", "retriever"),
    ("gateway", "ranker"),
    ("retriever", "embedder"),
    ("retriever-worker", "embedder"),
    ("ranker", "retriever"),
    ("ranker-worker", "retriever"),
)
"""Services that call each other: each pair has a key."""
SEEING = (
    ("gateway", "vision"),
    ("vision", "embedder"),
    ("vision", "retriever"),
    ("vision", "ranker"),
    ("vision-worker", "embedder"),
    ("vision-worker", "retriever"),
)
"""The pairs of the optional service."""
Keys = Mapping[tuple[str, str], str]


def drawn(*more: tuple[str, str]) -> Keys:
    """Return a new key for each pair. `more`: pairs beside PAIRS."""
    return {pair: secrets.token_hex(32) for pair in (*PAIRS, *more)}


def write_keys(folder: Path, *held: Keys) -> None:
    """Write the keys of all services; the first of each pair is sent, all are accepted."""
    for one, other in held[0]:
        lines = "".join(f"{keys[one, other]}\n" for keys in held)
        for at, name in ((one, other), (other, one)):
            place = folder / at / "keys"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}.key").write_text(lines)


def write_certificates(folder: Path, signer: trustme.CA, *believed: trustme.CA) -> None:
    """Write a new certificate for each service. `believed`: further authorities."""
    for name in PeerName:
        (folder / name).mkdir(exist_ok=True)
        show(folder / name, "tls", signer, *believed, uris=[certificates.named(name)])


def show(
    folder: Path,
    name: str,
    signer: trustme.CA,
    *believed: trustme.CA,
    uris: list[str] | None = None,
) -> None:
    """Replace a certificate with all of its files at once, as Kubernetes changes a Secret: `name`
    links to another folder. `believed`: further authorities."""
    made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    certificates.write(made, signer, changed=time.time_ns(), uris=uris or ())
    with (made / "ca.crt").open("ab") as file:
        for each in believed:
            file.write(each.cert_pem.bytes())
    (made / "link").symlink_to(made)
    (made / "link").replace(folder / name)


def settings(folder: Path, process: str) -> dict[str, str]:
    """Return the variables of a process, such as retriever-worker, that name its own files."""
    prefix = process.partition("-")[0].upper()
    return {
        f"{prefix}_PEER_KEYS_FOLDER": str(folder / process / "keys"),
        f"{prefix}_PEER_TLS_FOLDER": str(folder / process / "tls"),
    }
