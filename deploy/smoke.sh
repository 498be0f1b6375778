#!/bin/sh
# Smoke test of a suite with the wines. Arguments: HOST:PORT of the gateway, and of its administrative port. Each
# answer must have full quality and five products, and all parts must be healthy. Needs sightline and jq.
set -eu
cd "$(dirname "$0")/.."
target="${1:-127.0.0.1:8600}"
admin="${2:-$target}"

ask() {
  sightline recommend --target "$target" --top 5 --min-answer-quality full --json "$@" |
    jq --raw-output --exit-status --arg asked "$*" '"\($asked): " + if (.results | length) == 5
      then [.results[].product.title] | join(", ") else error("\(.results | length) products, not 5") end'
}
ask --image examples/wines/images/100062.jpg
ask --product 111478
ask --text 'dry red wine'
ask --user 1209683
ask --image examples/wines/images/100062.jpg --user 1209683 --filter 'price < 30 EUR'
sightline config check --target "$admin"
sightline status --target "$admin"
