"""Certificates from files, reloaded when they change.

Open connections continue; new ones use the current certificates.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography.x509 import load_pem_x509_certificates
from prometheus_client import Gauge

from servicekit.watched_files import Reloaded, Unreadable, stale_keys

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
"""File names in a Kubernetes TLS Secret, also used by cert-manager."""

EXPIRES = Gauge(
    "sightline_certificate_expiry_timestamp_seconds",
    "Earliest expiry among the certificates of a file, as loaded by this process: its own"
    " (tls.crt) or those of trusted authorities (ca.crt), for connections with callers or peers.",
    ("side", "file"),
    multiprocess_mode="livemin",
)


@dataclass(frozen=True, slots=True)
class _Held:
    chain: bytes
    key: bytes
    authorities: bytes | None
    calling: grpc.ChannelCredentials
    ends: Mapping[str, float]
    """Expiry by file, in seconds since 1970."""


class Certificates:
    """The certificate of a process, and the authorities that it trusts."""

    def __init__(self, folder: Path, authorities: Path | None, side: str) -> None:
        """`folder` has CERTIFICATE, the chain of this process, and its KEY, in PEM. `authorities`:
        file with the authorities that sign peers' certificates; None: peers need no certificate.
        `side`: kind of the peers, for EXPIRES. Raises Unreadable."""
        self._files, self._side = (folder / CERTIFICATE, folder / KEY, authorities), side
        self._held = Reloaded(self._paths, self._read, stale=stale_keys("tls"))

    def _paths(self) -> Iterator[Path]:
        yield from filter(None, self._files)

    def _read(self) -> _Held:
        held = _read(*self._files)
        for file, end in held.ends.items():
            EXPIRES.labels(self._side, file).set(end)
        return held

    def serving(self) -> grpc.ServerCredentials:
        """Return server credentials: callers need a certificate, unless there are no
        authorities."""
        used = self._held.get()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Return a new configuration before a handshake, or None if nothing changed.

            Called by gRPC.
            """
            nonlocal used
            now = self._held.get()
            if now is used:
                return None
            used = now
            return _configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(used),
            renewed,  # type: ignore[arg-type] # gRPC's documentation allows None, its types do not
            require_client_authentication=used.authorities is not None,
        )

    def calling(self) -> grpc.ChannelCredentials:
        """Return the current channel credentials: the same object until they change."""
        return self._held.get().calling


def _configuration(held: _Held) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(held.key, held.chain)], held.authorities)


def _read(certificate: Path, key: Path, authorities: Path | None) -> _Held:
    """Read certificate and key. Raises Unreadable; gRPC would reject each handshake instead."""
    try:
        chain, secret = certificate.read_bytes(), key.read_bytes()
        believed = authorities.read_bytes() if authorities is not None else None
    except OSError as error:
        raise Unreadable(str(error)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # no prompt
        ends = {CERTIFICATE: _end(chain)}
    except (ssl.SSLError, ValueError) as error:
        raise Unreadable(f"{certificate}, {key}: no certificate and its key: {error}") from None
    try:
        if believed is not None:
            context.load_verify_locations(authorities)
            ends[AUTHORITY] = _end(believed)
    except (ssl.SSLError, ValueError) as error:
        raise Unreadable(f"{authorities}: no certificates: {error}") from None
    calling = grpc.ssl_channel_credentials(believed, secret, chain)
    return _Held(chain, secret, believed, calling, ends)


def _end(certificates: bytes) -> float:
    """Return when the first of the certificates expires, in seconds since 1970.

    Raises ValueError.
    """
    found = load_pem_x509_certificates(certificates)
    return min(each.not_valid_after_utc.timestamp() for each in found)
