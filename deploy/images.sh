#!/bin/sh
# Builds the image of each service, or of those named, from the repository's root; --print only prints the commands.
#   deploy/images.sh [--print] [NAME...]
# TAG= sets the images' tag (default: the version). REGISTRY=ghcr.io/you/sightline replaces sightline as the prefix
# of their names. PLATFORMS=linux/amd64,linux/arm64 builds for these platforms. PUSH=1 pushes the images to the
# registry, with their SBOM and provenance. PROJECT_URL= is stored as their source.
set -eu
cd "$(dirname "$0")/.."
version="$(deploy/version.sh)"
tag="${TAG:-$version}" registry="$(echo "${REGISTRY:-sightline}" | tr '[:upper:]' '[:lower:]')" platforms="${PLATFORMS:-}" push="${PUSH:-}"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
print='' wanted='' names=$(sed -nE 's/^image ([a-z-]+) .*/\1/p' deploy/images.sh | tr '\n' ' ')
for word in "$@"; do
  case " --print $names" in
    *" $word "*) [ "$word" = --print ] && print=1 || wanted="$wanted $word" ;;
    *) echo "there is no image \"$word\"; the images are: $names" >&2 && exit 2 ;;
  esac
done

refuse() {
  echo "images $1; deploy/images.sh --print shows the commands" >&2
  exit 1
}
case "$platforms" in
  *,*) [ "$push" ] || refuse 'for several platforms can only be pushed: set PUSH=1, or name one platform in PLATFORMS' ;;
esac
if [ ! "$print" ]; then
  command -v docker >/dev/null 2>&1 || refuse 'need Docker, and there is no docker command here'
  docker buildx version >/dev/null 2>&1 || refuse 'need Docker with buildx, which is missing here'
  docker info >/dev/null 2>&1 || refuse 'need Docker, and its engine does not answer'
fi

image() { # name, Dockerfile, further arguments
  name="$1" file="$2"
  shift 2
  case "${wanted:- $name} " in *" $name "*) ;; *) return 0 ;; esac
  set -- docker buildx build --file "$file" --tag "$registry/$name:$tag" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$@"
  [ ! "${PROJECT_URL:-}" ] || set -- "$@" --label "org.opencontainers.image.source=$PROJECT_URL"
  [ ! "$platforms" ] || set -- "$@" --platform "$platforms"
  if [ "$push" ]; then
    set -- "$@" --push --sbom=true --provenance=mode=max
  else
    set -- "$@" --load
  fi
  echo "$* ."
  [ "$print" ] || "$@" .
}

image gateway services/gateway/Dockerfile
image embedder services/embedder/Dockerfile
image retriever services/retriever/Dockerfile
image ranker services/ranker/Dockerfile
image ranker-train services/ranker/Dockerfile --target train
image models deploy/triton/Dockerfile
image triton deploy/triton/server/Dockerfile
