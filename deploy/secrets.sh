#!/bin/sh
# Makes the secrets of compose.yaml in .secrets, from the repository's root; those that are there stay.
set -eu
cd "${1:-$(dirname "$0")/..}"
umask 077
mkdir -p .secrets
make() { # name, what stands before the password, what stands behind it
  [ -e ".secrets/$1" ] || printf '%s%s%s' "$2" "$(openssl rand -hex 24)" "$3" >".secrets/$1"
}
make database-password "" "" # of PostgreSQL's administrator, whom no service knows
for name in retriever ranker; do
  make "$name-database-url" "postgresql+psycopg://$name:" "@postgres:5432/$name"
done
# Of each pair of services that talk.
for pair in gateway-embedder gateway-retriever gateway-ranker retriever-worker-embedder ranker-worker-retriever; do
  make "$pair-key" "" ""
done
# Containers read them as other users of theirs; on this machine nobody gets past the folder.
chmod 444 .secrets/*
