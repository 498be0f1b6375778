#!/bin/sh
# Writes what is in each image into dist/sbom (OUT=), a CycloneDX file each: what its Dockerfile installs of
# the lock, in the very words that stand there, on either platform.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-.tools/bin/uv}" python="${PYTHON:-.tools/bin/python}" out="${OUT:-dist/sbom}"
mkdir -p "$out"

sbom() { # name, the lock's folder, what is left out with all that it alone needs, what is installed of the lock
  name="$1" folder="$2" pruned="$3"
  shift 3
  "$uv" export --quiet --locked --no-dev --format cyclonedx1.5 --preview-features sbom-export \
    --project "$folder" --output-file "$out/$name.cdx.json" ${pruned:+--prune "$pruned"} "$@"
  "$python" deploy/sbom.py "$out/$name.cdx.json" "$uv" --project "$folder" "$@"
  echo "$out/$name.cdx.json"
}

sed -nE 's/^ +uv sync --locked --no-dev --no-editable --package sightline-([a-z]+)(.*)$/\1\2/p' \
  services/*/Dockerfile | while read -r service extras; do
  image="$service"
  case "$extras" in *"--extra train"*) image="$service-train" ;; esac
  # shellcheck disable=SC2086
  sbom "$image" . "" --package "sightline-$service" $extras </dev/null
done
sbom models deploy/triton nvidia-pytriton
