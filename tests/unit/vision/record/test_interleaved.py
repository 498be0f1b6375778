"""Every pair of writers of watches, webhooks and references, interleaved on PostgreSQL, is as if
one came after the other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from servicekit.sql import database
from servicekit.sql.database import Database
from tests.fakes.clock import Clock
from tests.fakes.watch_alerts import raise_alert
from tests.interleaved import check, each_of
from tests.stores import NewStore, only_postgresql
from tests.unit.vision.conftest import MIGRATIONS
from tests.unit.vision.record.test_references import MADE
from tests.unit.vision.record.test_watch_rows import SHELF, alert
from tests.waiting import SECONDS
from vision.domain.deliveries import DeliveryStep, Lane, LaneState
from vision.domain.references import DraftPhoto
from vision.domain.watch_state import RevisedState, WatchProgress, WatchState
from vision.domain.watches import StoredWatch, WatchPhoto
from vision.domain.webhooks import Webhook, WebhookSecret
from vision.record import Record, store

C = "default"
HOOK = Webhook("ops", "https://hooks.test/a", (), (WebhookSecret("00ff", "salt", 1),), 1)


@dataclass(frozen=True)
class World:
    """One process."""

    db: Database
    record: Record


Writers = Mapping[str, Callable[[World], Awaitable[object]]]


async def watches(here: World) -> Writers:
    record = here.record
    stored = await record.create_watch(C, SHELF, [WatchPhoto("a" * 64, "image/jpeg", 1, 1, 5)])
    state = WatchState(times=(1,), processed=1)
    photo = WatchPhoto("b" * 64, "image/jpeg", 1, 1, 2_000_000)
    progress = WatchProgress(stored, 0, state, [alert("1", image_id="b" * 64)], [photo])
    await raise_alert(here.db, "old", create_micros=1)
    changed, new = replace(SHELF, display_name="New"), replace(SHELF, watch_id="new")
    archived = StoredWatch(new, "e", 1, 1)
    return {
        "create_watch": lambda w: w.record.create_watch(C, replace(new, display_name="x"), []),
        "update_watch": lambda w: w.record.update_watch(
            C, changed, [], etag=stored.etag, known=0, state=state, alerts=[alert("2")]
        ),
        "delete_watch": lambda w: w.record.delete_watch(C, "shelf"),
        "save_checked": lambda w: w.record.save_checked(C, progress),
        "drop_expired_photos": lambda w: w.record.drop_expired_photos(C, 9),
        "drop_old_alerts": lambda w: w.record.drop_old_alerts(C, 2, 9),
        "restore_watch": lambda w: w.record.restore_watch(
            C, archived, known=RevisedState(state, 1), photos=[photo]
        ),
        "drop_audit_notes": lambda w: w.record.drop_audit_notes(["none"]),
        "remove_rows": lambda w: w.record.remove_rows(C, 9),
        "restore_alerts": lambda w: w.record.restore_alerts(
            C, [replace(alert("3"), sequence=1, create_micros=1)]
        ),
    }


async def webhooks(here: World) -> Writers:
    record = here.record
    await record.create_webhook(C, HOOK)
    await raise_alert(here.db, "shelf", create_micros=7)
    flying = await record.next_delivery(Lane(C, "ops", "shelf"))
    assert flying is not None
    await record.settle_delivery(flying, DeliveryStep.DEAD, LaneState(1, 5, "dead"))
    await raise_alert(here.db, "shelf", create_micros=8)
    next_one = await record.next_delivery(Lane(C, "ops", "shelf"))
    assert next_one is not None
    again = replace(HOOK, uri="https://other.test/b", create_micros=2)
    rotated = HOOK.rotated(WebhookSecret("00ff", "new", 2), 5)
    retried = LaneState(2, 50, "x")
    return {
        "create_webhook": lambda w: w.record.create_webhook(C, again),
        "create_webhook new": lambda w: w.record.create_webhook(C, replace(again, webhook_id="n")),
        "update_webhook": lambda w: w.record.update_webhook(C, replace(again, watch_ids=("x",))),
        "rotate_webhook": lambda w: w.record.rotate_webhook(C, rotated, HOOK),
        "delete_webhook": lambda w: w.record.delete_webhook(C, "ops"),
        "replay": lambda w: w.record.replay(C, "ops", []),
        "settle_delivery": lambda w: w.record.settle_delivery(
            next_one, DeliveryStep.RETRIED, retried
        ),
        "settle_delivery dead": lambda w: w.record.settle_delivery(
            next_one, DeliveryStep.DEAD, retried
        ),
        "drop_dead_letters": lambda w: w.record.drop_dead_letters(2**60),
        "delete_watch": lambda w: w.record.delete_watch(C, "shelf"),
    }


async def references(here: World) -> Writers:
    record = here.record
    await record.add_photo(C, "r", DraftPhoto("a", "f"))
    made = replace(MADE, version="a" * 16, file="m")
    await record.keep_version(C, made, [])
    newer = replace(MADE, version="b" * 16, file="n", create_time=MADE.create_time.replace(day=2))
    return {
        "renew_photo": lambda w: w.record.renew_photo(C, "r", "a"),
        "add_photo": lambda w: w.record.add_photo(C, "r", DraftPhoto("b", "g")),
        "drop_photos": lambda w: w.record.drop_photos(C, "r", ["a"]),
        "keep_version": lambda w: w.record.keep_version(C, newer, ["a"]),
        "promote": lambda w: w.record.promote(C, "r", "a" * 16),
        "delete_reference": lambda w: w.record.delete_reference(C, "r", ""),
        "expire_drafts": lambda w: w.record.expire_drafts(C),
    }


RESOURCES = (watches, webhooks, references)


@pytest.fixture
def place(
    new_store: NewStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, World, World]]:
    """Return a store and two processes that use it."""
    monkeypatch.setattr(database, "WRITE_SECONDS", round(SECONDS))
    url = new_store(MIGRATIONS, "record.db")
    dbs = [Database(url, migrations=MIGRATIONS) for _ in range(2)]
    one, other = (World(db, Record(db, clock)) for db in dbs)
    yield url, one, other
    for db in dbs:
        db.close()


@pytest.mark.full
@only_postgresql
@each_of(RESOURCES, ())
async def test_writers_that_interleave_are_as_in_turn(
    resource: Callable[[World], Awaitable[Writers]], place: tuple[str, World, World]
) -> None:
    url, one, other = place
    await check(url, one, other, await resource(one))


def test_every_writer_of_the_record_is_interleaved() -> None:
    source = inspect.getsource(store.Record)
    written = set(re.findall(r"^    (\w+) = _writes(?:_now)?\(", source, re.M))
    for part in re.split(r"^    async def ", source, flags=re.M)[1:]:
        if "_db.write" in part:
            written.add(part.partition("(")[0])
    named = {
        name
        for resource in RESOURCES
        for name in re.findall(r'^        "(\w+)[ \w]*": ', inspect.getsource(resource), re.M)
    }
    assert written <= named
