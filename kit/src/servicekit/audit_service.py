"""The audit log of one store, and AuditService for it.

Rows can only be added and read: the store itself rejects changes and deletions
(servicekit.schema.create_audit). Needs the extra `sql` and the package sightline-protos.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from servicekit.requests import (
    RequestInvalid,
    enter,
    page_place,
    page_size,
    page_token,
    timestamp,
)
from servicekit.schema import keys, numbers, texts
from servicekit.server import Context
from servicekit.sql import Database
from sightline.common.v1 import audit_service_pb2 as pb
from sightline.common.v1 import audit_service_pb2_grpc

DEFAULT_PAGE, MAX_PAGE = 50, 1_000
_TEXTS = ("caller", "method", "catalog_id", "code", "reason", "request_id")


def audit_table(metadata: MetaData) -> Table:
    """Return the table `audit_entries` in `metadata`."""
    return Table(
        "audit_entries",
        metadata,
        *keys("id"),
        *numbers("time"),
        *texts(*_TEXTS),
        sa.Index("audit_entries_catalog", "catalog_id", "id"),
    )


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """Stores and lists audit entries."""

    def __init__(self, catalogs: Collection[str], db: Database) -> None:
        self._catalogs, self._db = catalogs, db
        self._t = audit_table(MetaData())

    async def AppendAuditEntry(
        self, request: pb.AppendAuditEntryRequest, context: Context
    ) -> pb.AppendAuditEntryResponse:
        """Add an entry; an entry id that is stored already changes nothing."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        entry = request.entry
        row = {name: getattr(entry, name) for name in _TEXTS} | {
            "id": entry.entry_id,
            "time": entry.time.ToMicroseconds(),
            "catalog_id": catalog,
        }

        def add(connection: Connection) -> None:
            known = sa.select(self._t.c.id).where(self._t.c.id == entry.entry_id)
            if connection.execute(known).first() is None:
                connection.execute(sa.insert(self._t).values(row))

        await self._db.write(add)
        return pb.AppendAuditEntryResponse()

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """List entries, newest first."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        caller = request.caller.replace("\0", "\1")  # PostgreSQL stores none
        about = (catalog, caller)
        place = page_place(request.page_token, about, str)
        t = self._t.c
        chosen = [t.catalog_id == catalog, *(t.id < before for before in place)]
        if request.HasField("from_time"):
            chosen.append(t.time >= _micros(request, "from_time"))
        if request.HasField("before_time"):
            chosen.append(t.time < _micros(request, "before_time"))
        if caller:
            chosen.append(t.caller == caller)
        query = sa.select(self._t).where(*chosen).order_by(t.id.desc()).limit(size + 1)
        found = await self._db.read(lambda connection: connection.execute(query).all())
        return pb.ListAuditEntriesResponse(
            entries=[_message(row) for row in found[:size]],
            next_page_token=page_token(about, found[size - 1].id) if len(found) > size else "",
        )


def _micros(request: pb.ListAuditEntriesRequest, field: str) -> int:
    try:
        return int(getattr(request, field).ToMicroseconds())
    except ValueError as error:
        raise RequestInvalid.at(field, "must be between the years 1 and 9999") from error


def _message(row: sa.Row[Any]) -> pb.AuditEntry:
    said = {name: getattr(row, name) for name in _TEXTS}
    return pb.AuditEntry(entry_id=row.id, time=timestamp(row.time), **said)
