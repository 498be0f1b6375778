#!/bin/sh
# Unpacks Debian's Go, Java and PHP, gRPC and protoc into .tools/languages, for the tests of docs/integrate/clients:
# Go and its libraries of Debian 13, the others of Debian 12. Only a JDK is installed on
# the system, if it has none. This script never fails: tests of a missing language print NOT MEASURED. About 400 MB, most of
# it Go's compiler and sources.
set -eu
cd "$(dirname "$0")/../.."
packages="
  protobuf-compiler libprotobuf32 libprotoc32 libprotobuf-dev
  protobuf-compiler-grpc-java-plugin libprotobuf-java libgrpc-java libguava-java libperfmark-java
  libnetty-java libjctools-java libgeronimo-annotation-1.3-spec-java
  protobuf-compiler-grpc libgrpc29 php8.2-cli php8.2-common php8.2-curl php-google-protobuf"
go="
  golang-1.24-go golang-1.24-src protoc-gen-go protoc-gen-go-grpc
  golang-google-grpc-dev golang-google-protobuf-dev golang-google-genproto-dev
  golang-github-golang-protobuf-1-5-dev
  golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev"
there=$PWD/.tools/languages
[ -e "$there/.complete-with-junit" ] && exit 0
command -v apt-get >/dev/null 2>&1 || {
  echo 'no apt: the Go and Java examples of docs/integrate/clients are not measured' >&2
  exit 0
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root() { [ "$(id -u)" = 0 ]; }
# shellcheck disable=SC2086
download() { (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root $packages); }
# Go's, with lists of their own; apt's lists and installed packages are not changed.
# shellcheck disable=SC2046,SC2086
download_go() {
  # shellcheck disable=SC2016 # apt expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -n 1)
  mkdir -p "$folder/lists/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$folder/trixie.list"
  apt() {
    apt-get -qq -o Dir::Etc::SourceList="$folder/trixie.list" -o Dir::Etc::SourceParts=- \
      -o Dir::State::Lists="$folder/lists" -o Dir::State::Status=/dev/null -o APT::Sandbox::User=root "$@"
  }
  apt update && (cd "$folder" && apt download $(printf '%s/trixie ' $go))
}
download || { root && apt-get update -qq && download; } || {
  echo 'the packages of Debian 12 are not available here: Go, Java and PHP are not measured' >&2
  exit 0
}
download_go || echo 'the packages of Debian 13 are not available here: the Go example is not measured' >&2
rm -rf "$there"
for package in "$folder"/*.deb; do
  dpkg-deb --extract "$package" "$there"
done
# Delete unused parts: Go's tests and compiled library (Go compiles what it needs, once), static C++ libraries,
# and all of Google's APIs but three.
(
  cd "$there/usr"
  rm -rf share/go-1.24/test share/doc share/maven-repo lib/*/*.a
  cd share/gocode/src/google.golang.org/genproto/googleapis 2>/dev/null || exit 0
  for api in *; do
    case "$api" in api | rpc | type) ;; *) rm -rf "$api" ;; esac
  done
)
command -v javac >/dev/null 2>&1 || {
  root && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless >/dev/null
} || echo 'no JDK (Debian: openjdk-17-jdk-headless): the Java example is not measured' >&2
touch "$there/.complete-with-junit"
