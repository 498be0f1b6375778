"""The worker's tasks: photos to embed, changes to apply to the index.

Statements are built once: the worker executes them often, and building took longer than executing.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.embedding import Pending
from retriever.domain.generation import Generation, GenerationState
from retriever.domain.index_values import Change, Waiting
from retriever.record.generations import LACKING, live_generations
from retriever.record.queueing import queue_up
from retriever.record.statements import BOUND_VERSION, pending_of, version_of
from retriever.record.tables import generations, images, jobs, outbox, pending, product_images
from servicekit.jobs.queue import claimable
from servicekit.sql.conditions import on


def _waiting_statement() -> sa.Select[bool, bool, bool]:
    """Return one statement for all catalogs, since idle workers repeat it."""
    g, p = generations.c, pending.c
    now: sa.BindParameter[int] = sa.bindparam("now")
    live = sa.and_(
        g.catalog_id.in_(sa.bindparam("catalogs", expanding=True)),
        g.state != GenerationState.DROPPED,
    )
    due = sa.exists().where(
        on(pending, catalog_id=g.catalog_id, space=g.space, space_version=g.space_version),
        ~p.failed,
        p.next_attempt <= now,
    )
    embeds = g.space.in_(sa.bindparam("spaces", expanding=True))
    kinds: sa.BindParameter[Sequence[str]] = sa.bindparam("kinds", expanding=True)
    return sa.select(
        sa.exists(sa.select(g.name).where(live, embeds, due)),
        sa.exists(sa.select(g.name).where(live, sa.or_(g.check_wanted, LACKING))),
        sa.exists(sa.select(jobs.c.id).where(claimable(jobs, kinds, now))),
    )


def _due_statement() -> sa.Select[Any]:
    c = pending.c
    photo = on(images, catalog_id=c.catalog_id, image_id=c.image_id)
    use = sa.exists().where(
        product_images.c.catalog_id == c.catalog_id, product_images.c.image_id == c.image_id
    )
    found = sa.select(c.image_id, images.c.size, c.attempts, use.label("used"))
    return _due_of(found.select_from(pending.join(images, photo)))


def _due_texts_statement() -> sa.Select[Any]:
    """Return the SELECT of pending texts. Deleted products are included: the worker skips them when
    it reads their texts."""
    c = pending.c
    size, used = sa.literal(0).label("size"), sa.true().label("used")
    return _due_of(sa.select(c.image_id, size, c.attempts, used).select_from(pending))


def _due_of(found: sa.Select[Any]) -> sa.Select[Any]:
    """Return the items of a version that are due, oldest first."""
    c = pending.c
    due = found.where(
        on(pending, catalog_id=sa.bindparam("catalog_id"), **BOUND_VERSION),
        ~c.failed,
        c.next_attempt <= sa.bindparam("now"),
    )
    return due.order_by(c.next_attempt, c.write_seq).limit(sa.bindparam("most"))


_ADVANCE = (
    sa.update(generations)
    .where(
        generations.c.catalog_id == sa.bindparam("of_catalog"),
        generations.c.name == sa.bindparam("of_name"),
    )
    .values(applied_seq=sa.bindparam("seq"), applied_time=sa.bindparam("time"))
)
_APPLIED = sa.delete(outbox).where(
    outbox.c.catalog_id == sa.bindparam("catalog_id"), outbox.c.seq <= sa.bindparam("up_to")
)
_WAITING = _waiting_statement()
_DUE = {False: _due_statement(), True: _due_texts_statement()}
"""Statement for each value of Generation.of_texts."""
_CHANGES = (
    sa.select(outbox.c.seq, outbox.c.product_id, outbox.c.removed, outbox.c.time)
    .where(outbox.c.catalog_id == sa.bindparam("catalog_id"), outbox.c.seq > sa.bindparam("after"))
    .order_by(outbox.c.seq, outbox.c.product_id)
)
_NEXT_CHANGES = _CHANGES.limit(sa.bindparam("most"))
_COMMIT = _CHANGES.where(outbox.c.seq == sa.bindparam("seq"))


def read_waiting(
    connection: Connection,
    now: int,
    catalogs: Sequence[str],
    spaces: Sequence[str],
    kinds: Sequence[str],
) -> Waiting:
    """Return which work is pending: photos of these spaces, changes, jobs of these kinds."""
    values = {"catalogs": catalogs, "spaces": spaces, "kinds": kinds, "now": now}
    photos, changes, open_jobs = connection.execute(_WAITING, values).one()
    return Waiting(bool(photos), bool(changes), bool(open_jobs))


def read_due(connection: Connection, now: int, generation: Generation, limit: int) -> list[Pending]:
    """Return items to embed now, the longest waiting first."""
    values = {**version_of(generation), "now": now, "most": limit}
    return [
        Pending(row.image_id, row.size, row.attempts, bool(row.used))
        for row in connection.execute(_DUE[generation.of_texts], values)
    ]


def read_changes(connection: Connection, generation: Generation, limit: int) -> list[Change]:
    """Return the oldest outbox entries that the generation does not hold, in order."""
    values = {"catalog_id": generation.catalog_id, "after": generation.applied_seq}
    found = _changes(connection.execute(_NEXT_CHANGES, {**values, "most": limit}))
    if len(found) < limit:
        return found
    # A commit with several products is applied in full or not at all.
    last = found[-1].seq
    whole = [change for change in found if change.seq < last]
    return whole + _changes(connection.execute(_COMMIT, {**values, "seq": last}))


def _changes(rows: Iterable[sa.Row[Any]]) -> list[Change]:
    return [
        Change(row.seq, row.product_id, tuple(json.loads(row.removed)), row.time) for row in rows
    ]


def advance(connection: Connection, generation: Generation, change: Change) -> Generation:
    """Store the progress of a generation. Delete entries that every generation has applied."""
    queue_up(connection, generation.catalog_id)
    catalog_id, time = generation.catalog_id, max(change.time, generation.applied_time)
    reached = {"seq": change.seq, "time": time}
    connection.execute(_ADVANCE, {**reached, "of_catalog": catalog_id, "of_name": generation.name})
    # Without a live generation, all changes have been applied: this one was just dropped.
    live = live_generations(connection, catalog_id)
    held = min((each.applied_seq for each in live), default=change.seq)
    connection.execute(_APPLIED, {"catalog_id": catalog_id, "up_to": held})
    return replace(generation, applied_seq=change.seq, applied_time=time)


def postpone(  # noqa: PLR0917 - a call of the record, with the time
    connection: Connection,
    now: int,
    generation: Generation,
    item_ids: Sequence[str],
    seconds: float,
    reason: str,
) -> None:
    """Count a failed attempt of items and schedule a retry."""
    values = {
        "attempts": pending.c.attempts + 1,
        "next_attempt": now + int(seconds * 1e6),
        "reason": reason,
    }
    connection.execute(sa.update(pending).where(pending_of(generation, item_ids)).values(values))


def give_up(
    connection: Connection, generation: Generation, item_ids: Sequence[str], reason: str
) -> None:
    """Count a failed attempt and stop retrying."""
    values = {"attempts": pending.c.attempts + 1, "failed": True, "reason": reason}
    connection.execute(sa.update(pending).where(pending_of(generation, item_ids)).values(values))


def forget(connection: Connection, generation: Generation, image_ids: Sequence[str]) -> None:
    """Delete pending photos that no product has any more."""
    use = sa.exists().where(
        product_images.c.catalog_id == pending.c.catalog_id,
        product_images.c.image_id == pending.c.image_id,
    )
    # A concurrent write may add a product with the photo.
    queue_up(connection, generation.catalog_id)
    connection.execute(sa.delete(pending).where(pending_of(generation, image_ids), ~use))
