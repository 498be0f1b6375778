"""Scenes in the record: drafts, published versions, and what tells gateways of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from retriever.catalog.scene_documents import SceneDocuments
from retriever.domain.errors import (
    EtagMismatch,
    SceneDocumentNotFound,
    SceneDocumentsFull,
    ScenesFromFiles,
)
from retriever.domain.registry import CatalogUpdate, CatalogValues, SteeredBy
from retriever.domain.scenes import (
    MOST_BYTES,
    MOST_COMMENT,
    MOST_SCENES,
    SceneDocument,
    ScenePublication,
    SceneText,
)
from retriever.record import Record
from retriever.record.tables import scene_texts
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock

pytestmark = each_engine

SHOP = "shop"
KEPT = 3


@pytest.fixture
def documents(record: Record) -> SceneDocuments:
    return SceneDocuments(record, KEPT)


async def steer(record: Record, by: SteeredBy = SteeredBy.RECORD) -> None:
    """Let the record steer a catalog that settings declare."""
    update = CatalogUpdate(CatalogValues(steered_by=by), ("steered_by",))
    await record.update_catalog(SHOP, update, (SHOP,))


async def write(
    documents: SceneDocuments, toml: str, scene: str = "home", etag: str = "", author: str = "ann"
) -> SceneDocument:
    return await documents.write(SHOP, SceneText.of(scene, toml, author, ""), etag)


async def publish(documents: SceneDocuments, scene: str = "home", **given: object) -> SceneDocument:
    wanted = ScenePublication(scene, "bob")
    return await documents.publish(SHOP, replace(wanted, **given))  # type: ignore[arg-type]


async def revision(record: Record) -> str:
    found = await record.catalog_list("")
    assert found is not None
    return next((each.scenes_revision for each in found.catalogs if each.catalog_id == SHOP), "")


async def test_a_draft_is_published_as_the_next_version(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    written = await documents.write(SHOP, SceneText.of("home", "views = 1\n", "ann", "try"), "")
    assert (written.versions, written.draft) == (
        (),
        replace(SceneText.of("home", "views = 1\n", "ann", "try"), create_micros=clock.now),
    )
    clock.now += 5
    found = await publish(documents)
    (version,) = found.versions
    assert (found.draft, version.number, version.toml) == (None, 1, "views = 1\n")
    assert (version.author, version.comment, version.create_micros) == ("bob", "try", clock.now)
    await write(documents, "views = 2\n")
    said = await publish(documents, comment="more")
    assert [(each.number, each.comment) for each in said.versions] == [(2, "more"), (1, "try")]
    assert await documents.get(SHOP, "home") == said


async def test_an_earlier_version_is_published_again(
    documents: SceneDocuments, record: Record
) -> None:
    await steer(record)
    for toml in ("views = 1\n", "views = 2\n"):
        await write(documents, toml)
        await publish(documents)
    await write(documents, "views = 3\n")
    undone = await publish(documents, number=1)
    assert [each.toml for each in undone.versions] == ["views = 1\n", "views = 2\n", "views = 1\n"]
    assert undone.draft is not None, "a draft is not lost by an undo"
    assert await publish(documents, number=1) == undone, "it is the newest already"
    await publish(documents)
    assert [each.number for each in (await documents.get(SHOP, "home")).versions] == [4, 3, 2]
    with pytest.raises(SceneDocumentNotFound):
        await publish(documents, number=1)  # KEPT versions are left


async def test_two_authors_do_not_overwrite_each_other(
    documents: SceneDocuments, record: Record
) -> None:
    await steer(record)
    tasks = [write(documents, f"views = {n}\n", etag="none", author=f"a{n}") for n in (1, 2)]
    first, second = await asyncio.gather(*tasks, return_exceptions=True)
    (failed,) = [each for each in (first, second) if isinstance(each, BaseException)]
    (stored,) = [each for each in (first, second) if isinstance(each, SceneDocument)]
    assert isinstance(failed, EtagMismatch)
    assert await documents.get(SHOP, "home") == stored
    changed = await write(documents, "views = 3\n", etag=stored.etag)
    with pytest.raises(EtagMismatch):
        await write(documents, "views = 4\n", etag=stored.etag)
    assert await write(documents, "views = 3\n", etag=stored.etag) == changed, "a repeated call"
    with pytest.raises(EtagMismatch):
        await publish(documents, etag=stored.etag)
    published = await publish(documents, etag=changed.etag)
    assert await publish(documents, etag=changed.etag) == published, "a repeated call"
    assert await publish(documents) == published, "there is nothing to publish"
    with pytest.raises(EtagMismatch):
        await publish(documents, etag=stored.etag)
    with pytest.raises(EtagMismatch):
        await documents.delete(SHOP, "home", draft_only=False, etag=stored.etag)
    with pytest.raises(SceneDocumentNotFound):
        await publish(documents, "sale")


async def test_an_etag_identifies_the_state_of_a_document(
    documents: SceneDocuments, record: Record
) -> None:
    await steer(record)
    commented = [
        await documents.write(SHOP, SceneText.of("home", "views = 1\n", "ann", comment), "")
        for comment in ("try", "not before Friday")
    ]
    published = await publish(documents)
    drafted = await documents.write(
        SHOP, SceneText.of("home", "views = 1\n", "ann", "not before Friday"), ""
    )
    assert await publish(documents, etag=drafted.etag) == published, "it is published already"
    await write(documents, "views = 2\n")
    await publish(documents)
    again = await publish(documents, number=1)
    etags = [each.etag for each in (*commented, published, drafted, again)]
    assert len(set(etags)) == 5
    for etag in etags[:-1]:
        with pytest.raises(EtagMismatch):
            await documents.delete(SHOP, "home", draft_only=False, etag=etag)


async def test_gateways_are_told_of_published_scenes_alone(
    documents: SceneDocuments, record: Record
) -> None:
    await write(documents, "views = 1\n")
    assert await revision(record) == "", "files steer the catalog"
    await steer(record)
    steered = await revision(record)
    await write(documents, "views = 2\n")
    assert await revision(record) == steered != ""
    await publish(documents)
    published = await revision(record)
    assert published != steered
    await publish(documents, number=1)
    assert await revision(record) == published
    await write(documents, "views = 3\n")
    assert await documents.delete(SHOP, "home", draft_only=True, etag="")
    assert await revision(record) == published
    assert await documents.delete(SHOP, "home", draft_only=False, etag="")
    assert await revision(record) != published
    assert not await documents.delete(SHOP, "home", draft_only=False, etag="")
    await steer(record, SteeredBy.FILES)
    assert await revision(record) == ""


async def test_files_are_brought_before_the_record_steers(
    documents: SceneDocuments, record: Record
) -> None:
    await write(documents, "views = 1\n")
    with pytest.raises(ScenesFromFiles):
        await publish(documents)
    assert len((await publish(documents, in_advance=True)).versions) == 1
    found, by = await documents.listed(SHOP, texts=True)
    assert ([each.scene for each in found], by) == (["home"], SteeredBy.FILES)
    await steer(record)
    assert (await documents.listed(SHOP, texts=True))[1] is SteeredBy.RECORD


async def test_a_list_has_drafts_without_texts_and_newest_versions(
    documents: SceneDocuments, record: Record
) -> None:
    await steer(record)
    for toml in ("views = 1\n", "views = 2\n"):
        await write(documents, toml)
        await publish(documents)
    await write(documents, "views = 3\n")
    await write(documents, "views = 4\n", "sale")
    (home, sale), _ = await documents.listed(SHOP, texts=True)
    assert home.draft is not None
    assert home.draft.toml == ""
    assert home.etag == (await documents.get(SHOP, "home")).etag
    assert [(each.number, each.toml) for each in home.versions] == [(2, "views = 2\n")]
    assert (sale.scene, sale.versions) == ("sale", ())
    (plain, _), _ = await documents.listed(SHOP, texts=False)
    assert [(each.number, each.toml) for each in plain.versions] == [(2, "")]
    assert plain.etag == home.etag
    assert await documents.listed("other", texts=True) == ([], SteeredBy.FILES)


@pytest.mark.parametrize(
    ("scene", "toml", "comment", "field"),
    [
        *((name, "a = 1", "", "scene") for name in ("", "a/b", "Ab", "ä", "🍷", "x" * 65, "-a")),
        ("home", "", "", "toml"),
        ("home", "#" + "ä" * (MOST_BYTES // 2), "", "toml"),
        ("home", "a = '\0'", "", "toml"),
        ("home", "a = 1", "x" * (MOST_COMMENT + 1), "comment"),
        ("home", "a = 1", "\0", "comment"),
    ],
)
async def test_what_no_scene_has_is_refused(
    documents: SceneDocuments, scene: str, toml: str, comment: str, field: str
) -> None:
    with pytest.raises(RequestInvalid) as refused:
        await documents.write(SHOP, SceneText.of(scene, toml, "ann", comment), "")
    assert [each.field for each in refused.value.violations] == [field]
    with pytest.raises(SceneDocumentNotFound):
        await documents.get(SHOP, "home")


async def test_the_largest_text_and_any_text_is_stored(documents: SceneDocuments) -> None:
    toml = "#" * MOST_BYTES
    assert (await write(documents, toml)).draft is not None
    found = (await documents.get(SHOP, "home")).draft
    assert found is not None
    assert found.toml == toml
    assert (await write(documents, "not = = toml 🍷", "sale")).draft is not None


async def test_a_catalog_has_a_number_of_scenes(
    documents: SceneDocuments, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_SCENES == 200
    monkeypatch.setattr("retriever.record.scenes.MOST_SCENES", 2)
    for name in ("a", "b"):
        await write(documents, "views = 1\n", name)
    with pytest.raises(SceneDocumentsFull):
        await write(documents, "views = 1\n", "c")
    await write(documents, "views = 2\n", "b")
    await documents.delete(SHOP, "a", draft_only=True, etag="")
    await write(documents, "views = 1\n", "c")
    row = {"number": 1, "toml": "a = 1", "version": "v", "author": "", "comment": ""}
    with pytest.raises(SceneDocumentsFull):
        await record.restore_scene(SHOP, [{**row, "scene": "d", "create_time": 1}])
    found, _ = await documents.listed(SHOP, texts=False)
    assert [each.scene for each in found] == ["b", "c"]


async def test_a_catalog_that_is_created_anew_has_no_scenes_of_the_former_one(
    documents: SceneDocuments, record: Record
) -> None:
    values = CatalogValues(steered_by=SteeredBy.RECORD)
    await write(documents, "views = 1\n")  # left by a replica of 0.40, which removed its catalog
    await record.create_catalog(SHOP, values, 9)
    with pytest.raises(SceneDocumentNotFound):
        await documents.get(SHOP, "home")
    await write(documents, "views = 1\n")
    await record.create_catalog(SHOP, values, 9)
    assert (await documents.get(SHOP, "home")).draft is not None, "a repeated call"


async def test_a_removed_catalog_keeps_no_scenes(documents: SceneDocuments, record: Record) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    await publish(documents)
    await write(documents, "views = 2\n")
    while await record.remove_rows(SHOP, 1):
        pass
    assert (await documents.listed(SHOP, texts=False))[0] == []


async def test_a_planned_version_is_published_at_its_time(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    await publish(documents)
    written = await write(documents, "views = 2\n")
    at, before = clock.now + 1_000, await revision(record)
    found = await publish(documents, publish_micros=at, etag=written.etag)
    assert found.planned is not None
    assert (found.planned.number, found.planned.toml) == (2, "views = 2\n")
    assert (found.planned.author, found.planned.create_micros) == ("bob", at)
    assert found.draft is not None, "the draft stays"
    assert [each.number for each in found.versions] == [1]
    assert found.etag != written.etag
    assert await revision(record) != before, "gateways read when they must read again"
    assert await publish(documents, publish_micros=at) == found, "a repeated call"
    (listed,), _steered_by = await documents.listed(SHOP, texts=True)
    assert (listed.planned, listed.versions, listed.etag) == (
        found.planned,
        found.versions,
        found.etag,
    )
    clock.now = at
    due = await documents.get(SHOP, "home")
    assert (due.planned, [each.number for each in due.versions]) == (None, [2, 1])
    (listed,), _steered_by = await documents.listed(SHOP, texts=True)
    assert [each.toml for each in listed.versions] == ["views = 2\n"]


async def test_the_next_publication_takes_the_place_of_the_planned_one(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    live = await publish(documents)
    await write(documents, "views = 2\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    later = await publish(documents, publish_micros=clock.now + 2_000)
    assert later.planned is not None
    assert (later.planned.number, later.planned.create_micros) == (2, clock.now + 2_000)
    with pytest.raises(EtagMismatch):
        await publish(documents, number=1, etag=planned.etag)
    undone = await publish(documents, number=1, etag=later.etag)
    assert (undone.planned, undone.versions) == (None, live.versions), "cancelled"
    await publish(documents, publish_micros=clock.now + 1_000)
    now = await publish(documents, number=2)
    assert (now.planned, [each.number for each in now.versions]) == (None, [2, 1])
    assert now.draft is not None
    clock.now += 5_000
    assert await documents.get(SHOP, "home") == now


async def test_a_call_that_is_repeated_cancels_nothing(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    first = await write(documents, "views = 1\n")
    await publish(documents, etag=first.etag)
    await write(documents, "views = 2\n")
    await publish(documents, publish_micros=clock.now + 1_000)
    await documents.delete(SHOP, "home", draft_only=True, etag="")
    found = await publish(documents, etag=first.etag)
    assert found.planned is not None


async def test_a_scene_that_is_only_planned_is_listed_and_deleted(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    await publish(documents, publish_micros=clock.now + 1_000)
    await documents.delete(SHOP, "home", draft_only=True, etag="")
    (listed,), _steered_by = await documents.listed(SHOP, texts=True)
    assert (listed.draft, listed.versions) == (None, ())
    assert listed.planned is not None
    before = await revision(record)
    assert await documents.delete(SHOP, "home", draft_only=False, etag=listed.etag)
    assert await revision(record) != before
    assert (await documents.listed(SHOP, texts=True))[0] == []


@pytest.mark.parametrize("time", [-1, 2**62])
async def test_a_publication_is_planned_within_a_year(
    documents: SceneDocuments, record: Record, time: int
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    with pytest.raises(RequestInvalid, match="publish_time"):
        await publish(documents, publish_micros=time)


async def test_a_planned_version_does_not_displace_the_one_in_use(
    record: Record, clock: Clock
) -> None:
    documents = SceneDocuments(record, keep=1)
    await steer(record)
    await write(documents, "views = 1\n")
    live = await publish(documents)
    await write(documents, "views = 2\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    assert (planned.planned is not None, planned.versions) == (True, live.versions)
    undone = await publish(documents, number=1)
    assert (undone.planned, undone.versions) == (None, live.versions)


async def test_a_replica_whose_clock_is_behind_takes_no_published_version_for_a_planned_one(
    documents: SceneDocuments, record: Record, db: Database, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    published = await publish(documents)
    behind = SceneDocuments(Record(db, lambda: clock.now - 5_000), KEPT)
    assert await behind.get(SHOP, "home") == published
    (listed,), _steered_by = await behind.listed(SHOP, texts=True)
    assert (listed.planned, listed.versions) == (None, published.versions)
    await write(documents, "views = 2\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    assert await behind.get(SHOP, "home") == planned
    clock.now += 1_000
    assert (await documents.get(SHOP, "home")).planned is None
    assert (await behind.get(SHOP, "home")).planned == planned.planned, "its time is to come there"


async def test_what_a_former_release_planned_stays_planned(
    documents: SceneDocuments, record: Record, db: Database, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    await db.write(lambda c: c.execute(sa.update(scene_texts).values(planned_time=None)))
    assert await documents.get(SHOP, "home") == planned
    (listed,), _steered_by = await documents.listed(SHOP, texts=True)
    assert listed.planned is not None
    clock.now += 1_000
    assert (await documents.get(SHOP, "home")).planned is None


async def test_a_plan_is_cancelled_without_a_change_of_the_version_in_use(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    live = await publish(documents)
    await write(documents, "views = 2\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    before = await revision(record)
    with pytest.raises(EtagMismatch):
        await documents.cancel(SHOP, "home", live.etag)
    cancelled = await documents.cancel(SHOP, "home", planned.etag)
    assert (cancelled.planned, cancelled.versions) == (None, live.versions)
    assert cancelled.draft is not None
    assert await documents.get(SHOP, "home") == cancelled
    assert await revision(record) != before, "gateways read for the planned time"
    assert await documents.cancel(SHOP, "home", planned.etag) == cancelled, "a repeated call"
    due = await publish(documents, publish_micros=clock.now + 1_000)
    clock.now += 1_000
    kept = await documents.cancel(SHOP, "home", due.etag)
    assert [each.number for each in kept.versions] == [2, 1], "it is in use by now"


async def test_a_scene_that_is_only_planned_is_cancelled(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    await write(documents, "views = 1\n")
    planned = await publish(documents, publish_micros=clock.now + 1_000)
    cancelled = await documents.cancel(SHOP, "home", planned.etag)
    assert (cancelled.draft, cancelled.published) == (planned.draft, ())
    await publish(documents, publish_micros=clock.now + 1_000)
    await documents.delete(SHOP, "home", draft_only=True, etag="")
    assert (await documents.cancel(SHOP, "home", "")).etag == "none"
    assert (await documents.listed(SHOP, texts=True))[0] == []
    with pytest.raises(RequestInvalid, match="scene"):
        await documents.cancel(SHOP, "Home", "")


async def test_publications_that_are_all_planned_keep_a_number_of_versions(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await steer(record)
    for number in range(KEPT + 3):
        await write(documents, f"views = {number}\n")
        found = await publish(documents, publish_micros=clock.now + 1_000)
        clock.now += 1_000
    assert len(found.versions) == KEPT
