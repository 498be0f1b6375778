"""Synonyms in the record."""

from __future__ import annotations

import pytest

from retriever.domain.errors import EtagMismatch
from retriever.record import Record
from sightline_rules.synonyms import SynonymRule
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock

pytestmark = each_engine

SHOES = (SynonymRule(("sneaker", "trainer")),)
WINE = (SynonymRule(("vino",), ("wine",)),)


async def test_rules_are_replaced_as_a_whole(record: Record, clock: Clock) -> None:
    assert (await record.synonyms("default")).rules == ()
    await record.set_synonyms("default", SHOES, "")
    clock.now += 1
    stored = await record.set_synonyms("default", WINE, "")
    assert stored == await record.synonyms("default")
    assert (stored.rules, stored.update_micros) == (WINE, clock.now)
    assert (await record.synonyms("other")).rules == ()


async def test_a_change_needs_the_etag_that_it_names(record: Record) -> None:
    first = await record.synonyms("default")
    await record.set_synonyms("default", SHOES, first.etag)
    with pytest.raises(EtagMismatch):
        await record.set_synonyms("default", WINE, first.etag)
    repeated = await record.set_synonyms("default", SHOES, first.etag)
    assert repeated == await record.synonyms("default")


async def test_only_changes_are_read(record: Record) -> None:
    found = await record.synonyms_since("default", None)
    assert found is not None
    assert found[0] == ""
    assert await record.synonyms_since("default", "") is None
    await record.set_synonyms("default", SHOES, "")
    changed = await record.synonyms_since("default", "")
    assert changed is not None
    assert changed[1].rules == SHOES
    assert await record.synonyms_since("default", changed[0]) is None


async def test_a_removed_catalog_keeps_no_rules(record: Record) -> None:
    await record.set_synonyms("gone", SHOES, "")
    while await record.remove_rows("gone", 10):
        pass
    assert (await record.synonyms("gone")).rules == ()
