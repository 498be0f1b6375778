"""Imports on a real record: the same result however they are cut, sent again or mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.catalog import deletions, imports, products
from retriever.catalog.updates import update_offers
from retriever.domain.errors import (
    ImportClosed,
    ImportDeletesTooMuch,
    ImportModeMismatch,
    ImportNotFound,
    PhotosFull,
)
from retriever.domain.imports import ImportMode, ImportProgress
from retriever.domain.product import Amount, ImageDraft, OfferDraft, ProductDraft, Stored
from retriever.record import Record
from retriever.record.tables import import_rows
from retriever.wiring import job_queue
from servicekit.errors import ServiceError
from servicekit.requests import RequestInvalid
from servicekit.sql import Database
from sightline_rules.filters import All
from sightline_rules.photos import image_id
from tests.fakes.index import FakePhotos
from tests.fakes.photos import photo
from tests.unit.retriever.conftest import Clock

FULL, INCREMENTAL = ImportMode.FULL, ImportMode.INCREMENTAL
Rows = Sequence[tuple[int, ProductDraft]]
PHOTO = photo(seed=1)


def row(number: int, product_id: str, **fields: object) -> tuple[int, ProductDraft]:
    made = ProductDraft(product_id, title=f"Wine {product_id}")
    return number, replace(made, **fields)  # type: ignore[arg-type]


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


def told(outcomes: Sequence[Stored | ServiceError]) -> list[str]:
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Stored):
            found.append("OK")
        else:
            fields = " ".join(item.field for item in outcome.violations)
            found.append(f"{outcome.reason} {fields}".strip())
    return found


def whole(outcomes: Sequence[Stored | ServiceError]) -> list[Any]:
    """Everything that a caller is told."""
    return [
        outcome
        if isinstance(outcome, Stored)
        else (outcome.code, outcome.reason, outcome.message, tuple(outcome.violations))
        for outcome in outcomes
    ]


class Shop:
    """A record and what imports lean on."""

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
            await self.jobs.finish(job.id, {"deleted_count": deleted})
        return closed

    async def run(self, *product_ids: str, name: str, mode: ImportMode = FULL) -> imports.Closed:
        """A whole import of these products."""
        await self.open(name, mode)
        await self.send([row(n, item) for n, item in enumerate(product_ids, 1)], name)
        return await self.close(name)

    async def ids(self, catalog: str = "default") -> list[str]:
        page = await products.list_products(
            catalog,
            self.record,
            condition=All(),
            order=products.Order.PRODUCT_ID,
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


async def test_every_row_has_an_outcome_of_its_own(shop: Shop) -> None:
    assert await shop.open() == ImportProgress("i", INCREMENTAL, 0, 0, 0, False)
    taken = await shop.send(FILE)
    assert told(taken.outcomes) == DECIDED
    assert taken.progress == ImportProgress("i", INCREMENTAL, 12, 3, 9, False)
    assert await shop.ids() == ["a", "b", "c"]


@pytest.mark.parametrize("size", [1, 5, 12])
async def test_an_import_that_was_interrupted_and_repeated_ends_the_same(
    shop: Shop, size: int
) -> None:
    await shop.open()
    first: list[Any] = []
    for start in range(0, 8, size):  # then the caller dies
        first += whole((await shop.send(FILE[start : min(start + size, 8)])).outcomes)
    before = await shop.state()

    shop.record = Record(shop.db)
    progress = await shop.open()
    assert progress.rows_done == 8
    again = await shop.send(FILE)  # from the top: 1 to 8 were decided

    assert told(again.outcomes) == DECIDED
    assert whole(again.outcomes)[:8] == first
    assert again.progress == ImportProgress("i", INCREMENTAL, 12, 3, 9, False)
    state = await shop.state()
    assert [item for item in state if item in before] == before

    await shop.open("second")
    assert told((await shop.send(FILE, "second")).outcomes) == DECIDED
    assert await shop.state() == state


async def test_a_decided_row_is_answered_as_it_was_and_changes_nothing(shop: Shop) -> None:
    await shop.open()
    first = await shop.send([FILE[0], row(2, "b")])
    await products.upsert("default", [row(0, "b", title="newer")[1]], shop.record, shop.photos)
    await shop.record.delete("default", ["a"])
    shop.photos.stored.clear()

    again = await shop.send([row(1, "z"), row(2, "b", title="other")])

    assert again.outcomes == first.outcomes
    assert isinstance(again.outcomes[0], Stored)
    assert again.outcomes[0].image_ids == (image_id(PHOTO),)
    assert await shop.ids() == ["b"]
    assert (await shop.record.get("default", ["b"]))["b"].content.title == "newer"
    assert not shop.photos.stored


async def test_what_is_kept_of_a_refusal_is_bounded(shop: Shop, db: Database) -> None:
    await shop.open()
    tags = ("",) * 64
    hostile = row(1, "y" * 1_000_000, title="t" * 10_000, tags=tags, language_code="l" * 10**6)
    first = await shop.send([hostile])
    with db.engine.connect() as connection:
        kept = connection.execute(sa.select(import_rows)).one()
    assert len(kept.outcome) < 5_000
    assert kept.product_id == ""
    assert whole((await shop.send([hostile])).outcomes) == whole(first.outcomes)


async def test_a_row_that_fails_for_a_passing_reason_is_not_decided(shop: Shop) -> None:
    await shop.open()
    shop.photos.failure = PhotosFull()
    taken = await shop.send([FILE[0], row(2, "b")])
    assert told(taken.outcomes) == ["PHOTO_STORE_FULL", "OK"]
    assert (taken.progress.rows_done, taken.progress.stored_count) == (0, 1)
    shop.photos.failure = None
    taken = await shop.send([FILE[0]])
    assert told(taken.outcomes) == ["OK"]
    assert taken.progress == ImportProgress("i", INCREMENTAL, 2, 2, 0, False)


async def test_rows_in_any_order_are_done_up_to_the_first_gap(shop: Shop) -> None:
    await shop.open()
    done = []
    for numbers in ((5, 6), (1, 3), (2,), (4, 9), (7, 8)):
        taken = await shop.send([row(number, f"p{number}") for number in numbers])
        done.append(taken.progress.rows_done)
    assert done == [0, 1, 3, 6, 9]


@pytest.mark.parametrize(
    ("numbers", "culprit"),
    [
        ((0,), 0),
        ((-1,), 0),
        ((-(2**63),), 0),
        ((2**63 - 1,), 0),
        ((1, 1), 1),
        ((2, 1), 1),
        ((1, 2, 10**9 + 1), 2),
    ],
)
async def test_impossible_row_numbers_are_refused(
    shop: Shop, numbers: tuple[int, ...], culprit: int
) -> None:
    await shop.open()
    with pytest.raises(RequestInvalid) as caught:
        await shop.send([row(number, f"p{n}") for n, number in enumerate(numbers)])
    assert [v.field for v in caught.value.violations] == [f"rows[{culprit}].row_number"]
    assert await shop.ids() == []


@pytest.mark.parametrize("count", [0, 101])
async def test_a_batch_of_the_wrong_size_is_refused(shop: Shop, count: int) -> None:
    await shop.open()
    with pytest.raises(RequestInvalid):
        await shop.send([row(n + 1, "a") for n in range(count)])


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb"])
async def test_an_import_id_that_is_none_is_refused(shop: Shop, name: str) -> None:
    for call in (shop.open(name), shop.send([row(1, "a")], name), shop.close(name)):
        with pytest.raises(RequestInvalid) as caught:
            await call
        assert caught.value.violations[0].field == "import_id"


async def test_an_import_is_one_of_its_catalog_and_goes_on_in_its_mode_only(shop: Shop) -> None:
    for call in (shop.send([row(1, "a")]), shop.close()):
        with pytest.raises(ImportNotFound):
            await call
    await shop.open()
    with pytest.raises(ImportNotFound):
        await shop.send([row(1, "a")], catalog="other")
    with pytest.raises(ImportModeMismatch):
        await shop.open(mode=FULL)


async def test_a_closed_import_takes_no_rows_and_keeps_none(shop: Shop, db: Database) -> None:
    await shop.open()
    await shop.send(FILE)
    closed = await shop.close()
    assert closed == imports.Closed(ImportProgress("i", INCREMENTAL, 12, 3, 9, True), 0, (), None)
    assert await shop.close() == closed
    assert (await shop.open()).closed
    with pytest.raises(ImportClosed):
        await shop.send([row(13, "z")])
    with db.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(import_rows)).scalar() == 0


# Full imports


async def test_a_full_import_leaves_what_it_held(shop: Shop) -> None:
    await shop.run("a", "b", "c", "d", name="first")
    closed = await shop.run("b", "c", "new", name="second")
    assert (closed.delete_count, closed.sample) == (2, ("a", "d"))
    assert await shop.ids() == ["b", "c", "new"]
    job = await shop.jobs.get(closed.job.id) if closed.job else None
    assert job is not None
    assert (job.state, job.done, job.total, dict(job.result)) == (
        "SUCCEEDED",
        2,
        2,
        {"deleted_count": 2},
    )


async def test_closing_again_answers_the_same_and_starts_no_second_job(shop: Shop) -> None:
    await shop.run("a", "b", name="first")
    closed = await shop.run("b", name="second")
    await shop.run("a", "b", name="third", mode=INCREMENTAL)
    again = await imports.close(
        "default", "second", shop.record, shop.jobs, share=0, force=False, dry_run=False
    )
    assert (again.delete_count, again.sample) == (closed.delete_count, closed.sample)
    assert again.job is not None
    assert closed.job is not None
    assert again.job.id == closed.job.id
    assert await shop.ids() == ["a", "b"]


async def test_a_product_whose_row_was_refused_is_not_gone(shop: Shop) -> None:
    await shop.run("a", "b", "c", name="first")
    await shop.open("second", FULL)
    shop.photos.failure = PhotosFull()
    undecided = row(2, "b", images=(ImageDraft(PHOTO, ""),))
    await shop.send([row(1, "a", title=""), undecided], "second")
    assert (await shop.close("second")).sample == ("c",)
    assert await shop.ids() == ["a", "b"]


async def test_too_much_is_deleted_only_by_force_and_a_dry_run_deletes_nothing(shop: Shop) -> None:
    await shop.run(*(f"p{n}" for n in range(10)), name="first")
    await shop.open("second", FULL)
    await shop.send([row(n, f"p{n}") for n in range(1, 8)], "second")
    with pytest.raises(ImportDeletesTooMuch) as caught:
        await shop.close("second", force=False)
    assert caught.value.metadata == {"delete_count": "3", "product_count": "10"}
    shown = await shop.close("second", force=False, dry_run=True)
    assert (shown.delete_count, shown.sample, shown.job) == (3, ("p0", "p8", "p9"), None)
    assert not shown.progress.closed
    await shop.send([row(8, "p8")], "second")  # it is open still
    assert (await shop.close("second", force=False)).delete_count == 2
    assert await shop.ids() == [f"p{n}" for n in range(1, 9)]


async def test_an_empty_full_import_empties_nothing_without_force(shop: Shop) -> None:
    await shop.run("a", name="first")
    await shop.open("second", FULL)
    with pytest.raises(ImportDeletesTooMuch):
        await shop.close("second", force=False)
    assert await shop.ids() == ["a"]


async def test_two_full_imports_at_once_delete_nothing_of_each_other(shop: Shop) -> None:
    await shop.run("x", "y", "z", "old", name="first")
    await shop.open("left", FULL)
    await shop.send([row(1, "x")], "left")
    await shop.open("right", FULL)
    await shop.send([row(1, "z"), row(2, "new")], "right")  # z as it is: nothing of it changes
    await shop.send([row(2, "y")], "left")
    assert (await shop.close("left")).sample == ("old",)
    assert await shop.ids() == ["new", "x", "y", "z"]
    # x was written before the right one was opened, but by one that was under way.
    assert (await shop.close("right")).sample == ()
    assert await shop.ids() == ["new", "x", "y", "z"]
    assert (await shop.run("y", "new", name="next")).sample == ("x", "z")


async def test_an_import_that_its_caller_gave_up_spares_nothing_after_an_hour(
    shop: Shop, clock: Clock
) -> None:
    await shop.open("given up", FULL)
    await shop.send([row(1, "x")], "given up")
    clock.now += 3_601 * 1_000_000
    assert (await shop.run("y", name="next")).sample == ("x",)
    assert await shop.ids() == ["y"]


async def test_what_is_upserted_meanwhile_stays_and_an_offer_keeps_nothing(shop: Shop) -> None:
    await shop.run("a", "b", "c", name="first")
    await shop.open("second", FULL)
    await products.upsert("default", [row(0, "a")[1]], shop.record, shop.photos)
    await update_offers("default", [OfferDraft("b", Amount("EUR", 1, 0))], shop.record)
    closed = await imports.close(
        "default", "second", shop.record, shop.jobs, share=0.2, force=True, dry_run=False
    )
    assert closed.sample == ("b", "c")
    # Between the closing and the job, too.
    await products.upsert("default", [row(0, "c")[1]], shop.record, shop.photos)
    job = await shop.jobs.claim(deletions.KINDS, "worker", 10)
    assert job is not None
    assert await deletions.delete(job, All(), shop.record, shop.jobs) == 1
    assert await shop.ids() == ["a", "c"]


async def test_a_full_import_touches_no_other_catalog(shop: Shop) -> None:
    await products.upsert("other", [row(0, "theirs")[1]], shop.record, shop.photos)
    await shop.run("a", name="first")
    await shop.run("b", name="second")
    assert (await shop.ids(), await shop.ids("other")) == (["b"], ["theirs"])
