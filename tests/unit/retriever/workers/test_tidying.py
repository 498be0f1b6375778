"""Periodic deletions of the worker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, event

from retriever.backup import backups
from retriever.domain.imports import ImportMode
from retriever.record import retention
from retriever.settings import RetrieverSettings
from retriever.workers import tidying
from retriever.workers.tidying import tidy
from sightline_rules.photos import image_id
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench


async def test_photos_that_no_product_has_go_but_not_while_they_are_copied(bench: Bench) -> None:
    await bench.record.write("default", [write("a", PHOTOS[0])])
    bench.photos.old = {image_id(photo) for photo in PHOTOS}
    at_once = replace(bench.worker("one"), options=RetrieverSettings(photo_days=1e-9))
    copying = await at_once.jobs.create(backups.RESTORE, "default", {})

    async def left(worker=at_once) -> int:
        for _ in range(2):  # one notes them, the next one deletes them
            assert not await tidy(worker)
        return len([name for catalog, name in bench.photos.stored if catalog == "default"])

    assert await left() == len(PHOTOS)
    await at_once.jobs.cancel(copying.id)
    assert await left(replace(at_once, options=RetrieverSettings(photo_days=0))) == len(PHOTOS)
    assert await left() == 1
    assert await bench.photos.get("default", image_id(PHOTOS[0])) == PHOTOS[0]


async def test_jobs_that_ended_long_ago_go(bench: Bench) -> None:
    asked = []

    async def forget() -> int:
        asked.append(1)
        return 0

    await tidy(replace(bench.worker("one"), forget_jobs=forget))
    assert asked == [1]


@pytest.mark.full
async def test_what_is_forgotten_costs_no_more_than_what_there_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the steps of SQLite: a shop that comes from an earlier release has years to forget."""
    monkeypatch.setattr(retention, "MOST_DELETED", 10)
    monkeypatch.setattr(tidying, "BATCH", 10)
    steps = list[int]()

    @event.listens_for(bench.db.engine, "begin")
    def count(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(lambda: steps.append(1), 10)

    async def cost(catalog: str, size: int) -> int:
        for kind in ("old", "gone", "new"):
            await bench.record.write(catalog, [write(f"{kind}{n}") for n in range(size)])
        await bench.record.delete(catalog, [f"gone{n}" for n in range(size)])
        await bench.record.write(catalog, [write(f"new{n}", b"photo") for n in range(size)])
        for n in range(size):
            await bench.record.open_import(catalog, f"import{n}", ImportMode.INCREMENTAL, 60.0)
        steps.clear()
        await tidying.forget(catalog, 1e-9, bench.record, 2e10)
        return len(steps)

    little, much = await cost("little", 200), await cost("much", 400)
    assert much < 2.5 * little
