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
has_promtool() { command -v promtool >/dev/null 2>&1; }
renders() { # Debian 12's kubectl (1.20) knows no components
  for kubectl in .tools/bin/kubectl kubectl; do
    "$kubectl" kustomize deploy/k8s/overlays/example >/dev/null 2>&1 && return 0
  done
  return 1
}
[ -z "$missing" ] && has_promtool && renders && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  [ -z "$missing" ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  # Taken out of its package, which would start a Prometheus server when installed.
  has_promtool || (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    here=$PWD
    cd "$folder"
    apt-get download -qq -o APT::Sandbox::User=root prometheus
    dpkg-deb --extract prometheus_*.deb .
    install -D usr/bin/promtool "$here/.tools/bin/promtool"
  )
  # Debian 13's, from the same mirror.
  renders || (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    here=$PWD
    cd "$folder"
    # shellcheck disable=SC2016 # apt's own words
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -n 1)
    echo "deb $mirror trixie main" >sources.list
    mkdir -p lists/partial
    newer() {
      apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$folder/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$folder/lists" "$@"
    }
    newer update
    newer -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache= download kubectl/trixie
    dpkg-deb --extract kubectl_*.deb .
    install -D usr/bin/kubectl "$here/.tools/bin/kubectl"
  )
fi
failed=0
renders || {
  echo 'missing: kubectl 1.21 or later; put it on the PATH or into .tools/bin' >&2
  failed=1
}
has_promtool || {
  echo 'missing: promtool, of Debian'\''s prometheus; put it on the PATH or into .tools/bin' >&2
  failed=1
}
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || {
    printf 'missing: %s (Debian, as root: apt install %s)\n' "${tool%=*}" "${tool#*=}" >&2
    failed=1
  }
done
exit "$failed"
