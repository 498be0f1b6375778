"""Synonyms as a document among the scenes of the record: drafts, versions, authors and undo."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from retriever.catalog.scene_documents import SceneDocuments
from retriever.domain.errors import EtagMismatch, SceneDocumentNotFound, SynonymsInvalid
from retriever.domain.registry import CatalogValues
from retriever.domain.scenes import SceneDocument, ScenePublication, SceneText
from retriever.domain.synonyms import StoredSynonyms, dumped
from retriever.record import Record
from retriever.record.tables import sequences, synonym_texts
from retriever.record.tables import synonyms as table
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.synonyms import SynonymRule
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock

pytestmark = each_engine

SHOP = "shop"
KEPT = 3
SHOES, WINE = SynonymRule(("sneaker", "trainer")), SynonymRule(("vino",), ("wine",))
TEXT = "# shoes\nsneaker, trainer\n\nvino => wine  # one way\n"


@pytest.fixture
def documents(record: Record) -> SceneDocuments:
    return SceneDocuments(record, KEPT)


async def write(documents: SceneDocuments, text: str, etag: str = "") -> SceneDocument:
    return await documents.write(SHOP, SceneText.of(SYNONYMS_DOCUMENT, text, "ann", "try"), etag)


async def publish(documents: SceneDocuments, **given: object) -> SceneDocument:
    wanted = ScenePublication(SYNONYMS_DOCUMENT, "bob")
    return await documents.publish(SHOP, replace(wanted, **given))  # type: ignore[arg-type]


async def read(documents: SceneDocuments) -> SceneDocument:
    return await documents.get(SHOP, SYNONYMS_DOCUMENT)


async def in_use(record: Record) -> tuple[SynonymRule, ...]:
    return (await record.synonyms(SHOP)).rules


async def as_a_former_release(db: Database, clock: Clock, *rules: SynonymRule) -> None:
    """Store rules as a release without versions does."""
    rows = {"catalog_id": SHOP, "rules": dumped(rules), "update_time": clock.now, "seq": 9}

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table).values(rows))

    await db.write(work)


async def test_a_draft_is_published_for_searches_and_undone(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    with pytest.raises(SceneDocumentNotFound):
        await read(documents)
    drafted = await write(documents, TEXT, etag="none")
    assert (drafted.versions, await in_use(record)) == ((), ())
    known = await record.synonyms_since(SHOP, None)
    assert known is not None
    clock.now += 5
    found = await publish(documents, etag=drafted.etag)
    assert [(each.number, each.toml, each.author, each.comment) for each in found.versions] == [
        (1, TEXT, "bob", "try")
    ]
    assert await record.synonyms(SHOP) == StoredSynonyms((SHOES, WINE), clock.now)
    assert await record.synonyms_since(SHOP, known[0]) is not None
    assert await publish(documents, etag=drafted.etag) == found, "a repeated call"
    await write(documents, "")
    await publish(documents)
    assert await in_use(record) == ()
    undone = await publish(documents, number=1)
    assert [each.toml for each in undone.versions] == [TEXT, "", TEXT]
    assert await in_use(record) == (SHOES, WINE)
    assert await read(documents) == undone
    assert await documents.listed(SHOP, texts=True) == (
        [],
        (await documents.listed("x", texts=True))[1],
    )


async def test_rules_that_are_set_are_a_version_and_leave_the_draft(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await record.set_synonyms(SHOP, (SHOES,), "", author="eve", keep=KEPT)
    drafted = await write(documents, TEXT)
    assert [(each.number, each.toml, each.author) for each in drafted.versions] == [
        (1, "sneaker, trainer\n", "eve")
    ]
    clock.now += 5
    stored = await record.set_synonyms(SHOP, (WINE, SHOES), "", author="eve", keep=KEPT)
    assert stored == StoredSynonyms((WINE, SHOES), clock.now)
    found = await read(documents)
    assert (found.draft, found.versions[0].toml) == (
        drafted.draft,
        "vino => wine\nsneaker, trainer\n",
    )
    await record.set_synonyms(SHOP, (WINE, SHOES), "", author="eve", keep=KEPT)
    assert await read(documents) == found
    for rules in ((SHOES,), (), (WINE,)):
        await record.set_synonyms(SHOP, rules, "", keep=KEPT)
    assert [each.number for each in (await read(documents)).versions] == [5, 4, 3]


async def test_rules_of_a_former_release_are_taken_over(
    documents: SceneDocuments, record: Record, db: Database, clock: Clock
) -> None:
    await as_a_former_release(db, clock, SHOES)
    clock.now += 5
    found = await read(documents)
    (version,) = found.versions
    assert (version.number, version.toml, version.author) == (1, "sneaker, trainer\n", "")
    assert version.create_micros == clock.now - 5
    drafted = await write(documents, TEXT, etag=found.etag)
    assert (drafted.versions, await in_use(record)) == (found.versions, (SHOES,))
    await publish(documents)
    await as_a_former_release(db, clock, WINE)  # by a replica that is not upgraded yet
    assert [each.toml for each in (await read(documents)).versions] == [
        *("vino => wine\n", TEXT, "sneaker, trainer\n")
    ]
    await publish(documents, number=2)
    assert await in_use(record) == (SHOES, WINE)
    assert [each.number for each in (await read(documents)).versions] == [4, 3, 2]


async def test_rules_that_are_stored_alike_are_no_change_for_searches(
    documents: SceneDocuments, record: Record
) -> None:
    await write(documents, TEXT)
    await publish(documents)
    stored, known = await record.synonyms(SHOP), await record.synonyms_since(SHOP, None)
    assert known is not None
    await write(documents, TEXT + "# more\n")
    found = await publish(documents)
    assert [each.number for each in found.versions] == [2, 1]
    assert await record.synonyms(SHOP) == stored
    assert await record.synonyms_since(SHOP, known[0]) is None


async def test_a_draft_that_is_wrong_names_its_lines(
    documents: SceneDocuments, record: Record
) -> None:
    with pytest.raises(SynonymsInvalid) as refused:
        await write(documents, "# x\nalone\n\na, b\nb, a\nc => d\nd => c\n")
    assert [(each.field, each.description) for each in refused.value.violations] == [
        ("toml.line 2.terms", "has one entry; give at least two, or replacements"),
        ("toml.line 5", "says the same as line 4"),
    ]
    with pytest.raises(SynonymsInvalid, match="line 2"):
        await write(documents, "c => d\nd => c\n")
    with pytest.raises(RequestInvalid, match="toml"):
        await write(documents, "#" * (5 * 2**20 + 1))
    with pytest.raises(SceneDocumentNotFound):
        await read(documents)


async def test_two_authors_do_not_overwrite_each_other(
    documents: SceneDocuments, record: Record
) -> None:
    tasks = [write(documents, f"a{n}, b\n", etag="none") for n in (1, 2)]
    first, second = await asyncio.gather(*tasks, return_exceptions=True)
    (failed,) = [each for each in (first, second) if isinstance(each, BaseException)]
    (stored,) = [each for each in (first, second) if isinstance(each, SceneDocument)]
    assert isinstance(failed, EtagMismatch)
    published = await publish(documents, etag=stored.etag)
    await record.set_synonyms(SHOP, (WINE,), "")
    with pytest.raises(EtagMismatch):
        await write(documents, TEXT, etag=published.etag)


async def test_synonyms_are_published_at_once(
    documents: SceneDocuments, record: Record, clock: Clock
) -> None:
    await write(documents, TEXT)
    with pytest.raises(RequestInvalid, match="publish_time"):
        await documents.publish(SHOP, ScenePublication(SYNONYMS_DOCUMENT, "", publish_micros=2**60))
    found = await documents.cancel(SHOP, SYNONYMS_DOCUMENT, "")
    assert found == await read(documents)


async def test_deleted_synonyms_are_used_no_more(documents: SceneDocuments, record: Record) -> None:
    await write(documents, TEXT)
    await publish(documents)
    known = await record.synonyms_since(SHOP, None)
    assert known is not None
    await write(documents, "")
    assert await documents.delete(SHOP, SYNONYMS_DOCUMENT, draft_only=True, etag="")
    assert await in_use(record) == (SHOES, WINE)
    assert await documents.delete(SHOP, SYNONYMS_DOCUMENT, draft_only=False, etag="")
    assert not await documents.delete(SHOP, SYNONYMS_DOCUMENT, draft_only=False, etag="")
    assert (await record.synonyms(SHOP), await in_use(record)) == (StoredSynonyms(), ())
    changed = await record.synonyms_since(SHOP, known[0])
    assert changed is not None


async def test_large_texts_leave_fewer_versions(
    documents: SceneDocuments, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.domain.scenes.MOST_KEPT_BYTES", 100)
    for number in range(3):
        await write(documents, f"a{number}, b\n" + "#" * 40)
        found = await publish(documents)
    assert [each.number for each in found.versions] == [3, 2]


async def test_a_catalog_keeps_no_synonyms_of_a_former_one(
    documents: SceneDocuments, record: Record, db: Database
) -> None:
    await write(documents, TEXT)
    await record.create_catalog(SHOP, CatalogValues(), 9)
    with pytest.raises(SceneDocumentNotFound):
        await read(documents)
    await write(documents, TEXT)
    await publish(documents)
    while await record.remove_rows(SHOP, 1):
        pass
    for one in (synonym_texts, table, sequences):
        query = sa.select(sa.func.count()).where(one.c.catalog_id == SHOP)
        assert await db.read(lambda c, query=query: c.execute(query).scalar_one()) == 0
