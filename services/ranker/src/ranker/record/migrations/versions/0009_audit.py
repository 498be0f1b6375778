"""The audit log.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

from servicekit.sql.schema import create_audit

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table, and a trigger that makes it append-only."""
    create_audit()


def downgrade() -> None:
    op.drop_table("audit_entries")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_append_only()")
