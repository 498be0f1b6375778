"""The key that has models listed, loaded and unloaded.

The server takes keys on its command line only, which everybody on this machine can read: it holds
back those who reach the port alone.
"""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

NAME: Final = "sightline-control"
HEADER: Final = f"triton-grpc-protocol-{NAME}"
"""In which a call has it."""


def key_of(file: Path | None) -> str:
    """Return the key of a file, made where there is none yet; no file, no key."""
    if file is None:
        return ""
    with contextlib.suppress(FileExistsError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(secrets.token_hex(32))
    return file.read_text().strip()
