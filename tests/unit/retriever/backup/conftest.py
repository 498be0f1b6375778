"""Installations with a record, photos, jobs and backups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from retriever.backup import backups, restores
from retriever.catalog import products
from retriever.catalog.takedowns import PermittedPhotos
from retriever.domain.collection_names import shaped
from retriever.domain.generation import IndexKind, IndexParameters, VectorMetric, Verification
from retriever.domain.product import Amount, ImageDraft, Offer, Product, ProductDraft, ProductOrder
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.artefacts.backups import Backups
from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.stores import NewStore
from tests.unit.retriever.conftest import Clock, generation, record_at

BIG = ProductDraft(
    product_id="p/ü 1",
    title="Barolo “Riserva”\n\\ % '",
    description="A wine",
    category_path=("Wine", "Red"),
    brand="Estate",
    price=Amount("EUR", 12, 500_000_000),
    availability=Availability.OUT_OF_STOCK,
    tags=("organic", "naïve"),
    attributes=(("abv", 13.5), ("organic", True), ("grape", "Nebbiolo"), ("grape", "Barbera")),
    language_code="it",
    uri="https://shop.example/p",
)


PROVED = Verification(
    findings=("finds too little",),
    sample_count=4,
    least_agreement=0.99,
    recall=0.5,
    filtered_recall=None,
    k=3,
    record_count=5,
    index_count=5,
    unsound_count=0,
    end_time=1_700_000_000_000_000,
)


@dataclass
class Place:
    """One installation: a record, photos and jobs, with backups that all installations share."""

    db: Database
    record: Record
    photos: FakePhotos
    jobs: Jobs
    store: Backups
    times: Iterator[int] = field(default_factory=lambda: count(1_700_000_000_000_000))
    """Times of requested backups."""

    @property
    def deps(self) -> backups.BackupTools:
        photos = PermittedPhotos(self.photos, self.record)
        return backups.BackupTools(self.record, photos, self.store, self.jobs)

    async def stock(self, number: int = 3, catalog: str = "default", first: int = 0) -> None:
        """Write products with two photos each, the first one shared by all, all but the last
        embedded."""
        drafts = [
            BIG._replace(
                product_id=f"p/ü {n}",
                parent_id="p/ü 0" if n == 1 else "",
                price=None if n == 2 else BIG.price,
                images=(ImageDraft(photo(seed=0), ""), ImageDraft(photo(seed=n + 1), "")),
            )
            for n in range(first, first + number)
        ]
        outcomes, _ = await products.upsert(catalog, drafts, self.record, self.photos)
        assert not [o for o in outcomes if isinstance(o, ServiceError)]

    async def ask_backup(
        self, catalog: str = "default", quota: backups.Quota | None = None, **given: Any
    ) -> Job:
        asked: dict[str, Any] = {"now": next(self.times), "request_id": ""} | given
        return await backups.create(
            catalog, self.store, self.jobs, quota or backups.Quota(), **asked
        )

    async def back_up(self, catalog: str = "default") -> str:
        asked = await self.ask_backup(catalog)
        job = await self.claimed(backups.BACKUP)
        assert job.id == asked.id
        result = await backups.back_up(job, self.deps, "1.2.3")
        await self.jobs.finish(job, result)
        return str(result["backup_id"])

    async def ask(self, backup_id: str, catalog: str = "default", **options: Any) -> Job:
        given = {"source": "", "force": False, "request_id": ""} | options
        return await backups.ask_restore(
            catalog, backup_id, self.record, self.store, self.jobs, **given
        )

    async def claimed(self, kind: str) -> Job:
        job = await self.jobs.claim([kind], "worker", 30)
        assert job is not None
        return job

    async def restore(self, backup_id: str, catalog: str = "default", **options: Any) -> Any:
        await self.ask(backup_id, catalog, **options)
        job = await self.claimed(backups.RESTORE)
        try:
            result = await restores.restore(job, self.deps, "s")
        except ServiceError as error:
            await self.jobs.fail(job, error)
            raise
        await self.jobs.finish(job, result)
        return result

    async def products(self, catalog: str = "default") -> list[Product]:
        found = await self.record.page(catalog, ProductOrder.PRODUCT_ID, None, 1_000)
        return [replace(product, seq=0) for product in found]

    async def rows(self, name: str, catalog: str = "default") -> list[Any]:
        """Return everything that the index should hold of a generation, without commit numbers."""
        (made,) = [g for g in await self.record.generations(catalog) if g.name == name]
        found = await self.record.rows(made, [p.content.product_id for p in await self.products()])
        return sorted((r.product_id, r.image_id, r.vector.tobytes(), str(r.facts)) for r in found)


@pytest.fixture
def place(tmp_path: Path, clock: Clock, new_store: NewStore) -> Iterator[Callable[[str], Place]]:
    made: list[Place] = []

    def make(name: str) -> Place:
        db = record_at(new_store, f"{name}.db")
        store = Backups(str(tmp_path / "backups"), "retriever")
        made.append(Place(db, Record(db, clock), FakePhotos(), job_queue(db), store))
        return made[-1]

    yield make
    for each in made:
        each.store.close()
        each.db.close()


@pytest.fixture
async def here(place: Callable[[str], Place], clock: Clock) -> Place:
    """Return an installation whose catalog has every kind of object."""
    made = place("here")
    await made.record.create_generation(generation())
    await made.stock()
    clock.now += 1_000_000
    await made.record.save_vectors(
        generation(),
        [VectorWrite(image_id(photo(seed=n)), vector_of(photo(seed=n))) for n in range(3)],
    )
    await made.record.give_up(generation(), [image_id(photo(seed=3))], "IMAGE_UNDECODABLE")
    await made.record.offer("default", [Offer("p/ü 2", Money("CHF", 7), None)])
    return made


@pytest.fixture
async def rolled_out(here: Place) -> Place:
    """Return the catalog with a second generation that was activated by force despite its
    verification."""
    graph = IndexParameters(VectorMetric.L2, IndexKind.HNSW, m=8, ef_construction=64, ef=99)
    made = await here.record.register(
        generation(name="graph", collection=shaped("graph"), parameters=graph)
    )
    await here.record.end_backfill(made)
    await here.record.save_verification(made, PROVED)
    await here.record.activate("default", "graph", force=True)
    return here
