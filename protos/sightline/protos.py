"""Writes the contract's .proto files, and those that they import, into one folder.

    python -m sightline.protos FOLDER

Plain protoc compiles that folder with no other path: google/protobuf/*.proto comes with protoc.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OURS = Path(__file__).parent
"""The folder `sightline`, whose .proto files are named from the folder above it."""

ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
"""No call of ours names them all, yet they are what the details of an error are read by."""

WITH_PROTOC = "google/protobuf/"


def google_protos() -> Path:
    """Folder with google/api, google/rpc and google/type: the googleapis-common-protos wheel."""
    import google.rpc

    return Path(next(iter(google.rpc.__path__))).parent.parent


def imports(source: str) -> Iterator[str]:
    """Return the paths that a .proto file imports, without those of protoc itself."""
    for path in re.findall(r'^import (?:public )?"([^"]+)";', source, re.MULTILINE):
        if not path.startswith(WITH_PROTOC):
            yield path


def bundle() -> dict[str, bytes]:
    """Return every .proto file needed to compile ours: import path → content."""
    ours = {str(path.relative_to(OURS.parent)): path for path in OURS.rglob("*.proto")}
    google, files = google_protos(), dict[str, bytes]()
    waiting = [*ours, *ERRORS]
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = ours.get(name, google / name).read_bytes()
            waiting += imports(files[name].decode("utf-8"))
    return dict(sorted(files.items()))


def write(folder: Path) -> list[Path]:
    """Write the bundle under `folder`, replacing files of the same names.

    Return the paths written.
    """
    written = []
    for name, content in bundle().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(path)
    return written


def main() -> None:
    """Write the named folder and print the number of its files."""
    parser = argparse.ArgumentParser(prog="python -m sightline.protos", description=__doc__)
    parser.add_argument("folder", type=Path, help="made if it is not there")
    folder: Path = parser.parse_args().folder
    try:
        written = write(folder)
    except OSError as error:
        sys.exit(f"{folder} cannot be written: {error}")
    print(f"{len(written)} .proto files in {folder}; compile them with: protoc -I {folder} ...")


if __name__ == "__main__":
    main()
