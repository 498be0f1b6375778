"""Watches, their states, alerts and photos in the record."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import conditions
from servicekit.sql.resources import Form, Resource, ResourceErrors, Rows
from servicekit.tasks.supervision import confined
from vision.domain.errors import EtagMismatch, WatchesFull, WatchExists, WatchNotFound
from vision.domain.watch_json import (
    dumped_alert,
    dumped_state,
    dumped_watch,
    etag_of,
    loaded_alert,
    loaded_state,
    loaded_watch,
)
from vision.domain.watch_state import RevisedState, WatchProgress, WatchState
from vision.domain.watches import (
    MOST_WATCHES,
    SILENT,
    Alert,
    Fault,
    FaultCondition,
    SilenceSource,
    SnapshotSource,
    StoredWatch,
    Watch,
    WatchPhoto,
)
from vision.record.audit_notes import note_alerts
from vision.record.queueing import Session, queue_up
from vision.record.stored_files import read_unnamed_files
from vision.record.tables import (
    watch_alerts,
    watch_photos,
    watch_states,
    watches,
    webhook_lanes,
)

WATCHES = Resource(
    Rows(
        watches,
        StoredWatch,
        columns={"watch": "body"},
        forms={"watch": Form(dumped_watch, loaded_watch)},
    ),
    ResourceErrors(WatchNotFound, WatchExists, WatchesFull, EtagMismatch),
    contents=lambda stored: stored.watch,
    most=MOST_WATCHES,
    dependants=(watch_states, watch_alerts, webhook_lanes),
)
_STATES = Rows(
    watch_states,
    RevisedState,
    columns={"state": "body"},
    forms={"state": Form(dumped_state, loaded_state)},
)
_PHOTOS = Rows(watch_photos, WatchPhoto)


def read_watch(
    connection: Connection, catalog_id: str, watch_id: str
) -> tuple[StoredWatch, RevisedState] | None:
    """Return a watch and what it knows; None: there is no such watch."""
    found = WATCHES.find(connection, catalog_id, watch_id)
    return None if found is None else (found, _state(connection, catalog_id, watch_id))


def read_watches(connection: Connection, catalog_id: str) -> list[tuple[StoredWatch, RevisedState]]:
    """Return the watches of a catalog by their ids, with what they know. Those that this release
    can't read are told and left out."""
    c, found = watches.c, list[tuple[StoredWatch, RevisedState]]()
    mine = sa.select(watches).where(c.catalog_id == catalog_id).order_by(c.watch_id)
    for row in connection.execute(mine).all():
        with confined("watches", catalog=catalog_id, watch=row.watch_id):
            state = _state(connection, catalog_id, row.watch_id)
            found.append((WATCHES.rows.of(row), state))
    return found


def read_snapshot_sources(connection: Connection) -> list[SnapshotSource]:
    """Return the addresses from which watches of all catalogs take frames."""
    c = watches.c
    found = sa.select(c.catalog_id, c.watch_id, c.body).where(c.body.like('%"snapshot_uri":"_%'))
    sources = []
    for catalog_id, watch in _readable(
        connection.execute(found.order_by(c.catalog_id, c.watch_id))
    ):
        frozen = FaultCondition(Fault.FROZEN)
        sources.append(
            SnapshotSource(
                catalog_id,
                watch.watch_id,
                watch.snapshot_uri,
                watch.snapshot_seconds,
                repeats=any(rule.condition == frozen for rule in watch.rules),
            )
        )
    return [each for each in sources if each.uri]


def read_silence_sources(connection: Connection) -> list[SilenceSource]:
    """Return the watches of all catalogs with a rule that tells when their camera stops."""
    c = watches.c
    found = sa.select(c.catalog_id, c.watch_id, c.body).where(c.body.like('%"fault":"silent"%'))
    sources = []
    for catalog_id, watch in _readable(connection.execute(found)):
        holds = [rule.hold for rule in watch.rules if rule.condition == SILENT]
        if holds:
            sources.append(SilenceSource(catalog_id, watch.watch_id, min(holds)))
    return sources


def _readable(rows: Iterable[sa.Row[Any]]) -> Iterator[tuple[str, Watch]]:
    """Yield the watches of rows with their catalogs. Those that this release can't read, such as
    one of a later release after a return to this one, are told and left out."""
    for row in rows:
        with confined("watches", catalog=row.catalog_id, watch=row.watch_id):
            yield row.catalog_id, loaded_watch(row.body)


def create_watch(
    connection: Connection, now: int, catalog_id: str, watch: Watch, photos: Sequence[WatchPhoto]
) -> StoredWatch:
    """Store a watch; an equal one is returned. Raises WatchExists, WatchesFull."""
    Session(connection, catalog_id, now)
    wanted = StoredWatch(watch, etag_of(watch), now, now)
    stored, new = WATCHES.create(connection, wanted, catalog_id, watch.watch_id)
    if new:
        _put_photos(connection, catalog_id, watch.watch_id, photos)
    return stored


def update_watch(
    connection: Connection,
    now: int,
    catalog_id: str,
    watch: Watch,
    photos: Sequence[WatchPhoto],
    *,
    etag: str,
    known: int,
    state: WatchState,
    alerts: Sequence[Alert],
) -> StoredWatch | None:
    """Replace a watch and what it knows, with alerts that this ends. An equal one is returned.

    `etag`: the required version; empty: any. `known`: revision of the state from which `state` and
    `alerts` were made; None is returned if frames were checked since. Raises WatchNotFound,
    EtagMismatch.
    """
    session = Session(connection, catalog_id, now)
    before = WATCHES.get(connection, catalog_id, watch.watch_id)
    stored = StoredWatch(watch, etag_of(watch), before.create_micros, now)
    if not WATCHES.to_replace(before, stored, etag):
        return before
    if _revision(connection, catalog_id, watch.watch_id) != known:
        return None
    WATCHES.put(connection, stored, catalog_id, watch.watch_id)
    _put_photos(connection, catalog_id, watch.watch_id, photos)
    c = watch_photos.c
    unused = c.expire_time == 0, c.image_id.not_in(sorted(watch.image_ids))
    connection.execute(
        sa.update(watch_photos)
        .where(*_mine(watch_photos, catalog_id, watch.watch_id), *unused)
        .values(expire_time=now)
    )
    _put_state(connection, catalog_id, watch.watch_id, state, known)
    _put_alerts(session, alerts)
    return stored


def save_checked(
    connection: Connection, now: int, catalog_id: str, progress: WatchProgress
) -> list[Alert] | None:
    """Store what a watch knows after frames, with their alerts. Return the alerts as stored.

    None: the watch was changed, or another process has stored frames since; nothing is stored.
    Raises WatchNotFound.
    """
    watch = progress.stored.watch
    session = Session(connection, catalog_id, now)
    only = _of(watches, catalog_id, watch.watch_id).with_only_columns(watches.c.etag)
    etag = connection.execute(only).scalar()
    if etag is None:
        raise WatchNotFound
    known = _revision(connection, catalog_id, watch.watch_id)
    if (etag, known) != (progress.stored.etag, progress.known):
        return None
    _put_state(connection, catalog_id, watch.watch_id, progress.state, known)
    frames = [each for each in progress.photos if each.image_id not in watch.image_ids]
    _put_photos(connection, catalog_id, watch.watch_id, frames)
    return _put_alerts(session, progress.alerts)


def delete_watch(connection: Connection, now: int, catalog_id: str, watch_id: str) -> bool:
    """Delete a watch with its alerts, and what waits of them; its photos are due for deletion.
    Return whether it existed."""
    Session(connection, catalog_id, now)
    connection.execute(
        sa.update(watch_photos)
        .where(*_mine(watch_photos, catalog_id, watch_id))
        .values(expire_time=now)
    )
    return WATCHES.delete(connection, catalog_id, watch_id)


def read_alerts(
    connection: Connection, catalog_id: str, watch_id: str, before: int, limit: int
) -> list[Alert]:
    """Return alerts before a sequence number, newest first. `watch_id`: empty: of all watches.
    Those that this release can't read are told and left out."""
    c = watch_alerts.c

    def rows(place: int) -> Sequence[sa.Row[Any]]:
        mine = _of_watch(catalog_id, watch_id, c.sequence < place)
        return _alert_rows(connection, mine, c.sequence.desc(), limit)

    return _readable_alerts(rows, before, limit, catalog_id)


def read_alerts_after(
    connection: Connection, catalog_id: str, watch_id: str, after: int, limit: int
) -> list[Alert]:
    """Return alerts after a sequence number, oldest first. `watch_id`: empty: of all watches.
    Those that this release can't read are told and left out."""

    def rows(place: int) -> Sequence[sa.Row[Any]]:
        return _rows_after(connection, catalog_id, watch_id, place, limit)

    return _readable_alerts(rows, after, limit, catalog_id)


def read_alert_after(
    connection: Connection, catalog_id: str, watch_id: str, after: int
) -> Alert | None:
    """Return the first alert of a watch after a sequence number; None: there is none. Raises
    ValueError if this release can't read it."""
    rows = _rows_after(connection, catalog_id, watch_id, after, 1)
    return _alert(rows[0]) if rows else None


def _rows_after(
    connection: Connection, catalog_id: str, watch_id: str, after: int, limit: int
) -> Sequence[sa.Row[Any]]:
    c = watch_alerts.c
    mine = _of_watch(catalog_id, watch_id, c.sequence > after)
    return _alert_rows(connection, mine, c.sequence, limit)


def read_newest_alert(connection: Connection, catalog_id: str) -> int:
    """Return the sequence number of the newest alert; 0: there is none."""
    c = watch_alerts.c
    newest = sa.select(sa.func.max(c.sequence)).where(c.catalog_id == catalog_id)
    return connection.execute(newest).scalar() or 0


def read_watch_photo(connection: Connection, catalog_id: str, image_id: str) -> WatchPhoto | None:
    """Return a photo of a watch; None: there is none."""
    c = watch_photos.c
    mine = c.catalog_id == catalog_id, c.image_id == image_id
    found = sa.select(watch_photos).where(*mine).limit(1)
    return next(_PHOTOS.read(connection, found), None)


def read_photo_names(connection: Connection, catalog_id: str, after: str, limit: int) -> list[str]:
    """Return the next ids of photos of watches after one, in order; empty at the end."""
    c = watch_photos.c
    query = sa.select(c.image_id).distinct().where(c.catalog_id == catalog_id, c.image_id > after)
    return list(connection.execute(query.order_by(c.image_id).limit(limit)).scalars())


def drop_expired_photos(
    connection: Connection, now: int, catalog_id: str, before: int, limit: int
) -> tuple[int, list[str]]:
    """Drop photos of watches whose term had ended by a time.

    Return the number of entries, and the photos that no row names any more.
    """
    Session(connection, catalog_id, now)
    c = watch_photos.c
    due = c.catalog_id == catalog_id, c.expire_time > 0, c.expire_time <= before
    keys = connection.execute(sa.select(c.image_id, c.watch_id).where(*due).limit(limit)).all()
    for image_id, watch_id in keys:
        mine = *_mine(watch_photos, catalog_id, watch_id), c.image_id == image_id
        connection.execute(sa.delete(watch_photos).where(*mine))
    dropped = sorted({image_id for image_id, _ in keys})
    return len(keys), read_unnamed_files(connection, catalog_id, dropped)


def drop_old_alerts(connection: Connection, catalog_id: str, before: int, limit: int) -> int:
    """Delete alerts that were stored before a time. Return their number."""
    queue_up(connection, catalog_id)
    c = watch_alerts.c
    old = sa.select(c.sequence).where(c.catalog_id == catalog_id, c.create_time < before)
    some = sa.delete(watch_alerts).where(
        c.catalog_id == catalog_id, c.sequence.in_(old.limit(limit))
    )
    return connection.execute(some).rowcount


def restore_watch(
    connection: Connection,
    now: int,
    catalog_id: str,
    stored: StoredWatch,
    *,
    known: RevisedState,
    photos: Sequence[WatchPhoto],
) -> bool:
    """Store a watch of an archive with what it knows, unless there is one of its id. Return
    whether it was stored. Raises WatchesFull."""
    Session(connection, catalog_id, now)
    watch_id = stored.watch.watch_id
    if connection.execute(_of(watches, catalog_id, watch_id)).first() is not None:
        return False
    WATCHES.create(connection, stored, catalog_id, watch_id)
    _put_photos(connection, catalog_id, watch_id, photos)
    _put_state(connection, catalog_id, watch_id, known.state, known.revision - 1)
    return True


def restore_alerts(
    connection: Connection, now: int, catalog_id: str, alerts: Sequence[Alert]
) -> int:
    """Store alerts of an archive that the catalog lacks, given in the order of their sequence
    numbers. Return their number.

    They keep their numbers, and so resume tokens stay valid, unless other alerts have these numbers
    or those of their watch would not be in order. Photos that the catalog no longer has are
    forgotten.
    """
    session = Session(connection, catalog_id, now)
    # Before any of them can be followed: an alert of a lower number must not come after them.
    session.take(max([0, *(alert.sequence - session.head for alert in alerts)]))
    lacking = _lacking(session, alerts)
    used, last = _numbers(session, lacking), dict[str, int]()
    placed = list[Alert]()
    for alert in lacking:
        if alert.watch_id not in last:
            last[alert.watch_id] = _number_before(session, alert)
        sequence = alert.sequence
        if sequence in used or sequence <= last[alert.watch_id]:
            sequence = session.take()[0]
        last[alert.watch_id] = sequence
        placed.append(replace(alert, sequence=sequence))
    _insert_alerts(session, _with_known_photos(session, placed))
    return len(placed)


def _lacking(session: Session, alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts that the catalog lacks, each once."""
    c = watch_alerts.c
    found = session.look_up(
        sa.select(c.watch_id, c.alert_id).where(conditions.among(watch_alerts, "alert_id")),
        [alert.alert_id for alert in alerts],
    )
    known = {(row.watch_id, row.alert_id) for row in found}
    by_key = {(alert.watch_id, alert.alert_id): alert for alert in reversed(alerts)}
    return [alert for key, alert in reversed(by_key.items()) if key not in known]


def _numbers(session: Session, alerts: Sequence[Alert]) -> set[int]:
    """Return the numbers of the catalog's alerts between the first and the last of these."""
    if not alerts:
        return set()
    c = watch_alerts.c
    between = c.sequence.between(alerts[0].sequence, alerts[-1].sequence)
    mine = sa.select(c.sequence).where(c.catalog_id == session.catalog_id, between)
    return set(session.connection.execute(mine).scalars())


def _number_before(session: Session, alert: Alert) -> int:
    """Return the greatest number of the alerts of a watch that are no younger than one; 0: it has
    none."""
    c = watch_alerts.c
    mine = _mine(watch_alerts, session.catalog_id, alert.watch_id)
    greatest = sa.select(sa.func.max(c.sequence)).where(*mine, c.create_time <= alert.create_micros)
    return session.connection.execute(greatest).scalar() or 0


def _with_known_photos(session: Session, alerts: Sequence[Alert]) -> list[Alert]:
    """Return alerts without the photos that the catalog lacks."""
    c = watch_photos.c
    found = session.look_up(
        sa.select(c.watch_id, c.image_id).where(conditions.among(watch_photos, "image_id")),
        {alert.image_id for alert in alerts if alert.image_id},
    )
    known = {(row.watch_id, row.image_id) for row in found}
    return [
        alert if (alert.watch_id, alert.image_id) in known else replace(alert, image_id="")
        for alert in alerts
    ]


def _mine(table: sa.Table, catalog_id: str, watch_id: str) -> Sequence[sa.ColumnElement[bool]]:
    return table.c.catalog_id == catalog_id, table.c.watch_id == watch_id


def _of(table: sa.Table, catalog_id: str, watch_id: str) -> sa.Select[Any]:
    return sa.select(table).where(*_mine(table, catalog_id, watch_id))


def _of_watch(
    catalog_id: str, watch_id: str, condition: sa.ColumnElement[bool]
) -> Sequence[sa.ColumnElement[bool]]:
    c = watch_alerts.c
    mine = [c.catalog_id == catalog_id, condition]
    return [*mine, c.watch_id == watch_id] if watch_id else mine


def _alert_rows(
    connection: Connection, condition: Iterable[sa.ColumnElement[bool]], order: Any, limit: int
) -> Sequence[sa.Row[Any]]:
    query = sa.select(watch_alerts).where(*condition).order_by(order)
    return connection.execute(query.limit(limit)).all()


def _readable_alerts(
    rows: Callable[[int], Sequence[sa.Row[Any]]], place: int, limit: int, catalog_id: str
) -> list[Alert]:
    """Return the alerts of rows, as many as `limit` if there are, but those that can't be read.
    `rows`: returns up to `limit` rows beyond a place."""
    found = list[Alert]()
    while len(found) < limit:
        some = rows(place)
        for row in some:
            place = row.sequence
            with confined("watches", catalog=catalog_id, watch=row.watch_id):
                found.append(_alert(row))
        if len(some) < limit:
            break
    return found[:limit]


def _alert(row: sa.Row[Any]) -> Alert:
    """Return the alert of a row. Raises ValueError."""
    return replace(
        loaded_alert(row.body),
        sequence=row.sequence,
        create_micros=row.create_time,
        image_id=row.image_id,
    )


def _state(connection: Connection, catalog_id: str, watch_id: str) -> RevisedState:
    found = _STATES.read(connection, _of(watch_states, catalog_id, watch_id))
    return next(found, RevisedState())


def _revision(connection: Connection, catalog_id: str, watch_id: str) -> int:
    only = _of(watch_states, catalog_id, watch_id).with_only_columns(watch_states.c.revision)
    return connection.execute(only).scalar() or 0


def _put_state(
    connection: Connection, catalog_id: str, watch_id: str, state: WatchState, known: int
) -> None:
    of = {"catalog_id": catalog_id, "watch_id": watch_id}
    _STATES.put(connection, [RevisedState(state, known + 1)], **of)


def _put_photos(
    connection: Connection, catalog_id: str, watch_id: str, photos: Sequence[WatchPhoto]
) -> None:
    _PHOTOS.put(connection, photos, catalog_id=catalog_id, watch_id=watch_id)


def _put_alerts(session: Session, alerts: Sequence[Alert]) -> list[Alert]:
    """Store new alerts, each with its entry of the audit log, and return them as stored."""
    if not alerts:
        return []
    stored = [
        replace(alert, sequence=sequence, create_micros=session.now)
        for alert, sequence in zip(alerts, session.take(len(alerts)), strict=True)
    ]
    _insert_alerts(session, stored)
    note_alerts(session, stored)
    return stored


def _insert_alerts(session: Session, alerts: Sequence[Alert]) -> None:
    rows = [
        {
            "catalog_id": session.catalog_id,
            "sequence": each.sequence,
            "watch_id": each.watch_id,
            "alert_id": each.alert_id,
            "create_time": each.create_micros,
            "rule_id": each.rule_id,
            "kind": each.kind.value,
            "score": each.score,
            "frame_time": each.frame_micros,
            "image_id": each.image_id,
            "body": dumped_alert(each),
        }
        for each in alerts
    ]
    if rows:
        session.connection.execute(sa.insert(watch_alerts), rows)
