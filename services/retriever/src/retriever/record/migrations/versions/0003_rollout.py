"""Roll-outs: parameters and verification of generations, versions served by the embedder,
backfills."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import flags, numbers

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name, kind, default in (
        ("parameters", TEXT, "{}"),
        ("activated", sa.BigInteger(), "0"),
        ("predecessor", TEXT, ""),
        ("forced", sa.Boolean(), sa.false()),
        ("verification", TEXT, ""),
    ):
        op.add_column("generations", sa.Column(name, kind, nullable=False, server_default=default))
    # Existing generations count as active since their creation.
    op.execute("UPDATE generations SET activated = created WHERE active")
    op.add_column(
        "pending", sa.Column("backfill", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "offers",
        *texts("catalog_id", "space", "space_version"),
        *numbers("dimension", kind=sa.Integer),
        *flags("by_default"),
        sa.PrimaryKeyConstraint("catalog_id", "space", "space_version"),
    )
