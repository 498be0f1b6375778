"""TLS credentials of a command, from its options."""

from pathlib import Path

import grpc
import typer

from sightline_client.transport.tls import tls_credentials

_OPTIONS = "--ca, --cert, --key"


def of(
    ca: Path | None, cert: Path | None, key: Path | None, *, wanted: bool
) -> grpc.ChannelCredentials | None:
    """Return the credentials for TLS; None = plain text: no file is given, and TLS is not
    ``wanted``. BadParameter for a file that can't be read, or is missing."""
    if not wanted and (ca, cert, key) == (None, None, None):
        return None
    try:
        return tls_credentials(ca=ca, cert=cert, key=key)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=_OPTIONS) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{error.filename}: {reason}", param_hint=_OPTIONS) from None
