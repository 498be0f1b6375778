"""Calls of CatalogService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import AsyncIterator, Iterable

from sightline.gateway.v1 import catalog_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests
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


class CatalogServiceCalls(Connected):
    """Calls of CatalogService."""

    async def get_product(
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
        return from_wire.product(
            await self._ask(
                self.calls.catalog.GetProduct,
                catalog_service_pb2.GetProductRequest,
                timeout,
                product_id=product_id,
                market_id=market,
            )
        )

    async def list_misfits(
        self, *, min_lead: float | None = None, timeout: float | None = None
    ) -> AsyncIterator[PhotoMisfit]:
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
        async for page in self._ask_pages(
            self.calls.catalog.ListMisfits,
            catalog_service_pb2.ListMisfitsRequest,
            timeout,
            min_lead=min_lead,
        ):
            for each in page.misfits:
                yield from_wire.photo_misfit(each)

    async def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> Deletion:
        """Delete up to 1,000 products. A product that does not exist counts as deleted.

        Args:
            product_ids: 1 to 1,000 product ids.
        """
        return from_wire.deletion(
            await self._ask(
                self.calls.catalog.DeleteProducts,
                catalog_service_pb2.DeleteProductsRequest,
                timeout,
                product_ids=product_ids,
            )
        )

    async def purge_products(
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
        return from_wire.product_purge(
            await self._ask(
                self.calls.catalog.PurgeProducts,
                catalog_service_pb2.PurgeProductsRequest,
                timeout,
                filter=filter,
                force=force,
                request_id=requests.own_id(request_id),
            )
        )

    async def open_import(
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
        return from_wire.import_state(
            await self._ask(
                self.calls.catalog.OpenImport,
                catalog_service_pb2.OpenImportRequest,
                timeout,
                import_id=import_id,
                mode=mode,
            )
        )

    async def close_import(
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
        return from_wire.import_close(
            await self._ask(
                self.calls.catalog.CloseImport,
                catalog_service_pb2.CloseImportRequest,
                timeout,
                import_id=import_id,
                force=force,
                dry_run=dry_run,
            )
        )

    async def rejected_rows(
        self, *, top: int = 0, timeout: float | None = None
    ) -> tuple[RejectedRow, ...]:
        """Return the newest rows that open imports rejected, with the reasons: rows of the import
        that took rows last come first, and of each import the highest row numbers. Closing an
        import deletes what is kept of its rows.

        Args:
            top: Maximum number of rows, 1 to 100. Default: 10. Other values are rejected with
                PAGE_SIZE_INVALID.
        """
        return tuple(
            [
                from_wire.rejected_row(each)
                for each in (
                    await self._ask(
                        self.calls.catalog.ListRejectedRows,
                        catalog_service_pb2.ListRejectedRowsRequest,
                        timeout,
                        page_size=top,
                    )
                ).rows
            ]
        )

    async def mark_distinct_products(
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
        return tuple(
            [
                from_wire.distinct_pair(each)
                for each in (
                    await self._ask(
                        self.calls.catalog.MarkDistinctProducts,
                        catalog_service_pb2.MarkDistinctProductsRequest,
                        timeout,
                        product_ids=product_ids,
                    )
                ).pairs
            ]
        )

    async def unmark_distinct_products(
        self, product_ids: Iterable[str], *, timeout: float | None = None
    ) -> int:
        """Take decisions of ``mark_distinct_products`` back: those about each two of the named
        products.

        Args:
            product_ids: 2 to 20 product ids, each once.
        """
        return (
            await self._ask(
                self.calls.catalog.UnmarkDistinctProducts,
                catalog_service_pb2.UnmarkDistinctProductsRequest,
                timeout,
                product_ids=product_ids,
            )
        ).deleted_count

    async def list_distinct_products(
        self, *, timeout: float | None = None
    ) -> AsyncIterator[DistinctPair]:
        """Yield the pairs of products that were decided to be different, in no particular order.
        Fails with PAGE_TOKEN_INVALID. They are read page by page; ``timeout`` is that of one page.

        Raises:
            InvalidRequest: PAGE_TOKEN_INVALID.
        """
        async for page in self._ask_pages(
            self.calls.catalog.ListDistinctProducts,
            catalog_service_pb2.ListDistinctProductsRequest,
            timeout,
            page_size=200,
        ):
            for each in page.pairs:
                yield from_wire.distinct_pair(each)

    async def get_image(self, image_id: str, *, timeout: float | None = None) -> ProductImage:
        """Return the bytes of a photo. Fails with IMAGE_NOT_FOUND.

        Args:
            image_id: Id of the photo: 64 hexadecimal digits.

        Raises:
            NotFound: IMAGE_NOT_FOUND.
        """
        return from_wire.image(
            await self._ask(
                self.calls.catalog.GetImage,
                catalog_service_pb2.GetImageRequest,
                timeout,
                image_id=image_id,
            )
        )
