"""Stores as release 0.30 made them, the oldest that are upgraded in place."""

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from tests.fakes.first_tables import ranker, retriever

SERVICES = {"ranker": ranker, "retriever": retriever}


def create(connection: Connection, service: str) -> None:
    """Create the empty tables of a service."""
    with Operations.context(MigrationContext.configure(connection)):
        SERVICES[service].upgrade()
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    revision = SERVICES[service].revision
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")  # noqa: S608
