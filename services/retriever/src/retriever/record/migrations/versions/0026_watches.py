"""Watches, their state, alerts and photos.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0026"
down_revision = "0025"


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, TEXT, primary_key=True) for name in names]


def upgrade() -> None:
    op.create_table(
        "watches",
        *_keys("catalog_id", "watch_id"),
        *texts("body", "etag"),
        *numbers("create_time", "update_time"),
    )
    op.create_table(
        "watch_states",
        *_keys("catalog_id", "watch_id"),
        *texts("body"),
        *numbers("revision"),
    )
    op.create_table(
        "watch_alerts",
        *_keys("catalog_id"),
        sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
        *texts("watch_id", "alert_id"),
        *numbers("create_time"),
        *texts("rule_id", "kind"),
        *numbers("score", kind=sa.Double),
        *numbers("frame_time"),
        *texts("image_id", "body"),
    )
    op.create_index(
        "watch_alerts_id", "watch_alerts", ["catalog_id", "watch_id", "alert_id"], unique=True
    )
    op.create_index("watch_alerts_watch", "watch_alerts", ["catalog_id", "watch_id", "sequence"])
    op.create_index("watch_alerts_age", "watch_alerts", ["catalog_id", "create_time"])
    op.create_table(
        "watch_photos",
        *_keys("catalog_id", "image_id", "watch_id"),
        *texts("media_type"),
        *numbers("width", "height", kind=sa.Integer),
        *numbers("expire_time"),
    )
    op.create_index("watch_photos_term", "watch_photos", ["catalog_id", "expire_time"])


def downgrade() -> None:
    for table in ("watch_photos", "watch_alerts", "watch_states", "watches"):
        op.drop_table(table)
