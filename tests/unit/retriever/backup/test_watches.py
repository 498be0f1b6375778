"""Watches in backups: restored with what they know, and without losing alerts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retriever.backup import backups, restores
from retriever.domain.errors import WatchesFull
from retriever.domain.watch_state import (
    Period,
    Phase,
    RevisedState,
    RuleState,
    Track,
    UsualHour,
    WatchProgress,
    WatchState,
)
from retriever.domain.watches import (
    MOST_WATCHES,
    Alert,
    AlertKind,
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    StoredWatch,
    Watch,
    WatchPhoto,
    WatchRule,
    WatchTarget,
)
from retriever.record.registry import KEPT
from retriever.record.tables import metadata
from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.catalogs.rows import remove_rows
from sightline_rules.photos import image_id
from tests.fakes.photos import photo
from tests.unit.retriever.backup.conftest import Place
from tests.unit.retriever.backup.test_damage import (
    Members,
    first,
    opened,
    packed,
    photo_of,
    tarred,
    vouched,
    with_table,
)
from tests.unit.retriever.conftest import Clock

BOTTLE = photo(seed=70)
FRAME = "f" * 64
GONE = WatchRule("gone", PresenceCondition(WatchTarget("", image_id(BOTTLE), 0.75), Direction.GONE))
DARK = WatchRule("dark", FaultCondition(Fault.BLACK))
SHELF = Watch("shelf", "A shelf", rules=(GONE, DARK), snapshot_uri="https://c.example/now.jpg",
              snapshot_seconds=5)  # fmt: skip


def alert(name: str, rule_id: str = "gone", **values: Any) -> Alert:
    return Alert(name * 32, "shelf", rule_id, AlertKind.STARTED, 5, 4, 0.5, **values)


def knowing(number: int, *open_rules: WatchRule, watch: Watch = SHELF) -> WatchState:
    """Return a state after a number of frames, in which alerts of these rules have started."""
    rules = {
        rule.rule_id: RuleState(
            watch.condition_key(rule),
            Period(Phase.ALERTING, 4, 5, 5, "a" * 32),
            (Track((0.1, 0.2), True, known=True),),
            {7: UsualHour(3, (0.5,) * 64, 0.1, 0.2)},
        )
        for rule in open_rules
    }
    return WatchState(rules, (5, 5 + number), number, cells=(0.25,) * 192, sharpness=-2.5)


async def watched(
    place: Place, catalog: str = "default", watch: Watch = SHELF, data: bytes = BOTTLE
) -> StoredWatch:
    """Create a watch, whose rule looks for a photo."""
    await place.photos.put(catalog, image_id(data), data)
    kept = WatchPhoto(image_id(data), "image/jpeg", 64, 48)
    return await place.record.create_watch(catalog, watch, [kept])


async def alerted(
    place: Place, stored: StoredWatch, state: WatchState, *alerts: Alert, catalog: str = "default"
) -> list[Alert]:
    """Store alerts, and what the watch knows then."""
    found = await place.record.watch(catalog, stored.watch.watch_id)
    assert found is not None
    expiring = WatchPhoto(FRAME, "image/jpeg", 4, 3, 2**60)
    progress = WatchProgress(stored, found[1].revision, state, alerts, [expiring])
    saved = await place.record.save_checked(catalog, progress)
    assert saved is not None
    return saved


async def alerts_of(place: Place, catalog: str = "default") -> list[Alert]:
    return await place.record.alerts_after(catalog, "", 0, 1_000)


@pytest.mark.full
async def test_a_watch_is_restored_with_what_it_knows_and_its_alerts(
    here: Place, place: Callable[[str], Place], clock: Clock
) -> None:
    stored = await watched(here)
    known = knowing(1, GONE)
    saved = await alerted(here, stored, known, alert("a", image_id=FRAME), alert("b", "dark"))
    backup_id = await here.back_up()
    clock.now += 10**9
    there = place("there")
    result = await there.restore(backup_id)
    assert result["watch_count"] == 1
    assert await there.record.watch("default", "shelf") == (stored, RevisedState(known, 1))
    assert there.photos.stored == here.photos.stored
    assert await there.record.unknown("default", [image_id(BOTTLE), FRAME]) == [FRAME]
    restored = await alerts_of(there)
    assert restored == [replace(each, image_id="") for each in saved], "frames are not in backups"
    (after,) = await alerted(there, stored, known, alert("c"))
    assert after.sequence > saved[-1].sequence, "resume tokens stay valid"


async def test_a_forced_restore_keeps_what_was_learned_and_alerts_since_the_backup(
    here: Place, clock: Clock
) -> None:
    stored = await watched(here)
    await alerted(here, stored, knowing(1, GONE), alert("a", image_id=FRAME))
    backup_id = await here.back_up()
    since = await alerted(here, stored, knowing(2, GONE, DARK), alert("b", "dark"))
    clock.now += 1
    await here.restore(backup_id, force=True)
    found = await here.record.watch("default", "shelf")
    assert found == (stored, RevisedState(knowing(2, GONE, DARK), 2))
    kept = await alerts_of(here)
    assert [each.alert_id[0] for each in kept] == ["a", "b"]
    assert kept[0].image_id == FRAME
    assert kept[1:] == since


async def test_a_forced_restore_changes_a_watch_as_a_caller_does(here: Place, clock: Clock) -> None:
    stored = await watched(here)
    backup_id = await here.back_up()
    other = replace(SHELF, rules=(replace(DARK, rule_id="night"), DARK))
    changed = await here.record.update_watch(
        "default", other, [], etag="", known=0, state=WatchState(), alerts=()
    )
    assert changed is not None
    await alerted(here, changed, knowing(1, *other.rules, watch=other), alert("a", "night"))
    clock.now += 1
    await here.restore(backup_id, force=True)
    found = await here.record.watch("default", "shelf")
    assert found is not None
    assert (found[0].watch, found[0].etag) == (SHELF, stored.etag)
    assert set(found[1].state.rules) == {"dark"}, "its condition is the same"
    started, ended = await alerts_of(here)
    assert (ended.kind, ended.rule_id) == (AlertKind.ENDED, "night")
    assert ended.started_alert_id == started.alert_id
    clock.now += 1
    assert await here.record.drop_expired_photos("default", clock.now, 9) == (0, []), (
        "the photo is used again"
    )


@pytest.mark.full
@pytest.mark.parametrize("force", [False, True])
async def test_a_watch_that_a_caller_has_set_since_is_kept(
    here: Place, place: Callable[[str], Place], force: bool
) -> None:
    stored = await watched(here)
    await alerted(here, stored, knowing(1), alert("a"))
    backup_id, there = await here.back_up(), place("there")
    await there.ask(backup_id, force=force)
    job = replace(await there.claimed(backups.RESTORE), created_time=1)
    mine = await watched(there, watch=replace(SHELF, display_name="Mine"))
    await restores.restore(job, there.deps, "s")
    assert await there.record.watch("default", "shelf") == (mine, RevisedState())
    assert len(await alerts_of(there)) == 1


async def test_a_deleted_watch_comes_back_with_its_alerts(here: Place, clock: Clock) -> None:
    stored = await watched(here)
    saved = await alerted(here, stored, knowing(1, GONE), alert("a", image_id=FRAME))
    backup_id = await here.back_up()
    await here.record.delete_watch("default", "shelf")
    clock.now += 1
    assert (await here.record.drop_expired_photos("default", clock.now, 9))[0] == 2
    await here.restore(backup_id, force=True)
    assert await here.record.watch("default", "shelf") == (
        stored,
        RevisedState(knowing(1, GONE), 1),
    )
    assert await alerts_of(here) == [replace(saved[0], image_id="")]


@pytest.mark.full
async def test_alerts_of_equal_numbers_are_all_kept_and_added_once(
    here: Place, place: Callable[[str], Place]
) -> None:
    stored = await watched(here)
    saved = await alerted(here, stored, knowing(1), alert("a"), alert("b"))
    backup_id, there = await here.back_up(), place("there")
    mine = await watched(there, watch=replace(SHELF, watch_id="other"))
    while not (
        await alerts_of(there) and (await alerts_of(there))[-1].sequence >= saved[0].sequence
    ):
        name = f"{len(await alerts_of(there)):x}"
        await alerted(there, mine, knowing(1), replace(alert(name), watch_id="other"))
    before = await alerts_of(there)
    for _ in range(2):
        await there.restore(backup_id, force=True)
        after = await alerts_of(there)
        assert after[: len(before)] == before
        restored = after[len(before) :]
        assert [each.alert_id for each in restored] == [each.alert_id for each in saved]
        assert len({each.sequence for each in after}) == len(after)


@pytest.mark.full
async def test_a_restore_that_would_exceed_the_number_of_watches_changes_nothing(
    here: Place, place: Callable[[str], Place]
) -> None:
    await watched(here)
    backup_id, there = await here.back_up(), place("there")
    for number in range(MOST_WATCHES):
        await there.record.create_watch("default", Watch(f"w{number}", rules=(DARK,)), [])
    with pytest.raises(WatchesFull):
        await there.restore(backup_id)
    assert await there.products() == []


async def test_a_lost_photo_of_a_watch_does_not_stop_a_backup(
    here: Place, place: Callable[[str], Place]
) -> None:
    stored = await watched(here)
    del here.photos.stored["default", image_id(BOTTLE)]
    there = place("there")
    result = await there.restore(await here.back_up())
    assert result["lost_image_count"] == 0, "counts photos of products"
    assert (await there.record.watch("default", "shelf") or (None,))[0] == stored


async def test_a_removed_catalog_leaves_no_watch(here: Place) -> None:
    stored = await watched(here)
    await alerted(here, stored, knowing(1), alert("a"))

    def work(connection: Any) -> int:
        return remove_rows(connection, metadata, KEPT, "default", 1_000)

    while await here.db.write(work):
        pass
    assert await here.record.watches("default") == []
    assert await alerts_of(here) == []
    assert await here.record.watch_photo("default", image_id(BOTTLE)) is None


def in_body(table: str, **values: Any) -> Callable[[Members], Members]:
    """Return a change of the JSON of a table's first row."""

    def change(rows: list[Any]) -> None:
        rows[0]["body"] = json.dumps(json.loads(rows[0]["body"]) | values)

    return lambda members: with_table(members, table, change)


def of_rule(**values: Any) -> Callable[[Members], Members]:
    """Return a change of the state of a rule."""

    def change(rows: list[Any]) -> None:
        body = json.loads(rows[0]["body"])
        body["rules"]["gone"] |= values
        rows[0]["body"] = json.dumps(body)

    return lambda members: with_table(members, "watch_states", change)


HOUR = {"frames": 3, "mean": [0.5], "distance": 0.1, "variance": 0.2}
DAMAGED: dict[str, Callable[[Members], Members]] = {
    "no rules": in_body("watches", rules=[]),
    "no JSON": lambda m: with_table(m, "watches", first("body", "[")),
    "deep JSON": lambda m: with_table(m, "watches", first("body", "[" * 100_000)),
    "another id": lambda m: with_table(m, "watches", first("watch_id", "other")),
    "no etag": lambda m: with_table(m, "watches", first("etag", "")),
    "a wrong time": lambda m: with_table(m, "watches", first("create_time", -1)),
    "a watch twice": lambda m: with_table(m, "watches", lambda rows: rows * 2),
    "a state of no watch": lambda m: with_table(m, "watch_states", first("watch_id", "other")),
    "a state of few cells": in_body("watch_states", cells=[0.5]),
    "a state that is not finite": in_body("watch_states", sharpness=float("nan")),
    "a state that runs backwards": in_body("watch_states", times=[5, 4]),
    "a state with other parts": of_rule(tracks=[{}, {}]),
    "a state with a 26th hour": of_rule(usual={"25": HOUR}),
    "a state with a short mean": of_rule(usual={"7": HOUR}),
    "an alert of no watch": lambda m: with_table(
        m, "watch_alerts", lambda rows: [rows[0] | {"watch_id": "other"}]
    ),
    "an alert from later": lambda m: with_table(m, "watch_alerts", first("sequence", 2**60)),
    "alerts out of order": lambda m: with_table(m, "watch_alerts", lambda rows: rows[::-1]),
    "an alert without an id": in_body("watch_alerts", alert_id=""),
    "an alert that is not finite": in_body("watch_alerts", score=float("inf")),
    "a photo of no watch": lambda m: with_table(m, "watch_photos", first("watch_id", "other")),
    "a photo of no size": lambda m: with_table(m, "watch_photos", first("width", 0)),
    "a photo of another type": lambda m: with_table(
        m, "watch_photos", first("media_type", "image/webp")
    ),
    "a photo too few": lambda m: with_table(m, "watch_photos", first("image_id", "0" * 64)),
    "other photos": lambda m: vouched(m | {"watch_photos.tar": tarred({photo_of(m): b"x"})}),
    "no photos": lambda m: {name: data for name, data in m.items() if name != "watch_photos.tar"},
    "something behind the photos": lambda m: m | {"watch_photos.tar": m["watch_photos.tar"] + b"x"},
}


@pytest.mark.first(2)
@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGED)
async def test_damaged_or_hostile_watches_change_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    stored = await watched(here)
    await alerted(here, stored, knowing(1, GONE), alert("a"), alert("b"))
    backup_id, there = await here.back_up(), place("there")
    folder = tmp_path / f"backups/default/{backup_id}"
    members = opened(folder)
    packed(folder, DAMAGED[name](members))
    with pytest.raises(BackupDamaged):
        await there.restore(backup_id)
    assert await there.products() == []
    assert await there.record.watches("default") == []
