"""Imports on a real record: equal results however they are divided, repeated or mixed."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from retriever.catalog import imports, products
from retriever.domain.errors import ImportClosed, ImportModeMismatch, ImportNotFound, PhotosFull
from retriever.domain.imports import ImportProgress
from retriever.domain.product import Stored
from retriever.record import Record
from retriever.record.tables import import_rows
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.unit.retriever.catalog.conftest import (
    DECIDED,
    FILE,
    FULL,
    INCREMENTAL,
    PHOTO,
    Shop,
    reported,
    row,
    whole,
)


async def test_every_row_has_an_outcome_of_its_own(shop: Shop) -> None:
    assert await shop.open() == ImportProgress("i", INCREMENTAL, 0, 0, 0, False)
    taken = await shop.send(FILE)
    assert reported(taken.outcomes) == DECIDED
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

    assert reported(again.outcomes) == DECIDED
    assert whole(again.outcomes)[:8] == first
    assert again.progress == ImportProgress("i", INCREMENTAL, 12, 3, 9, False)
    state = await shop.state()
    assert [item for item in state if item in before] == before

    await shop.open("second")
    assert reported((await shop.send(FILE, "second")).outcomes) == DECIDED
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
    assert reported(taken.outcomes) == ["PHOTO_STORE_FULL", "OK"]
    assert (taken.progress.rows_done, taken.progress.stored_count) == (0, 1)
    shop.photos.failure = None
    taken = await shop.send([FILE[0]])
    assert reported(taken.outcomes) == ["OK"]
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
