"""Certificates for tests, in the files that services read."""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

HOST = "127.0.0.1"
DOMAIN = "cluster.local"
"""The trust domain that services have by default."""


def named(service: str, domain: str = DOMAIN) -> str:
    """Return the URI by which a certificate names a service."""
    return f"spiffe://{domain}/sightline/{service}"


def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


def write(
    folder: Path,
    signer: trustme.CA,
    *names: str,
    changed: int = 1,
    end: datetime | None = None,
    uris: Iterable[str] = (),
    usage: x509.ObjectIdentifier | None = None,
) -> Path:
    """Write a certificate for this machine and `names`, its key, and the authority's certificate.
    `changed`: modification time of the files, which are reloaded when it differs. `end`, `uris`,
    `usage`: of the certificate."""
    folder.mkdir(exist_ok=True)
    issued = signer.issue_cert(HOST, *names, not_after=end)
    issued.private_key_pem.write_to_path(folder / "tls.key")
    first, *rest = (each.bytes() for each in issued.cert_chain_pems)
    if uris or usage:
        first = _with(first, signer, [*map(x509.UniformResourceIdentifier, uris)], usage)
    (folder / "tls.crt").write_bytes(b"".join([first, *rest]))
    signer.cert_pem.write_to_path(folder / "ca.crt")
    for file in folder.iterdir():
        os.utime(file, ns=(changed, changed))
    return folder


def _with(
    issued: bytes,
    signer: trustme.CA,
    uris: list[x509.GeneralName],
    usage: x509.ObjectIdentifier | None,
) -> bytes:
    """Return the certificate with additional names of kinds that trustme does not issue, for one
    usage only."""
    old = x509.load_pem_x509_certificate(issued)
    key: Any = load_pem_private_key(signer.private_key_pem.bytes(), None)
    made = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        x509.random_serial_number(),
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    for each in old.extensions:
        value: Any = each.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([*value, *uris])
        if isinstance(value, x509.ExtendedKeyUsage) and usage:
            value = x509.ExtendedKeyUsage([usage])
        made = made.add_extension(value, each.critical)
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)
