#!/bin/sh
# Writes the SBOM of each image into dist/sbom (OUT=), as CycloneDX: the packages that its Dockerfile installs from
# the lock, on either platform. The arguments of `uv sync` are read from the Dockerfile.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-.tools/bin/uv}" python="${PYTHON:-.tools/bin/python}" out="${OUT:-dist/sbom}"
mkdir -p "$out"

sbom() { # name, folder of the lock, package to omit with its exclusive dependencies, further arguments of uv
  name="$1" folder="$2" pruned="$3"
  shift 3
  "$uv" export --quiet --locked --no-dev --format cyclonedx1.5 --preview-features sbom-export \
    --project "$folder" --output-file "$out/$name.cdx.json" ${pruned:+--prune "$pruned"} "$@"
  "$python" deploy/sbom.py "$out/$name.cdx.json" "$uv" --project "$folder" "$@"
  echo "$out/$name.cdx.json"
}

sed -nE 's/^ +uv sync --locked --no-dev --no-editable --package sightline-([a-z]+)(.*)$/\1\2/p' \
  Dockerfile | while read -r service extras; do
  image="$service"
  case "$extras" in *"--extra train"*) image="$service-train" ;; esac
  # shellcheck disable=SC2086
  sbom "$image" . "" --package "sightline-$service" $extras </dev/null
done
sbom models deploy/triton nvidia-pytriton
