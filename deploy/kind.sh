#!/bin/sh
# Runs the suite in a kind cluster on this machine: builds all images, applies the overlay "small", loads the wines
# and requests recommendations (deploy/smoke.sh). From the repository's root, after `make setup`.
# Needs Docker with buildx, kind, kubectl, jq and about 60 GB of disk, most of it for Triton's image. The cluster is
# deleted at the end; KEEP=1 keeps it. NAME=, REGISTRY_PORT= and PORT= (the gateway's; the administrative one is the
# next) allow several clusters at once.
set -eu
cd "$(dirname "$0")/.."
name="${NAME:-sightline}" registry="${REGISTRY_PORT:-5001}" port="${PORT:-8600}" admin=$((${PORT:-8600} + 1))
overlay=deploy/k8s/overlays/small
bin=.venv/bin context="kind-$name" forwards=''
for each in docker kind kubectl jq; do
  command -v "$each" >/dev/null 2>&1 || { echo "the demo in a cluster needs $each, which is not installed" >&2 && exit 1; }
done
! kind get clusters 2>/dev/null | grep -qx "$name" || { echo "the cluster \"$name\" exists already: delete it with kind delete cluster --name $name" >&2 && exit 1; }
kube() { kubectl --context "$context" --namespace sightline "$@"; }

ended() {
  status=$?
  trap - EXIT
  if [ "$status" != 0 ]; then
    echo "failed ($status): the cluster's pods, events and logs" >&2
    {
      kube get pods --output wide
      kube get events --sort-by .lastTimestamp
      kube logs --selector app.kubernetes.io/part-of=sightline --all-containers --prefix --tail 200
    } >&2 || true
  fi
  # shellcheck disable=SC2086
  [ ! "$forwards" ] || kill $forwards 2>/dev/null || true
  if [ ! "${KEEP:-}" ]; then
    kind delete cluster --name "$name" || true
    docker rm --force "$name-registry" || true
    docker buildx rm "$name" || true
  fi
  exit "$status"
}
trap ended EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$*"; }

step a cluster, and a registry that it uses before Docker Hub
docker run --detach --name "$name-registry" --publish "127.0.0.1:$registry:5000" registry:3.0.0
kind create cluster --name "$name" --wait 3m
docker network connect kind "$name-registry"
docker exec -i "$name-control-plane" sh -c \
  'mkdir -p /etc/containerd/certs.d/docker.io && cat >/etc/containerd/certs.d/docker.io/hosts.toml' <<EOF
[host."http://$name-registry:5000"]
  capabilities = ["pull", "resolve"]
EOF

step the images
docker buildx create --name "$name" --driver-opt network=host >/dev/null
BUILDX_BUILDER="$name" REGISTRY="localhost:$registry/sightline" PUSH=1 deploy/images.sh
docker buildx rm "$name" # and its cache of layers

step the suite
kube apply --kustomize "$overlay"
deploy/k8s/secrets.sh | kube create --filename -
for each in statefulset deployment; do
  kube get "$each" --output name | while read -r workload; do kube rollout status "$workload" --timeout 20m; done
done

step the wines
for pair in "gateway $port:8600" "gateway-admin $admin:8609"; do
  # shellcheck disable=SC2086
  kube port-forward service/$pair &
  forwards="$forwards $!"
done
for each in "$port" "$admin"; do
  $bin/python -c 'import grpc, sys; grpc.channel_ready_future(grpc.insecure_channel(sys.argv[1])).result(60)' "127.0.0.1:$each"
done
PYTHONPATH=deploy/local $bin/python -m examples.wines.load --target "127.0.0.1:$admin"

step recommendations
PATH="$PWD/$bin:$PATH" deploy/smoke.sh "127.0.0.1:$port" "127.0.0.1:$admin"
