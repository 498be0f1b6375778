"""Catalogs: created, changed and listed while the suite runs."""

from collections.abc import Mapping

from sightline.retriever.v1 import catalog_registry_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.catalogs import Catalog, SteeredBy


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
        steered_by: SteeredBy = SteeredBy.FILES,
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
            steered_by: What steers the scenes of the catalog.
            timeout: Seconds; None = the client's.
        """
        values = pb.Catalog(
            display_name=display_name, language_code=language_code, quota_share=quota_share
        )
        with to_wire.sendable("request"):
            values.steered_by = _source(steered_by)
            values.labels.extend(to_wire.catalog_labels(labels or {}))
            request = pb.CreateCatalogRequest(catalog_id=catalog_id, catalog=values)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.CreateCatalog, request, timeout)
        )

    async def update_catalog(
        self,
        catalog_id: str = "",
        *,
        display_name: str | None = None,
        language_code: str | None = None,
        labels: Mapping[str, str] | None = None,
        quota_share: float | None = None,
        steered_by: SteeredBy | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> Catalog:
        """Change the ``display_name``, ``language_code``, ``labels`` (all of them),
        ``quota_share`` or ``steered_by`` of a catalog, unless None; ``catalog_id`` "" = that of
        this client.
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
            if steered_by is not None:
                values.steered_by = _source(steered_by)
                paths.append("steered_by")
            if labels is not None:
                values.labels.extend(to_wire.catalog_labels(labels))
                paths.append("labels")
            request = pb.UpdateCatalogRequest(catalog_id=catalog_id or self.catalog, catalog=values)
            request.update_mask.paths.extend(paths)
        return from_wire.registered_catalog(
            await self._call(self.calls.admin.UpdateCatalog, request, timeout)
        )


def _source(steered_by: SteeredBy) -> pb.SteeredBy.ValueType:
    """Convert what steers scenes. Raises ValueError."""
    return pb.SteeredBy.Value(f"STEERED_BY_{steered_by}")
