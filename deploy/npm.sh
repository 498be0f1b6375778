#!/bin/sh
# Builds the npm package of the TypeScript client, and the script that sends a page's events, into dist/npm (OUT=), from
# the files that git tracks. The build is reproducible.
# PROJECT_URL= is the project's page. It is in the package's metadata, and links of the README point to its files of
# this version.
set -eu
cd "$(dirname "$0")/.."
out="$(realpath -m "${OUT:-dist/npm}")" version="$(deploy/version.sh)"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard client/typescript | tar --create --null --files-from - |
  tar --extract --directory "$copy"
cp LICENSE "$copy/client/typescript/"
export SIGHTLINE_ROOT="$PWD"
cd "$copy/client/typescript"
if [ "${PROJECT_URL:-}" ]; then
  npm pkg set "homepage=$PROJECT_URL" "repository.url=git+$PROJECT_URL.git" "bugs.url=$PROJECT_URL/issues"
  sed -i -e "s#](\.\./\.\./#]($PROJECT_URL/blob/v$version/#g" \
    -e "s#](\.\./#]($PROJECT_URL/blob/v$version/client/#g" README.md
fi
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
npm run --silent build
mkdir -p "$out"
rm -f "$out"/sightline-*
npm pack --silent --pack-destination "$out" >/dev/null
cp dist/events.min.js "$out/sightline-events.min.js"
cd "$out"
sha256sum sightline-*
