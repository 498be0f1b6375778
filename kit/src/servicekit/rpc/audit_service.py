"""AuditService: the audit log of one store on the wire.

Needs the extra `sql` and the package sightline-protos.
"""

from collections.abc import Collection
from typing import Any

from servicekit.audit.entries import UNDECLARED
from servicekit.audit.record import TEXTS, AuditRecord, Row, Seal
from servicekit.catalogs.known import AlsoNamed
from servicekit.rpc.requests import (
    RequestInvalid,
    check_count,
    enter,
    page_place,
    page_size,
    page_token,
    take_request_id,
    timestamp,
)
from servicekit.rpc.server import Context
from sightline.common.v1 import audit_service_pb2 as pb
from sightline.common.v1 import audit_service_pb2_grpc

DEFAULT_PAGE, MAX_PAGE = 50, 1_000


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """Stores, lists and drops audit entries."""

    def __init__(self, catalogs: Collection[str], record: AuditRecord, days: float = 0.0) -> None:
        """`days`: younger entries can't be dropped."""
        self._catalogs = AlsoNamed(catalogs, UNDECLARED)
        self._record, self._days = record, days

    async def AppendAuditEntries(
        self, request: pb.AppendAuditEntriesRequest, context: Context
    ) -> pb.AppendAuditEntriesResponse:
        """Add entries of any catalogs; those that are stored already are left as they are."""
        take_request_id(request.request_id)
        check_count("entries", len(request.entries), MAX_PAGE)
        stored = await self._record.append(list(map(_row, request.entries)))
        return pb.AppendAuditEntriesResponse(entries=map(_message, stored))

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """List entries, newest first."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        caller = _storable(request.caller)
        about = (catalog, caller)
        found = await self._record.newest(
            catalog,
            size + 1,
            caller=caller,
            older_than=(*page_place(request.page_token, about, str), "")[0],
            times=(_micros(request, "from_time"), _micros(request, "before_time")),
        )
        return pb.ListAuditEntriesResponse(
            entries=map(_message, found[:size]),
            next_page_token=page_token(about, found[size - 1]["id"]) if len(found) > size else "",
        )

    async def ReadAuditChain(
        self, request: pb.ReadAuditChainRequest, context: Context
    ) -> pb.ReadAuditChainResponse:
        """Return a page of a chain, oldest entry first."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, MAX_PAGE, MAX_PAGE)
        about = (catalog, "chain")
        place = page_place(request.page_token, about, int, str) or (0, "")
        found, seal = await self._record.chain(catalog, size + 1, place)
        token = ""
        if len(found) > size:
            token = page_token(about, found[size - 1]["number"] or 0, found[size - 1]["id"])
        return pb.ReadAuditChainResponse(
            entries=map(_message, found[:size]), seal=_seal(seal), next_page_token=token
        )

    async def DropAuditEntries(
        self, request: pb.DropAuditEntriesRequest, context: Context
    ) -> pb.DropAuditEntriesResponse:
        """Delete entries up to one that is older than the term."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        if request.number < 1:
            raise RequestInvalid.at("number", "must be at least 1")
        done = await self._record.drop(catalog, request.number, request.hash, self._days)
        return pb.DropAuditEntriesResponse(
            dropped_count=done.count, seal=_seal(done.seal), unfinished=done.unfinished
        )


def _micros(request: pb.ListAuditEntriesRequest, field: str) -> int | None:
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    try:
        return int(getattr(request, field).ToMicroseconds())
    except ValueError as error:
        raise RequestInvalid.at(field, "must be between the years 1 and 9999") from error


def _storable(text: str) -> str:
    """Replace the character that PostgreSQL does not store."""
    return text.replace("\0", "\1")


def _row(entry: pb.AuditEntry) -> dict[str, Any]:
    return {name: _storable(getattr(entry, name)) for name in TEXTS} | {
        "id": _storable(entry.entry_id),
        "time": entry.time.ToMicroseconds(),
        "left_out": entry.left_out,
    }


def _message(row: Row) -> pb.AuditEntry:
    return pb.AuditEntry(
        entry_id=row["id"],
        time=timestamp(row["time"]),
        left_out=row["left_out"],
        number=row["number"] or 0,
        hash=row["hash"] or b"",
        **{name: row[name] for name in TEXTS},
    )


def _seal(seal: Seal) -> pb.AuditSeal:
    dropped = timestamp(seal.dropped) if seal.dropped else None
    return pb.AuditSeal(number=seal.number, hash=seal.hash, drop_time=dropped)
