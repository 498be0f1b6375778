"""The record, as the catalog's use cases use it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from retriever.domain import product
from retriever.domain.category_mismatch import CategoryMismatch
from retriever.domain.imports import Closing, ImportMode, ImportProgress, ImportRow
from servicekit.errors import ServiceError
from sightline_core.columns import Stamp


class CatalogRecord(Protocol):
    """The record, as the catalog's use cases use it."""

    async def write(
        self, catalog_id: str, writes: Sequence[product.ProductWrite]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """Write products in one transaction.

        Return an outcome for each, and the record's newest seq.
        """

    async def change(
        self, catalog_id: str, changes: Sequence[product.ProductChange]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """Read, change and write products in one transaction; else like `write`."""

    async def offer(
        self, catalog_id: str, offers: Sequence[product.Offer]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """Set prices and availability of products, none twice; else like `write`."""

    async def delete(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, int]:
        """Delete products. Return how many existed, and the record's newest seq."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, product.Product]:
        """Return the products that exist."""

    async def get_stamped(
        self, catalog_id: str, product_ids: Sequence[str]
    ) -> tuple[dict[str, product.Product], Stamp]:
        """Return the products that exist, and the commit of which they are."""

    async def page(
        self,
        catalog_id: str,
        order: product.ProductOrder,
        after: tuple[int, str] | None,
        limit: int,
        *,
        mismatched_only: bool = False,
    ) -> list[product.Product]:
        """Return products in order after the key (create time or 0, product id).

        `mismatched_only`: those of which a photo contradicts the category.
        """

    async def category_mismatches(
        self, catalog_id: str, products: Sequence[product.Product]
    ) -> dict[str, CategoryMismatch]:
        """Return by product the photo that contradicts its category most, of products with such
        photos."""

    async def image(self, catalog_id: str, image_id: str) -> product.Image | None:
        """Return the record of a photo, or None."""


class ImportRecord(Protocol):
    """The record, as imports use it. Calls raise ImportNotFound unless stated otherwise."""

    async def open_import(
        self, catalog_id: str, import_id: str, mode: ImportMode, active_seconds: float
    ) -> ImportProgress:
        """Begin an import unless it is known; return its progress. Raises ImportModeMismatch only.

        Another open import that took rows within `active_seconds` counts as in progress.
        """

    async def decided(
        self, catalog_id: str, import_id: str, numbers: Sequence[int]
    ) -> frozenset[int]:
        """Return the rows that were decided. Raises ImportClosed too."""

    async def import_rows(
        self, catalog_id: str, import_id: str, rows: Sequence[ImportRow]
    ) -> tuple[list[product.Stored | ServiceError], ImportProgress, int]:
        """Decide rows, ascending by number, in one transaction. Raises ImportClosed too.

        Returns an outcome for each, the import's progress, and the record's newest seq.
        """

    async def close_import(
        self, catalog_id: str, import_id: str, *, share: float, dry_run: bool, sample: int
    ) -> Closing:
        """Close an import unless `dry_run`; a closed one gives the same answer again.

        Raises ImportDeletesTooMuch beyond `share` of the catalog.
        """

    async def drop_rows(self, catalog_id: str, import_id: str, limit: int) -> int:
        """Delete up to `limit` outcomes of a closed import; return their number."""


class TakedownRecord(Protocol):
    """The record of photos that were taken down."""

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        """Return the photos that were taken down."""

    async def take_down(
        self, catalog_id: str, image_id: str, reason: str
    ) -> tuple[product.Takedown, list[str]]:
        """Remove a photo from all products and delete it. Return the takedown and the products that
        had it.

        Repeated takedowns keep the first reason.
        """

    async def lift_takedown(self, catalog_id: str, image_id: str) -> bool:
        """End a takedown. Return whether there was one."""

    async def takedowns(self, catalog_id: str, after: str, limit: int) -> list[product.Takedown]:
        """Return takedowns by their photos' ids, after one."""


class RetentionRecord(Protocol):
    """The record, as its retention uses it. Each call deletes up to `limit` rows and returns their
    number, unless it says otherwise; 0: there are no more."""

    async def forget_applied(self, catalog_id: str, limit: int) -> int:
        """Delete entries of the outbox that every generation has applied."""

    async def forgettable(self, catalog_id: str) -> tuple[int, int]:
        """Return from which commit on deletions of products are known, and up to which they may be
        forgotten."""

    async def forget_deleted(self, catalog_id: str, after: int, up_to: int, limit: int) -> int:
        """Delete what is known of the oldest deletions of products between two commits. Return the
        commit to continue after."""

    async def forget_imports(self, catalog_id: str, before: int, limit: int) -> int:
        """Delete imports without rows since a time (microseconds), with their rows."""


class UnnamedRecord(TakedownRecord, Protocol):
    """The record, as the deletion of unused photos uses it."""

    async def unnamed(self, catalog_id: str, after: str, limit: int) -> tuple[list[str], str]:
        """Scan the next photos after one.

        Return those that no product has, and the last one scanned, empty at the end.
        """

    async def unknown(self, catalog_id: str, image_ids: Sequence[str]) -> list[str]:
        """Return the photos that the record does not know."""

    async def note_unnamed(self, catalog_id: str, image_ids: Sequence[str]) -> None:
        """Note that no product has these photos, from now unless noted before."""

    async def forget_named(self, catalog_id: str) -> None:
        """Remove notes of photos that a product has again."""

    async def overdue(self, catalog_id: str, before: int, limit: int) -> list[str]:
        """Return some photos that were noted before a time."""

    async def drop_unnamed(self, catalog_id: str, image_ids: Sequence[str]) -> list[str]:
        """Delete noted photos from the record; return those that still no product has."""


class DeletionRecord(Protocol):
    """The record, as deletions of many products use it."""

    async def commit_number(self, catalog_id: str) -> int:
        """Return a new commit number: later writes of whole products have it or a greater one."""

    async def tally(self, catalog_id: str, part: product.CatalogPart) -> product.PartTally:
        """Return the products in a part of the catalog."""

    async def sweep(self, catalog_id: str, part: product.CatalogPart) -> product.PartTally:
        """Return and delete the products in a part of the catalog, in one transaction."""


class LabelTextRecord(Protocol):
    """The record, as the reading of labels uses it."""

    async def unread(self, catalog_id: str, limit: int) -> list[str]:
        """Return ids of some photos whose labels were not read."""

    async def save_label_texts(self, catalog_id: str, texts: Mapping[str, str]) -> None:
        """Store the texts of photos, by their ids; empty: none."""
