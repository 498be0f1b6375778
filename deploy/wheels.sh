#!/bin/sh
# Builds the wheels that callers install, client, agents' server, console and protos, into dist/wheels (OUT=), from the files that git
# tracks. The build is reproducible: times in the wheels are the commit's, or SOURCE_DATE_EPOCH.
# PROJECT_URL= is the project's page. It is in the wheels' metadata, and links of the README point to its files of
# this version.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-$PWD/.tools/bin/uv}" out="$(realpath -m "${OUT:-dist/wheels}")" version="$(deploy/version.sh)"
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z pyproject.toml '*/pyproject.toml' protos client agents console | tar --create --null --files-from - |
  tar --extract --directory "$copy"
mkdir -p "$out"
rm -f "$out"/sightline_*.whl
for name in protos client agents console; do
  cp LICENSE "$copy/$name/"
  if [ "${PROJECT_URL:-}" ]; then
    printf '\n[project.urls]\nHomepage = "%s"\nDocumentation = "%s"\nChangelog = "%s"\nIssues = "%s"\n' "$PROJECT_URL" \
      "$PROJECT_URL/tree/v$version/docs" "$PROJECT_URL/blob/v$version/CHANGELOG.md" "$PROJECT_URL/issues" \
      >>"$copy/$name/pyproject.toml"
    [ ! -e "$copy/$name/README.md" ] || sed -i "s#](\.\./#]($PROJECT_URL/blob/v$version/#g" "$copy/$name/README.md"
  fi
  "$uv" build --quiet --wheel --project "$copy" --package "sightline-$name" --out-dir "$out" "$copy"
done
cd "$out"
sha256sum sightline_*.whl
