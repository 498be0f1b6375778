"""Alembic's entry: see servicekit.sql.database."""

from servicekit.sql.database import run_migrations
from vision.record import metadata

run_migrations(metadata)
