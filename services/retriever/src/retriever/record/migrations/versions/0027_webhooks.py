"""Webhooks, their lanes, and alerts that could not be delivered.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.migrations.columns import TEXT, texts
from servicekit.sql.schema import numbers

revision = "0027"
down_revision = "0026"


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, TEXT, primary_key=True) for name in names]


def upgrade() -> None:
    op.create_table(
        "webhooks",
        *_keys("catalog_id", "webhook_id"),
        *texts("uri", "watch_ids", "secrets"),
        *numbers("create_time", "start_sequence"),
    )
    op.create_table(
        "webhook_lanes",
        *_keys("catalog_id", "webhook_id", "watch_id"),
        *numbers("sequence"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
    )
    op.create_table(
        "webhook_dead_letters",
        *_keys("catalog_id", "webhook_id", "watch_id"),
        sa.Column("sequence", sa.BigInteger(), primary_key=True, autoincrement=False),
        *texts("alert_id", "body"),
        *numbers("create_time", "replay_time"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("next_attempt"),
        *texts("failure"),
    )


def downgrade() -> None:
    for table in ("webhook_dead_letters", "webhook_lanes", "webhooks"):
        op.drop_table(table)
