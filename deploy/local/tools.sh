#!/bin/sh
# Installs the tools of the tests that are not on PyPI. Fails if a tool is still missing afterwards.
set -eu
# Commands, each with its Debian package.
tools="chromium=chromium node=nodejs npm=npm jq=jq"

missing=""
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || missing="$missing ${tool#*=}"
done
cd "$(dirname "$0")/../.."
deploy/local/languages.sh
PATH="$PWD/.tools/bin:$PATH"
has_prometheus() { command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; }
# Debian 12's kubectl (1.20) does not support components.
has_kubectl() { hash -r && kubectl kustomize deploy/k8s/overlays/prod >/dev/null 2>&1; }
has_helm() { command -v helm >/dev/null 2>&1; }
has_helm || deploy/local/helm.sh || true
[ -z "$missing" ] && has_prometheus && has_kubectl && has_helm && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  [ -z "$missing" ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  # Extracted from its package: installing it would start a Prometheus server.
  has_prometheus || (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    here=$PWD
    cd "$folder"
    apt-get download -qq -o APT::Sandbox::User=root prometheus
    dpkg-deb --extract prometheus_*.deb .
    for tool in promtool prometheus; do install -D "usr/bin/$tool" "$here/.tools/bin/$tool"; done
  )
  # Debian 13's, extracted from its package; apt's lists and installed packages are not changed.
  has_kubectl || (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    here=$PWD
    cd "$folder"
    mkdir -p lists/partial
    # shellcheck disable=SC2016 # apt expands it
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >trixie.list
    apt() {
      apt-get -qq -o Dir::Etc::SourceList="$folder/trixie.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$folder/lists" -o Dir::State::Status=/dev/null -o APT::Sandbox::User=root "$@"
    }
    apt update
    apt download kubectl/trixie
    dpkg-deb --extract kubectl_*.deb .
    install -D usr/bin/kubectl "$here/.tools/bin/kubectl"
  )
fi
failed=0
has_prometheus || {
  echo 'missing: promtool and prometheus (in Debian'\''s package prometheus); put them on the PATH or into .tools/bin' >&2
  failed=1
}
has_kubectl || {
  echo 'kubectl is missing or too old for deploy/k8s: install 1.27 or later (Debian 12 has 1.20), https://kubernetes.io/docs/tasks/tools' >&2
  failed=1
}
has_helm || {
  echo 'missing: helm, 3.16 or later: https://helm.sh/docs/intro/install' >&2
  failed=1
}
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || {
    printf 'missing: %s (Debian, as root: apt install %s)\n' "${tool%=*}" "${tool#*=}" >&2
    failed=1
  }
done
exit "$failed"
