"""CatalogRegistryService and CatalogListService on gRPC."""

from dataclasses import dataclass

from retriever.backup import copies
from retriever.catalog.registry import UNDO_DAYS, Registry
from retriever.domain.registry import CatalogAlias, CatalogEntry, CatalogUpdate, CatalogValues
from retriever.servicer import messages as wire
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import DEFAULT_CATALOG
from servicekit.jobs.queue import Jobs
from servicekit.rpc.catalog_registry import list_message
from servicekit.rpc.messages import UnknownMember, value_of
from servicekit.rpc.requests import RequestInvalid, enter, take_request_id
from servicekit.rpc.server import Context
from sightline.common.v1 import catalog_list_service_pb2 as list_pb
from sightline.common.v1 import catalog_list_service_pb2_grpc, job_pb2
from sightline.retriever.v1 import catalog_registry_service_pb2 as pb


@dataclass(frozen=True)
class CatalogListServicer(catalog_list_service_pb2_grpc.CatalogListServiceServicer):
    """Servicer of catalog_list_service.proto."""

    registry: Registry

    async def ReadCatalogList(
        self, request: list_pb.ReadCatalogListRequest, context: Context
    ) -> list_pb.ReadCatalogListResponse:
        found = await self.registry.record.catalog_list(request.known_revision)
        if found is None:
            return list_pb.ReadCatalogListResponse(
                revision=request.known_revision, not_modified=True
            )
        return list_message(found)

    async def ConfirmRemoval(
        self, request: list_pb.ConfirmRemovalRequest, context: Context
    ) -> list_pb.ConfirmRemovalResponse:
        await self.registry.confirm(request.catalog_id, request.uid, request.service)
        return list_pb.ConfirmRemovalResponse()


@dataclass(frozen=True)
class CatalogRegistryServicer:
    """Servicer of catalog_registry_service.proto."""

    registry: Registry
    catalogs: KnownCatalogs
    """Those of this process, which know a change once its call is answered."""
    jobs: Jobs

    async def CreateCatalog(self, request: pb.CreateCatalogRequest, context: Context) -> pb.Catalog:
        take_request_id(request.request_id)
        made = await self.registry.create(request.catalog_id, _values(request.catalog))
        await self.catalogs.refresh()
        return self._message(made)

    async def GetCatalog(self, request: pb.GetCatalogRequest, context: Context) -> pb.Catalog:
        take_request_id(request.request_id)
        return self._message(await self.registry.get(request.catalog_id or DEFAULT_CATALOG))

    async def ListCatalogs(
        self, request: pb.ListCatalogsRequest, context: Context
    ) -> pb.ListCatalogsResponse:
        take_request_id(request.request_id)
        found, token = await self.registry.page(request.page_size, request.page_token)
        return pb.ListCatalogsResponse(catalogs=map(self._message, found), next_page_token=token)

    async def UpdateCatalog(self, request: pb.UpdateCatalogRequest, context: Context) -> pb.Catalog:
        take_request_id(request.request_id)
        values, paths = _values(request.catalog), tuple(request.update_mask.paths)
        update = CatalogUpdate(values, paths, request.catalog.etag)
        changed = await self.registry.update(request.catalog_id or DEFAULT_CATALOG, update)
        await self.catalogs.refresh()
        return self._message(changed)

    async def DeleteCatalog(self, request: pb.DeleteCatalogRequest, context: Context) -> pb.Catalog:
        take_request_id(request.request_id)
        term = request.undo_days if request.HasField("undo_days") else UNDO_DAYS
        catalog_id = request.catalog_id or DEFAULT_CATALOG
        deleted = await self.registry.delete(catalog_id, term, request.etag)
        await self.catalogs.refresh()
        return self._message(deleted)

    async def UndeleteCatalog(
        self, request: pb.UndeleteCatalogRequest, context: Context
    ) -> pb.Catalog:
        take_request_id(request.request_id)
        restored = await self.registry.undelete(request.catalog_id or DEFAULT_CATALOG)
        await self.catalogs.refresh()
        return self._message(restored)

    async def CopyCatalog(self, request: pb.CopyCatalogRequest, context: Context) -> job_pb2.Job:
        source = enter(request.catalog_id, request.request_id, self.catalogs)
        rules = copies.CopyRules([*self.registry.declared], self.registry.room)
        job = await copies.ask_copy(
            source,
            request.target_catalog_id,
            self.registry.record,
            self.jobs,
            rules=rules,
            request_id=request.request_id,
        )
        return wire.job(job)

    async def SetCatalogAlias(
        self, request: pb.SetCatalogAliasRequest, context: Context
    ) -> pb.CatalogAlias:
        take_request_id(request.request_id)
        catalog_id = request.catalog_id or DEFAULT_CATALOG
        changed = await self.registry.set_alias(request.alias_id, catalog_id, request.etag)
        return _alias(changed)

    async def ListCatalogAliases(
        self, request: pb.ListCatalogAliasesRequest, context: Context
    ) -> pb.ListCatalogAliasesResponse:
        take_request_id(request.request_id)
        found = await self.registry.record.catalog_aliases()
        return pb.ListCatalogAliasesResponse(aliases=map(_alias, found))

    async def DeleteCatalogAlias(
        self, request: pb.DeleteCatalogAliasRequest, context: Context
    ) -> pb.DeleteCatalogAliasResponse:
        take_request_id(request.request_id)
        deleted = await self.registry.record.delete_alias(request.alias_id, request.etag)
        return pb.DeleteCatalogAliasResponse(deleted=deleted)

    def _message(self, entry: CatalogEntry) -> pb.Catalog:
        return _catalog(entry, entry.values, declared=entry.catalog_id in self.registry.declared)


_catalog = wire.message_of.writer(
    pb.Catalog,
    CatalogEntry,
    CatalogValues,
    labels=lambda _, values: [{"name": name, "value": value} for name, value in values.labels],
    declared=None,
)
_alias = wire.message_of.writer(pb.CatalogAlias, CatalogAlias)


def _values(message: pb.Catalog) -> CatalogValues:
    labels = sorted((each.name, each.value) for each in message.labels)
    try:
        return value_of(CatalogValues, message, labels=tuple(labels))
    except UnknownMember as error:
        raise RequestInvalid.at(
            f"catalog.{error.field}", "is not one of the known values"
        ) from error
