"""Audit log entries: who made which administrative or destructive call, with its outcome.

Protos declare which calls are audited (`servicekit.access.rule`). Each leaves a line in the
process's log and an entry in a store before its caller is answered. Neither holds anything of the
request but its catalog and id. Unauthenticated callers leave none, since they could fill the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from typing import Final

from prometheus_client import Counter

from servicekit import access, deadlines, telemetry
from servicekit.clock import Clock, new_id, now_micros
from servicekit.config import DEFAULT_CATALOG
from servicekit.errors import Code, ServiceError, Unauthenticated
from sightline.common.v1.audit_service_pb2 import AuditEntry

SECONDS: Final = 5.0
"""Maximum seconds that a store may take, independent of the call's deadline."""

UNSTORED = Counter(
    "sightline_audit_unstored_total",
    "Audited calls that were not stored: only the log has them.",
)

about: ContextVar[str] = ContextVar("about", default="")
"""The catalog of the current call, once its request was read."""

exempt: ContextVar[bool] = ContextVar("exempt", default=False)
"""True once the current call has shown that it needs no entry if it succeeds."""


class Audit:
    """Writes the audited calls of a server."""

    def __init__(
        self,
        store: Callable[[AuditEntry], Awaitable[None]],
        catalogs: Collection[str],
        clock: Clock = now_micros,
    ) -> None:
        """`store`: makes an entry durable, or raises ServiceError. `catalogs`: those that have a
        store; calls on other catalogs changed nothing and are not stored."""
        self._store, self._catalogs, self._clock = store, catalogs, clock
        self._writing: set[asyncio.Task[None]] = set()

    async def note(self, method: str, catalog_id: str, error: BaseException | None) -> None:
        """Write an entry for a call that has ended, also if its caller has disconnected.

        Store errors are counted and logged, not raised.
        """
        if isinstance(error, Unauthenticated) or (error is None and exempt.get()):
            return
        entry = self._entry(method, catalog_id or DEFAULT_CATALOG, error)
        fields = {name: getattr(entry, name) for name in ("caller", "method", "code", "reason")}
        # A warning: administrative calls are rare, and must stand out among lines of level info.
        telemetry.get_logger().warning("audit", logger="audit", catalog=entry.catalog_id, **fields)
        if entry.catalog_id in self._catalogs:
            task = asyncio.create_task(self._write(entry))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
            await asyncio.shield(task)

    async def _write(self, entry: AuditEntry) -> None:
        deadlines.start(SECONDS)  # in this task only: the call's deadline may have passed
        try:
            await self._store(entry)
        except ServiceError as error:
            UNSTORED.inc()
            telemetry.get_logger().error("audit entry not stored", reason=error.reason)

    def _entry(self, method: str, catalog_id: str, error: BaseException | None) -> AuditEntry:
        now = self._clock()
        code, reason = _outcome(error)
        entry = AuditEntry(
            entry_id=new_id(now),
            caller=access.caller.get().name,
            method=method,
            catalog_id=catalog_id if catalog_id in self._catalogs else "?",
            code=code,
            reason=reason,
            request_id=telemetry.request_id.get(),
        )
        entry.time.FromMicroseconds(now)
        return entry


def _outcome(error: BaseException | None) -> tuple[str, str]:
    match error:
        case None:
            return Code.OK, ""
        case ServiceError():
            return error.code, error.reason
        case asyncio.CancelledError():
            return Code.CANCELLED, ""
    return Code.INTERNAL, "INTERNAL"
