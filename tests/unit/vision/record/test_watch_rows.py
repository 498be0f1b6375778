"""Watches in the record."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from servicekit.sql.database import Database
from tests.fakes.clock import Clock
from tests.stores import each_engine
from vision.domain.errors import EtagMismatch, WatchesFull, WatchExists, WatchNotFound
from vision.domain.references import DraftPhoto
from vision.domain.watch_state import WatchProgress, WatchState
from vision.domain.watches import (
    MOST_WATCHES,
    Alert,
    AlertKind,
    Fault,
    FaultCondition,
    StoredWatch,
    Watch,
    WatchPhoto,
    WatchRule,
)
from vision.record import Record
from vision.record.tables import watch_alerts, watches

pytestmark = each_engine

RULES = (WatchRule("dark", FaultCondition(Fault.BLACK)),)
SHELF = Watch("shelf", "A shelf", rules=RULES)
A, B = "a" * 64, "b" * 64


def alert(name: str, watch_id: str = "shelf", image_id: str = "") -> Alert:
    return Alert(name, watch_id, "dark", AlertKind.STARTED, 5, 4, 0.5, image_id=image_id)


async def checked(
    record: Record,
    stored: StoredWatch,
    known: int,
    *alerts: Alert,
    photos: tuple[WatchPhoto, ...] = (),
) -> list[Alert] | None:
    state = WatchState(times=(known + 1,), processed=known + 1)
    progress = WatchProgress(stored, known, state, alerts, photos)
    return await record.save_checked("default", progress)


async def test_a_watch_is_created_once(record: Record, clock: Clock) -> None:
    stored = await record.create_watch("default", SHELF, [])
    clock.now += 1
    assert await record.create_watch("default", SHELF, []) == stored
    with pytest.raises(WatchExists):
        await record.create_watch("default", replace(SHELF, display_name="Another"), [])
    assert [each for each, _ in await record.watches("default")] == [stored]
    assert await record.watches("other") == []


async def test_a_catalog_has_a_bounded_number_of_watches(record: Record) -> None:
    for number in range(MOST_WATCHES):
        await record.create_watch("default", replace(SHELF, watch_id=f"w{number}"), [])
    with pytest.raises(WatchesFull):
        await record.create_watch("default", SHELF, [])


async def test_alerts_and_state_are_stored_together(record: Record, clock: Clock) -> None:
    stored = await record.create_watch("default", SHELF, [])
    saved = await checked(record, stored, 0, alert("1"), alert("2"))
    assert saved is not None
    assert saved[0].sequence < saved[1].sequence
    assert saved[0].create_micros == clock.now
    assert await checked(record, stored, 0, alert("3")) is None
    found = await record.watch("default", "shelf")
    assert found is not None
    assert (found[1].revision, found[1].state.processed) == (1, 1)
    assert await record.alerts("default", "", 2**62, 9) == saved[::-1]
    assert await record.alerts_after("default", "shelf", saved[0].sequence, 9) == saved[1:]
    assert await record.alerts_after("default", "other", 0, 9) == []
    assert await record.newest_alert("default") == saved[1].sequence


async def test_an_alert_has_one_entry_in_the_audit_log(
    db: Database, record: Record, clock: Clock
) -> None:
    stored = await record.create_watch("default", SHELF, [])
    (saved,) = await checked(record, stored, 0, alert("1")) or []
    assert await checked(record, stored, 0, alert("1")) is None  # frames that are sent again
    end = [replace(alert("2"), kind=AlertKind.ENDED)]
    changed = replace(SHELF, display_name="Changed")
    await record.update_watch(
        "default", changed, [], etag="", known=1, state=WatchState(), alerts=end
    )
    await record.delete_watch("default", "shelf")
    assert await record.restore_alerts("default", [saved]) == 1
    entries = await record.audit_notes(9)
    told = [(each["caller"], each["method"], each["request_id"]) for each in entries]
    assert told == [
        ("watch:shelf", "watch.alert/dark:started", "1"),
        ("watch:shelf", "watch.alert/dark:ended", "2"),
    ]
    assert {each["time"] for each in entries} == {clock.now}
    await record.drop_audit_notes([entries[0]["id"]])
    assert await record.audit_notes(9) == entries[1:]


async def test_frames_of_a_changed_watch_are_not_stored(record: Record) -> None:
    stored = await record.create_watch("default", SHELF, [])
    other = replace(SHELF, display_name="Changed")

    async def update(watch: Watch, etag: str) -> StoredWatch | None:
        end, state = [alert("end")], WatchState()
        return await record.update_watch(
            "default", watch, [], etag=etag, known=0, state=state, alerts=end
        )

    changed = await update(other, stored.etag)
    assert changed is not None
    assert [each.alert_id for each in await record.alerts("default", "", 2**62, 9)] == ["end"]
    assert await checked(record, stored, 1) is None
    assert await checked(record, changed, 1) == []
    with pytest.raises(EtagMismatch):
        await update(SHELF, stored.etag)
    assert await update(SHELF, changed.etag) is None  # frames since
    assert await update(other, "") == changed


async def test_a_deleted_watch_leaves_nothing(record: Record, clock: Clock) -> None:
    stored = await record.create_watch("default", SHELF, [WatchPhoto(A, "image/jpeg", 4, 3)])
    await checked(record, stored, 0, alert("1"))
    assert await record.delete_watch("default", "shelf")
    assert not await record.delete_watch("default", "shelf")
    assert await record.watch("default", "shelf") is None
    assert await record.alerts("default", "", 2**62, 9) == []
    with pytest.raises(WatchNotFound):
        await checked(record, stored, 1)
    clock.now += 1
    assert await record.drop_expired_photos("default", clock.now, 9) == (1, [A])


async def test_photos_go_when_their_term_ends(record: Record, clock: Clock) -> None:
    stored = await record.create_watch("default", SHELF, [])
    photo = WatchPhoto(B, "image/jpeg", 4, 3, clock.now + 100)
    await checked(record, stored, 0, alert("1", image_id=B), photos=(photo,))
    assert await record.watch_photo("default", B) == photo
    assert await record.drop_expired_photos("default", clock.now, 9) == (0, [])
    clock.now += 100
    assert await record.drop_expired_photos("default", clock.now, 9) == (1, [B])
    assert await record.watch_photo("default", B) is None


async def test_a_file_that_a_reference_names_too_stays_when_a_watch_goes(
    record: Record, clock: Clock
) -> None:
    photos = [WatchPhoto(each, "image/jpeg", 4, 3) for each in (A, B)]
    await record.create_watch("default", SHELF, photos)
    await record.add_photo("default", "bottle", DraftPhoto("f" * 64, B))
    await record.delete_watch("default", "shelf")
    clock.now += 1
    assert await record.drop_expired_photos("default", clock.now, 9) == (2, [A])


async def test_old_alerts_are_dropped(record: Record, clock: Clock) -> None:
    stored = await record.create_watch("default", SHELF, [])
    await checked(record, stored, 0, alert("1"))
    clock.now += 10
    await checked(record, stored, 1, alert("2"))
    assert await record.drop_old_alerts("default", clock.now, 9) == 1
    assert [each.alert_id for each in await record.alerts("default", "", 2**62, 9)] == ["2"]


async def test_a_watch_that_cannot_be_read_hides_no_other(record: Record, db: Database) -> None:
    kept = [
        await record.create_watch("default", replace(SHELF, watch_id=name), [])
        for name in ("a", "b", "c")
    ]
    damaged = sa.update(watches).where(watches.c.watch_id == "b").values(body="{")
    await db.write(lambda connection: connection.execute(damaged))
    assert [each for each, _ in await record.watches("default")] == [kept[0], kept[2]]


async def test_alerts_that_cannot_be_read_hide_no_others(record: Record, db: Database) -> None:
    stored = await record.create_watch("default", SHELF, [])
    for known, name in enumerate("abcdef"):
        assert await checked(record, stored, known, alert(name))
    c = watch_alerts.c
    damaged = sa.update(watch_alerts).where(c.alert_id.in_(list("bcd"))).values(body="{")
    await db.write(lambda connection: connection.execute(damaged))
    for limit in (1, 2, 3):
        found, after = "", 0
        while some := await record.alerts_after("default", "", after, limit):
            assert len(some) <= limit
            found, after = found + "".join(each.alert_id for each in some), some[-1].sequence
        assert found == "aef"
        newest = await record.alerts("default", "", 2**60, limit)
        assert "".join(each.alert_id for each in newest) == "fea"[:limit]
