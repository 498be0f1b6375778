"""Synonyms as searches hold them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.synonyms import StoredSynonyms
from servicekit.catalogs.known import POLL_SECONDS, CatalogChange
from servicekit.errors import Unavailable
from sightline_rules.synonyms import NO_SYNONYMS, SynonymRule

SHOES = (SynonymRule(("sneaker", "trainer")),)


@dataclass
class FakeRecord:
    """Rules with the number of their changes, as several processes share them."""

    rules: tuple[SynonymRule, ...] = ()
    commit: str = ""
    reads: int = 0
    down: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def synonyms(self, _: str) -> StoredSynonyms:
        return StoredSynonyms(self.rules)

    async def synonyms_since(self, _: str, known: str | None) -> tuple[str, StoredSynonyms] | None:
        self.reads += 1
        found = (self.commit, StoredSynonyms(self.rules))
        await self.gate.wait()
        if self.down:
            raise Unavailable("down", reason="DATABASE_UNAVAILABLE")
        return None if found[0] == known else found

    async def set_synonyms(self, _: str, rules: tuple[SynonymRule, ...], __: str) -> StoredSynonyms:
        self.rules, self.commit = rules, self.commit + "+"
        return StoredSynonyms(rules)


@dataclass
class FakeTime:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_change_of_another_process_is_known_after_a_poll() -> None:
    record, clock = FakeRecord(), FakeTime()
    held, other = HeldSynonyms(record, clock), HeldSynonyms(record, clock)
    assert not await held.of("shop")
    await other.replace("shop", SHOES, "")
    assert not await held.of("shop")
    clock.now += POLL_SECONDS
    assert (await held.of("shop")).rules == SHOES
    assert record.reads == 2


async def test_a_change_is_known_at_once_where_it_was_made() -> None:
    record = FakeRecord()
    held = HeldSynonyms(record, FakeTime())
    await held.of("shop")
    await held.replace("shop", SHOES, "")
    assert (await held.of("shop")).rules == SHOES


async def test_a_read_that_began_before_a_change_does_not_hide_it() -> None:
    record, clock = FakeRecord(), FakeTime()
    held = HeldSynonyms(record, clock)
    record.gate.clear()
    early = asyncio.create_task(held.of("shop"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await held.replace("shop", SHOES, "")
    record.gate.set()
    await early
    assert (await held.of("shop")).rules == SHOES


async def test_a_catalog_that_replaces_another_one_has_its_own_rules() -> None:
    record, clock = FakeRecord(SHOES, "1"), FakeTime()
    held = HeldSynonyms(record, clock)
    await held.of("shop")
    record.rules = ()
    held.follow(CatalogChange(removed=frozenset({"shop"})))
    assert not await held.of("shop")


async def test_rules_stay_in_use_while_they_cannot_be_read() -> None:
    record, clock = FakeRecord(SHOES, "1"), FakeTime()
    held = HeldSynonyms(record, clock)
    await held.of("shop")
    record.down = True
    clock.now += POLL_SECONDS
    assert (await held.of("shop")).rules == SHOES
    assert await held.of("another") is NO_SYNONYMS
