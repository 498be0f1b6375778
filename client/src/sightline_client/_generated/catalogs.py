"""Catalogs: created, changed and listed while the suite runs.

Made from api/catalogs.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Mapping

from sightline_client._generated.base import SyncConnected
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.operations import Job


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
        return self._loop.run(
            self._client.create_catalog(
                catalog_id,
                display_name=display_name,
                language_code=language_code,
                labels=labels,
                quota_share=quota_share,
                timeout=timeout,
            )
        )

    def get_catalog(self, catalog_id: str = "", *, timeout: float | None = None) -> Catalog:
        """Return a catalog; ``catalog_id`` "" = that of this client. NotFound
        (CATALOG_NOT_FOUND)."""
        return self._loop.run(self._client.get_catalog(catalog_id, timeout=timeout))

    def list_catalogs(self, *, timeout: float | None = None) -> tuple[Catalog, ...]:
        """Return the catalogs that the token permits, by id, those that settings declare included.
        ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_catalogs(timeout=timeout))

    def update_catalog(
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
        return self._loop.run(
            self._client.update_catalog(
                catalog_id,
                display_name=display_name,
                language_code=language_code,
                labels=labels,
                quota_share=quota_share,
                etag=etag,
                timeout=timeout,
            )
        )

    def delete_catalog(
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
        return self._loop.run(
            self._client.delete_catalog(catalog_id, undo_days=undo_days, etag=etag, timeout=timeout)
        )

    def undelete_catalog(self, catalog_id: str, *, timeout: float | None = None) -> Catalog:
        """Restore a deleted catalog with all its content. FailedPrecondition (CATALOG_REMOVING)
        after its term."""
        return self._loop.run(self._client.undelete_catalog(catalog_id, timeout=timeout))

    def copy_catalog(
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
        return self._loop.run(
            self._client.copy_catalog(target_catalog, request_id=request_id, timeout=timeout)
        )

    def set_catalog_alias(
        self, alias_id: str, catalog_id: str, *, etag: str = "", timeout: float | None = None
    ) -> CatalogAlias:
        """Let a name stand for a catalog, in place of the one that it stood for: requests that name
        it are requests to the catalog. ``etag``: Aborted (ETAG_MISMATCH) if the alias has changed
        since; "" = any. AlreadyExists (CATALOG_EXISTS) for the id of a catalog."""
        return self._loop.run(
            self._client.set_catalog_alias(alias_id, catalog_id, etag=etag, timeout=timeout)
        )

    def list_catalog_aliases(self, *, timeout: float | None = None) -> tuple[CatalogAlias, ...]:
        """Return the aliases that stand for catalogs that the token permits, by name."""
        return self._loop.run(self._client.list_catalog_aliases(timeout=timeout))

    def delete_catalog_alias(
        self, alias_id: str, *, etag: str = "", timeout: float | None = None
    ) -> bool:
        """Delete an alias; its catalog stays. Return whether there was one. ``etag``: Aborted
        (ETAG_MISMATCH) if the alias has changed since; "" = any."""
        return self._loop.run(
            self._client.delete_catalog_alias(alias_id, etag=etag, timeout=timeout)
        )
