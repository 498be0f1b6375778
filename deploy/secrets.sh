#!/bin/sh
# Makes the secrets of compose.yaml in .secrets, from the repository's root; those that are there stay.
# SIGHTLINE_DB_PASSWORD= names the database's password (default: a random one).
set -eu
cd "${1:-$(dirname "$0")/..}"
umask 077
mkdir -p .secrets
password="${SIGHTLINE_DB_PASSWORD:-$(openssl rand -hex 24)}"
if [ ! -e .secrets/database-password ]; then
  for name in retriever ranker; do
    printf 'postgresql+psycopg://sightline:%s@postgres:5432/%s' "$password" "$name" >".secrets/$name-database-url"
  done
  printf '%s' "$password" >.secrets/database-password
fi
# Containers read them as other users of theirs; on this machine nobody gets past the folder.
chmod 444 .secrets/*
