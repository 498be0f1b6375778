"""Calls of CatalogService.

Made by client/generator from
api/_generated/catalog_service_calls.py: change that and run ``make proto``.
"""

from collections.abc import Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.values.catalog import (
    Deletion,
    DistinctPair,
    ImportMode,
    ImportState,
    PhotoMisfit,
    Product,
    ProductImage,
)
from sightline_client.values.filters import Filter
from sightline_client.values.operations import ImportClose, ProductPurge, RejectedRow


class SyncCatalogServiceCalls(SyncConnected):
    """Calls of CatalogService."""

    def get_product(
        self, product_id: str, *, market: str = "", timeout: float | None = None
    ) -> Product:
        """Return a product. Fails with PRODUCT_NOT_FOUND.

        Args:
            product_id: Id of the product.
            market: Market whose values the product has in the response (see Filter.market_id);
                a product that is not sold there is PRODUCT_NOT_FOUND. Default: the product as
                stored, with all its markets.

        Raises:
            NotFound: PRODUCT_NOT_FOUND.
        """
        return self._loop.run(self._client.get_product(product_id, market=market, timeout=timeout))

    def list_misfits(
        self, *, min_lead: float | None = None, timeout: float | None = None
    ) -> Iterator[PhotoMisfit]:
        """Yield photos that are nearer to another product's photos than to those of their own
        product, such as photos that were uploaded to the wrong product. Products with at least two
        photos are judged, page by page over the whole catalog. Fails with SPACE_UNAVAILABLE (no
        photo is indexed, or the index generation of the first page was replaced),
        PAGE_TOKEN_INVALID, INDEX_UNAVAILABLE. They are read page by page; ``timeout`` is that of
        one page.

        Args:
            min_lead: Least ``lead`` of a misfit, 0 to 2. Default: 0.2, see
                docs/integrate/inspect.md.

        Raises:
            NotFound: SPACE_UNAVAILABLE.
            InvalidRequest: PAGE_TOKEN_INVALID.
            Unavailable: INDEX_UNAVAILABLE.
        """
        return self._loop.iterate(self._client.list_misfits(min_lead=min_lead, timeout=timeout))

    def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> Deletion:
        """Delete up to 1,000 products. A product that does not exist counts as deleted.

        Args:
            product_ids: 1 to 1,000 product ids.
        """
        return self._loop.run(self._client.delete_products(product_ids, timeout=timeout))

    def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Count the products that pass a filter and returns some of their ids. With ``force``,
        starts a job that deletes them.

        Args:
            filter: Filter of the products to delete. ``all_of()`` passes every product.
            force: If true, deletes them. Default: only counts them.
            request_id: The same id returns the same job.
        """
        return self._loop.run(
            self._client.purge_products(filter, force=force, request_id=request_id, timeout=timeout)
        )

    def open_import(
        self,
        import_id: str,
        *,
        mode: ImportMode = ImportMode.INCREMENTAL,
        timeout: float | None = None,
    ) -> ImportState:
        """Open an import, or returns the progress of an existing one.

        Args:
            import_id: Id of the import, chosen by the caller: 1 to 128 bytes.
            mode: Must not change when an import is resumed (IMPORT_MODE_MISMATCH).
        """
        return self._loop.run(self._client.open_import(import_id, mode=mode, timeout=timeout))

    def close_import(
        self,
        import_id: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> ImportClose:
        """Close an import. With FULL it first counts the products that the import does not contain
        and returns some of their ids. A job deletes them, unless they exceed the configured share
        of the catalog and ``force`` is False (IMPORT_DELETES_TOO_MUCH).

        Args:
            import_id: Id of the import.
            force: With FULL: if true, deletes products even if they exceed the configured share
                of the catalog.
            dry_run: If true, only counts the products that would be deleted. The import stays
                open.

        Raises:
            FailedPrecondition: IMPORT_DELETES_TOO_MUCH.
        """
        return self._loop.run(
            self._client.close_import(import_id, force=force, dry_run=dry_run, timeout=timeout)
        )

    def rejected_rows(
        self, *, top: int = 0, timeout: float | None = None
    ) -> tuple[RejectedRow, ...]:
        """Return the newest rows that open imports rejected, with the reasons: rows of the import
        that took rows last come first, and of each import the highest row numbers. Closing an
        import deletes what is kept of its rows.

        Args:
            top: Maximum number of rows, 1 to 100. Default: 10. Other values are rejected with
                PAGE_SIZE_INVALID.
        """
        return self._loop.run(self._client.rejected_rows(top=top, timeout=timeout))

    def mark_distinct_products(
        self, product_ids: Iterable[str], *, timeout: float | None = None
    ) -> tuple[DistinctPair, ...]:
        """Decide that products of the same picture are different ones: each two of those named. A
        pair stays decided until one of the two is deleted or gets another first photo; deciding it
        again changes nothing. Lists of products to decide on leave decided pairs out; answers go on
        showing one product of a picture. Fails with PRODUCT_NOT_FOUND, DISTINCT_PAIRS_FULL.

        Args:
            product_ids: 2 to 20 product ids, each once.

        Raises:
            NotFound: PRODUCT_NOT_FOUND.
            ResourceExhausted: DISTINCT_PAIRS_FULL.
        """
        return self._loop.run(self._client.mark_distinct_products(product_ids, timeout=timeout))

    def unmark_distinct_products(
        self, product_ids: Iterable[str], *, timeout: float | None = None
    ) -> int:
        """Take decisions of ``mark_distinct_products`` back: those about each two of the named
        products.

        Args:
            product_ids: 2 to 20 product ids, each once.
        """
        return self._loop.run(self._client.unmark_distinct_products(product_ids, timeout=timeout))

    def list_distinct_products(self, *, timeout: float | None = None) -> Iterator[DistinctPair]:
        """Yield the pairs of products that were decided to be different, in no particular order.
        Fails with PAGE_TOKEN_INVALID. They are read page by page; ``timeout`` is that of one page.

        Raises:
            InvalidRequest: PAGE_TOKEN_INVALID.
        """
        return self._loop.iterate(self._client.list_distinct_products(timeout=timeout))

    def get_image(self, image_id: str, *, timeout: float | None = None) -> ProductImage:
        """Return the bytes of a photo. Fails with IMAGE_NOT_FOUND.

        Args:
            image_id: Id of the photo: 64 hexadecimal digits.

        Raises:
            NotFound: IMAGE_NOT_FOUND.
        """
        return self._loop.run(self._client.get_image(image_id, timeout=timeout))
