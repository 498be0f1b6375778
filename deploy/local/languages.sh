#!/bin/sh
# Unpacks Debian's Go and Java libraries, gRPC and protoc into .tools/languages, for the tests of
# docs/integrate/clients. Only a JDK is installed on the system, if it has none. This script never fails: tests of a
# missing language print NOT MEASURED. About 320 MB, most of it Go's compiler and sources.
set -eu
cd "$(dirname "$0")/../.."
packages="
  protobuf-compiler libprotobuf32 libprotoc32 libprotobuf-dev
  protobuf-compiler-grpc-java-plugin libprotobuf-java libgrpc-java libguava-java libperfmark-java
  libnetty-java libjctools-java libgeronimo-annotation-1.3-spec-java
  golang-1.19-go golang-1.19-src protoc-gen-go-1-5 protoc-gen-go-grpc
  golang-google-grpc-dev golang-google-protobuf-dev golang-google-genproto-dev
  golang-github-golang-protobuf-1-5-dev
  golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev"
there=$PWD/.tools/languages
[ -e "$there/.complete-with-api" ] && exit 0
command -v apt-get >/dev/null 2>&1 || {
  echo 'no apt: the Go and Java examples of docs/integrate/clients are not measured' >&2
  exit 0
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root() { [ "$(id -u)" = 0 ]; }
# shellcheck disable=SC2086
download() { (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root $packages); }
download || { root && apt-get update -qq && download; } || {
  echo 'the packages of Debian 12 are not available here: the Go and Java examples are not measured' >&2
  exit 0
}
rm -rf "$there"
for package in "$folder"/*.deb; do
  dpkg-deb --extract "$package" "$there"
done
# Delete unused parts: Go's tests and compiled library (Go compiles what it needs, once), static C++ libraries,
# and all of Google's APIs but three.
(
  cd "$there/usr"
  rm -rf share/go-1.19/test lib/go-1.19/pkg/linux_amd64 share/doc share/maven-repo lib/*/*.a
  cd share/gocode/src/google.golang.org/genproto/googleapis
  for api in *; do
    case "$api" in api | rpc | type) ;; *) rm -rf "$api" ;; esac
  done
)
command -v javac >/dev/null 2>&1 || {
  root && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless >/dev/null
} || echo 'no JDK (Debian: openjdk-17-jdk-headless): the Java example is not measured' >&2
touch "$there/.complete-with-api"
