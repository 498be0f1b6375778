"""What the catalog's use cases ask of the record."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from retriever.domain import product
from retriever.domain.category_mismatch import CategoryMismatch
from retriever.domain.imports import Closing, ImportMode, ImportProgress, ImportRow
from servicekit.errors import ServiceError


class UploadRecord(Protocol):
    """The record as those see it who store photos for it."""

    async def unknown_for_good(self, catalog_id: str, image_ids: Sequence[str]) -> list[str]:
        """Those of some photos that the record does not know, now that every write to the catalog
        has ended that was under way."""


class CatalogRecord(UploadRecord, Protocol):
    """The record as the catalog's use cases see it."""

    async def write(
        self, catalog_id: str, writes: Sequence[product.ProductWrite]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """One transaction; an outcome for each, and the record's newest seq afterwards."""

    async def change(
        self, catalog_id: str, changes: Sequence[product.ProductChange]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """Read, change and write back in one transaction; else like `write`."""

    async def offer(
        self, catalog_id: str, offers: Sequence[product.Offer]
    ) -> tuple[list[product.Stored | ServiceError], int]:
        """Set prices and availability of products, none twice; else like `write`."""

    async def delete(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, int]:
        """How many existed, and the record's newest seq afterwards."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, product.Product]:
        """The products that exist."""

    async def page(
        self,
        catalog_id: str,
        order: product.Order,
        after: tuple[int, str] | None,
        limit: int,
        *,
        mismatched_only: bool = False,
    ) -> list[product.Product]:
        """Products in order behind the key (create time or 0, product id). `mismatched_only`: of
        which some photo contradicts the category."""

    async def category_mismatches(
        self, catalog_id: str, products: Sequence[product.Product]
    ) -> dict[str, CategoryMismatch]:
        """By product, the photo that contradicts its category most; none where none does."""

    async def image(self, catalog_id: str, image_id: str) -> product.Image | None:
        """What is known of a photo."""


class ImportRecord(UploadRecord, Protocol):
    """The record as imports see it. Raises ImportNotFound where nothing else is said."""

    async def open_import(
        self, catalog_id: str, import_id: str, mode: ImportMode, active_seconds: float
    ) -> ImportProgress:
        """Begin it unless it is known; how far it is. Raises ImportModeMismatch only.

        Another import that is open and took rows within `active_seconds` counts as under way.
        """

    async def decided(
        self, catalog_id: str, import_id: str, numbers: Sequence[int]
    ) -> frozenset[int]:
        """Those of some rows that were decided. Raises ImportClosed too."""

    async def import_rows(
        self, catalog_id: str, import_id: str, rows: Sequence[ImportRow]
    ) -> tuple[list[product.Stored | ServiceError], ImportProgress, int]:
        """Decide rows, ascending by number, in one transaction. Raises ImportClosed too.

        An outcome for each, how far the import is, and the record's newest seq afterwards.
        """

    async def close_import(
        self, catalog_id: str, import_id: str, *, share: float, dry_run: bool, sample: int
    ) -> Closing:
        """Close it unless `dry_run`; a closed one answers as it did. Raises ImportDeletesTooMuch
        beyond `share` of the catalog."""

    async def drop_rows(self, catalog_id: str, import_id: str, limit: int) -> int:
        """Forget up to `limit` outcomes of a closed import; how many there were."""


class TakedownRecord(Protocol):
    """The record of photos that were taken down."""

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        """Those of some photos that were."""

    async def take_down(
        self, catalog_id: str, image_id: str, reason: str
    ) -> tuple[product.Takedown, list[str]]:
        """Take a photo from all products and forget it; the products that had it. Taken down again
        it keeps the first reason."""

    async def lift_takedown(self, catalog_id: str, image_id: str) -> bool:
        """Whether it had been taken down; now it is not."""

    async def takedowns(self, catalog_id: str, after: str, limit: int) -> list[product.Takedown]:
        """By their photos' ids, behind one."""


class UnnamedRecord(TakedownRecord, Protocol):
    """The record as those see it who delete photos that no product has."""

    async def unnamed(self, catalog_id: str, after: str, limit: int) -> tuple[list[str], str]:
        """Of the next photos behind one, those that no product has; and the last one that was
        looked at, empty at the end."""

    async def unknown(self, catalog_id: str, image_ids: Sequence[str]) -> list[str]:
        """Those of some photos that the record does not know."""

    async def note_unnamed(self, catalog_id: str, image_ids: Sequence[str]) -> None:
        """Note that no product has these, from now on if that is news."""

    async def forget_named(self, catalog_id: str) -> None:
        """Take back what was noted of photos that a product has again."""

    async def overdue(self, catalog_id: str, before: int, limit: int) -> list[str]:
        """Some photos that were noted before that time."""

    async def drop_unnamed(self, catalog_id: str, image_ids: Sequence[str]) -> list[str]:
        """Forget noted photos; those of them that still no product has."""


class DeletionRecord(Protocol):
    """The record as those see it who remove many products."""

    async def commit_number(self, catalog_id: str) -> int:
        """A new number of the commit sequence: what is written whole from now on has it or more."""

    async def tally(self, catalog_id: str, part: product.CatalogPart) -> product.Tally:
        """Which products of a part there are."""

    async def sweep(self, catalog_id: str, part: product.CatalogPart) -> product.Tally:
        """The same, and delete them in the same transaction."""


class HashRecord(Protocol):
    """The record as those see it who hash photos that were stored before photos were hashed."""

    async def unhashed(self, catalog_id: str, limit: int) -> list[str]:
        """Ids of some photos that have no perceptual hash yet."""

    async def save_hashes(self, catalog_id: str, hashes: Mapping[str, int]) -> None:
        """Store the perceptual hashes of photos, by their ids."""
