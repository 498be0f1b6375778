"""Chains of the audit log, and the seals from which they continue."""

from servicekit.sql.schema import chain_audit, unchain_audit

revision, down_revision = "0020", "0019"


def upgrade() -> None:
    """Add the chains and the seals. Existing entries have no number."""
    chain_audit()


def downgrade() -> None:
    unchain_audit()
