#!/bin/sh
# Builds the image of each service, or of those named, from the repository's root; --print only prints the commands.
#   deploy/images.sh [--print] [NAME...]
# TAG= sets the images' tag (default: the version). REGISTRY=ghcr.io/you/sightline replaces sightline as the prefix
# of their names. CONTAINER=podman builds with podman instead of Docker. PLATFORMS=linux/amd64,linux/arm64 builds for
# these platforms, and PUSH=1 pushes the images to the registry, with their SBOM and provenance; both need Docker.
# PROJECT_URL= is stored as their source. SAVE=FOLDER also writes each image into a tar there, as `make cluster` reads.
# UV_IMAGE=, PYTHON_IMAGE=, BUSYBOX_IMAGE= and TRITON_IMAGE= replace the images that ours are built on, such as by
# those of a mirror. LOCAL_BASES=1 makes stand-ins for them of Debian's and PyPI's packages, where no registry can be
# reached, and also for the other images of compose.yaml: see deploy/local-bases. It implies CONTAINER=podman.
set -eu
cd "$(dirname "$0")/.."
version="$(deploy/version.sh)"
tag="${TAG:-$version}" registry="$(echo "${REGISTRY:-sightline}" | tr '[:upper:]' '[:lower:]')" platforms="${PLATFORMS:-}" push="${PUSH:-}"
local="${LOCAL_BASES:-}" save="${SAVE:-}" container="${CONTAINER:-${LOCAL_BASES:+podman}}"
container="${container:-docker}"
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
case "$container" in
  docker)
    [ ! "$local" ] || refuse 'on local bases are built by podman: leave out CONTAINER=docker'
    builder='docker buildx build'
    ;;
  podman)
    [ ! "$push$platforms" ] || refuse 'are pushed, and built for other platforms, by Docker only: leave out PUSH and PLATFORMS, or CONTAINER=podman'
    builder='deploy/podman.sh build --network host'
    # As Docker reads such a name; podman would prefix it with localhost.
    case "$registry" in *[.:]*/*) ;; *) registry="docker.io/$registry" ;; esac
    ;;
  *) refuse "are built by docker or podman, not by CONTAINER=$container" ;;
esac
if [ ! "$print" ] && [ "$container" = docker ]; then
  command -v docker >/dev/null 2>&1 || refuse 'need Docker, and there is no docker command here (CONTAINER=podman uses podman)'
  docker buildx version >/dev/null 2>&1 || refuse 'need Docker with buildx, which is missing here (CONTAINER=podman uses podman)'
  docker info >/dev/null 2>&1 || refuse 'need Docker, and its engine does not answer (CONTAINER=podman uses podman)'
elif [ ! "$print" ]; then
  deploy/podman.sh --tools || refuse 'need podman'
fi

# podman and Docker name the images in a tar alike.
saved() { # image
  [ ! "$save" ] || [ "$print" ] || {
    mkdir -p "$save"
    file="$save/$(basename "${1%:*}").tar"
    rm -f "$file"
    if [ "$container" = podman ]; then deploy/podman.sh save --quiet --output "$file" "$1"; else docker save --output "$file" "$1"; fi
    echo "$file"
  }
}

stand_in() { # name in deploy/local-bases/Dockerfile, image
  echo "deploy/local-bases/build.sh $1 $2"
  [ "$print" ] || deploy/local-bases/build.sh "$1" "$2"
}

base() { # argument of a Dockerfile; sets its value, empty for its default
  name="$(echo "${1%_IMAGE}" | tr '[:upper:]' '[:lower:]')"
  value="$(printenv "$1" || true)"
  [ "$value" ] || [ ! "$local" ] || value="localhost/sightline-base/$name"
}

image() { # name, Dockerfile, further arguments
  built="$registry/$1:$tag" file="$2"
  case "${wanted:- $1 } " in *" $1 "*) ;; *) return 0 ;; esac
  shift 2
  # shellcheck disable=SC2086
  set -- $builder --file "$file" --tag "$built" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$@"
  # shellcheck disable=SC2013 # words without spaces
  for argument in $(sed -nE 's/^ARG ([A-Z]+_IMAGE)=.*/\1/p' "$file"); do
    base "$argument"
    [ ! "$value" ] || set -- "$@" --build-arg "$argument=$value"
    case "$value" in localhost/sightline-base/*) stand_in "$name" "$value" ;; esac
  done
  [ ! "$local" ] || set -- "$@" --volume "$certificates:/etc/ssl/certs/ca-certificates.crt:ro"
  [ ! "${PROJECT_URL:-}" ] || set -- "$@" --label "org.opencontainers.image.source=$PROJECT_URL"
  [ ! "$platforms" ] || set -- "$@" --platform "$platforms"
  if [ "$push" ]; then
    set -- "$@" --push --sbom=true --provenance=mode=max
  elif [ "$container" = docker ]; then
    set -- "$@" --load
  fi
  echo "$* ."
  [ "$print" ] || "$@" .
  saved "$built"
}
# Of a mirror or proxy in between, too.
certificates="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"

image gateway Dockerfile --target gateway
image embedder Dockerfile --target embedder
image retriever Dockerfile --target retriever
image ranker Dockerfile --target ranker
image vision Dockerfile --target vision
image all Dockerfile --target all
image agents Dockerfile --target agents
image console Dockerfile --target console
image ranker-train Dockerfile --target ranker-train
image models deploy/triton/Dockerfile
image triton deploy/triton/server/Dockerfile

# The other images that compose.yaml and the overlay "small" name.
if [ ! "$wanted" ] && [ "$local" ]; then
  # shellcheck disable=SC2013 # words without spaces
  for each in $(sed -nE 's/^ +image: (milvusdb\/milvus|postgres)(:[^@ ]+).*/\1\2/p' compose.yaml); do
    case "$each" in
      */*) name=milvus built="docker.io/$each" ;;
      *) name=postgres built="docker.io/library/$each" ;;
    esac
    stand_in "$name" "$built"
    saved "$built"
  done
fi
