"""A catalog that is created anew under an id gets nothing of the former one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from servicekit.artefacts.content_store import ContentStore
from servicekit.catalogs.known import (
    CatalogList,
    CatalogNotFound,
    CatalogState,
    CatalogsUnavailable,
    KnownCatalogs,
    ListedCatalog,
)
from servicekit.errors import Unavailable
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.clock import Clock
from tests.fakes.watch_alerts import raise_alert
from tests.unit.vision.record.test_references import MADE
from tests.unit.vision.watching.test_frames import FakeFramePhotos
from vision.domain.catalog_keys import keys_of
from vision.domain.references import DraftPhoto
from vision.domain.watches import Fault, FaultCondition, Watch, WatchPhoto, WatchRule
from vision.domain.webhooks import Webhook, WebhookSecret
from vision.inspection import fits
from vision.inspection.fits import ReferencePlan
from vision.record import Record, metadata
from vision.record.stored_files import NAMING
from vision.record.tables import watch_alerts
from vision.watching.expiry import UNNAMED_SECONDS, collect
from vision.wiring import job_queue
from vision.workers.tidying import Tidying

WATCH = Watch("shelf", rules=(WatchRule("dark", FaultCondition(Fault.BLACK)),))
HOOK = Webhook("ops", "https://hooks.test/a", (), (WebhookSecret("00ff", "salt", 1),), 1)
PHOTO = WatchPhoto("a" * 64, "image/jpeg", 4, 3)
NAMES = ("image_id", "file")
"""Names of the columns that name stored files."""
ACTIVE, DELETED, REMOVED = CatalogState.ACTIVE, CatalogState.DELETED, CatalogState.REMOVED


class Registry:
    """A registry whose list a test sets."""

    def __init__(self) -> None:
        self.listed: tuple[ListedCatalog, ...] = ()
        self.down = False

    async def read(self, known_revision: str) -> CatalogList:
        if self.down:
            raise Unavailable("down", reason="UNAVAILABLE")
        return CatalogList("1", self.listed)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def catalogs(registry: Registry) -> KnownCatalogs:
    return KnownCatalogs(("default",), registry)


@pytest.fixture
def record(db: Database, clock: Clock, catalogs: KnownCatalogs) -> Record:
    return Record(db, clock, keys_of(catalogs))


@pytest.fixture
def due(db: Database, clock: Clock, catalogs: KnownCatalogs) -> Tidying:
    async def none() -> int:
        return 0

    return Tidying(catalogs, Record(db, clock), FakeFramePhotos(), 0.0, none)


async def listed(
    registry: Registry, catalogs: KnownCatalogs, uid: str, state: CatalogState
) -> None:
    registry.listed = (ListedCatalog("shop", uid, state),)
    await catalogs.refresh()


async def fill(record: Record, db: Database, catalog_id: str = "shop") -> None:
    await record.create_watch(catalog_id, WATCH, [PHOTO])
    await record.create_webhook(catalog_id, HOOK)
    await raise_alert(db, "shelf", record.key_of(catalog_id))
    await record.keep_version(catalog_id, replace(MADE, version="a" * 16, file="m" * 64), [])
    await record.add_photo(catalog_id, "r", DraftPhoto("a", "f" * 64))
    plan = ReferencePlan("r", "")
    await fits.ask(record.key_of(catalog_id), plan, job_queue(db), request_id="")


async def held(db: Database) -> set[str]:
    """Return the tables with rows of the catalog."""
    found = set()
    for table in metadata.sorted_tables:
        if "catalog_id" in table.c:
            query = table.select().where(table.c.catalog_id.like("shop%"))
            if await db.read(lambda c, query=query: c.execute(query).first()) is not None:
                found.add(table.name)
    return found


async def test_a_catalog_of_the_same_id_has_nothing_of_the_former_one(
    record: Record, db: Database, registry: Registry, catalogs: KnownCatalogs, due: Tidying
) -> None:
    await listed(registry, catalogs, "first", ACTIVE)
    await fill(record, db)
    assert len((await record.due_lanes(2**50, 2**60, (), 9, catalogs=["shop"]))[0]) == 1

    await listed(registry, catalogs, "second", ACTIVE)  # deleted and created while nothing ran

    assert await record.watches("shop") == []
    assert await record.webhook_states("shop") == []
    assert await record.newest_alert("shop") == 0
    assert await record.watch_photo("shop", PHOTO.image_id) is None
    assert (await record.due_lanes(2**50, 2**60, (), 9, catalogs=["shop"]))[0] == []
    assert await record.listed_references("shop") == []
    await fill(record, db)
    await due.remove()
    assert [each.watch.watch_id for each, _ in await record.watches("shop")] == ["shelf"]
    assert await record.newest_alert("shop") == 1
    assert await record.keys() == ["shop@second"]


async def test_what_a_removed_catalog_has_left_is_deleted_and_a_deleted_one_can_return(
    record: Record, db: Database, registry: Registry, catalogs: KnownCatalogs, due: Tidying
) -> None:
    await listed(registry, catalogs, "first", ACTIVE)
    await fill(record, db)
    await fill(record, db, "default")
    assert isinstance(due.files, FakeFramePhotos)
    due.files.stored["shop@first", PHOTO.image_id] = b"photo"

    await listed(registry, catalogs, "first", DELETED)
    await due.remove()
    await listed(registry, catalogs, "first", ACTIVE)
    assert len(await record.watches("shop")) == 1

    registry.listed = ()  # perhaps the list of another installation
    await catalogs.refresh()
    await due.remove()
    assert await held(db) != set()

    await listed(registry, catalogs, "first", REMOVED)
    await due.remove()
    assert await held(db) == set()
    assert due.files.stored == {}
    assert len(await record.watches("default")) == 1


async def test_a_worker_with_a_late_list_removes_nothing_of_a_catalog_that_was_created_anew(
    record: Record, registry: Registry, catalogs: KnownCatalogs, due: Tidying, db: Database
) -> None:
    await listed(registry, catalogs, "first", REMOVED)
    registry.listed = (ListedCatalog("shop", "second", ACTIVE),)  # a server knows that already
    await fill(Record(db, due.record._clock, lambda name: f"{name}@second"), db)
    await due.remove()
    await catalogs.refresh()
    assert [each.watch.watch_id for each, _ in await record.watches("shop")] == ["shelf"]


async def test_a_registry_that_went_back_to_a_moment_removes_nothing_that_is_newer(
    record: Record, registry: Registry, catalogs: KnownCatalogs, due: Tidying, db: Database
) -> None:
    await listed(registry, catalogs, "second", ACTIVE)
    await fill(record, db)
    for state in (ACTIVE, REMOVED):
        await listed(registry, catalogs, "first", state)
        await due.remove()
    await listed(registry, catalogs, "second", ACTIVE)
    assert [each.watch.watch_id for each, _ in await record.watches("shop")] == ["shelf"]


async def test_no_key_of_an_unknown_catalog_is_guessed(
    record: Record, registry: Registry, catalogs: KnownCatalogs, db: Database
) -> None:
    """A backup of one would be empty, and what is restored to one would never be found again."""
    await fill(Record(db, key_of=lambda name: f"{name}@first"), db)
    with pytest.raises(CatalogNotFound):
        await record.snapshot("shop", lambda found: found.commit)
    assert await record.snapshot_sources() == []
    registry.down = True
    await catalogs.refresh()
    with pytest.raises(CatalogsUnavailable):
        await record.snapshot("shop", lambda found: found.commit)
    registry.down = False
    await listed(registry, catalogs, "first", DELETED)
    assert await record.snapshot("shop", lambda found: found.commit) > 0


async def test_terms_end_and_unnamed_photos_go_in_catalogs_that_are_not_in_use_too(
    db: Database, clock: Clock, registry: Registry, catalogs: KnownCatalogs, due: Tidying
) -> None:
    await listed(registry, catalogs, "first", DELETED)
    files = due.files
    assert isinstance(files, FakeFramePhotos)
    for key in ("shop@first", "default", "undeclared"):
        by_key = Record(db, clock)
        expired = WatchPhoto("b" * 64, "image/jpeg", 4, 3, 1)
        await by_key.create_watch(key, WATCH, [PHOTO, expired])
        for name in "abcd":  # a rule's, an expired one, one of a failed call, one of a present call
            files.stored[key, name * 64] = b"photo"
    files.old = {name * 64 for name in "abc"}
    await due.step()
    assert {name[0] for _, name in files.stored} == {"a", "d"}
    assert len(files.stored) == 6


def test_every_column_that_names_a_file_keeps_it() -> None:
    found = {c for table in metadata.sorted_tables for c in table.c if c.name in NAMES}
    assert found == {*NAMING, watch_alerts.c.image_id}, "a file that no column of NAMING names goes"


async def test_drafts_are_deleted_after_a_day(
    record: Record, db: Database, clock: Clock, due: Tidying
) -> None:
    await fill(record, db, "default")
    await due.step()
    assert len(await record.draft("default", "r")) == 1
    clock.now += 86_400_000_001
    await due.step()
    assert await record.draft("default", "r") == {}


async def test_a_photo_that_nothing_names_goes_by_the_age_of_its_bytes(
    db: Database, tmp_path: Path
) -> None:
    record, files, now = Record(db), ContentStore(str(tmp_path)), time.time()
    name = image_id(b"photo")
    await files.put("default", name, b"photo")
    for seconds, left in ((-60, [name]), (60, [])):
        await collect("default", record, files, now + UNNAMED_SECONDS + seconds)
        assert await files.names("default", int(name[:2], 16)) == left
    files.close()
