"""Alembic's entry: see servicekit.sql."""

from retriever.record import metadata
from servicekit.sql import run_migrations

run_migrations(metadata)
