"""Alerts, stored as a watch stores them."""

import sqlalchemy as sa

from retriever.record.session import take_number
from retriever.record.tables import watch_alerts, watches
from servicekit.clock import now_micros
from servicekit.sql import Database


async def raise_alert(
    db: Database, watch_id: str, catalog_id: str = "default", create_micros: int = 0
) -> int:
    """Store an alert of a watch, which is created if it does not exist. Return its sequence.
    `create_micros`: 0: now."""
    time = create_micros or now_micros()

    def work(connection: sa.Connection) -> int:
        sequence = take_number(connection, time, catalog_id)
        key = {"catalog_id": catalog_id, "watch_id": watch_id}
        found = sa.select(watches.c.watch_id).where(
            watches.c.catalog_id == catalog_id, watches.c.watch_id == watch_id
        )
        if connection.execute(found).first() is None:
            row = {**key, "body": "{}", "etag": "", "create_time": time, "update_time": time}
            connection.execute(sa.insert(watches).values(row))
        row = {
            **key,
            "sequence": sequence,
            "alert_id": f"{sequence:032x}",
            "create_time": time,
            "rule_id": "gone",
            "kind": "started",
            "score": 0.5,
            "frame_time": 6_000_000,
            "image_id": "",
            "body": "{}",
        }
        connection.execute(sa.insert(watch_alerts).values(row))
        return sequence

    return await db.write(work)
