#!/bin/sh
# Prints the Secrets of an installation whose values can be random, with new values each time:
#   deploy/k8s/secrets.sh | kubectl create -f -
#   deploy/k8s/secrets.sh vision | kubectl create -f -      those of components/vision
# "create" does not change existing ones. NAMESPACE is that of the Secrets (default: sightline). RETRIEVER_DATABASE_URL,
# RANKER_DATABASE_URL, VISION_DATABASE_URL and MILVUS_TOKEN are taken from the environment; without them they are those of
# components/postgres and components/milvus-standalone. DATABASE_CA names a file with the authority of PostgreSQL's certificate:
# sslrootcert=/etc/sightline/database/ca.crt in these URLs; MILVUS_CA that of Milvus':
# RETRIEVER_MILVUS_CA_FILE=/etc/sightline/milvus/ca.crt.
set -eu
namespace="${NAMESPACE:-sightline}"
random() { openssl rand -hex "$1"; }
secret() { # name, key, value
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$1" "$namespace"
  printf '  labels: { app.kubernetes.io/part-of: sightline }\ndata:\n  %s: %s\n' "$2" "$(printf %s "$3" | base64 | tr -d '\n')"
}
end='
'
key() { # name, key: a file of one line, to which further keys can be appended
  secret "$1" "$2" "$(random 32)$end"
}
database() { # name, URL
  secret "$1-database" url "${2:-postgresql+psycopg://$1:$(random 24)@postgres:5432/$1}"
  if [ -n "${DATABASE_CA:-}" ]; then
    printf '  ca.crt: %s\n' "$(base64 <"$DATABASE_CA" | tr -d '\n')"
  fi
}
pairs() { # name, pairs: one key for each two services that call one another; only these two have it
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\n' "$1" "$namespace"
  printf '  labels: { app.kubernetes.io/part-of: sightline }\ndata:\n'
  shift
  for pair in "$@"; do
    printf '  %s.key: %s\n' "$pair" "$(random 32 | base64 | tr -d '\n')"
  done
}
if [ "${1:-}" = vision ]; then
  database vision "${VISION_DATABASE_URL:-}"
  key vision-backup-keys backups.keys
  key webhook-keys webhooks.keys
  pairs vision-peer-keys gateway-vision vision-embedder vision-retriever vision-ranker vision-worker-embedder vision-worker-retriever
  exit
fi
root=$(random 24)
database retriever "${RETRIEVER_DATABASE_URL:-}"
database ranker "${RANKER_DATABASE_URL:-}"
if [ -z "${RETRIEVER_DATABASE_URL:-}" ]; then
  secret postgres password "$(random 24)" # of the administrator; no service uses it
fi
if [ -z "${MILVUS_TOKEN:-}" ]; then
  secret milvus user.yaml "common: { security: { authorizationEnabled: true, defaultRootPassword: $root } }"
fi
secret retriever-milvus token "${MILVUS_TOKEN:-root:$root}"
if [ -n "${MILVUS_CA:-}" ]; then
  printf '  ca.crt: %s\n' "$(base64 <"$MILVUS_CA" | tr -d '\n')"
fi
key gateway-token-keys tokens.keys
key triton-control key
key ranker-pseudonym-key pseudonym.key
key retriever-backup-keys backups.keys
key ranker-backup-keys backups.keys
key embedder-space-keys spaces.keys
key kafka-keys events.keys
pairs peer-keys gateway-embedder gateway-retriever gateway-ranker retriever-embedder retriever-worker-embedder \
  ranker-retriever ranker-worker-retriever
