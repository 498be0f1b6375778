"""Products: writes, imports, reads and deletions."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable

from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import check_answered
from sightline_client.transport import row_import, writing
from sightline_client.transport.write_batches import Batches
from sightline_client.values import catalog
from sightline_client.values.filters import Filter
from sightline_client.values.products import Product
from sightline_client.values.reports import (
    ImportBatch,
    ImportReport,
    OfferBatch,
    OfferReport,
    UpsertBatch,
    UpsertReport,
)
from sightline_client.values.updates import ProductUpdate

_PAGE = 200


class ProductCalls(Connected):
    """Calls about products: writes, imports, reads and deletions."""

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> Batches[UpsertBatch, UpsertReport]:
        """Create or replace whole products, in batches of up to ``batch_size`` (1 to 100) products
        and 32 MiB.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable. A
        rejected product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return self._writer().products(products, batch_size)

    async def list_products(
        self,
        *,
        filter: Filter | None = None,
        market: str = "",
        order: catalog.ProductOrder = catalog.ProductOrder.PRODUCT_ID,
        doubted_only: bool = False,
        without_photo_only: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Product]:
        """Yield every product that passes ``filter``, by ``order``, read page by page. ``timeout``
        is that of one page. ``market``: only products that are sold there, with its values.
        ``doubted_only``: only those with a ``category_doubt``. ``without_photo_only``: only those
        without a photo."""
        with to_wire.sendable("request"):
            request = catalog_pb2.ListProductsRequest(
                catalog_id=self.catalog,
                filter=to_wire.filter_(filter),
                order=catalog_pb2.ListProductsRequest.Order.Value(f"ORDER_{order}"),
                page_size=_PAGE,
                doubted_only=doubted_only,
                without_photo_only=without_photo_only,
            )
            if market:
                request.filter.market_id = market
        async for page in self._pages(self.calls.catalog.ListProducts, request, timeout):
            for message in page.products:
                yield from_wire.product(message)

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
    ) -> Batches[OfferBatch, OfferReport]:
        """Set prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000). Answers
        and filters use them at once. ``market``: whose values are set, of products that list it
        (else MARKET_NOT_FOUND); "" = the products' own.

        ``await`` it for a report, or ``async for`` it for each batch as soon as it is durable.
        """
        return self._writer().offers(offers, batch_size, market)

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> Batches[ImportBatch, ImportReport]:
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
