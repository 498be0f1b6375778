"""Audit log entries: who made which administrative or destructive call, with its outcome.

Protos declare which calls are audited (`servicekit.admission.access.rule`). A call that changed
something, or may have, has an entry in a store before its caller is answered, and so has an audited
read. Calls that were rejected share entries (`servicekit.audit.refusals`), and none waits for
those. One writer stores all entries in batches. Each entry is also a line of the process's log.
Neither holds anything of the request but its catalog and id. Unauthenticated callers leave none,
since they could fill the store, nor do calls that limits rejected: metrics count both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter, Gauge

from servicekit import telemetry
from servicekit.admission import access
from servicekit.audit.refusals import Refusals
from servicekit.clock import Clock, new_id, now_micros
from servicekit.errors import Code, ServiceError, Unauthenticated
from servicekit.tasks.batch_queue import BatchQueue, BatchRules, QueueMetrics
from servicekit.tasks.promise import Promise
from sightline.common.v1.audit_service_pb2 import AuditEntry

SECONDS: Final = 5.0
"""Maximum seconds that a call waits for its entry, independent of the call's deadline."""
MOST_WAITING: Final = 10_000
"""Entries that wait for the store at most; half of them of one caller."""
BATCH: Final = 200
"""Entries that are stored together at most."""
UNDECLARED: Final = "?"
"""Catalog of calls that named none of the declared ones, or whose request was not read."""

METRICS = QueueMetrics(
    Counter("sightline_audit_stored_total", "Entries of the audit log that were stored."),
    Counter(
        "sightline_audit_unstored_total",
        "Audited calls that were not stored: only the log has them.",
        ("cause",),
    ),
    Gauge(
        "sightline_audit_waiting",
        "Entries of the audit log that wait to be stored.",
        multiprocess_mode="livesum",
    ),
    lost="stores_unavailable",
)

for _cause in ("queue_full", "refused", "shutdown", METRICS.lost, "too_many_callers"):
    METRICS.dropped.labels(_cause)  # start at 0: rates miss the first value

_UNCHANGED: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.OUT_OF_RANGE,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.FAILED_PRECONDITION,
        Code.ABORTED,
        Code.RESOURCE_EXHAUSTED,
        Code.PERMISSION_DENIED,
        Code.UNIMPLEMENTED,
    }
)
"""Codes of calls that changed nothing. After others, such as CANCELLED and UNAVAILABLE, the change
may have been made."""

exempt: ContextVar[bool] = ContextVar("exempt", default=False)
"""True once the current call has shown that it needs no entry if it succeeds."""


@dataclass(frozen=True, slots=True)
class _Written:
    """An entry for the writer."""

    entry: AuditEntry
    stored: Promise[bool] = field(default_factory=Promise)
    """Result of the first attempt to store it."""


class Audit:
    """Writes the audited calls of a server."""

    def __init__(
        self,
        store: Callable[[Sequence[AuditEntry]], Awaitable[object]],
        catalogs: Collection[str],
        clock: Clock = now_micros,
    ) -> None:
        """`store`: makes entries durable, all or none, or raises ServiceError. `catalogs`: the
        declared ones."""
        self._store, self._catalogs, self._clock = store, catalogs, clock
        self._refusals = Refusals()
        self._timer: asyncio.TimerHandle | None = None
        batches = BatchRules[_Written](
            key=lambda written: written.entry.entry_id,
            load=lambda _: 1,
            owner=lambda written: written.entry.caller,
            most=BATCH,
        )
        self._queue = BatchQueue(self._send, batches, METRICS, MOST_WAITING)

    async def note(
        self, method: str, catalog_id: str, error: BaseException | None, *, changed: bool = True
    ) -> None:
        """Write an entry for a call that has ended, also if its caller has disconnected.

        `catalog_id`: empty if the request was not read. `changed`: False if the call was not
        admitted, or only reads. Return once the entry is stored, but at once if the call failed and
        changed nothing. Store errors are counted and logged, not raised.
        """
        if isinstance(error, Unauthenticated) or (error is None and exempt.get()):
            return
        entry = self._entry(method, catalog_id, error)
        if error is not None and (not changed or entry.code in _UNCHANGED):
            self._refuse(entry)
            return
        written = self._write(entry)
        if written is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await written.stored.value()
            if not written.stored.given:
                telemetry.get_logger().error("audit entry not stored", entry=entry.entry_id)

    async def close(self, seconds: float) -> None:
        """Store what waits, for at most `seconds`."""
        if self._timer is not None:
            self._timer.cancel()
        for entry in self._refusals.rest():
            self._write(entry)
        await self._queue.close(seconds)

    def _refuse(self, entry: AuditEntry) -> None:
        first = self._refusals.first(entry, asyncio.get_running_loop().time())
        if first is None:
            METRICS.dropped.labels("too_many_callers").inc()
        elif first:
            self._write(entry)
            self._wait()

    def _wait(self) -> None:
        """Write the entries of minutes once they have ended."""
        end = self._refusals.next()
        if end is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            # In a separate context: the entries belong to no single call.
            self._timer = loop.call_at(end, self._end_minutes, context=Context())

    def _end_minutes(self) -> None:
        self._timer = None
        for entry in self._refusals.due(asyncio.get_running_loop().time()):
            self._write(entry)
        self._wait()

    def _write(self, entry: AuditEntry) -> _Written | None:
        """Log an entry and hand it to the writer. Return None if the writer has too many."""
        names = ("caller", "method", "code", "reason", "request_id", "left_out")
        fields = {name: getattr(entry, name) for name in names}
        # A warning: administrative calls are rare, and must stand out among lines of level info.
        telemetry.get_logger().warning("audit", logger="audit", catalog=entry.catalog_id, **fields)
        written = _Written(entry)
        return written if self._queue.offer(written) else None

    async def _send(self, batch: Sequence[_Written]) -> None:
        stored = False
        try:
            await self._store([written.entry for written in batch])
            stored = True
        except ServiceError as error:
            telemetry.get_logger().error("audit entries not stored yet", reason=error.reason)
            raise
        finally:
            for written in batch:
                written.stored.keep(stored)

    def _entry(self, method: str, catalog_id: str, error: BaseException | None) -> AuditEntry:
        now = self._clock()
        code, reason = _outcome(error)
        entry = AuditEntry(
            entry_id=new_id(now),
            caller=access.caller.get().name,
            method=method,
            catalog_id=catalog_id if catalog_id in self._catalogs else UNDECLARED,
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
        case NotImplementedError():
            return Code.UNIMPLEMENTED, "UNIMPLEMENTED"
        case asyncio.CancelledError():
            return Code.CANCELLED, ""
    return Code.INTERNAL, "INTERNAL"
