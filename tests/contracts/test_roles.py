"""The roles that compose.yaml creates, on a real PostgreSQL: each has only its own database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from servicekit.sql.database import Database
from tests.contracts.released import MIGRATIONS, SERVICES
from tests.postgres import NoPostgreSQL, PostgreSQL, postgresql
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """Yield a server on which the script of compose.yaml has run."""
    secrets = tmp_path_factory.mktemp("secrets")
    for name in SERVICES:
        url = f"postgresql+psycopg://{name}:its-'{name}'-password@postgres:5432/{name}"
        (secrets / f"{name}-database-url").write_text(url)
    try:
        with postgresql(durable=False) as made:
            create(made, secrets)
            yield made
    except NoPostgreSQL as error:
        pytest.skip(str(error))


def create(server: PostgreSQL, secrets: Path, **environment: str) -> None:
    """Run the script on a server, with a folder of secrets."""
    given = {"PGHOST": str(server.folder), "POSTGRES_USER": "postgres", "SECRETS": str(secrets)}
    path = f"{server.programs}:{os.environ['PATH']}"
    subprocess.run(
        [ROOT / "deploy/postgres/roles.sh"],
        env={**os.environ, "PATH": path, **given, **environment},
        check=True,
    )


def entered(server: PostgreSQL, role: str, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.folder),
        user=role,
        dbname=database,
        autocommit=True,
        connect_timeout=int(SECONDS),
    )


@pytest.mark.when("deploy", "docs/operate")
@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_in_its_database_what_it_needs(server: PostgreSQL, name: str) -> None:
    """Run the service's migrations, from the first to the last."""
    url = f"postgresql+psycopg://{name}@/{name}?host={server.folder}"
    record = Database(url, migrations=MIGRATIONS[name])
    record.migrate()
    record.close()


@pytest.mark.parametrize(("name", "other"), [SERVICES, SERVICES[::-1]])
def test_a_service_does_not_get_into_any_other_database(
    server: PostgreSQL, name: str, other: str
) -> None:
    for database in (other, "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            entered(server, name, database)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER ROLE postgres PASSWORD 'mine'",
        "CREATE SCHEMA more",
        "CREATE TEMPORARY TABLE more (id int)",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "ALTER DATABASE retriever CONNECTION LIMIT 0",
        "DROP DATABASE template1",
    ],
)
def test_a_service_may_do_nothing_else(server: PostgreSQL, name: str, statement: str) -> None:
    with (
        entered(server, name, name) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_a_role_has_the_password_of_its_url(server: PostgreSQL) -> None:
    with entered(server, "postgres", "postgres") as connection:
        rows = connection.execute("SELECT rolname, rolpassword FROM pg_authid").fetchall()
    stored = {name: password for name, password in rows if name in SERVICES}
    assert all(str(each).startswith("SCRAM-SHA-256$") for each in stored.values())
    assert len(stored) == 2


def test_the_optional_service_gets_its_database_later(server: PostgreSQL, tmp_path: Path) -> None:
    url = "postgresql+psycopg://vision:its-password@postgres:5432/vision"
    (tmp_path / "vision-database-url").write_text(url)
    create(server, tmp_path, NAMES="vision")
    with entered(server, "vision", "vision") as connection:
        connection.execute("CREATE TABLE mine (id int)")
    for name, database in (("vision", "retriever"), ("retriever", "vision")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            entered(server, name, database)


def test_it_takes_urls_of_the_environment_and_no_encoded_password() -> None:
    given = {f"{name.upper()}_DATABASE_URL": f"x://{name}:a%40b@db/{name}" for name in SERVICES}
    done = subprocess.run(
        [ROOT / "deploy/postgres/roles.sh"],
        env={**os.environ, "POSTGRES_USER": "postgres", "PGHOST": "nowhere.invalid", **given},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "retriever: choose a password that needs no %\n"
