"""Synonyms as searches hold them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from retriever.catalog.scene_documents import SceneDocuments
from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.scenes import ScenePublication, SceneText
from retriever.domain.synonyms import StoredSynonyms
from retriever.record import Record
from servicekit.catalogs.known import POLL_SECONDS, CatalogChange
from servicekit.errors import Unavailable
from servicekit.sql.database import Database
from sightline_rules.ids import SYNONYMS_DOCUMENT
from sightline_rules.synonyms import NO_SYNONYMS, SynonymRule
from tests.waiting import until

SHOES = (SynonymRule(("sneaker", "trainer")),)


class SlowRecord(Record):
    """A record whose reads are counted, wait and fail as a test wants."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.reads, self.down, self.gate = 0, False, asyncio.Event()
        self.gate.set()

    async def synonyms_since(
        self, catalog_id: str, known: str | None
    ) -> tuple[str, StoredSynonyms] | None:
        self.reads += 1
        found = await super().synonyms_since(catalog_id, known)
        await self.gate.wait()
        if self.down:
            raise Unavailable("down", reason="DATABASE_UNAVAILABLE")
        return found


@pytest.fixture
def record(db: Database) -> SlowRecord:
    return SlowRecord(db)


@dataclass
class FakeTime:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_change_of_another_process_is_known_after_a_poll(record: SlowRecord) -> None:
    clock = FakeTime()
    held, other = HeldSynonyms(record, clock), HeldSynonyms(record, clock)
    assert not await held.of("shop")
    await other.replace("shop", SHOES, "")
    assert not await held.of("shop")
    clock.now += POLL_SECONDS
    assert (await held.of("shop")).rules == SHOES
    assert record.reads == 2


async def test_a_published_draft_is_used_by_all_replicas_within_two_seconds(
    record: SlowRecord,
) -> None:
    clock, documents = FakeTime(), SceneDocuments(record, 3)
    replicas = HeldSynonyms(record, clock), HeldSynonyms(record, clock)
    for each in replicas:
        assert not await each.of("shop")
    draft = SceneText.of(SYNONYMS_DOCUMENT, "sneaker, trainer\n", "ann", "")
    await documents.write("shop", draft, "")
    await documents.publish("shop", ScenePublication(SYNONYMS_DOCUMENT, "bob"))
    clock.now += 2.0
    for each in replicas:
        assert (await each.of("shop")).rules == SHOES


async def test_a_change_is_known_at_once_where_it_was_made(record: SlowRecord) -> None:
    held = HeldSynonyms(record, FakeTime())
    await held.of("shop")
    await held.replace("shop", SHOES, "")
    assert (await held.of("shop")).rules == SHOES


async def test_a_read_that_began_before_a_change_does_not_hide_it(record: SlowRecord) -> None:
    clock = FakeTime()
    held = HeldSynonyms(record, clock)
    record.gate.clear()
    early = asyncio.create_task(held.of("shop"))
    await until(lambda: record.reads == 1)
    await held.replace("shop", SHOES, "")
    record.gate.set()
    await early
    assert (await held.of("shop")).rules == SHOES


async def test_a_catalog_that_replaces_another_one_has_its_own_rules(record: SlowRecord) -> None:
    clock = FakeTime()
    await record.set_synonyms("shop", SHOES, "")
    held = HeldSynonyms(record, clock)
    await held.of("shop")
    await record.set_synonyms("shop", (), "")
    held.follow(CatalogChange(removed=frozenset({"shop"})))
    assert not await held.of("shop")


async def test_rules_stay_in_use_while_they_cannot_be_read(record: SlowRecord) -> None:
    clock = FakeTime()
    await record.set_synonyms("shop", SHOES, "")
    held = HeldSynonyms(record, clock)
    await held.of("shop")
    record.down = True
    clock.now += POLL_SECONDS
    assert (await held.of("shop")).rules == SHOES
    assert await held.of("another") is NO_SYNONYMS
