"""Backups and restores on a real record, with real archives."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from retriever.adapters.backup_files import BackupFiles
from retriever.backup import backups, restores
from retriever.catalog import products
from retriever.domain.archive import Table
from retriever.domain.collections import shaped
from retriever.domain.errors import (
    BackupCatalogMismatch,
    BackupDamaged,
    BackupNotFound,
    BackupsFull,
    BackupsUnavailable,
    BackupVersionUnsupported,
    CatalogNotEmpty,
)
from retriever.domain.generation import (
    MOST_LIVE,
    Generation,
    GenerationState,
    IndexKind,
    IndexParameters,
    Metric,
    Verification,
)
from retriever.domain.product import Amount, ImageDraft, Offer, Order, Product, ProductDraft
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from retriever.record.snapshots import RecordSnapshot
from retriever.wiring import job_queue
from servicekit.errors import ServiceError
from servicekit.jobs import Job, JobCancelled, Jobs, JobState
from servicekit.sql import Database
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.fakes.index import FakePhotos, vector_of
from tests.fakes.photos import photo
from tests.stores import NewStore
from tests.unit.retriever.conftest import Clock, generation, record_at
from tests.waiting import SECONDS

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


@dataclass
class Place:
    """One installation: a record, photos and jobs, with backups that all share."""

    db: Database
    record: Record
    photos: FakePhotos
    jobs: Jobs
    store: BackupFiles

    @property
    def deps(self) -> backups.Dependencies:
        return backups.Dependencies(self.record, self.photos, self.store, self.jobs)

    async def stock(self, number: int = 3, catalog: str = "default", first: int = 0) -> None:
        """Products with two photos each, the first one shared by all, all but the last embedded."""
        drafts = [
            replace(
                BIG,
                product_id=f"p/ü {n}",
                parent_id="p/ü 0" if n == 1 else "",
                price=None if n == 2 else BIG.price,
                images=(ImageDraft(photo(seed=0), ""), ImageDraft(photo(seed=n + 1), "")),
            )
            for n in range(first, first + number)
        ]
        outcomes, _ = await products.upsert(catalog, drafts, self.record, self.photos)
        assert not [o for o in outcomes if isinstance(o, ServiceError)]

    async def back_up(self, catalog: str = "default") -> str:
        asked = await backups.create(catalog, self.jobs, now=1_700_000_000_000_000, request_id="")
        job = await self.claimed(backups.BACKUP)
        assert job.id == asked.id
        result = await backups.back_up(job, self.deps, "1.2.3")
        await self.jobs.finish(job.id, result)
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
            await self.jobs.fail(job.id, error)
            raise
        await self.jobs.finish(job.id, result)
        return result

    async def products(self, catalog: str = "default") -> list[Product]:
        found = await self.record.page(catalog, Order.PRODUCT_ID, None, 1_000)
        return [replace(product, seq=0) for product in found]

    async def rows(self, name: str, catalog: str = "default") -> list[Any]:
        """Everything that the index should hold of a generation, without commit numbers."""
        (made,) = [g for g in await self.record.generations(catalog) if g.name == name]
        found = await self.record.rows(made, [p.content.product_id for p in await self.products()])
        return sorted((r.product_id, r.image_id, r.vector.tobytes(), str(r.facts)) for r in found)


@pytest.fixture
def place(tmp_path: Path, clock: Clock, new_store: NewStore) -> Iterator[Callable[[str], Place]]:
    made: list[Place] = []

    def make(name: str) -> Place:
        db = record_at(new_store, f"{name}.db")
        store = BackupFiles(str(tmp_path / "backups"))
        made.append(Place(db, Record(db, clock), FakePhotos(), job_queue(db), store))
        return made[-1]

    yield make
    for each in made:
        each.store.close()
        each.db.close()


@pytest.fixture
async def here(place: Callable[[str], Place], clock: Clock) -> Place:
    """A catalog with everything in it."""
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


async def test_a_restored_catalog_is_what_it_was(
    here: Place, place: Callable[[str], Place], clock: Clock
) -> None:
    before = await here.products()
    rows = await here.rows("visual-1")
    backup_id = await here.back_up()
    clock.now += 10**9
    there = place("there")
    result = await there.restore(backup_id)
    assert await there.products() == before
    assert len({product.create_time for product in before} | {0}) == 2
    assert all(image.perceptual_hash for product in before for image in product.images)
    assert there.photos.stored == here.photos.stored
    (made,) = await there.record.generations("default")
    assert (made.name, made.space_version, made.active) == ("visual-1", "v1-fake", True)
    assert made.collection != generation().collection, "a fresh collection"
    assert made.state is GenerationState.READY
    assert await there.rows("visual-1") == rows
    assert len(rows) == 5
    counts = await there.record.counts("default", made)
    assert (counts.pending, counts.failed) == (0, 1)
    assert result == {
        "product_count": 3,
        "image_count": 4,
        "lost_image_count": 0,
        "vector_count": 3,
        "deleted_count": 0,
        "left_out_generation_count": 0,
    }


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


async def test_a_space_takes_no_more_generations_than_it_may_have(
    rolled_out: Place, place: Callable[[str], Place]
) -> None:
    backup_id, there = await rolled_out.back_up(), place("there")
    await there.record.create_generation(generation(name="mine", space_version="mine"))
    for number in range(MOST_LIVE - 2):
        held = generation(name=f"{number}", space_version=f"{number}")
        await there.record.register(replace(held, collection=shaped(f"{number}")))
    result = await there.restore(backup_id)
    assert result["left_out_generation_count"] == 1
    assert len(await registry(there)) == MOST_LIVE
    assert "graph" in await registry(there), "the one that was active"


async def test_a_model_s_products_are_published_anew_after_a_restore(
    here: Place, place: Callable[[str], Place]
) -> None:
    made = replace(generation(name="lfm", space="collaborative"), of_products=True)
    await here.record.register(replace(made, collection=shaped("lfm")))
    await here.record.activate("default", "lfm", force=True)
    there = place("there")
    await there.restore(await here.back_up())
    assert list(await registry(there)) == ["visual-1"]


async def test_texts_are_embedded_anew_after_a_restore(
    here: Place, place: Callable[[str], Place]
) -> None:
    made = replace(generation(name="texts", space="text"), of_products=True)
    made = await here.record.create_generation(replace(made, collection=shaped("texts")))
    embedded = VectorWrite("", vector_of("text"), "p/ü 0")
    assert (await here.record.save_vectors(made, [embedded]))[0] == [None]
    there = place("there")
    await there.restore(await here.back_up())
    held = (await there.record.find_generation("default", "texts"), await there.rows("texts"))
    assert (held[0].active, held[1]) == (True, [])
    waiting = {item.item_id for item in await there.record.due(held[0], 10)}
    assert waiting == {product.content.product_id for product in await there.products()}


@pytest.fixture
async def rolled_out(here: Place) -> Place:
    """The same catalog, with a second way to search it that was forced past its verification."""
    graph = IndexParameters(Metric.L2, IndexKind.HNSW, m=8, ef_construction=64, ef=99)
    made = await here.record.register(
        generation(name="graph", collection=shaped("graph"), parameters=graph)
    )
    await here.record.end_backfill(made)
    await here.record.save_verification(made, PROVED)
    await here.record.activate("default", "graph", force=True)
    return here


async def registry(place: Place) -> dict[str, Generation]:
    """The live generations by their names, without what belongs to the engine."""
    return {
        g.name: replace(g, collection="", applied_seq=0, applied_time=0, check_wanted=False)
        for g in await place.record.generations("default")
    }


async def test_generations_are_what_they_were(
    rolled_out: Place, place: Callable[[str], Place], clock: Clock
) -> None:
    before = await registry(rolled_out)
    backup_id = await rolled_out.back_up()
    clock.now += 10**9
    there = place("there")
    await there.restore(backup_id)
    assert await registry(there) == before
    graph = before["graph"]
    assert (graph.active, graph.forced, graph.predecessor) == (True, True, "visual-1")
    assert graph.verification == PROVED
    collections = [g.collection for g in await there.record.generations("default")]
    assert len(set(collections)) == 2
    assert all(name == shaped(name) for name in collections)
    assert (await there.record.rollback("default", "visual")).name == "visual-1"


async def test_generations_come_beside_those_that_are_there(
    rolled_out: Place, place: Callable[[str], Place]
) -> None:
    backup_id, there = await rolled_out.back_up(), place("there")
    await there.record.create_generation(generation(name="mine"))
    await there.record.register(generation(name="graph", collection=shaped("gone")))
    await there.record.retire("default", "graph")
    await there.restore(backup_id)
    found = await registry(there)
    mine = found.pop("mine")
    ((name, graph),) = found.items()
    assert (mine.active, graph.active) == (True, False)
    assert name.startswith("graph-")
    assert (graph.parameters.kind, graph.state) == (IndexKind.HNSW, GenerationState.READY)
    assert graph.predecessor == "mine", "what is like its predecessor"


async def test_what_a_backfill_waited_for_waits_as_after_a_write(
    here: Place, place: Callable[[str], Place]
) -> None:
    new = generation(name="two", space_version="v2", collection=shaped("two"))
    made = await here.record.register(new)
    await here.record.want_some(made, "", 100)
    there = place("there")
    await there.restore(await here.back_up())
    (two,) = [g for g in await there.record.generations("default") if g.name == "two"]
    assert (two.state, two.active) == (GenerationState.BUILDING, False)
    assert await there.record.take_back(two, 100) == 0, "no backfill is on it"
    assert (await there.record.counts("default", two)).pending == 4


async def test_tokens_of_before_the_backup_stay_good(
    here: Place, place: Callable[[str], Place]
) -> None:
    there = place("there")
    for _ in range(50):
        await here.record.commit_number("default")
    newest = await here.record.commit_number("default")
    await there.restore(await here.back_up())
    assert await there.record.commit_number("default") > newest


async def test_into_another_catalog(here: Place) -> None:
    backup_id = await here.back_up()
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, "other")
    await here.restore(backup_id, "other", source="default")
    assert await here.products("other") == await here.products()
    rows, others = await expected(here, "default"), await expected(here, "other")
    assert len(rows) == len(others) == 5
    assert not rows.keys() & others.keys()
    collections = {
        g.collection for name in ("default", "other") for g in await here.record.generations(name)
    }
    assert len(collections) == 2


async def expected(place: Place, catalog: str) -> dict[str, Any]:
    (made,) = await place.record.generations(catalog)
    return await place.record.expected(made, "0", "g")


async def test_only_into_an_empty_catalog_unless_forced(here: Place) -> None:
    backup_id, before = await here.back_up(), await here.products()
    await here.stock(2, first=7)
    await here.record.offer("default", [Offer("p/ü 0", Money("USD", 1), None)])
    with pytest.raises(CatalogNotEmpty):
        await here.ask(backup_id)
    result = await here.restore(backup_id, force=True)
    assert result["deleted_count"] == 2
    assert await here.products() == before
    (made,) = await here.record.generations("default")
    assert made.collection == generation().collection, "the index follows by the outbox"
    assert {c.product_id for c in await here.record.changes(made, 1_000)} >= {
        "p/ü 0",
        "p/ü 7",
        "p/ü 8",
    }


async def test_what_is_written_since_the_request_stays(here: Place) -> None:
    backup_id = await here.back_up()
    await here.ask(backup_id, force=True)
    newer = replace(BIG, product_id="p/ü 0", title="Newer")
    fresh = replace(BIG, product_id="fresh")
    await products.upsert("default", [newer, fresh], here.record, here.photos)
    await restores.restore(await here.claimed(backups.RESTORE), here.deps, "s")
    titles = {p.content.product_id: p.content.title for p in await here.products()}
    assert titles == {"fresh": BIG.title, "p/ü 0": "Newer", "p/ü 1": BIG.title, "p/ü 2": BIG.title}


async def test_an_attempt_that_died_is_done_again(
    here: Place, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    job = await there.claimed(backups.RESTORE)

    async def died(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(there.record, "restore_pending", died)
        with pytest.raises(RuntimeError):
            await restores.restore(job, there.deps, "s")
    assert len(await there.products()) == 3
    await restores.restore(replace(job, attempts=2), there.deps, "s")
    assert await there.products() == await here.products()
    assert len(await there.record.generations("default")) == 1


async def test_the_same_request_is_one_restore(here: Place, place: Callable[[str], Place]) -> None:
    backup_id, there = await here.back_up(), place("there")
    first = await there.ask(backup_id, request_id="r")
    await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert (await there.ask(backup_id, request_id="r")).id == first.id
    with pytest.raises(CatalogNotEmpty):
        await there.ask(backup_id, request_id="another")


async def test_a_lost_photo_stops_no_backup(here: Place, place: Callable[[str], Place]) -> None:
    del here.photos.stored["default", image_id(photo(seed=2))]
    there = place("there")
    result = await there.restore(await here.back_up())
    assert (result["image_count"], result["lost_image_count"]) == (3, 1)
    assert await there.products() == await here.products()


async def test_a_backup_is_of_one_commit_while_writes_go_on(
    here: Place, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, before = asyncio.get_running_loop(), await here.products()
    read = RecordSnapshot.rows

    def interrupted(snapshot: RecordSnapshot, table: Table) -> Iterator[Any]:
        if table.name == "product_images":  # in the thread of the transaction
            asyncio.run_coroutine_threadsafe(here.stock(2, first=5), loop).result(10)
        return read(snapshot, table)

    monkeypatch.setattr(RecordSnapshot, "rows", interrupted)
    backup_id = await here.back_up()
    monkeypatch.undo()
    assert len(await here.products()) == 5
    there = place("there")
    await there.restore(backup_id)
    assert await there.products() == before


async def test_a_cancelled_backup_leaves_nothing(here: Place, tmp_path: Path) -> None:
    await backups.create("default", here.jobs, now=1_700_000_000_000_000, request_id="")
    job = await here.claimed(backups.BACKUP)
    reading = asyncio.Event()

    async def hang(catalog_id: str, photo_id: str) -> bytes:
        reading.set()
        await asyncio.Event().wait()
        return b""

    here.photos.get = hang  # type: ignore[method-assign]
    task = asyncio.create_task(backups.back_up(job, here.deps, "1"))
    await asyncio.wait_for(reading.wait(), SECONDS)
    assert [path.suffix for path in (tmp_path / "backups/default").iterdir()] == [".part"]
    await here.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await task
    assert list((tmp_path / "backups/default").iterdir()) == []


async def test_what_a_killed_attempt_left_is_no_backup(here: Place, tmp_path: Path) -> None:
    job = await backups.create("default", here.jobs, now=1_700_000_000_000_000, request_id="r")
    again = await backups.create("default", here.jobs, now=1_800_000_000_000_000, request_id="r")
    assert again.params == job.params
    left = tmp_path / "backups/default" / f"{job.params['backup_id']}.tar.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert await backups.list_backups("default", here.store, size=0, token="") == ([], "")
    await backups.back_up(await here.claimed(backups.BACKUP), here.deps, "1")
    (found,), _ = await backups.list_backups("default", here.store, size=0, token="")
    assert found.backup_id == job.params["backup_id"]
    assert not left.exists()


async def test_backups_are_listed_newest_first_in_pages(here: Place, tmp_path: Path) -> None:
    ids = sorted([await here.back_up() for _ in range(3)], reverse=True)
    (tmp_path / f"backups/default/{ids[1]}.tar").write_bytes(b"rubbish")
    page, token = await backups.list_backups("default", here.store, size=2, token="")
    rest, end = await backups.list_backups("default", here.store, size=2, token=token)
    assert [item.backup_id for item in (*page, *rest)] == ids
    assert end == ""
    assert isinstance(page[1].found, BackupDamaged)
    assert not isinstance(page[0].found, ServiceError)
    assert page[0].found.rows("products") == 3


async def test_the_same_commit_gives_the_same_bytes(here: Place, tmp_path: Path) -> None:
    first, second = [
        (tmp_path / f"backups/default/{await here.back_up()}.tar").read_bytes() for _ in range(2)
    ]
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        names = archive.getnames()
    assert names[:2] == ["manifest.json", "tables/images.parquet"]
    assert names[-1] == "complete.json"
    assert names[6:-1] == sorted(names[6:-1])


class FullDisk(BackupFiles):
    """A place with no room; what was written before its disk was full stays until it is deleted."""

    def _open_new(self, part: str) -> IO[bytes]:
        file = super()._open_new(part)

        class Full(io.FileIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        file.close()
        return Full(part, "w")


async def test_a_full_disk_is_told_and_nothing_is_left(here: Place, tmp_path: Path) -> None:
    here.store = FullDisk(str(tmp_path / "backups"))
    with pytest.raises(BackupsFull):
        await here.back_up()
    assert list((tmp_path / "backups/default").iterdir()) == []
    here.store.close()


async def test_a_place_that_can_not_be_written_is_told(here: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    here.store = BackupFiles(str(tmp_path / "file"))
    with pytest.raises(BackupsUnavailable):
        await here.back_up()
    here.store.close()


# Hostile archives

Members = dict[str, bytes]


def opened(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }


def packed(members: Members, **header: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def with_table(
    members: Members, name: str, change: Callable[[list[Any]], Any], **how: Any
) -> Members:
    """The archive with a table's rows changed, and hashes that vouch for it."""
    member = f"tables/{name}.parquet"
    table = parquet.read_table(io.BytesIO(members[member]))
    rows = table.to_pylist()
    rows = change(rows) or rows
    out = io.BytesIO()
    options = {"compression": "none", "use_dictionary": False, "store_schema": False} | how
    parquet.write_table(pa.Table.from_pylist(rows, table.schema), out, **options)
    return vouched(members | {member: out.getvalue()}, {member: len(rows)})


def vouched(members: Members, rows: dict[str, int] | None = None, **fields: Any) -> Members:
    """With a manifest that fits."""
    manifest = json.loads(members["manifest.json"]) | fields
    for entry in manifest["members"]:
        data = members[entry["name"]]
        entry |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        entry["rows"] = (rows or {}).get(entry["name"], entry["rows"])
    return members | {"manifest.json": json.dumps(manifest).encode()}


def first(field: str, value: Any) -> Callable[[list[Any]], None]:
    def change(rows: list[Any]) -> None:
        rows[0][field] = value

    return change


def renamed(members: Members, old: str, new: str) -> Members:
    return {new if name == old else name: data for name, data in members.items()}


def photo_of(members: Members) -> str:
    return next(name for name in members if name.startswith("photos/"))


DAMAGED: dict[str, Callable[[Members], Members]] = {
    "a byte of a table": lambda m: (
        m | {"tables/vectors.parquet": m["tables/vectors.parquet"][:-9] + b"123456789"}
    ),
    "a table that is longer": lambda m: (
        m | {"tables/vectors.parquet": m["tables/vectors.parquet"] + b"x"}
    ),
    "a photo's bytes": lambda m: m | {photo_of(m): m[photo_of(m)][:-1] + b"?"},
    "a longer photo": lambda m: m | {photo_of(m): m[photo_of(m)] + b"?"},
    "a photo with a path": lambda m: renamed(m, photo_of(m), "../../../etc/passwd"),
    "an absolute path": lambda m: renamed(m, "complete.json", "/etc/passwd"),
    "one photo too many": lambda m: (
        {n: d for n, d in m.items() if n != "complete.json"}
        | {"photos/" + "f" * 64: b"x", "complete.json": m["complete.json"]}
    ),
    "one photo too few": lambda m: {n: d for n, d in m.items() if n != photo_of(m)},
    "no end": lambda m: {n: d for n, d in m.items() if n != "complete.json"},
    "something behind the end": lambda m: m | {"more": b""},
    "no manifest": lambda m: {n: d for n, d in m.items() if n != "manifest.json"},
    "a manifest that is no JSON": lambda m: m | {"manifest.json": b"{"},
    "a large manifest": lambda m: m | {"manifest.json": b" " * (5 * 2**20)},
    "a manifest with more": lambda m: vouched(m, colour="red"),
    "a commit beyond all numbers": lambda m: vouched(m, commit=2**62),
    "a generation that is none": lambda m: vouched(m, generations=[{"name": "x"}]),
    "no Parquet": lambda m: vouched(m | {"tables/vectors.parquet": b"PAR1 rubbish PAR1"}),
    "other rows than told": lambda m: vouched(m, {"tables/vectors.parquet": 2}),
    "a compressed table": lambda m: with_table(m, "images", lambda _: None, compression="zstd"),
    "a dictionary": lambda m: with_table(m, "images", lambda _: None, use_dictionary=True),
    "another price than the etag's": lambda m: with_table(m, "products", first("price_micros", 1)),
    "a title with control characters": lambda m: with_table(m, "products", first("title", "\0")),
    "attributes that are no JSON": lambda m: with_table(m, "products", first("attributes", "[")),
    "products out of order": lambda m: with_table(m, "products", lambda rows: rows[::-1]),
    "a product twice": lambda m: with_table(m, "products", lambda rows: rows[:1] + rows),
    "a photo of no product": lambda m: with_table(
        m, "product_images", first("product_id", "nobody")
    ),
    "a photo that is not known": lambda m: with_table(
        m, "product_images", first("image_id", "0" * 64)
    ),
    "a photo's size": lambda m: with_table(m, "images", first("size", 2**40)),
    "a photo's type": lambda m: with_table(m, "images", first("media_type", "text/html")),
    "a photo's name": lambda m: with_table(m, "images", first("image_id", "../" * 21 + "x")),
    "a vector of another size": lambda m: with_table(m, "vectors", first("dimension", 4)),
    "a vector of zeros": lambda m: with_table(m, "vectors", first("data", bytes(32))),
    "a vector that is not finite": lambda m: with_table(
        m, "vectors", first("data", b"\0\0\xc0\x7f" * 8)
    ),
    "a vector of an unknown photo": lambda m: with_table(m, "vectors", first("image_id", "ü" * 64)),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_or_hostile_archive_changes_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    file = tmp_path / f"backups/default/{backup_id}.tar"
    members = opened(file.read_bytes())
    changed = DAMAGED[name](members)
    assert changed != members
    file.write_bytes(packed(changed))
    with pytest.raises(BackupDamaged) as caught:
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert caught.value.reason == "BACKUP_DAMAGED"
    assert await there.products() == []
    assert await there.record.generations("default") == []
    assert (await there.record.counts("default", None)).images == 0
    assert not (tmp_path / "passwd").exists()
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize("length", [0, 100, 700, 5_000, -1_024, -2_000])
async def test_a_file_that_is_cut_off_changes_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, length: int
) -> None:
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id)
    file = tmp_path / f"backups/default/{backup_id}.tar"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(BackupDamaged):
        await restores.restore(await there.claimed(backups.RESTORE), there.deps, "s")
    assert await there.products() == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"S"])
async def test_only_plain_files_are_read(
    here: Place, place: Callable[[str], Place], tmp_path: Path, kind: bytes
) -> None:
    backup_id, there = await here.back_up(), place("there")
    file = tmp_path / f"backups/default/{backup_id}.tar"
    info = tarfile.TarInfo("manifest.json")
    info.type, info.linkname = kind, "/etc/passwd"
    file.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + file.read_bytes())
    with pytest.raises(BackupDamaged):
        await there.ask(backup_id)


async def test_a_newer_format_is_told_from_damage(
    here: Place, place: Callable[[str], Place], tmp_path: Path
) -> None:
    backup_id, there = await here.back_up(), place("there")
    file = tmp_path / f"backups/default/{backup_id}.tar"
    file.write_bytes(packed(vouched(opened(file.read_bytes()), format_version=2)))
    with pytest.raises(BackupVersionUnsupported):
        await there.ask(backup_id)


async def test_a_backup_of_another_catalog_is_not_taken_for_this_one(
    here: Place, tmp_path: Path
) -> None:
    backup_id = await here.back_up()
    foreign = tmp_path / f"backups/other/{backup_id}.tar"
    foreign.parent.mkdir()
    foreign.write_bytes((tmp_path / f"backups/default/{backup_id}.tar").read_bytes())
    with pytest.raises(BackupCatalogMismatch):
        await here.ask(backup_id, "other")


@pytest.mark.parametrize(
    ("backup_id", "source"),
    [("", ""), ("../default/x", ""), ("20260131T120000Z-1f3a9c02", "../x"), ("x\0", "")],
)
async def test_a_name_leads_nowhere_else(here: Place, backup_id: str, source: str) -> None:
    with pytest.raises(BackupNotFound):
        await here.ask(backup_id, source=source)


async def test_in_a_bucket(here: Place) -> None:
    here.store = BackupFiles("memory://bucket/backups")
    backup_id = await here.back_up()
    assert here.store.spool_folder() is None
    assert await here.store.names("default") == [backup_id]
    await here.restore(backup_id, "other", source="default")
    assert await here.products("other") == await here.products()
    assert (await here.jobs.list(states=[JobState.SUCCEEDED]))[0].kind == "restore"
    here.store.close()
