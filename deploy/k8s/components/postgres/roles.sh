#!/bin/sh
# Creates a role and a database for each service with a record. A role has all rights in its database's schema,
# and none elsewhere. The administrator, POSTGRES_USER, runs it once on an empty server, as in compose.yaml;
# the passwords are those of RETRIEVER_DATABASE_URL, RANKER_DATABASE_URL and VISION_DATABASE_URL, or else of the files in
# SECRETS (default /run/secrets). The optional vision has a role if it has a password; NAMES=vision adds it later.
ask() {
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres "$@"
}
secrets="${SECRETS:-/run/secrets}"
names="retriever ranker"
if [ "${VISION_DATABASE_URL:-}" ] || [ -e "$secrets/vision-database-url" ]; then names="$names vision"; fi
for name in ${NAMES:-$names}; do
  case "$name" in
    retriever) url="${RETRIEVER_DATABASE_URL:-}" ;;
    ranker) url="${RANKER_DATABASE_URL:-}" ;;
    vision) url="${VISION_DATABASE_URL:-}" ;;
  esac
  [ -n "$url" ] || url=$(cat "$secrets/$name-database-url") || exit 1
  password=$(printf '%s\n' "$url" | sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|')
  case "$password" in
    *%*) echo "$name: choose a password that needs no %" >&2 && exit 1 ;;
  esac
  ask --set name="$name" --set password="$password" <<'SQL' || exit 1
CREATE ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"name";
\connect :"name"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO :"name";
SQL
done
ask --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
