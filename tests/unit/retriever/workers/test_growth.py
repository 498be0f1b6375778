"""A shop that writes and deletes for years keeps no more rows than after its first day."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from retriever.domain.imports import ImportMode, ImportRow
from retriever.domain.product import Offer
from retriever.domain.retention import BOUNDED, FORMER, GOES, STAYS, TABLES
from retriever.domain.vectors import VectorWrite
from retriever.record import Record, retention
from retriever.record.tables import jobs, metadata
from retriever.workers import tidying
from servicekit.sql.database import Database
from servicekit.sql.retention import forget_jobs
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.unit.retriever.conftest import Clock, generation, write
from tests.unit.retriever.domain.test_category_mismatch import APPLE, KNOWN, WRONG
from tests.unit.retriever.workers.conftest import Bench

YEAR = 365 * 86_400 * 10**6
NO_GENERATION = "new"
"""A catalog of which nothing is searched yet: only the tidying deletes its outbox."""


async def rows(db: Database) -> Counter[str]:
    """Return the number of rows of each table."""
    found = Counter[str]()
    for table in metadata.sorted_tables:
        query = sa.select(sa.func.count()).select_from(table)
        found[table.name] = await db.read(lambda c, query=query: c.execute(query).scalar_one())
    return found


async def day(bench: Bench, record: Record, number: int, seen: Counter[str]) -> None:
    """Write one of everything, note the rows, and delete it."""
    made = await record.create_generation(generation())
    photo, name = b"photo of day %d" % number, f"p{number}"
    await record.write(
        "default", [write(name, photo, category_path=APPLE), write("other", b"other")]
    )
    await record.write(NO_GENERATION, [write(name)])
    await record.offer("default", [Offer(name, Money("EUR", number), Availability.IN_STOCK)])
    await record.save_vectors(made, [VectorWrite(image_id(photo), vector_of(photo))])
    await record.judge(made, {image_id(photo): WRONG}, KNOWN)
    imported = f"import{number}"
    await record.open_import("default", imported, ImportMode.INCREMENTAL, 60.0)
    await record.import_rows(
        "default", imported, [ImportRow(1, name, write(name, photo, category_path=APPLE))]
    )
    queue = bench.worker("one").jobs
    job = await queue.create("purge", "default", {})
    seen.update(await rows(bench.db))
    await queue.cancel(job.id)
    await record.delete("default", [name, "other"])
    await record.delete(NO_GENERATION, [name])


@pytest.mark.full
async def test_rows_of_what_is_deleted_go(
    bench: Bench, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_DELETED", 1)
    bench.catalogs = ("default", NO_GENERATION)
    record, seen, left = Record(bench.db, clock), Counter[str](), list[Counter[str]]()
    worker = replace(bench.worker("one"), record=record)
    monkeypatch.setattr(tidying.time, "time", lambda: clock.now / 1e6)
    clock.now = 50 * YEAR
    for number in range(3):
        await day(bench, record, number, seen)
        (made,) = await record.generations("default")
        while found := await record.changes(made, 500):
            made = await record.advance(made, found[-1])
        for _ in range(2):  # one notes photos without a product, the next one deletes them
            clock.now += YEAR
            bench.photos.old = {image for _, image in bench.photos.stored}
            await tidying.tidy(worker)
            await forget_jobs(bench.db, jobs, 1, lambda: 2**60)
        left.append(await rows(bench.db))
    for each in left:
        for name, (term, _) in TABLES.items():
            if term is STAYS:
                del each[name]
    assert left[1] == left[2]
    untouched = {name for name, (term, _) in TABLES.items() if term is GOES and not seen[name]}
    assert untouched <= SHOWN_ELSEWHERE, "add them to `day`"
    kept = {name for name, (term, _) in TABLES.items() if term is GOES and left[2][name]}
    assert kept == set()
    assert {name for name in left[2] if TABLES[name][0] is BOUNDED and left[2][name] > 2} == set()


SHOWN_ELSEWHERE = {
    "product_vectors",  # unit/retriever/record/test_product_vectors
    *(name for name, (_, why) in TABLES.items() if why == FORMER),
    "unnamed",  # unit/retriever/workers/test_tidying: between two turns
}
