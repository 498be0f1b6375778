"""Imports on a real record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from retriever.catalog import deletions, imports, products
from retriever.domain.imports import ImportMode, ImportProgress
from retriever.domain.product import Amount, ImageDraft, ProductDraft, Stored
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from sightline_rules.filters import All
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo

FULL, INCREMENTAL = ImportMode.FULL, ImportMode.INCREMENTAL
Rows = Sequence[tuple[int, ProductDraft]]
PHOTO = photo(seed=1)


def row(number: int, product_id: str, **fields: object) -> tuple[int, ProductDraft]:
    made = ProductDraft(product_id, title=f"Wine {product_id}")
    return number, made._replace(**fields)  # type: ignore[arg-type]


FILE: Rows = [
    row(1, "a", images=(ImageDraft(PHOTO, ""),)),
    row(2, "b", title=""),
    row(3, "a", title="again"),
    row(4, "c", parent_id="a"),
    row(5, "d", parent_id="c"),
    row(6, "e", images=(ImageDraft(b"text", ""),)),
    row(7, "f", images=(ImageDraft(b"", "0" * 64),)),
    row(8, "g", price=Amount("EUR", -1, 0)),
    row(9, "x" * 200),
    row(10, "h", attributes=(("abv", float("nan")),)),
    row(11, "b"),
    row(12, "i", etag="stale"),
]
DECIDED = [
    "OK",
    "PRODUCT_INVALID product.title",
    "PRODUCT_INVALID product.product_id",
    "OK",
    "PRODUCT_INVALID product.parent_id",
    "IMAGE_UNDECODABLE product.images[0].content",
    "IMAGE_NOT_FOUND product.images",
    "PRODUCT_INVALID product.price.units",
    "PRODUCT_INVALID product.product_id",
    "PRODUCT_INVALID product.attributes[0].number",
    "OK",
    "ETAG_MISMATCH",
]


def reported(outcomes: Sequence[Stored | ServiceError]) -> list[str]:
    """Return OK, or the reason with the fields that it names, for each product."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Stored):
            found.append("OK")
        else:
            fields = " ".join(item.field for item in outcome.violations)
            found.append(f"{outcome.reason} {fields}".strip())
    return found


def whole(outcomes: Sequence[Stored | ServiceError]) -> list[Any]:
    """Return everything that a caller sees."""
    return [
        outcome
        if isinstance(outcome, Stored)
        else (outcome.code, outcome.reason, outcome.message, tuple(outcome.violations))
        for outcome in outcomes
    ]


class Shop:
    """Record with the dependencies of imports."""

    def __init__(self, db: Database, record: Record) -> None:
        self.db, self.record = db, record
        self.photos = FakePhotos()
        self.jobs = job_queue(db)

    async def open(self, name: str = "i", mode: ImportMode = INCREMENTAL) -> ImportProgress:
        return await imports.open_import("default", name, mode, self.record)

    async def send(self, rows: Rows, name: str = "i", catalog: str = "default") -> imports.Taken:
        return await imports.take(catalog, name, rows, self.record, self.photos)

    async def close(
        self, name: str = "i", *, force: bool = True, dry_run: bool = False, share: float = 0.2
    ) -> imports.Closed:
        """Close, and do the job that deletes."""
        closed = await imports.close(
            "default", name, self.record, self.jobs, share=share, force=force, dry_run=dry_run
        )
        if closed.job is not None:
            job = await self.jobs.claim(deletions.KINDS, "worker", 10)
            assert job is not None
            deleted = await deletions.delete(job, All(), self.record, self.jobs)
            await self.jobs.finish(job, {"deleted_count": deleted})
        return closed

    async def run(self, *product_ids: str, name: str, mode: ImportMode = FULL) -> imports.Closed:
        """Run a whole import of these products."""
        await self.open(name, mode)
        await self.send([row(n, item) for n, item in enumerate(product_ids, 1)], name)
        return await self.close(name)

    async def ids(self, catalog: str = "default") -> list[str]:
        page = await products.list_products(
            catalog,
            self.record,
            condition=All(),
            order=products.ProductOrder.PRODUCT_ID,
            page_size=1_000,
            page_token="",
        )
        return [product.content.product_id for product in page.products]

    async def state(self) -> list[tuple[object, str]]:
        held = await self.record.get("default", await self.ids())
        return sorted((repr(item.content), item.etag) for item in held.values())


@pytest.fixture
def shop(db: Database, record: Record) -> Shop:
    return Shop(db, record)
