"""TLS: whom the client believes, and what it shows of itself."""

import ssl
from pathlib import Path

import grpc


def tls_credentials(
    *, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> grpc.ChannelCredentials:
    """For ``credentials`` of a client, from PEM files. ``ca``: who signed the certificate of the
    gateway; None = the public authorities that gRPC knows. ``cert`` and ``key``: what a gateway
    gets that asks its callers for certificates; both or none. OSError where a file can't be read,
    ValueError where one of the two is missing or a file holds something else."""
    if (cert is None) != (key is None):
        raise ValueError("a certificate and its key go together: give both")
    roots, chain, secret = (None if file is None else file.read_bytes() for file in (ca, cert, key))
    try:
        _try(ca, cert, key)
    except ssl.SSLError as error:
        raise ValueError(f"these are no certificates with their key: {error}") from None
    return grpc.ssl_channel_credentials(roots, secret, chain)


def _try(ca: Path | None, cert: Path | None, key: Path | None) -> None:
    """SSLError where files can't be used; gRPC would only say that nobody answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        context.load_verify_locations(ca)
    if cert is not None:
        context.load_cert_chain(cert, key, password="")  # an empty one asks nobody for it
