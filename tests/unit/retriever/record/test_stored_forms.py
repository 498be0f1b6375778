"""Rows of resources have the form that release 0.40 wrote: either release reads those of the
other, as replicas of both do during a roll-out."""

from __future__ import annotations

import sqlalchemy as sa

from retriever.domain.product import Takedown
from retriever.domain.registry import CatalogValues
from retriever.record import Record, metadata
from servicekit.sql.database import Database
from sightline_rules.synonyms import SynonymRule
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock

pytestmark = each_engine

VALUES = CatalogValues('Wein – "Ä"', "de", (("team", "a b"), ("x", "ü")), 2.5)
SYNONYMS = (SynonymRule(("Tür", "door")), SynonymRule(("a",), ("b", "c")))
LABELS = '[["team", "a b"], ["x", "\\u00fc"]]'
ROWS = {
    "catalogs": (
        *("shop", "U", "active", 'Wein – "Ä"', "de", LABELS, 2.5),
        *(1000, 1000, 0, 0, "[]", ""),
    ),
    "catalog_aliases": ("live", "shop", "U", 1000, 1000),
    "synonyms": ("shop", '[[["Tür", "door"], []], [["a"], ["b", "c"]]]', 1000, 1),
    "takedowns": ("shop", "b" * 64, "Grund „x“", 1000),
}
"""The rows, as release 0.40 wrote them; U: a drawn id."""


async def test_what_is_written_is_what_release_040_reads(
    record: Record, db: Database, clock: Clock
) -> None:
    clock.now = 1000
    made = await record.create_catalog("shop", VALUES, 5)
    alias = await record.set_alias(("live", "shop"), "", ("default",))
    await record.set_synonyms("shop", SYNONYMS, "")
    await record.take_down("shop", "b" * 64, "Grund „x“")
    drawn = {made.uid, alias.etag}
    for name, row in ROWS.items():
        (stored,) = await db.read(lambda c, name=name: c.execute(_all(name)).all())
        known = stored[: len(row)]  # later releases add columns at the end
        assert tuple("U" if cell in drawn else cell for cell in known) == row


async def test_what_release_040_wrote_is_read(record: Record, db: Database) -> None:
    for name, row in ROWS.items():
        table = _table(name)
        named = dict(zip(table.c.keys(), row, strict=False))
        await db.write(lambda c, table=table, named=named: c.execute(table.insert().values(named)))
    entry = await record.catalog_entry("shop")
    assert entry is not None
    assert (entry.uid, entry.values, entry.create_micros) == ("U", VALUES, 1000)
    assert [each.catalog_id for each in await record.catalog_aliases()] == ["shop"]
    assert (await record.synonyms("shop")).rules == SYNONYMS
    assert await record.takedowns("shop") == [Takedown("b" * 64, "Grund „x“", 1000)]


def _table(name: str) -> sa.Table:
    return metadata.tables[name]


def _all(name: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(_table(name))
