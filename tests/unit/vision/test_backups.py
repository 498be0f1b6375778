"""Backups of watches: restored with what they know, and without losing alerts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.backups import Backups
from servicekit.artefacts.manifest import MANIFEST
from servicekit.artefacts.store import Digest
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.clock import Clock
from tests.fakes.photos import photo
from tests.stores import NewStore
from tests.unit.vision.conftest import MIGRATIONS
from tests.unit.vision.watching.test_frames import FakeFramePhotos
from vision.backup import backups
from vision.backup.backups import BACKUP, RESTORE, BackupJobs, RestorePlan
from vision.domain.errors import WatchesFull
from vision.domain.watch_state import (
    Period,
    Phase,
    RevisedState,
    RuleState,
    Track,
    UsualHour,
    WatchProgress,
    WatchState,
)
from vision.domain.watches import (
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
from vision.record import Record
from vision.record.tables import jobs

BOTTLE = photo(seed=70)
FRAME = "f" * 64
GONE = WatchRule("gone", PresenceCondition(WatchTarget("", image_id(BOTTLE), 0.75), Direction.GONE))
DARK = WatchRule("dark", FaultCondition(Fault.BLACK))
SHELF = Watch("shelf", "A shelf", rules=(GONE, DARK))


@dataclass
class Place:
    """An installation."""

    record: Record
    photos: FakeFramePhotos
    store: Backups
    jobs: Jobs
    clock: Clock

    @property
    def work(self) -> BackupJobs:
        return BackupJobs(self.record, self.photos, self.store, self.clock, "0.43.0")

    async def claimed(self, kind: str) -> Job:
        job = await self.jobs.claim((kind,), "worker", 60.0)
        assert job is not None
        return job

    async def back_up(self) -> str:
        await backups.create("default", self.jobs, self.clock())
        job = await self.claimed(BACKUP)
        done = await self.work.back_up(job)
        await self.jobs.finish(job, done)
        return str(done["backup_id"])

    async def restore(self, backup_id: str, *, force: bool = False) -> Any:
        plan = RestorePlan(backup_id, "default", force)
        await backups.ask_restore("default", plan, self.store, self.jobs)
        job = await self.claimed(RESTORE)
        done = await self.work.restore(job)
        await self.jobs.finish(job, done)
        return done

    async def alerts(self) -> list[Alert]:
        return await self.record.alerts_after("default", "", 0, 1_000)


@pytest.fixture
def place(new_store: NewStore, clock: Clock, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Return a factory of installations that share their backups."""
    with ExitStack() as stack:
        store = Backups(str(tmp_path / "backups"), "vision")
        stack.callback(store.close)

        def make(name: str) -> Place:
            db = Database(new_store(MIGRATIONS, f"{name}.db"), migrations=MIGRATIONS)
            stack.callback(db.close)
            queue = Jobs(db, jobs, clock=clock)
            return Place(Record(db, clock), FakeFramePhotos(), store, queue, clock)

        yield make


@pytest.fixture
def here(place: Callable[[str], Place]) -> Place:
    return place("here")


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


async def watched(place: Place, watch: Watch = SHELF) -> StoredWatch:
    """Create a watch, whose rule looks for a photo."""
    await place.photos.put("default", image_id(BOTTLE), BOTTLE)
    kept = WatchPhoto(image_id(BOTTLE), "image/jpeg", 64, 48)
    return await place.record.create_watch("default", watch, [kept])


async def alerted(
    place: Place, stored: StoredWatch, state: WatchState, *alerts: Alert
) -> list[Alert]:
    """Store alerts, and what the watch knows then."""
    found = await place.record.watch("default", stored.watch.watch_id)
    assert found is not None
    expiring = WatchPhoto(FRAME, "image/jpeg", 4, 3, 2**60)
    progress = WatchProgress(stored, found[1].revision, state, alerts, [expiring])
    saved = await place.record.save_checked("default", progress)
    assert saved is not None
    return saved


async def test_a_watch_is_restored_with_what_it_knows_and_its_alerts(
    here: Place, place: Callable[[str], Place]
) -> None:
    stored = await watched(here)
    known = knowing(1, GONE)
    saved = await alerted(here, stored, known, alert("a", image_id=FRAME), alert("b", "dark"))
    there = place("there")
    done = await there.restore(await here.back_up())
    assert done == {"watch_count": 1, "alert_count": 2}
    assert await there.record.watch("default", "shelf") == (stored, RevisedState(known, 1))
    assert there.photos.stored == here.photos.stored
    frames_are_not_in_backups = [replace(each, image_id="") for each in saved]
    assert await there.alerts() == frames_are_not_in_backups
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
    kept = await here.alerts()
    assert [each.alert_id[0] for each in kept] == ["a", "b"]
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
    started, ended = await here.alerts()
    assert (ended.kind, ended.rule_id) == (AlertKind.ENDED, "night")
    assert ended.started_alert_id == started.alert_id


async def test_a_restore_that_would_exceed_the_number_of_watches_changes_nothing(
    here: Place, place: Callable[[str], Place]
) -> None:
    await watched(here)
    backup_id, there = await here.back_up(), place("there")
    for number in range(MOST_WATCHES):
        await there.record.create_watch("default", Watch(f"w{number}", rules=(DARK,)), [])
    with pytest.raises(WatchesFull):
        await there.restore(backup_id)
    assert there.photos.stored == {}


async def test_a_lost_photo_of_a_watch_does_not_stop_a_backup(
    here: Place, place: Callable[[str], Place]
) -> None:
    stored = await watched(here)
    here.photos.stored.clear()
    backup_id, there = await here.back_up(), place("there")
    await there.restore(backup_id)
    assert (await there.record.watch("default", "shelf") or (None,))[0] == stored
    assert here.store.open("default", backup_id).manifest.content["lost"] == 1


def in_table(folder: Path, table: str, change: Callable[[list[Any]], Any]) -> None:
    """Change the rows of a table, and have the manifest vouch for it."""
    path = folder / f"tables/{table}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = change(rows) or rows
    rewrite(folder, f"tables/{table}.jsonl", "".join(json.dumps(r) + "\n" for r in rows).encode())


def rewrite(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    manifest, digest = json.loads((folder / MANIFEST).read_text()), Digest()
    digest.take(data)
    for file in manifest["files"]:
        if file["name"] == name:
            file |= {"size": digest.size, "sha256": digest.sha256}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def first(**values: Any) -> Callable[[list[Any]], None]:
    return lambda rows: rows[0].update(values)


def in_body(**values: Any) -> Callable[[list[Any]], None]:
    return lambda rows: rows[0].update(body=json.dumps(json.loads(rows[0]["body"]) | values))


DAMAGED: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "no rules": ("watches", in_body(rules=[])),
    "no JSON": ("watches", first(body="[")),
    "deep JSON": ("watches", first(body="[" * 100_000)),
    "another id": ("watches", first(watch_id="other")),
    "no etag": ("watches", first(etag="")),
    "a wrong time": ("watches", first(create_time=-1)),
    "a number for a text": ("watches", first(etag=7)),
    "another column": ("watches", first(more="x")),
    "a watch twice": ("watches", lambda rows: rows * 2),
    "a state of no watch": ("watch_states", first(watch_id="other")),
    "a state of few cells": ("watch_states", in_body(cells=[0.5])),
    "a state that runs backwards": ("watch_states", in_body(times=[5, 4])),
    "an alert of no watch": ("watch_alerts", first(watch_id="other")),
    "an alert from later": ("watch_alerts", lambda rows: rows[1].update(sequence=2**60)),
    "alerts out of order": ("watch_alerts", lambda rows: rows[::-1]),
    "an alert without an id": ("watch_alerts", in_body(alert_id="")),
    "a photo of no watch": ("watch_photos", first(watch_id="other")),
    "a photo of no size": ("watch_photos", first(width=0)),
    "a photo too few": ("watch_photos", first(image_id="0" * 64)),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_damaged_or_hostile_watches_change_nothing(
    here: Place, place: Callable[[str], Place], tmp_path: Path, name: str
) -> None:
    stored = await watched(here)
    await alerted(here, stored, knowing(1, GONE), alert("a"), alert("b"))
    backup_id, there = await here.back_up(), place("there")
    in_table(tmp_path / f"backups/default/{backup_id}", *DAMAGED[name])
    with pytest.raises(BackupDamaged):
        await there.restore(backup_id)
    assert await there.record.watches("default") == []


@pytest.mark.parametrize("data", [b"no photo", photo(seed=3)])
async def test_another_photo_is_not_restored(
    here: Place, place: Callable[[str], Place], tmp_path: Path, data: bytes
) -> None:
    await watched(here)
    backup_id, there = await here.back_up(), place("there")
    folder = tmp_path / f"backups/default/{backup_id}"
    rewrite(folder, f"photos/{image_id(BOTTLE)}", data)
    with pytest.raises(BackupDamaged):
        await there.restore(backup_id)
    assert await there.record.watches("default") == []
    assert there.photos.stored == {}
