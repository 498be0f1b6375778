#!/bin/sh
# Runs compose.yaml: deploy/compose.sh WORDS… as for `docker compose`. CONTAINER=podman runs podman-compose instead, and
# PODMAN_COMPOSE= replaces the one of PyPI that uv fetches.
set -eu
cd "$(dirname "$0")/.."
case "${CONTAINER:-docker}" in
  docker) exec docker compose "$@" ;;
  podman) ;;
  *) echo "CONTAINER is docker or podman, not $CONTAINER" >&2 && exit 2 ;;
esac
# podman 4 knows no start_interval.
sed '/^ *start_interval:/d' compose.yaml >.compose.podman.yaml
verb="${1:-}"
if [ "$verb" = up ]; then
  shift
  # Podman does not restart a container whose dependencies have ended, as that of the models has: the order of the start
  # is kept here instead. A service whose database does not answer yet is started again.
  podman_compose() { ${PODMAN_COMPOSE:-uvx --quiet --from podman-compose==1.6.0 podman-compose} --podman-path deploy/podman.sh -f .compose.podman.yaml "$@"; }
  podman_compose up --no-deps --detach models
  deploy/podman.sh wait sightline_models_1 >/dev/null
  set -- up --no-deps "$@"
fi
# shellcheck disable=SC2086
exec ${PODMAN_COMPOSE:-uvx --quiet --from podman-compose==1.6.0 podman-compose} --podman-path deploy/podman.sh -f .compose.podman.yaml "$@"
