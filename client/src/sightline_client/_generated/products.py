"""Products: writes, imports, reads and deletions.

Made by client/generator from
api/products.py: change that and run ``make proto``.
"""

from collections.abc import AsyncIterable, Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.transport import writing
from sightline_client.transport.looping import SyncBatches
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


class SyncProductCalls(SyncConnected):
    """Products: writes, imports, reads and deletions."""

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> SyncBatches[UpsertBatch, UpsertReport]:
        """Create or replace whole products, in batches of up to ``batch_size`` (1 to 100) products
        and 32 MiB.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable. A
        rejected product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.upsert_products(products, batch_size=batch_size),
            products,
        )

    def list_products(
        self,
        *,
        filter: Filter | None = None,
        market: str = "",
        order: catalog.ProductOrder = catalog.ProductOrder.PRODUCT_ID,
        doubted_only: bool = False,
        without_photo_only: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Product]:
        """Yield every product that passes ``filter``, by ``order``, read page by page. ``timeout``
        is that of one page. ``market``: only products that are sold there, with its values.
        ``doubted_only``: only those with a ``category_doubt``. ``without_photo_only``: only those
        without a photo."""
        return self._loop.iterate(
            self._client.list_products(
                filter=filter,
                market=market,
                order=order,
                doubted_only=doubted_only,
                without_photo_only=without_photo_only,
                timeout=timeout,
            )
        )

    def update_products(
        self, updates: Iterable[ProductUpdate], *, timeout: float | None = None
    ) -> tuple[catalog.UpsertOutcome, ...]:
        """Change the named fields of up to 100 products, no product twice. A rejected change is in
        the outcomes with its error and never fails the rest."""
        return self._loop.run(self._client.update_products(updates, timeout=timeout))

    def update_offers(
        self,
        offers: Iterable[catalog.Offer] | AsyncIterable[catalog.Offer],
        *,
        market: str = "",
        batch_size: int = writing.MAX_OFFERS,
    ) -> SyncBatches[OfferBatch, OfferReport]:
        """Set prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000). Answers
        and filters use them at once. ``market``: whose values are set, of products that list it
        (else MARKET_NOT_FOUND); "" = the products' own.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.update_offers(offers, market=market, batch_size=batch_size),
            offers,
        )

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> SyncBatches[ImportBatch, ImportReport]:
        """Write the rows of an open import: the first product is row 1. Rows up to ``after`` (the
        state's ``rows_done``) are skipped. ``in_flight`` batches are sent at once; while the suite
        is unavailable, a batch is retried for up to ``patience`` seconds.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable. An
        interrupted import continues when it is opened again under the same id.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.import_products(
                import_id, products, after=after, in_flight=in_flight, patience=patience
            ),
            products,
        )
