"""Full imports on a real record: the products that closing deletes and keeps."""

from __future__ import annotations

import pytest

from retriever.catalog import deletions, imports, products
from retriever.catalog.partial_updates import update_offers
from retriever.domain.errors import ImportDeletesTooMuch, PhotosFull
from retriever.domain.product import Amount, ImageDraft, OfferDraft
from sightline_rules.filters import All
from tests.unit.retriever.catalog.conftest import FULL, INCREMENTAL, PHOTO, Shop, row
from tests.unit.retriever.conftest import Clock


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
