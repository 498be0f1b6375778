#!/bin/sh
# Unpacks the packages of PyPI and of Debian whose dictionaries dictionary_build reads into a folder: fetch.sh FOLDER PIP.
# Nothing is installed. Without apt, or without Debian's packages, it fails and says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
pip=$2
packages="
  dict-freedict-deu-eng dict-freedict-fra-eng dict-freedict-ita-eng dict-freedict-jpn-eng dict-freedict-spa-eng
  dict-freedict-eng-fra dict-freedict-eng-ita dict-freedict-eng-spa
  apertium-eng-spa apertium-fr-es apertium-spa-ita lttoolbox-dev liblttoolbox3 gcompris-qt-data"
command -v apt-get >/dev/null 2>&1 || {
  echo 'no apt: the dictionaries are built on Debian, and can be copied from there' >&2
  exit 1
}
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
# shellcheck disable=SC2086
download() { (cd "$temporary" && apt-get download -qq -o APT::Sandbox::User=root $packages); }
download || { [ "$(id -u)" = 0 ] && apt-get update -qq && download; } || {
  echo 'Debian packages of FreeDict, Apertium, lttoolbox or GCompris are not available here' >&2
  exit 1
}
rm -rf "$folder/debian" "$folder/pypi"
for package in "$temporary"/*.deb; do
  dpkg-deb --extract "$package" "$folder/debian"
done
"$pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
  --target "$folder/pypi" -r "$here/requirements.txt"
