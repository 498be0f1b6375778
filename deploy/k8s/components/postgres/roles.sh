#!/bin/sh
# A role and a database for each service that keeps a record: it may do what it likes in its database's schema,
# and nothing anywhere else. Run once by an administrator, POSTGRES_USER, on an empty server, as compose.yaml
# has it; the passwords are those of the URLs in SECRETS (default /run/secrets).
ask() {
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres "$@"
}
for name in retriever ranker; do
  password=$(sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' "${SECRETS:-/run/secrets}/$name-database-url") || exit 1
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
