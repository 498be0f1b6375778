"""Catalogs: created, changed and listed while the suite runs."""

from collections.abc import Mapping

from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.operations import Job


class CatalogCalls(Connected):
    """Calls about catalogs, which name the catalog of the client unless another one is given."""

    async def create_catalog(
        self,
        catalog_id: str,
        *,
        display_name: str = "",
        language_code: str = "",
        labels: Mapping[str, str] | None = None,
        quota_share: float = 1.0,
        timeout: float | None = None,
    ) -> Catalog:
        """Create a catalog, which can be used as soon as this returns. Repeated with the same
        values it returns the catalog; AlreadyExists (CATALOG_EXISTS) with others.

        Args:
            catalog_id: 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit.
            display_name: Name for people, up to 200 characters.
            language_code: Language of answers to requests that name none; "" = English.
            labels: Up to 32, for tools of the operator.
            quota_share: Factor of the quotas of each caller in this catalog, 0.01 to 100.
            timeout: Seconds; None = the client's.
        """
        values = pb.Catalog(
            display_name=display_name, language_code=language_code, quota_share=quota_share
        )
        with to_wire.sendable("request"):
            values.labels.extend(to_wire.catalog_labels(labels or {}))
            request = pb.CreateCatalogRequest(catalog_id=catalog_id, catalog=values)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.CreateCatalog, request, timeout)
        )

    async def get_catalog(self, catalog_id: str = "", *, timeout: float | None = None) -> Catalog:
        """Return a catalog; ``catalog_id`` "" = that of this client. NotFound
        (CATALOG_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = pb.GetCatalogRequest(catalog_id=catalog_id or self.catalog)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.GetCatalog, request, timeout)
        )

    async def list_catalogs(self, *, timeout: float | None = None) -> tuple[Catalog, ...]:
        """Return the catalogs that the token permits, by id, those that settings declare included.
        ``timeout`` is that of one page."""
        request = pb.ListCatalogsRequest(catalog_id=self.catalog, page_size=1_000)
        pages = self._pages(self.calls.admin.ListCatalogs, request, timeout)
        return tuple(
            [from_wire.registered_catalog(one) async for page in pages for one in page.catalogs]
        )

    async def update_catalog(
        self,
        catalog_id: str = "",
        *,
        display_name: str | None = None,
        language_code: str | None = None,
        labels: Mapping[str, str] | None = None,
        quota_share: float | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> Catalog:
        """Change the ``display_name``, ``language_code``, ``labels`` (all of them) or
        ``quota_share`` of a catalog, unless None; ``catalog_id`` "" = that of this client.
        ``etag``: Aborted (ETAG_MISMATCH) if the catalog has changed since."""
        values, paths = pb.Catalog(etag=etag), []
        given = {
            "display_name": display_name,
            "language_code": language_code,
            "quota_share": quota_share,
        }
        with to_wire.sendable("request"):
            for name, value in given.items():
                if value is not None:
                    setattr(values, name, value)
                    paths.append(name)
            if labels is not None:
                values.labels.extend(to_wire.catalog_labels(labels))
                paths.append("labels")
            request = pb.UpdateCatalogRequest(catalog_id=catalog_id or self.catalog, catalog=values)
            request.update_mask.paths.extend(paths)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.UpdateCatalog, request, timeout)
        )

    async def delete_catalog(
        self,
        catalog_id: str,
        *,
        undo_days: float = 7.0,
        etag: str = "",
        timeout: float | None = None,
    ) -> Catalog:
        """Delete a catalog: calls for it fail with CATALOG_DELETED, and all services remove what
        they have of it after ``undo_days`` (0 to 365). FailedPrecondition (CATALOG_DECLARED).
        ``etag``: Aborted (ETAG_MISMATCH) if the catalog has changed since."""
        with to_wire.sendable("request"):
            request = pb.DeleteCatalogRequest(catalog_id=catalog_id, undo_days=undo_days, etag=etag)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.DeleteCatalog, request, timeout)
        )

    async def undelete_catalog(self, catalog_id: str, *, timeout: float | None = None) -> Catalog:
        """Restore a deleted catalog with all its content. FailedPrecondition (CATALOG_REMOVING)
        after its term."""
        with to_wire.sendable("request"):
            request = pb.UndeleteCatalogRequest(catalog_id=catalog_id)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.UndeleteCatalog, request, timeout)
        )

    async def copy_catalog(
        self, target_catalog: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that copies this client's catalog into a new one: products, photos, vectors
        and settings. Follow it with ``watch_job``; the new catalog can be used once it succeeds.
        AlreadyExists (CATALOG_EXISTS).

        Args:
            target_catalog: Id of the new catalog.
            request_id: The same id returns the same job.
            timeout: Seconds; None = the client's.
        """
        with to_wire.sendable("request"):
            request = pb.CopyCatalogRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                target_catalog_id=target_catalog,
            )
        return from_wire.job(await self._call(self.calls.admin.CopyCatalog, request, timeout))

    async def set_catalog_alias(
        self, alias_id: str, catalog_id: str, *, etag: str = "", timeout: float | None = None
    ) -> CatalogAlias:
        """Let a name stand for a catalog, in place of the one that it stood for: requests that name
        it are requests to the catalog. ``etag``: Aborted (ETAG_MISMATCH) if the alias has changed
        since; "" = any. AlreadyExists (CATALOG_EXISTS) for the id of a catalog."""
        with to_wire.sendable("request"):
            request = pb.SetCatalogAliasRequest(alias_id=alias_id, catalog_id=catalog_id, etag=etag)
        return from_wire.catalog_alias(
            await self._call(self.calls.admin.SetCatalogAlias, request, timeout)
        )

    async def list_catalog_aliases(
        self, *, timeout: float | None = None
    ) -> tuple[CatalogAlias, ...]:
        """Return the aliases that stand for catalogs that the token permits, by name."""
        request = pb.ListCatalogAliasesRequest(catalog_id=self.catalog)
        answer = await self._call(self.calls.admin.ListCatalogAliases, request, timeout)
        return tuple(map(from_wire.catalog_alias, answer.aliases))

    async def delete_catalog_alias(
        self, alias_id: str, *, etag: str = "", timeout: float | None = None
    ) -> bool:
        """Delete an alias; its catalog stays. Return whether there was one. ``etag``: Aborted
        (ETAG_MISMATCH) if the alias has changed since; "" = any."""
        with to_wire.sendable("request"):
            request = pb.DeleteCatalogAliasRequest(
                catalog_id=self.catalog, alias_id=alias_id, etag=etag
            )
        answer = await self._call(self.calls.admin.DeleteCatalogAlias, request, timeout)
        return bool(answer.deleted)
