"""Copies of a catalog in a real record: complete, or not there at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.backup import copies
from retriever.catalog import products
from retriever.catalog.registry import Registry
from retriever.domain.collection_names import shaped
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import (
    CatalogExists,
    CatalogIsAlias,
    CatalogRemoving,
    CatalogsFull,
    SceneDocumentNotFound,
)
from retriever.domain.registry import FIELDS, CatalogUpdate, CatalogValues
from retriever.domain.scenes import SceneText
from retriever.domain.vectors import VectorWrite
from retriever.record.tables import metadata
from servicekit.catalogs.known import CatalogCopying, CatalogDeleted, CatalogState
from servicekit.errors import ServiceError, Unavailable
from servicekit.jobs import job_limits
from servicekit.jobs.job_limits import JobsFull
from servicekit.jobs.queue import Job, JobCancelled
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.synonyms import SynonymRule
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import vector_of
from tests.stores import each_engine
from tests.unit.retriever.backup.conftest import BIG, Place
from tests.unit.retriever.conftest import Clock, generation

pytestmark = each_engine

RULES = copies.CopyRules(("default",), 3)
SPACES = (
    EmbeddingSpace("visual", "v1-fake", 8, True),
    EmbeddingSpace("text", "v1-fake", 8, True),
)


class Offering(FakeEmbedder):
    """Embedder that offers given spaces, after some failures."""

    def __init__(self, *spaces: EmbeddingSpace, failures: int = 0) -> None:
        super().__init__()
        self.offered, self.failures = spaces or SPACES, failures

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        assert catalog_id == "default", "it knows no catalog that is being copied"
        if self.failures:
            self.failures -= 1
            raise Unavailable("down", reason="EMBEDDER_UNAVAILABLE")
        return list(self.offered)


async def ask(place: Place, target: str = "copy", request_id: str = "") -> Job:
    return await copies.ask_copy(
        "default", target, place.record, place.jobs, rules=RULES, request_id=request_id
    )


async def attempt(place: Place, job: Job, embedder: FakeEmbedder | None = None) -> Any:
    tools = copies.CopyTools(place.deps, place.record, embedder or Offering(), 1.0)
    return await copies.copy(job, tools, "s")


async def copied(place: Place, embedder: FakeEmbedder | None = None) -> Mapping[str, Any]:
    """Copy the default catalog, in one job."""
    await ask(place)
    job = await place.claimed(copies.COPY)
    try:
        result: Mapping[str, Any] = await attempt(place, job, embedder)
    except ServiceError as error:
        await place.jobs.fail(job, error)
        raise
    await place.jobs.finish(job, result)
    return result


async def state(place: Place, name: str = "copy") -> CatalogState | None:
    found = await place.record.catalog_entry(name)
    return None if found is None else found.state


async def with_texts(place: Place) -> None:
    """Add a generation of texts, with the vector of one product's text."""
    made = replace(generation(name="texts", space="text"), of_products=True)
    made = await place.record.create_generation(replace(made, collection=shaped("texts")))
    embedded = VectorWrite("", vector_of("text"), "p/ü 0")
    assert (await place.record.save_vectors(made, [embedded]))[0] == [None]


async def test_a_copy_has_the_products_photos_and_vectors_of_the_catalog(
    here: Place, clock: Clock
) -> None:
    await with_texts(here)
    synonyms = await here.record.set_synonyms("default", (SynonymRule(("wine", "vino")),), "")
    draft = SceneText.of("home", "views = 1\n", "ann", "")
    scene = await here.record.write_draft("default", draft, "")
    document = await here.record.scene("default", SYNONYMS_DOCUMENT)
    pairs = await here.record.mark_distinct("default", ["p/ü 0", "p/ü 1"], "ann")
    before = await here.products()
    clock.now += 10**9
    result = await copied(here, Offering(failures=1))
    assert result == {
        "catalog_id": "copy",
        "product_count": 3,
        "image_count": 4,
        "lost_image_count": 0,
        "vector_count": 4,
    }
    assert await here.products("copy") == before == await here.products()
    assert await here.record.synonyms("copy") == synonyms
    assert await here.record.scene("copy", "home") == scene
    assert await here.record.scene("copy", SYNONYMS_DOCUMENT) == document
    assert await here.record.distinct_pairs("copy") == pairs
    photos = {name for catalog, name in here.photos.stored if catalog == "default"}
    assert {name for catalog, name in here.photos.stored if catalog == "copy"} == photos
    for name, count in (("visual-1", 5), ("texts", 1)):
        rows = await here.rows(name)
        assert await here.rows(name, "copy") == rows
        assert len(rows) == count
    for mine in await here.record.generations("copy"):
        assert mine.active
        theirs = await here.record.counts("default", replace(mine, catalog_id="default"))
        ours = await here.record.counts("copy", mine)
        assert replace(ours, outbox=0) == replace(theirs, outbox=0)
    collections = [
        each.collection
        for name in ("default", "copy")
        for each in await here.record.generations(name)
    ]
    assert len({*collections}) == 4


async def test_no_call_may_use_a_copy_before_it_is_complete(here: Place) -> None:
    registry = Registry(here.record, ("default",), 4, 1.0)
    values = CatalogValues("Shop", "de", (("team", "shop"),), 0.5)
    await here.record.update_catalog("default", CatalogUpdate(values, FIELDS), ("default",))
    await ask(here)
    made = await registry.get("copy")
    assert (made.state, made.copied_from) == (CatalogState.COPYING, "default")
    assert made.values == values
    for call in (
        registry.create("copy", values),
        registry.set_alias("shop", "copy", ""),
        registry.undelete("copy"),
    ):
        with pytest.raises((CatalogExists, CatalogCopying)):
            await call
    job = await here.claimed(copies.COPY)
    await attempt(here, job)
    made = await registry.get("copy")
    assert (made.state, made.copied_from) == (CatalogState.ACTIVE, "")


async def test_a_copy_makes_a_new_catalog_only(here: Place) -> None:
    await here.record.create_catalog("empty", CatalogValues(), 3)
    await here.record.set_alias(("shop", "default"), "", ("default",))
    for target, error in (
        ("default", CatalogExists),
        ("empty", CatalogExists),
        ("shop", CatalogIsAlias),
        ("A b", RequestInvalid),
        ("", RequestInvalid),
    ):
        with pytest.raises(error):
            await ask(here, target)
    await ask(here, "one")
    await ask(here, "two")
    with pytest.raises(CatalogsFull):
        await ask(here, "three")


async def test_a_catalog_is_reserved_with_its_job_or_not_at_all(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(here, "one")
    with pytest.raises(CatalogExists):
        await ask(here, "one")
    assert [job.params["target"] for job in await here.jobs.list()] == ["one"]
    monkeypatch.setattr(job_limits, "MOST_OPEN", 1)
    with pytest.raises(JobsFull):
        await ask(here, "two")
    assert await here.record.catalog_entry("two") is None


async def test_a_copy_has_no_scene_of_a_former_catalog_of_its_id(here: Place) -> None:
    draft = await here.record.write_draft(
        "default", SceneText.of("home", "views = 1\n", "ann", ""), ""
    )
    for left in ("home", "old"):  # as a replica of 0.40 leaves them when it removes a catalog
        await here.record.write_draft("copy", SceneText.of(left, "views = 4\n", "bob", ""), "")
    await ask(here)
    assert await here.record.scenes("copy", texts=False) == []
    await attempt(here, await here.claimed(copies.COPY))
    assert await here.record.scene("copy", "home") == draft
    with pytest.raises(SceneDocumentNotFound):
        await here.record.scene("copy", "old")


async def test_a_repeated_request_returns_the_job(here: Place) -> None:
    first = await ask(here, request_id="r1")
    assert (await ask(here, request_id="r1")).id == first.id
    with pytest.raises(CatalogExists):
        await ask(here, request_id="r2")


async def test_a_cancelled_copy_is_deleted_and_removed_whole(here: Place, clock: Clock) -> None:
    await ask(here)
    job = await here.claimed(copies.COPY)
    await here.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await attempt(here, job)
    assert await state(here) is CatalogState.DELETED
    with pytest.raises(CatalogRemoving):
        await here.record.undelete_catalog("copy")
    clock.now += 2_000_000
    await here.record.begin_removals(("default",))
    while await here.record.remove_rows("copy", 100):
        pass
    assert await rows_of(here, "copy") == 0
    assert await rows_of(here, "default") > 0


async def rows_of(place: Place, name: str) -> int:
    """Return the rows of a catalog in all tables but the registry."""

    def count(connection: sa.Connection) -> int:
        tables = [t for t in metadata.sorted_tables if "catalog_id" in t.c and t.name != "catalogs"]
        queries = [sa.select(sa.func.count()).where(t.c.catalog_id == name) for t in tables]
        return sum(connection.execute(query).scalar_one() for query in queries)

    return await place.db.read(count)


async def test_a_copy_that_fails_is_deleted(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(here.record, "restore_products", fail)
    await ask(here)
    with pytest.raises(OSError, match="disk full"):
        await attempt(here, await here.claimed(copies.COPY))
    assert await state(here) is CatalogState.DELETED


@pytest.mark.full
async def test_a_killed_copy_begins_again_and_has_the_products_of_one_moment(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(here)
    job = await here.claimed(copies.COPY)
    write, pending = here.record.restore_products, here.record.restore_pending

    async def killed(*_: Any, **__: Any) -> None:
        raise Unavailable("killed", reason="KILLED")  # leaves what was written, as a kill does

    monkeypatch.setattr(here.record, "restore_pending", killed)
    with pytest.raises(Unavailable):
        await attempt(here, job)
    assert await state(here) is CatalogState.COPYING
    assert len(await here.products("copy")) == 3

    changed = BIG._replace(product_id="p/ü 0", title="Changed", images=())
    added = BIG._replace(product_id="p/ü 9", images=())
    await products.upsert("default", [changed, added], here.record, here.photos)
    await here.record.delete("default", ["p/ü 1"])
    monkeypatch.setattr(here.record, "restore_products", write)
    monkeypatch.setattr(here.record, "restore_pending", pending)
    await attempt(here, job)
    assert await here.products("copy") == await here.products()
    assert len(await here.products("copy")) == 3
    # Killed after its last step, it does nothing more.
    await here.record.delete("copy", ["p/ü 9"])
    assert await attempt(here, job) == {"catalog_id": "copy"}
    assert len(await here.products("copy")) == 2


async def test_a_copy_ends_when_its_catalog_is_deleted(here: Place) -> None:
    registry = Registry(here.record, ("default",), 4, 1.0)
    await ask(here)
    deleted = await registry.delete("copy", 7, "")
    assert deleted.purge_micros - deleted.delete_micros == 1_000_000, "it can't be restored"
    job = await here.claimed(copies.COPY)
    with pytest.raises(CatalogDeleted):
        await attempt(here, job)
    assert await here.products("copy") == []


async def test_a_space_fitted_to_the_catalog_is_not_copied(here: Place) -> None:
    fitted = replace(SPACES[0], fitted=True)
    result = await copied(here, Offering(fitted))
    assert result["product_count"] == 3
    assert await here.record.generations("copy") == []
    assert len(await here.rows("visual-1")) == 5
