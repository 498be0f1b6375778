"""Rows of watches and webhooks have the form that releases from 0.40 wrote."""

from __future__ import annotations

import sqlalchemy as sa

from servicekit.sql.database import Database
from sightline_rules.photo_areas import PhotoArea
from tests.fakes.clock import Clock
from tests.stores import each_engine
from vision.domain.watches import (
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    Watch,
    WatchPhoto,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from vision.domain.webhooks import Webhook, WebhookSecret
from vision.record import Record, metadata

pytestmark = each_engine

SECRETS = WebhookSecret("00ff", "salt", 1, 5), WebhookSecret("01", "s", 0)
HOOK = Webhook("ops", "https://h/a", ("a", "ü"), SECRETS, 7)
WATCH = Watch(
    "shelf",
    "Regal „1“",
    (WatchRegion("left", PhotoArea(0, 0.1, 0.5, 1)),),
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
ROWS = {
    "webhooks": ("shop", "ops", "https://h/a", '["a", "\\u00fc"]', STORED_SECRETS, 7, 1),
    "watches": ("shop", "shelf", BODY, "3dc1178ce7097238", 1000, 1000),
    "watch_photos": ("shop", "a" * 64, "shelf", "image/jpeg", 3, 4, 9),
}
"""The rows, as the retriever of release 0.40 wrote them."""


async def test_what_is_written_is_what_release_040_wrote(
    record: Record, db: Database, clock: Clock
) -> None:
    clock.now = 1000
    await record.create_webhook("shop", HOOK)
    await record.create_watch("shop", WATCH, [PHOTO])
    for name, row in ROWS.items():
        query = sa.select(metadata.tables[name])
        (stored,) = await db.read(lambda c, query=query: c.execute(query).all())
        # Commits are counted of watches alone here.
        assert [*stored][:-1] == [*row][:-1]


async def test_what_release_040_wrote_is_read(record: Record, db: Database) -> None:
    for name, row in ROWS.items():
        table = metadata.tables[name]
        named = dict(zip(table.c.keys(), row, strict=False))
        await db.write(lambda c, table=table, named=named: c.execute(table.insert().values(named)))
    assert [each.webhook for each in await record.webhook_states("shop")] == [HOOK]
    assert [each.watch for each, _ in await record.watches("shop")] == [WATCH]
    assert await record.watch_photo("shop", PHOTO.image_id) == PHOTO
