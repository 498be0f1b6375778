"""TLS: trusted authorities, and the client's own certificate."""

import ssl
from pathlib import Path

import grpc


def tls_credentials(
    *, ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> grpc.ChannelCredentials:
    """Return ``credentials`` for a client, from PEM files. ``ca``: authorities that sign the
    gateway's certificate; None = the public ones that gRPC knows. ``cert`` and ``key``: the
    client's own certificate, where the gateway asks for one; both or none. OSError for a file that
    can't be read, ValueError when one of the two is missing or a file holds something else."""
    if (cert is None) != (key is None):
        raise ValueError("a certificate and its key go together: give both")
    roots, chain, secret = (None if file is None else file.read_bytes() for file in (ca, cert, key))
    _try(ca, cert, key)
    return grpc.ssl_channel_credentials(roots, secret, chain)


def _try(ca: Path | None, cert: Path | None, key: Path | None) -> None:
    """Raise ValueError for files that can't be used; gRPC would only report that no server
    answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    files = f"{ca}: invalid certificates"
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        files = f"{cert}, {key}: invalid certificate or key"
        if cert is not None:
            context.load_cert_chain(cert, key, password="")  # empty: no prompt
    except ssl.SSLError as error:
        raise ValueError(f"{files}: {error}") from None
