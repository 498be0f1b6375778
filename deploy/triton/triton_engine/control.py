"""The key of model control, which allows listing, loading and unloading models.

The server accepts the key only on its command line, which all users of this machine can read: it
keeps out callers that can reach only the port.
"""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

NAME: Final = "sightline-control"
HEADER: Final = f"triton-grpc-protocol-{NAME}"
"""Metadata key of a call that carries it."""


def key_of(file: Path | None) -> str:
    """Return the key in a file, which is created if missing; empty if no file is given."""
    if file is None:
        return ""
    with contextlib.suppress(FileExistsError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_hex(32))
    return file.read_text().strip()
