#!/bin/sh
# Writes the Java client as a Maven project, with the code of the contract, into dist/java (OUT=). GROUP= is its group id
# (default: sightline). It needs protoc 3.21 to 3.25 (also called 21 to 25) and gRPC's plugin for Java, grpc_java_plugin or
# protoc-gen-grpc-java, on the PATH or of `make tools`. With PROJECT_URL=, links of the README point to the project's files
# of this version.
set -eu
cd "$(dirname "$0")/.."
out="$(realpath -m "${OUT:-dist/java}")" group="${GROUP:-sightline}" version="$(deploy/version.sh)"
python="${PYTHON:-.venv/bin/python}" tools="$PWD/.tools/languages/usr"
expr "$group" : '[A-Za-z][A-Za-z0-9_.-]*$' >/dev/null || { echo "GROUP=$group is no group id" >&2 && exit 2; }
PATH="$PATH:$tools/bin"
LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${LD_LIBRARY_PATH:+:}$tools/lib/$(uname -m)-linux-gnu"
export LD_LIBRARY_PATH
plugin=$(command -v grpc_java_plugin || command -v protoc-gen-grpc-java) ||
  { echo 'grpc_java_plugin is missing: make tools, or put it on the PATH' >&2 && exit 1; }
protoc=$(command -v protoc) || { echo 'protoc is missing: make tools, or put it on the PATH' >&2 && exit 1; }
case "$("$protoc" --version)" in
  'libprotoc 3.2'[1-5]* | 'libprotoc 2'[1-5].*) ;;
  *) echo "$protoc must be version 3.21 to 3.25, whose code works with protobuf-java 3" >&2 && exit 1 ;;
esac
protos=$(mktemp -d)
trap 'rm -rf "$protos"' EXIT
"$python" -m sightline.protos "$protos" >/dev/null
code="$out/src/main/java" resources="$out/src/main/resources/sightline/client"
# What a former run wrote; other files, such as .git, stay.
rm -rf "$code/sightline" "$out/src/main/resources/sightline" "$out/src/test/java/sightline"
mkdir -p "$code" "$resources"
files=$(cd "$protos" && find sightline -name '*.proto' | sort)
# shellcheck disable=SC2086
"$protoc" -I "$protos" "--plugin=protoc-gen-grpc-java=$plugin" "--java_out=$code" "--grpc-java_out=$code" \
  "--descriptor_set_out=$protos/contract" $files
# The annotation is not in the JDK, and newer plugins omit it.
find "$code/sightline" -name '*Grpc.java' -exec sed -i '/^@javax.annotation.Generated(/,/)$/d' {} +
cp -R client/java/src "$out/"
cp client/java/README.md LICENSE "$out/"
sed -e "s#<groupId>sightline<#<groupId>$group<#; s#<version>0<#<version>$version<#" client/java/pom.xml >"$out/pom.xml"
[ ! "${PROJECT_URL:-}" ] || sed -i -e "s#](\.\./\.\./#]($PROJECT_URL/blob/v$version/#g" "$out/README.md"
"$python" -m docs.errors >"$protos/fixes.json"
"$python" - "$protos/contract" "$protos/fixes.json" "$resources" <<'END'
import json
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

contract, fixes, resources = (Path(each) for each in sys.argv[1:])
names = sorted(
    f"{file.package}.{service.name}/{method.name}\n"
    for file in FileDescriptorSet.FromString(contract.read_bytes()).file
    for service in file.service
    for method in service.method
    if method.options.idempotency_level
    and file.package in ("sightline.common.v1", "sightline.gateway.v1")
)
(resources / "idempotent.txt").write_text("".join(names), "utf-8")
advice = (
    f"{reason}={text}\n".replace("\\", "\\\\")
    for reason, text in sorted(json.loads(fixes.read_text("utf-8")).items())
)
(resources / "advice.properties").write_text("".join(advice), "utf-8")
END
