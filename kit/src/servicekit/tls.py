"""Certificates from files, taken up again when they change.

Connections that are there go on; each new one is made with the certificates of now.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from servicekit.reloaded import Reloaded, Unreadable

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
"""What files are called in a Kubernetes Secret of TLS, and by cert-manager."""


@dataclass(frozen=True, slots=True)
class _Held:
    chain: bytes
    key: bytes
    authorities: bytes | None
    calling: grpc.ChannelCredentials


class Certificates:
    """What a process shows of itself, and whose certificates it believes."""

    def __init__(self, folder: Path, authorities: Path | None) -> None:
        """`folder` has CERTIFICATE, the chain of this process, and its KEY, in PEM. `authorities`:
        a file of those who sign others' certificates; None = others need not show any. Raises
        Unreadable."""
        self._files = folder / CERTIFICATE, folder / KEY, authorities
        self._held = Reloaded(self._paths, lambda: _read(*self._files))

    def _paths(self) -> Iterator[Path]:
        yield from filter(None, self._files)

    def serving(self) -> grpc.ServerCredentials:
        """For a server: who calls has to show a certificate, unless there are no authorities."""
        used = self._held.get()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Called by gRPC before each handshake; None = as before."""
            nonlocal used
            now = self._held.get()
            if now is used:
                return None
            used = now
            return _configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(used),
            renewed,  # type: ignore[arg-type] # None stands in gRPC's text, not in its types
            require_client_authentication=used.authorities is not None,
        )

    def calling(self) -> grpc.ChannelCredentials:
        """For a channel: those of now, the same object until they change."""
        return self._held.get().calling


def _configuration(held: _Held) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(held.key, held.chain)], held.authorities)


def _read(certificate: Path, key: Path, authorities: Path | None) -> _Held:
    """Raises Unreadable, as gRPC would not: it refuses each handshake instead."""
    try:
        chain, secret = certificate.read_bytes(), key.read_bytes()
        believed = authorities.read_bytes() if authorities is not None else None
    except OSError as error:
        raise Unreadable(str(error)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # an empty one asks nobody for it
    except ssl.SSLError as error:
        raise Unreadable(f"{certificate}, {key}: no certificate and its key: {error}") from None
    try:
        if believed is not None:
            context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise Unreadable(f"{authorities}: no certificates: {error}") from None
    return _Held(chain, secret, believed, grpc.ssl_channel_credentials(believed, secret, chain))
