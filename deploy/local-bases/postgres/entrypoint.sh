#!/bin/sh
# Docker's entrypoint of PostgreSQL, as far as we use it: a new data folder gets its administrator, database and
# what /docker-entrypoint-initdb.d holds.
set -eu
export PGDATA
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  POSTGRES_PASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"
  printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
  initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-host scram-sha-256 --auth-local trust
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl --wait --options "-c listen_addresses='' -k /var/run/postgresql" start
  export PGHOST=/var/run/postgresql PGPASSWORD="$POSTGRES_PASSWORD"
  [ "${POSTGRES_DB:-postgres}" = postgres ] || createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else
        # shellcheck disable=SC1090
        . "$file"
      fi ;;
      *.sql) psql --username "$POSTGRES_USER" --file "$file" ;;
    esac
  done
  pg_ctl --wait --mode fast stop
  unset PGPASSWORD PGHOST
fi
[ "${1:-}" != postgres ] || set -- "$@" -c "listen_addresses=*" -k /var/run/postgresql
exec "$@"
