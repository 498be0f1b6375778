"""Rows of resources have the form that release 0.40 wrote: either release reads those of the
other, as replicas of both do during a roll-out."""

from __future__ import annotations

import sqlalchemy as sa

from retriever.domain.product import Takedown
from retriever.domain.registry import CatalogValues
from retriever.domain.watches import (
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    Watch,
    WatchBox,
    WatchPhoto,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from retriever.domain.webhooks import Webhook, WebhookSecret
from retriever.record import Record, metadata
from servicekit.sql.database import Database
from sightline_rules.synonyms import SynonymRule
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock

pytestmark = each_engine

VALUES = CatalogValues('Wein – "Ä"', "de", (("team", "a b"), ("x", "ü")), 2.5)
SYNONYMS = (SynonymRule(("Tür", "door")), SynonymRule(("a",), ("b", "c")))
SECRETS = WebhookSecret("00ff", "salt", 1, 5), WebhookSecret("01", "s", 0)
HOOK = Webhook("ops", "https://h/a", ("a", "ü"), SECRETS, 7)
WATCH = Watch(
    "shelf",
    "Regal „1“",
    (WatchRegion("left", WatchBox(0, 0.1, 0.5, 1)),),
    (
        WatchRule("dark", FaultCondition(Fault.BLACK)),
        WatchRule("gone", PresenceCondition(WatchTarget("p"), Direction.GONE, ("left",))),
    ),
    30,
    60,
    "https://c/x",
    5,
    whole_frames=True,
)
PHOTO = WatchPhoto("a" * 64, "image/jpeg", 3, 4, 9)
TIMES = '"hold":10000000,"release":10000000,"cool_down":300000000'
BODY = (
    '{"watch_id":"shelf","display_name":"Regal „1“","regions":[{"region_id":"left","box":'
    '{"left":0.0,"top":0.1,"right":0.5,"bottom":1.0}}],"rules":[{"rule_id":"dark","condition":'
    '{"fault":"black","kind":"fault"},' + TIMES + '},{"rule_id":"gone","condition":{"target":'
    '{"product_id":"p","image_id":"","min_similarity":0.6},"direction":"gone",'
    '"region_ids":["left"],"kind":"presence"},' + TIMES + '}],"photo_days":30,'
    '"utc_offset_minutes":60,"snapshot_uri":"https://c/x","snapshot_seconds":5,'
    '"whole_frames":true}'
)
STORED_SECRETS = (
    '[{"key_id": "00ff", "salt": "salt", "create_micros": 1, "end_micros": 5}, '
    '{"key_id": "01", "salt": "s", "create_micros": 0, "end_micros": 0}]'
)
LABELS = '[["team", "a b"], ["x", "\\u00fc"]]'
ROWS = {
    "catalogs": (
        *("shop", "U", "active", 'Wein – "Ä"', "de", LABELS, 2.5),
        *(1000, 1000, 0, 0, "[]", ""),
    ),
    "catalog_aliases": ("live", "shop", "U", 1000, 1000),
    "synonyms": ("shop", '[[["Tür", "door"], []], [["a"], ["b", "c"]]]', 1000, 1),
    "webhooks": ("shop", "ops", "https://h/a", '["a", "\\u00fc"]', STORED_SECRETS, 7, 1),
    "watches": ("shop", "shelf", BODY, "3dc1178ce7097238", 1000, 1000),
    "watch_photos": ("shop", "a" * 64, "shelf", "image/jpeg", 3, 4, 9),
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
    await record.create_webhook("shop", HOOK)
    await record.create_watch("shop", WATCH, [PHOTO])
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
    assert [each.webhook for each in await record.webhook_states("shop")] == [HOOK]
    assert [each.watch for each, _ in await record.watches("shop")] == [WATCH]
    assert await record.watch_photo("shop", PHOTO.image_id) == PHOTO
    assert await record.takedowns("shop") == [Takedown("b" * 64, "Grund „x“", 1000)]


def _table(name: str) -> sa.Table:
    return metadata.tables[name]


def _all(name: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(_table(name))
