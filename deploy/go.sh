#!/bin/sh
# Writes the Go client as a whole module, with the code of the contract, into dist/go (OUT=). MODULE= is its import path
# (default: sightline, for use by a replace directive). It needs protoc-gen-go and protoc-gen-go-grpc, on the PATH or of
# `make tools`. With PROJECT_URL=, links of the README point to the project's files of this version.
set -eu
cd "$(dirname "$0")/.."
out="$(realpath -m "${OUT:-dist/go}")" module="${MODULE:-sightline}" version="$(deploy/version.sh)"
python="${PYTHON:-.venv/bin/python}"
PATH="$PATH:$PWD/.tools/languages/usr/bin"
expr "$module" : '[a-z0-9][A-Za-z0-9._~/-]*$' >/dev/null || { echo "MODULE=$module is no import path" >&2 && exit 2; }
for plugin in protoc-gen-go protoc-gen-go-grpc; do
  command -v "$plugin" >/dev/null || { echo "$plugin is missing: make tools, or put it on the PATH" >&2 && exit 1; }
done
protos=$(mktemp -d)
trap 'rm -rf "$protos"' EXIT
"$python" -m sightline.protos "$protos" >/dev/null
mkdir -p "$out"
# What a former run wrote; other files, such as .git and go.sum, stay.
rm -rf "$out/common" "$out/embedder" "$out/gateway" "$out/ranker" "$out/retriever" "$out"/*.go "$out/advice.json"
files=$(cd "$protos" && find sightline -name '*.proto' | sort)
set --
for file in $files; do
  folder=$(dirname "${file#sightline/}")
  path="M$file=$module/$folder;$(echo "$folder" | tr -d /)"
  set -- "$@" "--go_opt=$path" "--go-grpc_opt=$path"
done
# shellcheck disable=SC2086
"$python" -m grpc_tools.protoc -I "$protos" --go_out="$out" --go_opt="module=$module" \
  --go-grpc_out="$out" --go-grpc_opt="module=$module" "$@" $files
for file in client/go/*.go client/go/go.mod client/go/README.md; do
  sed -e "s#\"sightline/#\"$module/#; s#^\t\"sightline\"\$#\t\"$module\"#; s#^module sightline\$#module $module#" \
    "$file" >"$out/$(basename "$file")"
done
[ ! "${PROJECT_URL:-}" ] || sed -i -e "s#](\.\./\.\./#]($PROJECT_URL/blob/v$version/#g" "$out/README.md"
"$python" -m docs.errors >"$out/advice.json"
cp LICENSE "$out/"
