"""BackupService on gRPC: translate, call the use case, translate back."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from retriever.backup import backups
from retriever.domain.archive import generations_of, table_file
from retriever.record import Record
from retriever.servicer import messages as wire
from retriever.servicer import vector_messages
from servicekit.artefacts.backups import Backups
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from servicekit.status import to_status
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import backup_service_pb2 as pb


@dataclass(frozen=True)
class BackupServicer:
    """Servicer of backup_service.proto."""

    catalogs: Collection[str]
    record: Record
    store: Backups
    jobs: Jobs
    quota: backups.Quota
    clock: Callable[[], int] = now_micros

    async def CreateBackup(self, request: pb.CreateBackupRequest, context: Context) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        job = await backups.create(
            catalog,
            self.store,
            self.jobs,
            self.quota,
            now=self.clock(),
            request_id=request.request_id,
        )
        return wire.job(job)

    async def ListBackups(
        self, request: pb.ListBackupsRequest, context: Context
    ) -> pb.ListBackupsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, token = await backups.list_backups(
            catalog, self.store, size=request.page_size, token=request.page_token
        )
        return pb.ListBackupsResponse(
            backups=[_backup(item) for item in found], next_page_token=token
        )

    async def DeleteBackup(
        self, request: pb.DeleteBackupRequest, context: Context
    ) -> pb.DeleteBackupResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        size = await self.store.run(lambda: self.store.delete(catalog, request.backup_id))
        return pb.DeleteBackupResponse(size=size)

    async def RestoreBackup(
        self, request: pb.RestoreBackupRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        job = await backups.ask_restore(
            catalog,
            request.backup_id,
            self.record,
            self.store,
            self.jobs,
            source=request.source_catalog_id,
            force=request.force,
            unsigned=request.accept_unsigned,
            request_id=request.request_id,
        )
        return wire.job(job)


def _backup(item: backups.Listed) -> pb.Backup:
    message = pb.Backup(backup_id=item.backup_id, size=item.size)
    try:
        if isinstance(item.found, ServiceError):
            raise item.found
        counts = {
            f"{table.removesuffix('s')}_count": item.found.rows(table_file(table))
            for table in ("products", "images", "vectors")
        }
        message.MergeFrom(wire.message_of(pb.Backup, item.found, **counts))
        message.spaces.extend(map(vector_messages.space_version, generations_of(item.found)))
    except ServiceError as error:
        message.status.CopyFrom(to_status(error))
    return message
