"""Webhooks in the record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.sql import conditions
from servicekit.sql.resources import Resource, ResourceErrors, Rows, put
from servicekit.tasks.supervision import confined
from vision.domain.errors import WebhookExists, WebhookNotFound, WebhooksFull
from vision.domain.webhooks import MOST_WEBHOOKS, Webhook, WebhookState
from vision.record.queueing import Session, queue_up
from vision.record.tables import (
    watch_alerts,
    watches,
    webhook_dead_letters,
    webhook_lanes,
    webhooks,
)

WEBHOOKS = Resource(
    Rows(webhooks, Webhook),
    ResourceErrors(WebhookNotFound, WebhookExists, WebhooksFull),
    contents=lambda webhook: (webhook.uri, webhook.watch_ids),
    most=MOST_WEBHOOKS,
    dependants=(webhook_lanes, webhook_dead_letters),
)
_FAILING = sa.and_(
    webhook_lanes.c.attempts > 0,
    sa.exists().where(
        watch_alerts.c.catalog_id == webhook_lanes.c.catalog_id,
        watch_alerts.c.watch_id == webhook_lanes.c.watch_id,
        watch_alerts.c.sequence > webhook_lanes.c.sequence,
    ),
)
"""Lanes whose next alert has failed. Those whose last alert became a dead letter have none."""


def create_webhook(
    connection: Connection, now: int, catalog_id: str, webhook: Webhook
) -> tuple[WebhookState, bool]:
    """Store a webhook, which gets the alerts of later commits. Return it, and whether it was
    stored: False if an equal one exists. Raises WebhookExists, WebhooksFull."""
    session, key = Session(connection, catalog_id, now), (catalog_id, webhook.webhook_id)
    _, new = WEBHOOKS.create(connection, webhook, *key, start_sequence=session.head)
    if new:  # releases up to 0.35 may have left something under the id
        WEBHOOKS.drop_dependants(connection, *key)
    return _state_of(connection, *key), new


def update_webhook(
    connection: Connection, now: int, catalog_id: str, changed: Webhook
) -> WebhookState:
    """Replace a webhook's address and watches. It gets the alerts of later commits of watches that
    it did not have. Raises WebhookNotFound."""
    session = Session(connection, catalog_id, now)
    before = _state_of(connection, catalog_id, changed.webhook_id)
    if not WEBHOOKS.to_replace(before.webhook, changed):
        return before
    of = {"catalog_id": catalog_id, "webhook_id": changed.webhook_id}
    replaced = replace(before.webhook, uri=changed.uri, watch_ids=changed.watch_ids)
    _update(connection, catalog_id, replaced)
    mine = conditions.on(webhook_lanes, **of)
    reset = {"attempts": 0, "next_attempt": 0, "failure": ""}
    if before.webhook.uri != changed.uri:
        connection.execute(sa.update(webhook_lanes).where(mine).values(reset))
    held = sa.select(watches.c.watch_id).where(watches.c.catalog_id == catalog_id)
    for watch_id in connection.execute(held).scalars().all():
        if not changed.wants(watch_id):
            gone = webhook_lanes.c.watch_id == watch_id
            connection.execute(sa.delete(webhook_lanes).where(mine, gone))
        elif not before.webhook.wants(watch_id):
            row = {**of, "watch_id": watch_id, "sequence": session.head, **reset}
            put(connection, webhook_lanes, [row])
    return _state_of(connection, catalog_id, changed.webhook_id)


def _state_of(connection: Connection, catalog_id: str, webhook_id: str) -> WebhookState:
    """Return a webhook. Raises WebhookNotFound."""
    for state in read_webhooks(connection, catalog_id):
        if state.webhook.webhook_id == webhook_id:
            return state
    raise WebhookNotFound


def read_webhooks(connection: Connection, catalog_id: str) -> list[WebhookState]:
    """Return the webhooks of a catalog by id, with the state of their deliveries. Those that this
    release can't read are told and left out."""
    failing, dead = _failing(connection, catalog_id), _dead(connection, catalog_id)
    c, found = webhooks.c, list[WebhookState]()
    mine = sa.select(webhooks).where(c.catalog_id == catalog_id).order_by(c.webhook_id)
    for row in connection.execute(mine):
        with confined("webhooks", catalog=catalog_id, webhook=row.webhook_id):
            counts = failing.get(row.webhook_id, {})
            letters = dead.get(row.webhook_id, 0)
            found.append(WebhookState(WEBHOOKS.rows.of(row), dead_letters=letters, **counts))
    return found


def _failing(connection: Connection, catalog_id: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what fails, by webhook. The failure is one of the lane with the most attempts."""
    c = webhook_lanes.c
    rows = connection.execute(
        sa.select(c.webhook_id, c.attempts, c.next_attempt, c.failure)
        .where(c.catalog_id == catalog_id, _FAILING)
        .order_by(c.webhook_id, c.attempts.desc(), c.watch_id)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        of = found.setdefault(
            row.webhook_id,
            {
                "failing_watches": 0,
                "attempts": row.attempts,
                "failure": row.failure,
                "next_micros": row.next_attempt,
            },
        )
        of["failing_watches"] += 1
        of["next_micros"] = min(of["next_micros"], row.next_attempt)
    return found


def _dead(connection: Connection, catalog_id: str) -> Mapping[str, int]:
    c = webhook_dead_letters.c
    counted = sa.select(c.webhook_id, sa.func.count().label("number"))
    rows = connection.execute(counted.where(c.catalog_id == catalog_id).group_by(c.webhook_id))
    return {row.webhook_id: row.number for row in rows}


def rotate_webhook(
    connection: Connection, catalog_id: str, rotated: Webhook, former: Webhook
) -> WebhookState | None:
    """Replace a webhook's secrets; None if they are no longer the `former` ones."""
    queue_up(connection, catalog_id)
    found = WEBHOOKS.find(connection, catalog_id, rotated.webhook_id)
    if found is None or found.secrets != former.secrets:
        return None
    _update(connection, catalog_id, replace(found, secrets=rotated.secrets))
    return _state_of(connection, catalog_id, rotated.webhook_id)


def _update(connection: Connection, catalog_id: str, webhook: Webhook) -> None:
    """Write a webhook's attributes; the commit that it starts after stays."""
    mine = conditions.on(webhooks, catalog_id=catalog_id, webhook_id=webhook.webhook_id)
    connection.execute(sa.update(webhooks).where(mine).values(WEBHOOKS.rows.row(webhook)))


def delete_webhook(connection: Connection, catalog_id: str, webhook_id: str) -> bool:
    """Delete a webhook with its lanes and dead letters. Return whether it existed."""
    queue_up(connection, catalog_id)
    return WEBHOOKS.delete(connection, catalog_id, webhook_id)
