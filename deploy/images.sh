#!/bin/sh
# Builds an image of each service, from the repository's root; with --print only says how.
# TAG= names the images' tag (default: the version in CHANGELOG.md).
set -eu
cd "$(dirname "$0")/.."
tag="${TAG:-$(sed -nE 's/^## ([0-9]+\.[0-9]+\.[0-9]+).*/\1/p' CHANGELOG.md | head -n 1)}"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
print="${1:-}"

if [ "$print" != --print ]; then
  command -v docker >/dev/null 2>&1 || {
    echo 'images need Docker, and there is no docker command here; deploy/images.sh --print shows what it would do' >&2
    exit 1
  }
  docker info >/dev/null 2>&1 || {
    echo 'images need Docker, and its engine does not answer; deploy/images.sh --print shows what it would do' >&2
    exit 1
  }
fi

image() { # name, Dockerfile, further arguments
  name="$1" file="$2"
  shift 2
  set -- docker build --file "$file" --tag "sightline/$name:$tag" \
    --build-arg "VERSION=$tag" --build-arg "REVISION=$revision" "$@" .
  echo "$*"
  [ "$print" = --print ] || "$@"
}

image gateway services/gateway/Dockerfile
image embedder services/embedder/Dockerfile
image retriever services/retriever/Dockerfile
image ranker services/ranker/Dockerfile
image ranker-train services/ranker/Dockerfile --target train
image models deploy/triton/Dockerfile
image triton deploy/triton/server/Dockerfile
