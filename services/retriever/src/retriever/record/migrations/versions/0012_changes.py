"""The newest commit of each product, for columns that are held in memory."""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT

revision = "0012"
down_revision = "0011"

INSERT = """
    INSERT INTO changes (catalog_id, product_id, seq)
    VALUES (NEW.catalog_id, NEW.product_id, NEW.seq)
    ON CONFLICT (catalog_id, product_id) DO UPDATE SET seq = excluded.seq
"""
"""A trigger, so that writes by replicas of the previous release are recorded too."""


def upgrade() -> None:
    op.create_table(
        "changes",
        *(sa.Column(name, TEXT, primary_key=True) for name in ("catalog_id", "product_id")),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("changes_seq", "changes", ["catalog_id", "seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER outbox_changes AFTER INSERT ON outbox BEGIN {INSERT}; END")
        return
    op.execute(
        "CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {INSERT}; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER outbox_changes AFTER INSERT ON outbox "
        "FOR EACH ROW EXECUTE FUNCTION note_change()"
    )


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER outbox_changes"
        if op.get_bind().dialect.name == "sqlite"
        else "DROP TRIGGER outbox_changes ON outbox"
    )
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION note_change()")
    op.drop_table("changes")
