"""Products: writes, imports, reads and deletions."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable

from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.retriever.v1 import photo_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.errors import check_answered
from sightline_client.transport import row_import, writing
from sightline_client.transport.write_batches import Batches
from sightline_client.values import catalog
from sightline_client.values.filters import Filter
from sightline_client.values.operations import ImportClose, ProductPurge, Takedown
from sightline_client.values.products import Product
from sightline_client.values.updates import ProductUpdate

_PAGE = 200


class ProductCalls(Connected):
    """Calls about products: writes, imports, reads and deletions."""

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> Batches[catalog.UpsertBatch, catalog.UpsertReport]:
        """Create or replace whole products, in batches of up to ``batch_size`` (1 to 100) products
        and 32 MiB.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable. A
        rejected product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return self._writer().products(products, batch_size)

    async def get_product(
        self, product_id: str, *, market: str = "", timeout: float | None = None
    ) -> Product:
        """Return a product. NotFound (PRODUCT_NOT_FOUND). ``market``: with the values of a market,
        which can't be written back; "" = as stored, with those of all markets."""
        with to_wire.sendable("request"):
            request = catalog_pb2.GetProductRequest(
                catalog_id=self.catalog, product_id=product_id, market_id=market
            )
        return from_wire.product(await self._call(self.calls.catalog.GetProduct, request, timeout))

    async def list_products(
        self,
        *,
        filter: Filter | None = None,
        market: str = "",
        order: catalog.ProductOrder = catalog.ProductOrder.PRODUCT_ID,
        doubted_only: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Product]:
        """Yield every product that passes ``filter``, by ``order``, read page by page. ``timeout``
        is that of one page. ``market``: only products that are sold there, with its values.
        ``doubted_only``: only those with a ``category_doubt``."""
        with to_wire.sendable("request"):
            request = catalog_pb2.ListProductsRequest(
                catalog_id=self.catalog,
                filter=to_wire.filter_(filter),
                order=catalog_pb2.ListProductsRequest.Order.Value(f"ORDER_{order}"),
                page_size=_PAGE,
                doubted_only=doubted_only,
            )
            if market:
                request.filter.market_id = market
        async for page in self._pages(self.calls.catalog.ListProducts, request, timeout):
            for message in page.products:
                yield from_wire.product(message)

    async def list_misfits(
        self, *, min_lead: float | None = None, timeout: float | None = None
    ) -> AsyncIterator[catalog.PhotoMisfit]:
        """Yield the photos of the catalog that do not fit their product, read page by page: each
        is nearer to another product's photos. ``min_lead``: least ``lead``; `None`: 0.2.
        ``timeout`` is that of one page."""
        with to_wire.sendable("request"):
            request = catalog_pb2.ListMisfitsRequest(catalog_id=self.catalog, min_lead=min_lead)
        async for page in self._pages(self.calls.catalog.ListMisfits, request, timeout):
            for message in page.misfits:
                yield from_wire.photo_misfit(message)

    async def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> catalog.Deletion:
        """Delete up to 1,000 products. An id that does not exist counts as deleted."""
        with to_wire.sendable("request"):
            request = catalog_pb2.DeleteProductsRequest(
                catalog_id=self.catalog, product_ids=requests.ids(product_ids)
            )
        return from_wire.deletion(
            await self._call(self.calls.catalog.DeleteProducts, request, timeout)
        )

    async def update_products(
        self, updates: Iterable[ProductUpdate], *, timeout: float | None = None
    ) -> tuple[catalog.UpsertOutcome, ...]:
        """Change the named fields of up to 100 products, no product twice. A rejected change is in
        the outcomes with its error and never fails the rest."""
        with to_wire.sendable("request"):
            request = catalog_pb2.UpdateProductsRequest(
                catalog_id=self.catalog, updates=[to_wire.update(update) for update in updates]
            )
        response = await self._call(self.calls.catalog.UpdateProducts, request, timeout)
        check_answered(len(request.updates), len(response.results))
        return tuple(map(from_wire.upsert_outcome, response.results))

    def update_offers(
        self,
        offers: Iterable[catalog.Offer] | AsyncIterable[catalog.Offer],
        *,
        market: str = "",
        batch_size: int = writing.MAX_OFFERS,
    ) -> Batches[catalog.OfferBatch, catalog.OfferReport]:
        """Set prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000). Answers
        and filters use them at once. ``market``: whose values are set, of products that list it
        (else MARKET_NOT_FOUND); "" = the products' own.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        """
        return self._writer().offers(offers, batch_size, market)

    async def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Count the products that pass and name some; with ``force``, start a job that deletes
        them. ``all_of()`` passes every product. The same ``request_id`` returns the same job."""
        with to_wire.sendable("request"):
            request = catalog_pb2.PurgeProductsRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                filter=to_wire.filter_(filter),
                force=force,
            )
        return from_wire.product_purge(
            await self._call(self.calls.catalog.PurgeProducts, request, timeout)
        )

    async def open_import(
        self,
        import_id: str,
        *,
        mode: catalog.ImportMode = catalog.ImportMode.INCREMENTAL,
        timeout: float | None = None,
    ) -> catalog.ImportState:
        """Open an import, or return the progress of the open one with this id. ``mode``: what
        happens to products that it does not mention."""
        with to_wire.sendable("request"):
            request = catalog_pb2.OpenImportRequest(
                catalog_id=self.catalog, import_id=import_id, mode=to_wire.import_mode(mode)
            )
        return from_wire.import_state(
            await self._call(self.calls.catalog.OpenImport, request, timeout)
        )

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> Batches[catalog.ImportBatch, catalog.ImportReport]:
        """Write the rows of an open import: the first product is row 1. Rows up to ``after`` (the
        state's ``rows_done``) are skipped. ``in_flight`` batches are sent at once; while the suite
        is unavailable, a batch is retried for up to ``patience`` seconds.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable. An
        interrupted import continues when it is opened again under the same id.
        """
        sender = row_import.Sender(
            self.calls, self.catalog, import_id, self.batch_timeout, patience
        )
        return row_import.import_products(sender, products, after=after, side_by_side=in_flight)

    async def close_import(
        self,
        import_id: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        timeout: float | None = None,
    ) -> ImportClose:
        """Close an import. A FULL one starts a job that deletes the products it did not mention:
        ``dry_run`` only counts them and names some; ``force`` allows more than the suite's limit, a
        share of the catalog (else FailedPrecondition, IMPORT_DELETES_TOO_MUCH)."""
        with to_wire.sendable("request"):
            request = catalog_pb2.CloseImportRequest(
                catalog_id=self.catalog, import_id=import_id, dry_run=dry_run, force=force
            )
        return from_wire.import_close(
            await self._call(self.calls.catalog.CloseImport, request, timeout)
        )

    async def take_down_photo(
        self, image_id: str, *, reason: str = "", timeout: float | None = None
    ) -> tuple[str, ...]:
        """Take a photo down: remove it from every product and delete its bytes and vectors. The
        same bytes are rejected (IMAGE_TAKEN_DOWN) until ``lift_takedown``. ``reason`` is kept.
        Return the ids of the products that had it, which stay."""
        with to_wire.sendable("request"):
            request = photo_service_pb2.TakeDownPhotoRequest(
                catalog_id=self.catalog, image_id=image_id, reason=reason
            )
        taken = await self._call(self.calls.admin.TakeDownPhoto, request, timeout)
        return tuple(taken.product_ids)

    async def lift_takedown(self, image_id: str, *, timeout: float | None = None) -> bool:
        """Allow a photo to be stored again. Return whether it had been taken down."""
        with to_wire.sendable("request"):
            request = photo_service_pb2.LiftTakedownRequest(
                catalog_id=self.catalog, image_id=image_id
            )
        return (await self._call(self.calls.admin.LiftTakedown, request, timeout)).lifted

    async def list_takedowns(self, *, timeout: float | None = None) -> tuple[Takedown, ...]:
        """Return every active takedown of the catalog. ``timeout`` is that of one page."""
        request = photo_service_pb2.ListTakedownsRequest(catalog_id=self.catalog, page_size=_PAGE)
        pages = self._pages(self.calls.admin.ListTakedowns, request, timeout)
        return tuple([from_wire.takedown(one) async for page in pages for one in page.takedowns])

    async def get_image(
        self, image_id: str, *, timeout: float | None = None
    ) -> catalog.ProductImage:
        """Return a photo with its bytes. NotFound (IMAGE_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = catalog_pb2.GetImageRequest(catalog_id=self.catalog, image_id=image_id)
        return from_wire.image(await self._call(self.calls.catalog.GetImage, request, timeout))
