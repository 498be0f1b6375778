"""Products: written, imported, read and deleted.

Made from api/products.py by generate_sync.py: change that one and run it.
"""

from collections.abc import AsyncIterable, Iterable, Iterator

from sightline_client._generated.base import SyncConnected
from sightline_client.transport import writing
from sightline_client.transport.looping import SyncBatches
from sightline_client.values import catalog
from sightline_client.values.filters import Filter
from sightline_client.values.operations import ImportClose, ProductPurge, Takedown


class SyncProductCalls(SyncConnected):
    """Products: written, imported, read and deleted."""

    def upsert_products(
        self,
        products: Iterable[catalog.Product] | AsyncIterable[catalog.Product],
        *,
        batch_size: int = writing.MAX_PRODUCTS,
    ) -> SyncBatches[catalog.UpsertBatch, catalog.UpsertReport]:
        """Creates or replaces products whole, in batches of up to ``batch_size`` (1 to 100)
        products and 32 MiB.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable. A
        refused product is in the outcomes with its error and never fails the rest; a failed call
        raises, and what was yielded before it stays stored.
        """
        return SyncBatches(
            self._loop,
            lambda: self._client.upsert_products(products, batch_size=batch_size),
            products,
        )

    def get_product(self, product_id: str, *, timeout: float | None = None) -> catalog.Product:
        """One product; NotFound (PRODUCT_NOT_FOUND)."""
        return self._loop.run(self._client.get_product(product_id, timeout=timeout))

    def list_products(
        self,
        *,
        filter: Filter | None = None,
        order: catalog.Order = catalog.Order.PRODUCT_ID,
        doubted_only: bool = False,
        timeout: float | None = None,
    ) -> Iterator[catalog.Product]:
        """Every product that passes, read page by page; ``timeout`` is that of one page.
        ``doubted_only``: only those with a ``category_doubt``."""
        return self._loop.iterate(
            self._client.list_products(
                filter=filter, order=order, doubted_only=doubted_only, timeout=timeout
            )
        )

    def delete_products(
        self, product_ids: str | Iterable[str], *, timeout: float | None = None
    ) -> catalog.Deletion:
        """Deletes up to 1,000 products; one that does not exist counts as deleted."""
        return self._loop.run(self._client.delete_products(product_ids, timeout=timeout))

    def update_products(
        self, updates: Iterable[catalog.ProductUpdate], *, timeout: float | None = None
    ) -> tuple[catalog.UpsertOutcome, ...]:
        """Changes the named fields of up to 100 products, no product twice; a refused change is in
        the outcomes with its error and never fails the rest."""
        return self._loop.run(self._client.update_products(updates, timeout=timeout))

    def update_offers(
        self,
        offers: Iterable[catalog.Offer] | AsyncIterable[catalog.Offer],
        *,
        batch_size: int = writing.MAX_OFFERS,
    ) -> SyncBatches[catalog.OfferBatch, catalog.OfferReport]:
        """Sets prices and availabilities, in batches of up to ``batch_size`` (1 to 1,000); what is
        shown and filtered follows at once.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        """
        return SyncBatches(
            self._loop, lambda: self._client.update_offers(offers, batch_size=batch_size), offers
        )

    def purge_products(
        self,
        filter: Filter,
        *,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ProductPurge:
        """Counts the products that pass and names some; with ``force``, starts a job that deletes
        them. ``all_of()`` passes every product. The same ``request_id`` answers the same job."""
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
        """Begins an import, or says how far the one of this id is."""
        return self._loop.run(self._client.open_import(import_id, mode=mode, timeout=timeout))

    def import_products(
        self,
        import_id: str,
        products: Iterable[catalog.Product] | AsyncIterable[catalog.Product],
        *,
        after: int = 0,
        in_flight: int = 4,
        patience: float = 120.0,
    ) -> SyncBatches[catalog.ImportBatch, catalog.ImportReport]:
        """Writes the rows of an open import: the first product is row 1. The rows up to ``after``
        (the state's ``rows_done``) are passed over. ``in_flight`` batches are under way at once;
        while the suite is away a batch is tried again for up to ``patience`` seconds.

        A collection is sent when this is called.

        ``report()`` gives a report; ``for`` gives each batch as soon as it is durable.
        Interrupted anywhere, the import goes on when it is opened again under the same id.
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
        """Ends an import. A FULL one deletes, by a job, what it did not hold: ``dry_run`` only
        counts that and names some; ``force`` allows more than the suite's set share of the catalog
        (else FailedPrecondition, IMPORT_DELETES_TOO_MUCH)."""
        return self._loop.run(
            self._client.close_import(import_id, dry_run=dry_run, force=force, timeout=timeout)
        )

    def take_down_photo(
        self, image_id: str, *, reason: str = "", timeout: float | None = None
    ) -> tuple[str, ...]:
        """Takes a photo down, at once: no product has it any more, and its bytes and vectors are
        deleted. The same bytes are refused (IMAGE_TAKEN_DOWN) until ``lift_takedown``. The ids of
        the products that had it, which stay."""
        return self._loop.run(
            self._client.take_down_photo(image_id, reason=reason, timeout=timeout)
        )

    def lift_takedown(self, image_id: str, *, timeout: float | None = None) -> bool:
        """Lets a photo be stored again; whether it had been taken down."""
        return self._loop.run(self._client.lift_takedown(image_id, timeout=timeout))

    def list_takedowns(self, *, timeout: float | None = None) -> tuple[Takedown, ...]:
        """Every takedown of the catalog that stands; ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_takedowns(timeout=timeout))

    def get_image(self, image_id: str, *, timeout: float | None = None) -> catalog.ProductImage:
        """A photo with its bytes; NotFound (IMAGE_NOT_FOUND)."""
        return self._loop.run(self._client.get_image(image_id, timeout=timeout))
