"""Run by Alembic."""

from ranker.record.tables import METADATA
from servicekit.sql.database import run_migrations

run_migrations(METADATA)
