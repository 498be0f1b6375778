"""Photos that broke decoders: for example the test files of Pillow, libheif and libavif. They
belong to others and are not part of this project; a run gets a folder of them.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SIGHTLINE_BROKEN_PHOTOS"
MOST_BYTES = 10 * 2**20
"""Maximum bytes of a photo in a request."""


def photos() -> tuple[bytes, ...]:
    """Return every file below the folder that the variable names, of any kind; () if it is not set.
    Raise OSError if the folder can't be read, ValueError if it is empty."""
    if not os.environ.get(VARIABLE):
        return ()
    folder = Path(os.environ[VARIABLE])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise ValueError(f"{VARIABLE}={folder} holds no file")
    return tuple(path.read_bytes() for path in files if 0 < path.stat().st_size <= MOST_BYTES)
