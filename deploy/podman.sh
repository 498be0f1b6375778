#!/bin/sh
# Runs podman with the options that this machine needs: deploy/podman.sh WORDS… as for podman.
#   deploy/podman.sh --tools    prints what is missing; as root on Debian, installs it
# PODMAN=, RUNTIME= and CONTAINERS_CONF= override what it finds.
set -eu
podman="${PODMAN:-podman}"
# Commands, each with its Debian package. Debian only recommends the parts of podman's networks.
tools="podman=podman buildah=buildah runc=runc mmdebstrap=mmdebstrap catatonit=catatonit
  /usr/lib/podman/netavark=netavark /usr/lib/podman/aardvark-dns=aardvark-dns"

missing() {
  for tool in $tools; do
    command -v "${tool%=*}" >/dev/null 2>&1 || printf ' %s' "${tool#*=}"
  done
}

if [ "${1:-}" = --tools ]; then
  [ "$(missing)" ] || exit 0
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing$(missing) by apt"
    apt-get update -qq
    # shellcheck disable=SC2046
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing) >/dev/null
  fi
  [ ! "$(missing)" ] || {
    echo "missing:$(missing) (on Debian, as root: apt install$(missing))" >&2
    exit 1
  }
  exit 0
fi

command -v "$podman" >/dev/null 2>&1 || {
  echo "there is no podman command here: run \`make images-tools\`" >&2
  exit 1
}
# crun, the default, fails where both versions of cgroups are mounted.
if [ ! "${RUNTIME:-}" ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ] && command -v runc >/dev/null 2>&1; then
  RUNTIME=runc
fi
# By default podman raises limits of open files and processes, which root may not do everywhere (CAP_SYS_RESOURCE).
capabilities=$(sed -n 's/^CapEff:\t//p' /proc/self/status)
if [ ! "${CONTAINERS_CONF:-}" ] && [ "$(id -u)" = 0 ] && [ $((0x$capabilities >> 24 & 1)) = 0 ]; then
  CONTAINERS_CONF="$(cd "$(dirname "$0")" && pwd)/local-bases/containers.conf"
  export CONTAINERS_CONF
fi
exec "$podman" ${RUNTIME:+--runtime "$RUNTIME"} "$@"
