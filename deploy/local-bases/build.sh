#!/bin/sh
# Builds stand-ins for images of registries with podman: deploy/local-bases/build.sh NAME IMAGE, with NAME a target
# of the Dockerfile beside this. It does nothing if an image of that name was built from the same files.
# Mirrors, proxies and certificates are this machine's: of apt, of uv and of the environment.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../.."
name="$1" image="$2"
uv="${UV:-.tools/bin/uv}" cache="${LOCAL_BASES_CACHE:-.cache/local-bases}"
podman() { deploy/podman.sh "$@"; }
# By default the system's: Debian's name of the file that OpenSSL, apt and uv read.
bundle=/etc/ssl/certs/ca-certificates.crt
certificates="${SSL_CERT_FILE:-$bundle}"

key="$(git hash-object --stdin <<KEY
$(find "$here" -type f ! -name README.md | LC_ALL=C sort | xargs cat | git hash-object --stdin)
$(cat deploy/triton/uv.lock deploy/milvus-server/uv.lock deploy/tools.txt | git hash-object --stdin)
KEY
)"
[ "$(podman image inspect --format '{{ index .Labels "sightline.local-base" }}' "$image" 2>/dev/null || true)" != "$key" ] ||
  exit 0

refuse() {
  echo "local bases $1" >&2
  exit 1
}
command -v mmdebstrap >/dev/null 2>&1 || refuse "need mmdebstrap: run \`make images-tools\`"
[ "$(id -u)" = 0 ] || refuse 'are made of Debian packages, which needs root: run it as root, or name a registry that has the images'
[ -x "$uv" ] || refuse "need $uv: run \`make .tools/bin/uv\`"

mkdir -p "$cache"
context="$(mktemp -d)"
trap 'rm -rf "$context"' EXIT
trap 'exit 130' INT TERM

# Debian's own sources of this machine, if it is a Debian 12.
sources() {
  codename="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ "$codename" != bookworm ] || [ ! -s "$file" ] || { echo "$file" && return; }
  done
}
apt-config dump --format '%f "%v";%n' Acquire | grep -iE 'proxy|::ca(info|path)' >"$context/apt.conf" || true
if [ ! -s "$cache/debian.tar" ]; then
  echo "Debian 12 by mmdebstrap: $cache/debian.tar"
  # shellcheck disable=SC2046
  mmdebstrap --quiet --format=tar --variant=minbase --include=ca-certificates,python3 --aptopt="$context/apt.conf" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    bookworm "$cache/debian.new.tar" $(sources)
  mv "$cache/debian.new.tar" "$cache/debian.tar"
fi
mkdir -p "$cache/packages"
(
  cd "$cache/packages"
  for package in busybox-static libpython3.11-dev; do
    [ -d "$package" ] || {
      apt-get download -qq -o APT::Sandbox::User=root "$package/bookworm"
      dpkg-deb --extract "$package"_*.deb "$package"
    }
  done
)

cp -r "$here/." "$context"
cp deploy/triton/pyproject.toml deploy/triton/uv.lock "$context/triton"
cp deploy/milvus-server/pyproject.toml deploy/milvus-server/uv.lock "$context/milvus"
cp -r "$cache/packages/libpython3.11-dev/usr/include" "$context/headers"
cp "$cache/packages/busybox-static/bin/busybox" "$context/busybox"
cp "$uv" "$context/uv"
ln "$cache/debian.tar" "$context/debian.tar" 2>/dev/null || cp "$cache/debian.tar" "$context/debian.tar"
"$uv" export --quiet --locked --no-header --no-annotate --all-groups --all-packages |
  sed -n '/^pgserver==/,/[^\\]$/p' >"$context/postgres/requirements.txt"
podman build --quiet --network host --target "$name" --tag "$image" --label "sightline.local-base=$key" \
  --volume "$certificates:$bundle:ro" "$context"
