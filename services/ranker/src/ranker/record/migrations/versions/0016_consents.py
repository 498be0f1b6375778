"""Decisions of shoppers on what their data may be used for, and data keys of encrypted texts.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

from servicekit.sql.schema import flags, keys, numbers, sequence, texts

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add both tables, with the consent of those who gave attributes."""
    op.create_table(
        "consents",
        sequence(),
        *texts("catalog_id", "actor", "purpose", "source", "key_id"),
        *numbers("decided_micros"),
        *flags("granted", "latest"),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("consents_actor", "consents", ["catalog_id", "actor"])
    op.create_index("consents_purpose", "consents", ["catalog_id", "purpose", "actor"])
    op.create_index("consents_key", "consents", ["catalog_id", "key_id"])
    op.create_table(
        "data_keys",
        *keys("key_id"),
        *texts("wrapped", kind=sa.LargeBinary),
        *texts("wrapped_with"),
        *numbers("created_micros"),
        *flags("complete"),
    )
    op.execute(
        "INSERT INTO consents"
        " (catalog_id, actor, purpose, source, key_id, decided_micros, granted, latest)"
        " SELECT catalog_id, actor, 'ATTRIBUTES', 'SetShopperAttributes', min(key_id),"
        " min(consent_micros), true, true FROM attributes GROUP BY catalog_id, actor"
    )


def downgrade() -> None:
    op.drop_table("data_keys")
    for index in ("consents_key", "consents_purpose", "consents_actor"):
        op.drop_index(index, "consents")
    op.drop_table("consents")
