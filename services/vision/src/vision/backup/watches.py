"""Watches in a backup: checked, and restored beside those that the catalog has.

A restore adds alerts and deletes none: a watch that goes on keeps what it knows, so that each of
its alerts still ends once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, NoReturn

from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.jobs.queue import Job
from sightline_rules.ids import MAX_ID_BYTES
from vision.backup.archive import ArchiveReader, Row, table_file
from vision.domain.errors import WatchContended, WatchesFull, WatchInvalid
from vision.domain.watch_json import loaded_alert, loaded_state, loaded_watch
from vision.domain.watch_state import KNOWN_TIMES, RevisedState, RuleState, WatchState
from vision.domain.watches import (
    MOST_RULES,
    MOST_WATCHES,
    Alert,
    StoredWatch,
    Watch,
    WatchDraft,
    WatchPhoto,
    check,
)
from vision.record import Record
from vision.watching.checking import ended, without_ended
from vision.watching.hourly_baseline import ALL_HOURS, PROJECTED

ATTEMPTS: Final = 5
"""Attempts to replace a watch while its frames are checked."""
CELLS: Final = 16 * 12
"""Cells of a frame; see FrameFacts."""
MOST_TIME: Final = 2**62


@dataclass(frozen=True, slots=True)
class ArchivedWatch:
    """A watch of a backup."""

    stored: StoredWatch
    state: str
    """JSON of what it knows: up to 300 kB, and several times as much as values."""
    revision: int
    photos: Sequence[WatchPhoto]
    """Photos that its rules look for."""

    @property
    def known(self) -> RevisedState:
        """Return what the watch knows."""
        state = loaded_state(self.state) if self.state else WatchState()
        return RevisedState(state, self.revision)


def checked_watches(reader: ArchiveReader) -> list[ArchivedWatch]:
    """Return the watches of a backup. Raise BackupDamaged unless they and their alerts are valid.
    Blocks."""
    photos: dict[str, list[WatchPhoto]] = {}
    for watch_id, photo in _photos(reader.rows("watch_photos")):
        photos.setdefault(watch_id, []).append(photo)
    states = {row["watch_id"]: row for batch in reader.rows("watch_states") for row in batch}
    found: dict[str, ArchivedWatch] = {}
    for batch in reader.rows("watches"):
        for row in batch:
            watch_id = row["watch_id"]
            state, mine = states.pop(watch_id, None), photos.pop(watch_id, [])
            if watch_id in found or len(found) == MOST_WATCHES:
                _damaged("watches", "holds a watch twice, or too many of them")
            found[watch_id] = _checked(row, state, mine)
    if states or photos:
        _damaged("watches", "lacks a watch that other tables name")
    for alerts in archived_alerts(reader.rows("watch_alerts")):
        if any(alert.watch_id not in found for alert in alerts):
            _damaged("watch_alerts", "names a missing watch")
        if alerts[-1].sequence > reader.content.commit:
            _damaged("watch_alerts", "holds an alert that is newer than the backup")
    return [*found.values()]


def _checked(row: Row, state: Row | None, photos: Sequence[WatchPhoto]) -> ArchivedWatch:
    try:
        watch = loaded_watch(row["body"])
        check(WatchDraft(watch), watch)
    except (WatchInvalid, ValueError, RecursionError):
        _damaged("watches", "holds an invalid watch")
    times = row["create_time"], row["update_time"]
    named = watch.watch_id == row["watch_id"] and 0 < len(row["etag"]) <= 64
    if not named or not all(0 <= time < MOST_TIME for time in times):
        _damaged("watches", "holds an invalid watch")
    if watch.image_ids - {photo.image_id for photo in photos}:
        _damaged("watch_photos", "lacks a photo that a rule looks for")
    archived = ArchivedWatch(
        StoredWatch(watch, row["etag"], *times),
        "" if state is None else state["body"],
        0 if state is None else state["revision"],
        photos,
    )
    try:
        sound = _is_sound(archived.known.state, watch)
    except (ValueError, RecursionError):
        sound = False
    if not sound or not 0 <= archived.revision < MOST_TIME:
        _damaged("watch_states", "holds what no watch can know")
    return archived


def _is_sound(state: WatchState, watch: Watch) -> bool:
    """Return whether frames can be checked with a state."""
    rules = {rule.rule_id: rule for rule in watch.rules}
    numbers = [*state.cells, state.sharpness]
    for name, each in state.rules.items():
        usual = each.usual.values()
        numbers += [value for track in each.tracks for value in track.recent]
        numbers += [value for hour in usual for value in (*hour.mean, hour.distance, hour.variance)]
        parts = 1
        if (rule := rules.get(name)) is not None and rule.target is not None:
            parts = len(rule.region_ids)
        known = rule is not None and each.key == watch.condition_key(rule)
        if not _is_bounded(each) or (known and len(each.tracks) not in (0, parts)):
            return False
    return (
        len(state.rules) <= MOST_RULES
        and len(state.cells) in (0, CELLS)
        and len(state.times) <= KNOWN_TIMES
        and list(state.times) == sorted(state.times)
        and all(0 <= time < MOST_TIME for time in state.times)
        and all(map(isfinite, numbers))
    )


def _is_bounded(state: RuleState) -> bool:
    return (
        all(len(track.recent) <= 2 for track in state.tracks)
        and set(state.usual) <= {*range(ALL_HOURS + 1)}
        and all(len(hour.mean) in (0, PROJECTED) for hour in state.usual.values())
        and all(hour.frames == 0 or hour.mean for hour in state.usual.values())
    )


def _photos(batches: Iterator[list[Row]]) -> Iterator[tuple[str, WatchPhoto]]:
    """Yield the watches and photos of a backup, in the order of the photos' ids."""
    last = "", ""
    for batch in batches:
        for row in batch:
            key = row["image_id"], row["watch_id"]
            if key <= last or not (row["width"] > 0 and row["height"] > 0):
                _damaged("watch_photos", "is not in order, or holds an invalid photo")
            last = key
            sizes = row["width"], row["height"]
            yield row["watch_id"], WatchPhoto(row["image_id"], row["media_type"], *sizes)


def archived_alerts(batches: Iterator[list[Row]]) -> Iterator[list[Alert]]:
    """Yield the alerts of a backup by their sequence numbers, in batches. Raise BackupDamaged."""
    last = 0
    for batch in batches:
        alerts = [_alert(row) for row in batch]
        for alert in alerts:
            if alert.sequence <= last:
                _damaged("watch_alerts", "is not in order")
            last = alert.sequence
        if alerts:
            yield alerts


def _alert(row: Row) -> Alert:
    try:
        alert = loaded_alert(row["body"])
    except (ValueError, RecursionError):
        _damaged("watch_alerts", "holds an invalid alert")
    texts = alert.alert_id, alert.rule_id, alert.product_id, alert.started_alert_id, alert.image_id
    times = alert.frame_micros, alert.since_micros, row["create_time"]
    sides = () if alert.box is None else (
        alert.box.left, alert.box.top, alert.box.right, alert.box.bottom,
    )  # fmt: skip
    if (
        not alert.alert_id
        or alert.watch_id != row["watch_id"]
        or max(map(len, texts)) > MAX_ID_BYTES
        or not all(0 <= time < MOST_TIME for time in times)
        or not all(map(isfinite, (alert.score, *sides)))
    ):
        _damaged("watch_alerts", "holds an invalid alert")
    return replace(alert, sequence=row["sequence"], create_micros=row["create_time"])


async def check_room(catalog_id: str, watches: Sequence[ArchivedWatch], record: Record) -> None:
    """Raise WatchesFull if the catalog would have too many watches with those of a backup."""
    ids = {each.watch.watch_id for each, _ in await record.watches(catalog_id)}
    if len(ids | {each.stored.watch.watch_id for each in watches}) > MOST_WATCHES:
        raise WatchesFull(MOST_WATCHES)


async def put_watch(job: Job, archived: ArchivedWatch, record: Record, *, force: bool) -> None:
    """Store a watch of a backup.

    One of its id that the catalog has is kept, unless the restore was forced: then it is changed as
    by a caller, if no caller has changed it since the request. Raises WatchesFull, WatchContended.
    """
    watch, catalog_id = archived.stored.watch, job.catalog_id
    for _ in range(ATTEMPTS):
        found = await record.watch(catalog_id, watch.watch_id)
        if found is None:
            known, photos = archived.known, archived.photos
            if await record.restore_watch(catalog_id, archived.stored, known=known, photos=photos):
                return
            continue
        before, known = found
        newer = before.update_micros > job.created_time
        if newer or not force or before.watch == watch:
            return
        changed = await record.update_watch(
            catalog_id,
            watch,
            archived.photos,
            etag="",
            known=known.revision,
            state=without_ended(known.state, watch),
            alerts=ended(before.watch, watch, known.state, job.created_time),
        )
        if changed is not None:
            return
    raise WatchContended


def _damaged(table: str, description: str) -> NoReturn:
    raise BackupDamaged(table_file(table), description)
