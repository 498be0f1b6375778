#!/bin/sh
# Creates the secrets of compose.yaml in .secrets, from the repository's root; existing ones are not changed. VISION=1 also
# creates those of compose.vision.yaml.
set -eu
cd "${1:-$(dirname "$0")/..}"
umask 077
mkdir -p .secrets
make() { # name, text before the password, text after it, its bytes (default: 24)
  [ -e ".secrets/$1" ] || printf '%s%s%s' "$2" "$(openssl rand -hex "${4:-24}")" "$3" >".secrets/$1"
}
make database-password "" "" # of PostgreSQL's administrator; no service uses it
for name in retriever ranker ${VISION:+vision}; do
  make "$name-database-url" "postgresql+psycopg://$name:" "@postgres:5432/$name"
done
# One key for each pair of services that call one another.
for pair in gateway-embedder gateway-retriever gateway-ranker retriever-embedder retriever-worker-embedder ranker-retriever ranker-worker-retriever \
  ${VISION:+gateway-vision vision-embedder vision-retriever vision-ranker vision-worker-embedder vision-worker-retriever}; do
  make "$pair-key" "" ""
done
[ ! "${VISION:-}" ] || make webhook-keys "" "" 32 # from which the secrets of webhooks are derived
# Containers read them as other user ids, so the files are readable by all; the folder keeps other users out.
chmod 444 .secrets/*
