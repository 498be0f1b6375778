"""Imports: a caller's file in batches of rows, which may be repeated.

Closing a full import deletes the products that it did not contain: those not written whole since it
was opened, or since the opening of another import that was open at that time. Concurrent imports
and upserts therefore never delete each other's products.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from retriever.catalog import products
from retriever.catalog.deletions import CLOSE_IMPORT, SAMPLE, DeletionPlan
from retriever.catalog.images import CatalogPhotos
from retriever.domain.imports import ImportMode, ImportProgress, ImportRow
from retriever.domain.product import ProductDraft, Stored
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job, Jobs
from servicekit.rpc.requests import RequestInvalid, check_count
from sightline_rules import ids

MAX_ROWS = 100
MAX_NUMBER = 1_000_000_000
ACTIVE_SECONDS = 3_600.0
"""Seconds without rows after which an import counts as abandoned and no longer protects
products."""
DROP = 5_000
"""Outcomes deleted in one transaction."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Outcomes of some rows."""

    outcomes: list[Stored | ServiceError]
    progress: ImportProgress
    seq: int
    """The record's newest commit."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The products that closing an import deletes, or would delete."""

    progress: ImportProgress
    delete_count: int
    sample: tuple[str, ...]
    job: Job | None


async def open_import(
    catalog_id: str, import_id: str, mode: ImportMode, record: Record
) -> ImportProgress:
    """Begin an import, or return the progress of an open one."""
    _check_id(import_id)
    return await record.open_import(catalog_id, import_id, mode, ACTIVE_SECONDS)


async def take(
    catalog_id: str,
    import_id: str,
    rows: Sequence[tuple[int, ProductDraft]],
    record: Record,
    photos: Photos,
) -> Taken:
    """Store rows. In the violations of a row, `product` is the row's product."""
    _check_id(import_id)
    check_count("rows", len(rows), MAX_ROWS)
    _check_numbers([number for number, _ in rows])
    decided = await record.decided(catalog_id, import_id, [number for number, _ in rows])
    store = CatalogPhotos(catalog_id, photos)
    prepared = await asyncio.gather(
        *(_prepare(number, draft, store, known=number in decided) for number, draft in rows)
    )
    outcomes, progress, seq = await record.import_rows(catalog_id, import_id, prepared)
    return Taken(outcomes, progress, seq)


async def close(
    catalog_id: str,
    import_id: str,
    record: Record,
    jobs: Jobs,
    *,
    share: float,
    force: bool,
    dry_run: bool,
) -> Closed:
    """Close an import; repeated calls return the same result. `share`: maximum share of the catalog
    deleted without force."""
    _check_id(import_id)
    closing = await record.close_import(
        catalog_id, import_id, share=1.0 if force else share, dry_run=dry_run, sample=SAMPLE
    )
    job = None
    if closing.progress.closed:
        while await record.drop_rows(catalog_id, import_id, DROP):
            pass
        if closing.delete_count and not dry_run:
            plan = DeletionPlan(closing.before, closing.delete_count, import_id=import_id)
            job = await jobs.create(CLOSE_IMPORT, catalog_id, plan, f"import/{import_id}")
    return Closed(closing.progress, closing.delete_count, closing.sample, job)


async def _prepare(
    number: int, draft: ProductDraft, store: CatalogPhotos, *, known: bool
) -> ImportRow:
    write = None if known else await products.prepare(draft, "product", store)
    try:
        product_id = ids.check_id(draft.product_id)
    except ids.IdInvalidError:
        product_id = ""
    return ImportRow(number, product_id, write)


def _check_id(import_id: str) -> None:
    try:
        ids.check_id(import_id)
    except ids.IdInvalidError as error:
        raise RequestInvalid.at("import_id", str(error)) from error


def _check_numbers(numbers: Sequence[int]) -> None:
    last = 0
    for index, number in enumerate(numbers):
        path = f"rows[{index}].row_number"
        if not 1 <= number <= MAX_NUMBER:
            raise RequestInvalid.at(path, f"must be 1 to {MAX_NUMBER:,}")
        if number <= last:
            raise RequestInvalid.at(path, f"must be more than that of the row before, {last}")
        last = number
