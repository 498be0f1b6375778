"""The worker's loops over several generations of one space."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from retriever.domain.collection_names import shaped
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import Generation, GenerationState
from retriever.indexing import generations
from retriever.indexing.generations import GenerationRequest
from retriever.wiring import job_queue
from servicekit.jobs.queue import JobState
from sightline_rules.photos import image_id
from tests.fakes.embedder import SHOPPERS
from tests.fakes.index import VERSION, vector_of
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench
from tests.waiting import SECONDS, until


async def second(bench: Bench, version: str = "v2") -> Generation:
    """Return a generation of another version, which the worker has to fill too."""
    offered = EmbeddingSpace("visual", version, 8, ready=True, default=False)
    await bench.record.save_offers("default", [offered])
    order = GenerationRequest("visual", "two", version)
    return (await generations.create("default", order, "p", bench.record)).generation


def held(bench: Bench, made: Generation) -> set[str]:
    return {row.product_id for row in bench.index.rows.get(made.collection, {}).values()}


async def test_every_write_reaches_every_live_generation(bench: Bench) -> None:
    bench.embedder.others = {"v2": 8}
    async with bench.working():
        await bench.record.write("default", [write("old", PHOTOS[0])])
        await until(lambda: bench.rows() == {"old"})
        made = await second(bench)
        await bench.record.write("default", [write("new", PHOTOS[1])])
        await until(lambda: held(bench, made) == {"new"})
        first = (await bench.record.generations("default"))[0]
        await until(lambda: held(bench, first) == {"old", "new"})
        assert {version for version, _ in bench.embedder.embedded} == {VERSION, "v2"}


@pytest.mark.full
async def test_a_version_that_is_not_served_holds_up_no_other(bench: Bench) -> None:
    await bench.record.create_generation(generation())
    made = await second(bench, "gone")
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await until(lambda: bench.rows() == {"a"})
        assert held(bench, made) == set()
        (due,) = await bench.record.due(made, 10)
        assert due.attempts == 0  # it is no fault of the photo's
        bench.embedder.others = {"gone": 8}
        await until(lambda: held(bench, made) == {"a"})


async def test_photos_of_products_with_the_tag_of_the_fit_are_embedded_as_shoppers(
    bench: Bench,
) -> None:
    bench.embedder.shopper_tags = frozenset({"phone"})
    async with bench.working():
        both = write("both", PHOTOS[0], PHOTOS[1])
        await bench.record.write("default", [both, write("theirs", PHOTOS[1], tags=("phone",))])
        await until(lambda: bench.rows() == {"both", "theirs"})
    (made,) = await bench.record.generations("default")
    rows = {row.image_id: row.vector for row in await bench.record.rows(made, ["both"])}
    expected = [vector_of(PHOTOS[0]), vector_of(PHOTOS[1] + SHOPPERS)]
    found = [rows[image_id(photo)] for photo in PHOTOS[:2]]
    assert np.allclose(found, expected)


async def test_a_large_collection_that_is_filled_anew_holds_up_no_other(bench: Bench) -> None:
    await bench.record.create_generation(generation())
    made = await bench.record.register(
        generation(
            name="again", collection=shaped("slow"), active=False, state=GenerationState.BUILDING
        )
    )
    scan, freed = bench.index.scan, asyncio.Event()

    async def slow(collection: str, low: str, high: str) -> dict[str, int] | None:
        if collection == shaped("slow"):
            await freed.wait()
        return await scan(collection, low, high)

    bench.index.scan = slow  # type: ignore[method-assign]
    await bench.record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS[:3])])
    await bench.record.save_vectors(made, vectors(*PHOTOS[:3]))
    async with bench.working():
        await until(lambda: len(bench.rows()) == 3)
        await bench.record.write("default", [write("live", PHOTOS[3])])
        first = next(each for each in await bench.record.generations("default") if each.active)
        await until(lambda: "live" in held(bench, first))
        freed.set()
        await until(lambda: held(bench, made) == held(bench, first))


async def nothing_waits(bench: Bench, made: Generation) -> bool:
    return (await bench.record.counts("default", made)).pending == 0


@pytest.mark.full
async def test_what_a_killed_backfill_left_is_taken_back_when_it_was_cancelled(
    bench: Bench,
) -> None:
    jobs = job_queue(bench.db)
    await bench.record.create_generation(generation())
    await bench.record.write("default", [write("a", PHOTOS[0])])
    made = await second(bench)
    job = await generations.backfill("default", "two", bench.record, jobs, request_id="")
    assert await jobs.claim((generations.BACKFILL,), "killed", 0.1) is not None
    await bench.record.enqueue_missing(made, "", 10)
    await jobs.cancel(job.id)
    async with bench.working():
        async with asyncio.timeout(SECONDS):
            while (await jobs.get(job.id)).state != JobState.CANCELLED:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await until(lambda: bench.rows() == {"a"})
        await until(lambda: nothing_waits(bench, made))
