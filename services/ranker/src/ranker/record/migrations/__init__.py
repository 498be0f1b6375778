"""Alembic revisions of the record. `python -m ranker` and its worker apply them at start."""
