"""Alerts that the audit log does not have yet."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.clock import new_id
from servicekit.sql.locks import noted
from vision.domain.catalog_keys import catalog_of
from vision.domain.watches import Alert
from vision.record.queueing import Session
from vision.record.tables import audit_outbox


def note_alerts(session: Session, alerts: Sequence[Alert]) -> None:
    """Store the entries of new alerts; see AuditEntry in audit_service.proto."""
    rows = [
        {
            "id": new_id(session.now),
            "time": session.now,
            "sequence": alert.sequence,
            "caller": f"watch:{alert.watch_id}",
            "method": f"watch.alert/{alert.rule_id}:{alert.kind.value}",
            "catalog_id": catalog_of(session.catalog_id),
            "request_id": alert.alert_id,
        }
        for alert in alerts
    ]
    if rows:
        session.connection.execute(sa.insert(audit_outbox), rows)


def read_notes(connection: Connection, limit: int) -> list[Mapping[str, Any]]:
    """Return the oldest entries."""
    query = sa.select(audit_outbox).order_by(audit_outbox.c.time, audit_outbox.c.sequence)
    return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


def drop_notes(connection: Connection, ids: Sequence[str]) -> None:
    """Delete entries that the audit log has."""
    noted(connection)
    connection.execute(sa.delete(audit_outbox).where(audit_outbox.c.id.in_(ids)))
