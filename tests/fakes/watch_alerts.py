"""Alerts, stored as a watch stores them."""

import sqlalchemy as sa

from servicekit.clock import now_micros
from servicekit.sql.database import Database
from vision.domain.watch_json import dumped_alert
from vision.domain.watches import Alert, AlertKind
from vision.record.queueing import Session
from vision.record.tables import watch_alerts, watches


def made_alert(watch_id: str, sequence: int, create_micros: int) -> Alert:
    """Return an alert as the record returns it."""
    return Alert(
        alert_id=f"{sequence:032x}",
        watch_id=watch_id,
        rule_id="gone",
        kind=AlertKind.STARTED,
        frame_micros=6_000_000,
        since_micros=5_000_000,
        score=0.5,
        product_id="p1",
        create_micros=create_micros,
        sequence=sequence,
    )


async def raise_alert(
    db: Database, watch_id: str, catalog_id: str = "default", create_micros: int = 0
) -> int:
    """Store an alert of a watch, which is created if it does not exist. Return its sequence.
    `create_micros`: 0: now."""
    time = create_micros or now_micros()

    def work(connection: sa.Connection) -> int:
        sequence = Session(connection, catalog_id, time).take()[0]
        key = {"catalog_id": catalog_id, "watch_id": watch_id}
        found = sa.select(watches.c.watch_id).where(
            watches.c.catalog_id == catalog_id, watches.c.watch_id == watch_id
        )
        if connection.execute(found).first() is None:
            row = {**key, "body": "{}", "etag": "", "create_time": time, "update_time": time}
            connection.execute(sa.insert(watches).values(row))
        alert = made_alert(watch_id, sequence, time)
        row = {
            **key,
            "sequence": sequence,
            "alert_id": alert.alert_id,
            "create_time": time,
            "rule_id": alert.rule_id,
            "kind": alert.kind.value,
            "score": alert.score,
            "frame_time": alert.frame_micros,
            "image_id": "",
            "body": dumped_alert(alert),
        }
        connection.execute(sa.insert(watch_alerts).values(row))
        return sequence

    return await db.write(work)
