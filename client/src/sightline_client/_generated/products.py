"""Products: writes, imports, reads and deletions.

Made from api/products.py by generate_sync.py: change that one and run it.
"""

from collections.abc import AsyncIterable, Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.transport import writing
from sightline_client.transport.looping import SyncBatches
from sightline_client.values import catalog
from sightline_client.values.filters import Filter
from sightline_client.values.operations import ImportClose, ProductPurge, Takedown
from sightline_client.values.products import Product
from sightline_client.values.updates import ProductUpdate


class SyncProductCalls(SyncConnected):
    """Products: writes, imports, reads and deletions."""

    def upsert_products(
        self,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> SyncBatches[catalog.UpsertBatch, catalog.UpsertReport]:
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

    def get_product(
        self, product_id: str, *, market: str = "", timeout: float | None = None
    ) -> Product:
        """Return a product. NotFound (PRODUCT_NOT_FOUND). ``market``: with the values of a market,
        which can't be written back; "" = as stored, with those of all markets."""
        return self._loop.run(self._client.get_product(product_id, market=market, timeout=timeout))

    def list_products(
        self,
        *,
        filter: Filter | None = None,
        market: str = "",
        order: catalog.ProductOrder = catalog.ProductOrder.PRODUCT_ID,
        doubted_only: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Product]:
        """Yield every product that passes ``filter``, by ``order``, read page by page. ``timeout``
        is that of one page. ``market``: only products that are sold there, with its values.
        ``doubted_only``: only those with a ``category_doubt``."""
        return self._loop.iterate(
            self._client.list_products(
                filter=filter,
                market=market,
                order=order,
                doubted_only=doubted_only,
                timeout=timeout,
            )
        )

    def list_misfits(
        self, *, min_lead: float | None = None, timeout: float | None = None
    ) -> Iterator[catalog.PhotoMisfit]:
        """Yield the photos of the catalog that do not fit their product, read page by page: each
        is nearer to another product's photos. ``min_lead``: least ``lead``; `None`: 0.2.
        ``timeout`` is that of one page."""
        return self._loop.iterate(self._client.list_misfits(min_lead=min_lead, timeout=timeout))

    def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> catalog.Deletion:
        """Delete up to 1,000 products. An id that does not exist counts as deleted."""
        return self._loop.run(self._client.delete_products(product_ids, timeout=timeout))

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
    ) -> SyncBatches[catalog.OfferBatch, catalog.OfferReport]:
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

    def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Count the products that pass and name some; with ``force``, start a job that deletes
        them. ``all_of()`` passes every product. The same ``request_id`` returns the same job."""
        return self._loop.run(
            self._client.purge_products(filter, force=force, request_id=request_id, timeout=timeout)
        )

    def open_import(
        self,
        import_id: str,
        *,
        mode: catalog.ImportMode = catalog.ImportMode.INCREMENTAL,
        timeout: float | None = None,
    ) -> catalog.ImportState:
        """Open an import, or return the progress of the open one with this id. ``mode``: what
        happens to products that it does not mention."""
        return self._loop.run(self._client.open_import(import_id, mode=mode, timeout=timeout))

    def import_products(
        self,
        import_id: str,
        products: Iterable[Product] | AsyncIterable[Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> SyncBatches[catalog.ImportBatch, catalog.ImportReport]:
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

    def close_import(
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
        return self._loop.run(
            self._client.close_import(import_id, dry_run=dry_run, force=force, timeout=timeout)
        )

    def take_down_photo(
        self, image_id: str, *, reason: str = "", timeout: float | None = None
    ) -> tuple[str, ...]:
        """Take a photo down: remove it from every product and delete its bytes and vectors. The
        same bytes are rejected (IMAGE_TAKEN_DOWN) until ``lift_takedown``. ``reason`` is kept.
        Return the ids of the products that had it, which stay."""
        return self._loop.run(
            self._client.take_down_photo(image_id, reason=reason, timeout=timeout)
        )

    def lift_takedown(self, image_id: str, *, timeout: float | None = None) -> bool:
        """Allow a photo to be stored again. Return whether it had been taken down."""
        return self._loop.run(self._client.lift_takedown(image_id, timeout=timeout))

    def list_takedowns(self, *, timeout: float | None = None) -> tuple[Takedown, ...]:
        """Return every active takedown of the catalog. ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_takedowns(timeout=timeout))

    def get_image(self, image_id: str, *, timeout: float | None = None) -> catalog.ProductImage:
        """Return a photo with its bytes. NotFound (IMAGE_NOT_FOUND)."""
        return self._loop.run(self._client.get_image(image_id, timeout=timeout))
