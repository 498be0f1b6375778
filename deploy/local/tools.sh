#!/bin/sh
# Installs what the tests need and PyPI does not carry. A tool that is still missing afterwards fails.
set -eu
# Command and the Debian package that has it.
tools="chromium=chromium kubectl=kubernetes-client node=nodejs npm=npm jq=jq"

missing=""
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || missing="$missing ${tool#*=}"
done
cd "$(dirname "$0")/../.."
deploy/local/languages.sh
PATH="$PATH:$PWD/.tools/bin"
has_prometheus() { command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; }
[ -z "$missing" ] && has_prometheus && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  [ -z "$missing" ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  # Taken out of its package, which would start a Prometheus server when installed.
  has_prometheus || (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    here=$PWD
    cd "$folder"
    apt-get download -qq -o APT::Sandbox::User=root prometheus
    dpkg-deb --extract prometheus_*.deb .
    for tool in promtool prometheus; do install -D "usr/bin/$tool" "$here/.tools/bin/$tool"; done
  )
fi
failed=0
has_prometheus || {
  echo 'missing: promtool and prometheus, of Debian'\''s prometheus; put them on the PATH or into .tools/bin' >&2
  failed=1
}
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || {
    printf 'missing: %s (Debian, as root: apt install %s)\n' "${tool%=*}" "${tool#*=}" >&2
    failed=1
  }
done
exit "$failed"
