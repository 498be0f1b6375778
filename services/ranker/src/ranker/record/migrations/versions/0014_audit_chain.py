"""Chains of the audit log, and the seals from which they continue."""

from servicekit.sql.schema import chain_audit, unchain_audit

revision, down_revision = "0014", "0013"


def upgrade() -> None:
    """Add both. Entries that are stored stay without a number."""
    chain_audit()


def downgrade() -> None:
    unchain_audit()
