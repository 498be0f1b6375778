#!/bin/sh
# Prints the Secrets of an installation that nobody has to choose, with new random values each time:
#   deploy/k8s/secrets.sh | kubectl create -f -
# "create" leaves those that are there. RETRIEVER_DATABASE_URL, RANKER_DATABASE_URL and MILVUS_TOKEN are taken
# from the environment; without them they are those of components/postgres and components/milvus-standalone.
set -eu
random() { openssl rand -hex "$1"; }
secret() { # name, key, value
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: sightline\n' "$1"
  printf '  labels: { app.kubernetes.io/part-of: sightline }\ndata:\n  %s: %s\n' "$2" "$(printf %s "$3" | base64 | tr -d '\n')"
}
end='
'
key() { # name, key: a line, so that another one can be put behind it
  secret "$1" "$2" "$(random 32)$end"
}
root=$(random 24)
for name in retriever ranker; do
  case "$name" in
    retriever) url="${RETRIEVER_DATABASE_URL:-}" ;;
    ranker) url="${RANKER_DATABASE_URL:-}" ;;
  esac
  secret "$name-database" url "${url:-postgresql+psycopg://$name:$(random 24)@postgres:5432/$name}"
done
if [ -z "${RETRIEVER_DATABASE_URL:-}" ]; then
  secret postgres password "$(random 24)" # of its administrator, whom no service knows
fi
if [ -z "${MILVUS_TOKEN:-}" ]; then
  secret milvus user.yaml "common: { security: { authorizationEnabled: true, defaultRootPassword: $root } }"
fi
secret retriever-milvus token "${MILVUS_TOKEN:-root:$root}"
key gateway-token-keys tokens.keys
key triton-control key
key ranker-pseudonym-key pseudonym.key
key peer-key peers.key
