"""Deliveries of alerts in the record: lanes, and alerts that could not be delivered.

A lane holds only its place: what waits are the alerts of its watch after that place, so an alert is
committed once, by its watch, and none is lost between its commit and its delivery.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import conditions
from servicekit.sql.locks import inserting
from servicekit.sql.resources import put
from servicekit.tasks.supervision import confined
from vision.domain.deliveries import Delivery, DeliveryStep, Lane, LaneState
from vision.domain.watch_json import dumped_alert, loaded_alert
from vision.domain.webhooks import MOST_DEAD_LETTERS, DeadLetter
from vision.record.queueing import queue_up
from vision.record.tables import (
    watch_alerts,
    watches,
    webhook_dead_letters,
    webhook_lanes,
    webhooks,
)
from vision.record.watch_rows import read_alert_after
from vision.record.webhooks import WEBHOOKS

_START = webhooks.c.start_sequence
_PLACE = sa.case((webhook_lanes.c.sequence > _START, webhook_lanes.c.sequence), else_=_START)
"""Releases up to 0.35 may have left a lane of an earlier webhook of the id."""
_KNOWN: sa.BindParameter[str] = sa.bindparam("catalogs", expanding=True)
_LANES = (
    sa.select(
        webhooks.c.catalog_id,
        webhooks.c.webhook_id,
        webhooks.c.watch_ids,
        watches.c.watch_id,
        sa.func.coalesce(webhook_lanes.c.next_attempt, 0).label("next_attempt"),
    )
    .select_from(webhooks)
    .join(watches, watches.c.catalog_id == webhooks.c.catalog_id)
    .outerjoin(
        webhook_lanes,
        conditions.on(
            webhook_lanes,
            catalog_id=webhooks.c.catalog_id,
            webhook_id=webhooks.c.webhook_id,
            watch_id=watches.c.watch_id,
        ),
    )
    .where(
        sa.exists().where(
            watch_alerts.c.catalog_id == webhooks.c.catalog_id,
            watch_alerts.c.watch_id == watches.c.watch_id,
            watch_alerts.c.sequence > _PLACE,
        )
    )
    .where(webhooks.c.catalog_id.in_(_KNOWN))
)
"""Lanes of known catalogs with an alert."""
_REPLAYED = webhook_dead_letters.c.replay_time > 0
_REPLAYS = (
    sa.select(
        webhook_dead_letters.c.catalog_id,
        webhook_dead_letters.c.webhook_id,
        webhooks.c.watch_ids,
        webhook_dead_letters.c.watch_id,
        sa.func.max(webhook_dead_letters.c.next_attempt).label("next_attempt"),
    )
    .select_from(webhook_dead_letters)
    .join(
        webhooks,
        conditions.on(
            webhooks,
            catalog_id=webhook_dead_letters.c.catalog_id,
            webhook_id=webhook_dead_letters.c.webhook_id,
        ),
    )
    .where(_REPLAYED, webhook_dead_letters.c.catalog_id.in_(_KNOWN))
    .group_by(
        webhook_dead_letters.c.catalog_id,
        webhook_dead_letters.c.webhook_id,
        webhooks.c.watch_ids,
        webhook_dead_letters.c.watch_id,
    )
)


def read_due(
    connection: Connection,
    now: int,
    latest: int,
    busy: Collection[Lane],
    limit: int,
    *,
    catalogs: Sequence[str],
) -> tuple[list[Lane], int]:
    """Return lanes of these catalogs that are due, but the busy ones, the longest due first, and
    when the next one is due; 0: none waits. Those that wait until after `latest` are due."""
    known = {"catalogs": catalogs}
    waiting = list[tuple[int, Lane]]()
    for query, replayed in ((_LANES, False), (_REPLAYS, True)):
        for row in connection.execute(query, known):
            with confined("webhooks", catalog=row.catalog_id, webhook=row.webhook_id):
                if row.watch_ids == "[]" or row.watch_id in json.loads(row.watch_ids):
                    lane = Lane(row.catalog_id, row.webhook_id, row.watch_id, replayed)
                    waiting.append((row.next_attempt, lane))
    free = sorted((each for each in waiting if each[1] not in busy), key=lambda each: each[0])
    due = [lane for time, lane in free if time <= now or time > latest]
    later = min((time for time, _ in free if now < time <= latest), default=0)
    return due[:limit], later


def read_next(connection: Connection, lane: Lane) -> Delivery | None:
    """Return the first alert of a lane; None if there is none."""
    mine = conditions.on(webhooks, catalog_id=lane.catalog_id, webhook_id=lane.webhook_id)
    row = connection.execute(sa.select(webhooks).where(mine)).first()
    if row is None or not WEBHOOKS.rows.of(row).wants(lane.watch_id):
        return None
    if lane.replayed:
        return _next_replayed(connection, lane, row)
    stored = connection.execute(sa.select(webhook_lanes).where(_mine(webhook_lanes, lane))).first()
    place = row.start_sequence if stored is None else max(stored.sequence, row.start_sequence)
    alert = read_alert_after(connection, lane.catalog_id, lane.watch_id, place)
    if alert is None:
        return None
    state = LaneState() if stored is None else _state(stored)
    return Delivery(lane, WEBHOOKS.rows.of(row), alert, alert.create_micros, state)


def _next_replayed(connection: Connection, lane: Lane, webhook: sa.Row[Any]) -> Delivery | None:
    query = sa.select(webhook_dead_letters).where(_mine(webhook_dead_letters, lane), _REPLAYED)
    row = connection.execute(query.order_by(webhook_dead_letters.c.sequence).limit(1)).first()
    if row is None:
        return None
    alert = loaded_alert(row.body)
    return Delivery(lane, WEBHOOKS.rows.of(webhook), alert, row.replay_time, _state(row))


def settle(
    connection: Connection, now: int, delivery: Delivery, step: DeliveryStep, state: LaneState
) -> None:
    """Store what becomes of a delivery, and the state of its lane.

    Nothing is stored if its webhook was deleted meanwhile, also if there is another of its id. If
    its address was changed, a failure of the former address is not stored.
    """
    lane = delivery.lane
    queue_up(connection, lane.catalog_id)
    mine = conditions.on(webhooks, catalog_id=lane.catalog_id, webhook_id=lane.webhook_id)
    row = connection.execute(sa.select(webhooks).where(mine)).first()
    if row is None or not _is_receiver(row, delivery):
        return
    if row.uri != delivery.webhook.uri and step is not DeliveryStep.DELIVERED:
        return
    if lane.replayed:
        _settle_replayed(connection, now, delivery, step, state)
        return
    if step is DeliveryStep.DEAD:
        _bury(connection, now, delivery, state.failure)
    _settle_lane(connection, delivery, step, state)


def _is_receiver(row: sa.Row[Any], delivery: Delivery) -> bool:
    """Return whether a webhook is the one that a delivery was made to: not one that was created
    later, which has none of the alerts before it. A dead letter is its own, whatever its number."""
    if row.create_time != delivery.webhook.create_micros:
        return False
    return delivery.lane.replayed or bool(delivery.alert.sequence > row.start_sequence)


def _settle_lane(
    connection: Connection, delivery: Delivery, step: DeliveryStep, state: LaneState
) -> None:
    lane, c = delivery.lane, webhook_lanes.c
    # Not moved back by a worker that no longer leads.
    place = delivery.alert.sequence - (step is DeliveryStep.RETRIED)
    values = {
        "sequence": place,
        "attempts": state.attempts,
        "next_attempt": state.next_micros,
        "failure": state.failure,
    }
    row = {**_key(lane), **values}
    insert = inserting(connection.dialect.name, webhook_lanes).values(row)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[*_key(lane)], set_=values, where=c.sequence <= place
        )
    )


def _bury(connection: Connection, now: int, delivery: Delivery, failure: str) -> None:
    """Store a dead letter; the webhook's oldest one is deleted beyond MOST_DEAD_LETTERS."""
    alert, lane, c = delivery.alert, delivery.lane, webhook_dead_letters.c
    row = {
        **_key(lane),
        "sequence": alert.sequence,
        "alert_id": alert.alert_id,
        "body": dumped_alert(alert),
        "create_time": now,
        "replay_time": 0,
        "attempts": 0,
        "next_attempt": 0,
        "failure": failure,
    }
    put(connection, webhook_dead_letters, [row], keep=True)
    mine = conditions.on(
        webhook_dead_letters, catalog_id=lane.catalog_id, webhook_id=lane.webhook_id
    )
    count = connection.execute(
        sa.select(sa.func.count()).select_from(webhook_dead_letters).where(mine)
    ).scalar_one()
    if count > MOST_DEAD_LETTERS:
        oldest = sa.select(sa.func.min(c.sequence)).where(mine).scalar_subquery()
        connection.execute(sa.delete(webhook_dead_letters).where(mine, c.sequence == oldest))


def _settle_replayed(
    connection: Connection, now: int, delivery: Delivery, step: DeliveryStep, state: LaneState
) -> None:
    lane, table = delivery.lane, webhook_dead_letters
    this = sa.and_(_mine(table, lane), table.c.sequence == delivery.alert.sequence)
    if step is DeliveryStep.DELIVERED:
        connection.execute(sa.delete(table).where(this))
    elif step is DeliveryStep.DEAD:
        dead = {"replay_time": 0, "create_time": now, "failure": state.failure}
        connection.execute(sa.update(table).where(this).values(**dead))
    # All of the lane wait, so that the next one does not begin with the shortest wait.
    waiting = {"attempts": state.attempts, "next_attempt": state.next_micros}
    rest = sa.update(table).where(_mine(table, lane), _REPLAYED)
    connection.execute(rest.values(**waiting, failure=state.failure))


def read_dead_letters(
    connection: Connection, catalog_id: str, webhook_id: str, after: tuple[str, int], limit: int
) -> list[DeadLetter]:
    """Return dead letters by watch and sequence, after a place. Raises WebhookNotFound."""
    WEBHOOKS.get(connection, catalog_id, webhook_id)
    c = webhook_dead_letters.c
    query = (
        sa.select(webhook_dead_letters)
        .where(conditions.on(webhook_dead_letters, catalog_id=catalog_id, webhook_id=webhook_id))
        .where(sa.or_(c.watch_id > after[0], (c.watch_id == after[0]) & (c.sequence > after[1])))
        .order_by(c.watch_id, c.sequence)
        .limit(limit)
    )
    return [
        DeadLetter(
            row.watch_id,
            row.sequence,
            row.alert_id,
            row.create_time,
            row.failure,
            replaying=row.replay_time > 0,
        )
        for row in connection.execute(query)
    ]


def replay(
    connection: Connection, now: int, catalog_id: str, webhook_id: str, alert_ids: Sequence[str]
) -> int:
    """Begin to replay dead letters; without ids: all. Return the number that are replayed then.
    Raises WebhookNotFound."""
    queue_up(connection, catalog_id)
    WEBHOOKS.get(connection, catalog_id, webhook_id)
    c = webhook_dead_letters.c
    mine = conditions.on(webhook_dead_letters, catalog_id=catalog_id, webhook_id=webhook_id)
    asked = sa.and_(mine, c.alert_id.in_(alert_ids)) if alert_ids else mine
    begun = {"replay_time": now, "attempts": 0, "next_attempt": 0}
    return connection.execute(sa.update(webhook_dead_letters).where(asked).values(**begun)).rowcount


def drop_dead_letters(connection: Connection, before: int) -> int:
    """Delete dead letters of before a time, lanes of watches that were deleted, and what deleted
    webhooks have left. Return the number of dead letters."""
    c, lanes = webhook_dead_letters.c, webhook_lanes.c
    watch = conditions.on(watches, catalog_id=lanes.catalog_id, watch_id=lanes.watch_id)
    gone = sa.or_(~sa.exists().where(watch), _is_orphan(webhook_lanes))
    connection.execute(sa.delete(webhook_lanes).where(gone))
    old = sa.and_(c.create_time < before, c.replay_time == 0)
    letters = sa.delete(webhook_dead_letters).where(sa.or_(old, _is_orphan(webhook_dead_letters)))
    return connection.execute(letters).rowcount


def _is_orphan(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a row's webhook was deleted, by a release up to 0.35."""
    mine = {"catalog_id": table.c.catalog_id, "webhook_id": table.c.webhook_id}
    return ~sa.exists().where(conditions.on(webhooks, **mine))


def _key(lane: Lane) -> dict[str, str]:
    return {
        "catalog_id": lane.catalog_id,
        "webhook_id": lane.webhook_id,
        "watch_id": lane.watch_id,
    }


def _mine(table: sa.Table, lane: Lane) -> sa.ColumnElement[bool]:
    return conditions.on(table, **_key(lane))


def _state(row: sa.Row[Any]) -> LaneState:
    return LaneState(row.attempts, row.next_attempt, row.failure)
