"""Run by Alembic."""

from ranker.events.record.tables import METADATA
from servicekit.sql import run_migrations

run_migrations(METADATA)
