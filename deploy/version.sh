#!/bin/sh
# Checks or changes the version in all files that contain it, from the repository's root.
#   deploy/version.sh              prints the newest version in CHANGELOG.md
#   deploy/version.sh check [V]    exits 1 and names each file with another version (V: by default the newest)
#   deploy/version.sh write V      writes it into all files; the unreleased section of CHANGELOG.md becomes V's
set -eu
cd "$(dirname "$0")/.."
newest=$(sed -nE 's/^## ([0-9]+\.[0-9]+\.[0-9]+).*/\1/p' CHANGELOG.md | head -n 1)
do="${1:-print}" version="${2:-$newest}" bad=0
manifests="pyproject.toml protos/pyproject.toml kit/pyproject.toml rules/pyproject.toml core/pyproject.toml client/pyproject.toml agents/pyproject.toml
  console/pyproject.toml services/*/pyproject.toml deploy/milvus/pyproject.toml"
expr "$version" : '[0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*$' >/dev/null || {
  echo "a version is three numbers such as 1.2.3, not \"$version\"" >&2
  exit 2
}

place() { # sed's address, regular expression before the version, files
  address="$1" before="$2"
  shift 2
  for file in "$@"; do
    if [ "$do" = write ]; then
      sed -i -E "$address s#($before)[0-9]+\.[0-9]+\.[0-9]+#\1$version#" "$file"
      continue
    fi
    said=$(sed -nE "$address s#$before([0-9]+\.[0-9]+\.[0-9]+)#\n\1\n#p" "$file" | sed -nE '/^[0-9]+\.[0-9.]+$/p' | sort -u | tr '\n' ' ')
    [ "$said" = "$version " ] && continue
    echo "$file: has ${said:-no version }instead of $version" >&2
    bad=1
  done
}

case "$do" in
  print) echo "$newest" && exit ;;
  check) [ "$newest" = "$version" ] || { echo "CHANGELOG.md: the newest section is $newest, not $version" >&2 && bad=1; } ;;
  write)
    if grep -q '^## Unreleased$' CHANGELOG.md; then
      sed -i "s/^## Unreleased$/## $version/" CHANGELOG.md
    elif [ "$newest" != "$version" ]; then
      sed -i "0,/^## /s/^## /## $version\n\n## /" CHANGELOG.md
    fi
    ;;
  *) echo "deploy/version.sh [check|write] [VERSION]" >&2 && exit 2 ;;
esac
# shellcheck disable=SC2086
place '/^version = /' '"' $manifests
# A client requires the contract of its own release.
place '' '"sightline-protos==' client/pyproject.toml
place '' '"sightline-client==' agents/pyproject.toml console/pyproject.toml
place '0,/"version": "/' '"version": "' client/typescript/package.json
place '0,/"node_modules/' '"version": "' client/typescript/package-lock.json
# Our own packages in the locks.
place '/^name = "sightline/,+1' '^version = "' uv.lock lab/uv.lock deploy/milvus/uv.lock
place '' 'SIGHTLINE_TAG:-' compose.yaml compose.agents.yaml compose.console.yaml compose.vision.yaml
# shellcheck disable=SC2046
place '/name: sightline\//' 'newTag: ' $(grep -rl 'name: sightline/.*newTag' deploy/k8s)
# shellcheck disable=SC2046
place '' 'image: sightline\/[a-z-]+:' $(grep -rl 'image: sightline/[a-z-]*:' deploy/k8s)
place '' 'tags/v' docs/operate/releases.md
place '' 'sightline_client-' docs/operate/releases.md
place '' 'sightline-' docs/operate/first-install.md
# In the names of Jobs the version has dashes instead of dots.
dashed=$(echo "$version" | tr . -)
for file in deploy/k8s/base/*/*-migrate.yaml deploy/k8s/components/vision/vision-migrate.yaml; do
  if [ "$do" = write ]; then
    sed -i -E "s/(-migrate-)[0-9]+-[0-9]+-[0-9]+$/\1$dashed/" "$file"
  elif ! grep -q -- "-migrate-$dashed\$" "$file"; then
    echo "$file: the name of its Job does not end with $dashed" >&2
    bad=1
  fi
done
exit "$bad"
