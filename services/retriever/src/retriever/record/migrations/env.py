"""Alembic's entry: see servicekit.sql.database."""

from retriever.record import metadata
from servicekit.sql.database import run_migrations

run_migrations(metadata)
