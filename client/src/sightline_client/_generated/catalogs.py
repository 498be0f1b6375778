"""Catalogs: created, changed and listed while the suite runs.

Made by client/generator from
api/catalogs.py: change that and run ``make proto``.
"""

from collections.abc import Mapping

from sightline_client._generated.base import SyncConnected
from sightline_client.values.catalogs import Catalog, SteeredBy


class SyncCatalogCalls(SyncConnected):
    """Catalogs: created, changed and listed while the suite runs."""

    def create_catalog(
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
        return self._loop.run(
            self._client.create_catalog(
                catalog_id,
                display_name=display_name,
                language_code=language_code,
                labels=labels,
                quota_share=quota_share,
                steered_by=steered_by,
                timeout=timeout,
            )
        )

    def update_catalog(
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
        return self._loop.run(
            self._client.update_catalog(
                catalog_id,
                display_name=display_name,
                language_code=language_code,
                labels=labels,
                quota_share=quota_share,
                steered_by=steered_by,
                etag=etag,
                timeout=timeout,
            )
        )
