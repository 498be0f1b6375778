#!/bin/sh
# The steps of a release, which .github/workflows/release.yaml runs, from the repository's root:
#   check TAG             fails unless TAG is "v" and the version, all files have it, and CHANGELOG.md describes it
#   notes                 prints the section of CHANGELOG.md about the version
#   room                  frees disk space on a hosted runner for an image of 20 GB
#   join NAME BUILD       makes one image of those tagged BUILD-amd64 and BUILD-arm64; prints its digest
#   scan NAME DIGEST      fails on a critical vulnerability that has a fix, on either platform
#   sign NAME DIGEST      signs the image and its SBOM (dist/sbom), with the identity of the running workflow
#   verify NAME DIGEST    verifies, as a user does, that this workflow signed the image for this tag
#   tag NAME DIGEST       tags the image with the version, and writes "NAME@DIGEST" into dist/images
#   wheels                publishes dist/wheels
#   chart                 packs the Helm chart of dist/chart, as `helm package` does; the same files give the same bytes
#   github TAG            creates the GitHub release, with the notes, wheels, npm package, chart, SBOMs and digests
# REGISTRY= is the prefix of the images' names; REPOSITORY= is the URL of the repository whose workflow signs.
set -eu
cd "$(dirname "$0")/.."
version="$(deploy/version.sh)" platforms="amd64 arm64"
issuer=https://token.actions.githubusercontent.com
registry="$(echo "${REGISTRY:-sightline}" | tr '[:upper:]' '[:lower:]')"
image="$registry/${2:-}"

notes() {
  awk -v head="## $version" '/^## / { found = index($0 " ", head " ") == 1; next } found' CHANGELOG.md
}
pack() { # file, sed's expression for names, folder
  tar --create --use-compress-program='gzip --no-name' --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
    --file "$1" --transform "$2" --directory "$3" .
}
digest_of() { # tag
  docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image:$1"
}

case "${1:-}" in
  check)
    [ "$2" = "v$version" ] || { echo "the tag is $2, but the newest version in CHANGELOG.md is $version" >&2 && exit 1; }
    deploy/version.sh check
    notes | grep -q '[[:alpha:]]' || { echo "CHANGELOG.md has no notes for $version" >&2 && exit 1; }
    ;;
  notes) notes ;;
  room) sudo rm -rf /usr/share/dotnet /usr/local/lib/android /opt/ghc /opt/hostedtoolcache/CodeQL && df -h / ;;
  join)
    # shellcheck disable=SC2046
    docker buildx imagetools create --tag "$image:$3" $(for each in $platforms; do echo "$image:$3-$each"; done) >&2
    digest_of "$3" | grep -E '^sha256:[0-9a-f]{64}$'
    ;;
  scan)
    bad=0
    for each in $platforms; do
      "${GRYPE:-grype}" "registry:$image@$3" --platform "linux/$each" --only-fixed --fail-on critical || bad=1
    done
    exit "$bad"
    ;;
  sign)
    cosign sign --yes --recursive "$image@$3"
    # Triton's image has no packages of ours; its SBOM is the one that buildx attaches to every image.
    [ ! -e "dist/sbom/$2.cdx.json" ] ||
      cosign attest --yes --type cyclonedx --predicate "dist/sbom/$2.cdx.json" "$image@$3"
    ;;
  verify)
    cosign verify --certificate-oidc-issuer "$issuer" \
      --certificate-identity "$REPOSITORY/.github/workflows/release.yaml@refs/tags/v$version" "$image@$3"
    ;;
  tag)
    docker buildx imagetools create --tag "$image:$version" "$image@$3"
    [ "$(digest_of "$version")" = "$3" ]
    mkdir -p dist/images
    echo "$image:$version@$3" >"dist/images/$2.txt"
    ;;
  chart) pack "dist/chart/sightline-$version.tgz" "s#^\.#sightline#" dist/chart/sightline ;;
  wheels) .tools/bin/uv publish --trusted-publishing always dist/wheels/sightline_*.whl ;;
  github)
    sort dist/images/*.txt >dist/images.txt
    notes | gh release create "$2" --verify-tag --title "Sightline $version" --notes-file - \
      dist/images.txt dist/wheels/sightline_*.whl dist/npm/sightline-* \
      dist/chart/sightline-*.tgz dist/sbom/*.cdx.json
    ;;
  *) sed -n '2,15p' deploy/release.sh >&2 && exit 2 ;;
esac
