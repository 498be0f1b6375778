#!/bin/sh
# Pins third-party images to their digests, in Compose files, Dockerfiles, Kubernetes manifests and workflows.
# Run it from the repository's root. It queries the registries (needs Docker with buildx); run it again to take a
# newer build of a tag.
set -eu
cd "${1:-$(dirname "$0")/..}"
files="compose*.yaml .github/workflows/*.yaml Dockerfile deploy/triton/Dockerfile deploy/triton/server/Dockerfile
  deploy/k8s/components/*/*.yaml"
base=deploy/k8s/base/images/kustomization.yaml
# shellcheck disable=SC2086
images=$(sed -nE 's/^(ARG [A-Z]+_IMAGE=|FROM | +image: )([^ @$]+:[^ @$]+)(@[^ ]+)?( .*)?$/\2/p' $files | grep -v '^sightline/' | sort -u)
for image in $images; do
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
  expr "$digest" : 'sha256:[0-9a-f]\{64\}$' >/dev/null || {
    echo "$image: the registry returned no digest: $digest" >&2
    exit 1
  }
  # shellcheck disable=SC2086
  sed -i -E "s#^(ARG [A-Z]+_IMAGE=|FROM | +image: )$image(@[^ ]+)?( .*)?\$#\1$image@$digest\3#" $files
  name="${image%:*}" tag="${image##*:}"
  sed -i -E "s#\{ name: $name, newTag: $tag(, digest: [^ ]+)? \}#{ name: $name, newTag: $tag, digest: $digest }#" $base
  echo "$image $digest"
done
