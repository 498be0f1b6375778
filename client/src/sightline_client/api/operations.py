"""Jobs, backups and the state of the suite."""

import asyncio
from collections.abc import AsyncIterator

from sightline.common.v1 import audit_service_pb2, job_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import Unavailable
from sightline_client.values.operations import AuditDrop, AuditSeal, Job

_WATCH_TRIES = 5
_WATCH_PAUSE = 0.5
"""Seconds before a broken watch is resumed."""


class OperationCalls(Connected):
    """Calls about jobs, backups and the state of the suite."""

    async def watch_job(self, job_id: str, *, timeout: float | None = None) -> AsyncIterator[Job]:
        """Yield the job at once and at every change until it has ended. ``timeout`` None = no
        limit. A lost connection is restored, so that a state may be yielded twice."""
        with to_wire.sendable("request"):
            request = job_service_pb2.WatchJobRequest(catalog_id=self.catalog, job_id=job_id)
        clock, tries = asyncio.get_running_loop().time, 0
        end = None if timeout is None else clock() + timeout
        while True:
            left = None if end is None else end - clock()
            try:
                async for message in self.calls.stream(self.calls.jobs.WatchJob, request, left):
                    tries = 0
                    job = from_wire.job(message)
                    yield job
                    if job.ended:
                        return
            except Unavailable:
                tries += 1
                late = end is not None and clock() + _WATCH_PAUSE >= end
                if tries == _WATCH_TRIES or late:
                    raise
                await asyncio.sleep(_WATCH_PAUSE)
            else:
                return

    async def drop_audit_entries(
        self, store: str, seal: AuditSeal, *, timeout: float | None = None
    ) -> AuditDrop:
        """Delete the entries of a store up to ``seal``, the last one of an archive; call it again
        while the result is ``unfinished``. FailedPrecondition: AUDIT_SEAL_MISMATCH, AUDIT_TERM."""
        method, kind = self.calls.admin.DropAuditEntries, audit_service_pb2.DropAuditEntriesRequest
        fields = {"store": store, "number": seal.number, "hash": seal.hash}
        return from_wire.audit_drop(await self._ask(method, kind, timeout, **fields))
