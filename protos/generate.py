"""Generates the Python code of the contract beside its .proto files; `--check` only compares.

Proto path, package and import path are one, so `sightline/common/v1/product.proto` becomes
`sightline.common.v1.product_pb2` with no rewriting of imports.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

from sightline.protos import google_protos

ROOT = Path(__file__).parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Write the code of every .proto file under `target`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("sightline/**/*.proto"))
    programs = Path(sys.executable).parent
    well_known = str(resources.files("grpc_tools") / "_proto")
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--proto_path={google_protos()}",
            f"--proto_path={well_known}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--plugin=protoc-gen-mypy={programs / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={programs / 'protoc-gen-mypy_grpc'}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *sources,
        ]
    )
    if code != 0:
        sys.exit(code)


def generated_files(root: Path) -> dict[str, bytes]:
    """Return every generated file under `root`: relative path → content."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for pattern in GENERATED
        for path in root.glob(f"sightline/**/{pattern}")
    }


def export_google_protos(target: Path) -> None:
    """Copy the google .proto files for buf, which finds no registry offline."""
    for pattern in ("rpc/*.proto", "type/*.proto", "api/annotations.proto", "api/http.proto"):
        for source in (google_protos() / "google").glob(pattern):
            copy = target / source.relative_to(google_protos())
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def main() -> None:
    """Generate in place, or compare a fresh generation with the committed code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the committed code is stale")
    parser.add_argument("--google-protos", type=Path, help="copy google/*.proto here, for buf")
    arguments = parser.parse_args()
    if arguments.google_protos:
        export_google_protos(arguments.google_protos)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = generated_files(Path(scratch))
    committed = generated_files(ROOT)
    if arguments.check:
        stale = sorted(
            name
            for name in fresh.keys() | committed.keys()
            if fresh.get(name) != committed.get(name)
        )
        if stale:
            sys.exit("stale generated code, run `make proto`:\n  " + "\n  ".join(stale))
        return
    for name in committed.keys() - fresh.keys():
        (ROOT / name).unlink()
    for name, content in fresh.items():
        (ROOT / name).write_bytes(content)


if __name__ == "__main__":
    main()
