"""The audit log.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

from servicekit.sql.schema import create_audit

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table and the triggers that make it append-only."""
    create_audit()


def downgrade() -> None:
    op.drop_table("audit_entries")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_append_only()")
