"""Roll-outs: what a generation is made of and went through; what the embedder serves; backfills."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorts by code point."""


def upgrade() -> None:
    for name, kind, default in (
        ("parameters", TEXT, "{}"),
        ("activated", sa.BigInteger(), "0"),
        ("predecessor", TEXT, ""),
        ("forced", sa.Boolean(), sa.false()),
        ("verification", TEXT, ""),
    ):
        op.add_column("generations", sa.Column(name, kind, nullable=False, server_default=default))
    # Those of before are active since they were made.
    op.execute("UPDATE generations SET activated = created WHERE active")
    op.add_column(
        "pending", sa.Column("backfill", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "offers",
        sa.Column("catalog_id", TEXT, nullable=False),
        sa.Column("space", TEXT, nullable=False),
        sa.Column("space_version", TEXT, nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("by_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version"),
    )


def downgrade() -> None:
    op.drop_table("offers")
    op.drop_column("pending", "backfill")
    for name in ("verification", "forced", "predecessor", "activated", "parameters"):
        op.drop_column("generations", name)
