#!/bin/sh
# Installs what a cluster on this machine needs (`make cluster`): prints what is missing; as root on Debian, installs it.
set -eu
# Commands, each with its Debian package.
tools="etcd=etcd-server containerd=containerd runc=runc conntrack=conntrack xz=xz-utils openssl=openssl curl=curl
  iptables=iptables unshare=util-linux setpriv=util-linux ip=iproute2 /usr/lib/cni/bridge=containernetworking-plugins"

missing() {
  for tool in $tools; do
    command -v "${tool%=*}" >/dev/null 2>&1 || printf ' %s' "${tool#*=}"
  done
}

[ "$(missing)" ] || exit 0
# Their packages would start etcd and containerd as services of systemd, so only a machine without it installs them here.
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && [ ! -d /run/systemd/system ]; then
  echo "installing$(missing) by apt"
  apt-get update -qq
  # shellcheck disable=SC2046
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing) >/dev/null
fi
[ ! "$(missing)" ] || {
  echo "missing:$(missing) (on Debian, as root: apt install$(missing))" >&2
  exit 1
}
