"""Roll-outs: changes of the registry, one transaction each, and steps of a backfill."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import errors
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import (
    MOST_LIVE,
    Backlog,
    Generation,
    GenerationState,
    GenerationStatus,
    Verification,
)
from retriever.record.freshness import holds_up, read_freshness
from retriever.record.generations import (
    all_generations,
    generation_values,
    item_of,
    live_generations,
    verification_text,
    want,
)
from retriever.record.index_rows import count_rows
from retriever.record.queueing import queue_up
from retriever.record.statements import held_by, is_generation, pending_of
from retriever.record.tables import generations, offers, pending, product_vectors, vectors
from servicekit.sql.resources import put

FIRST = 1_000
"""Photos that are made pending with their first generation. The worker looks for more, in lots."""
LONGEST_WAIT = 30_000_000
"""Maximum lag of a generation that is to be activated, in microseconds."""


# The registry


def find(connection: Connection, catalog_id: str, name: str) -> Generation:
    """Return a generation, dropped or not. Raises GenerationNotFound."""
    for generation in all_generations(connection, catalog_id):
        if generation.name == name:
            return generation
    raise errors.GenerationNotFound


def find_live(connection: Connection, catalog_id: str, name: str) -> Generation:
    """Return a live generation. Raises GenerationNotFound."""
    generation = find(connection, catalog_id, name)
    if generation.state is GenerationState.DROPPED:
        raise errors.GenerationNotFound
    return generation


def register(connection: Connection, now: int, generation: Generation) -> Generation:
    """Register a generation; a space's first is active, with all photos pending, unless callers
    give its vectors. Else it is building.

    Raises GenerationExists, GenerationsFull.
    """
    # A concurrent write either sees the new generation, or its photos are seen here.
    queue_up(connection, generation.catalog_id)
    known = all_generations(connection, generation.catalog_id)
    if any(each.name == generation.name for each in known):
        raise errors.GenerationExists(metadata={"name": generation.name})
    of_space = [each for each in known if each.space == generation.space]
    live = [each for each in of_space if each.state is not GenerationState.DROPPED]
    if len(live) >= MOST_LIVE:
        raise errors.GenerationsFull(MOST_LIVE)
    # A generation whose vectors callers have yet to supply is empty, so it does not become active.
    first = not generation.given and not any(each.active for each in live)
    state = GenerationState.READY if first else GenerationState.BUILDING
    made = replace(generation, state=state, activated=now if first else 0, created=now)
    return _insert(connection, made, active=first, wanted=first)


def create_generation(connection: Connection, now: int, generation: Generation) -> Generation:
    """Register a generation, active if its space has no active one, with all photos pending.

    Times that are 0 become now. An existing generation of the name is returned unchanged.
    """
    queue_up(connection, generation.catalog_id)  # as in `register`
    known = all_generations(connection, generation.catalog_id)
    for each in known:
        if each.name == generation.name:
            return each
    first = not any(each.active for each in known if each.space == generation.space)
    made = replace(
        generation,
        state=GenerationState.READY if first else generation.state,
        activated=generation.activated or (now if first else 0),
        created=generation.created or now,
    )
    return _insert(connection, made, active=first, wanted=True)


def _insert(
    connection: Connection, generation: Generation, *, active: bool, wanted: bool
) -> Generation:
    """Register a generation. `wanted`: make the first photos that lack its vector pending."""
    made = replace(generation, active=active, check_wanted=True)
    connection.execute(sa.insert(generations).values(generation_values(made)))
    if wanted:
        enqueue_missing(connection, made, "", FIRST, backfill=False)
    return made


def activate(
    connection: Connection, now: int, catalog_id: str, name: str, *, force: bool
) -> Generation:
    """Make a generation the active one of its space; does nothing if it is.

    Raises GenerationNotFound, GenerationNotVerified.
    """
    queue_up(connection, catalog_id)
    generation = find_live(connection, catalog_id, name)
    if generation.active:
        return generation
    why = _objection(connection, generation, now)
    if why and not force:
        raise errors.GenerationNotVerified(name, why)
    before = _active(connection, generation)
    if before is not None:
        _set(connection, before, active=False)
    return _set(
        connection,
        generation,
        active=True,
        activated=now,
        predecessor=before.name if before is not None else "",
        forced=bool(why),
    )


def _objection(connection: Connection, generation: Generation, now: int) -> str:
    """Return the obstacles to activating a generation; empty if there are none."""
    if generation.state is GenerationState.BUILDING:
        return "no backfill of this generation has ended"
    if generation.verification is None:
        return "this generation was not verified"
    if not generation.verification.passed:
        return f"its verification did not pass: {generation.verification.findings[0]}"
    oldest = read_freshness(connection, generation).oldest_open
    if oldest and now - oldest > LONGEST_WAIT:
        return "this generation lags by more than half a minute"
    return ""


def rollback(connection: Connection, now: int, catalog_id: str, space: str) -> Generation:
    """Activate the previously active generation. Raises RollbackUnavailable."""
    queue_up(connection, catalog_id)
    live = [each for each in live_generations(connection, catalog_id) if each.space == space]
    present = next((each for each in live if each.active), None)
    if present is None:
        raise errors.RollbackUnavailable(metadata={"space": space})
    before = next((each for each in live if each.name == present.predecessor), None)
    if before is None:
        raise errors.RollbackUnavailable(metadata={"space": space})
    # Two rollbacks go back two generations; the second does not undo the first.
    _set(connection, present, active=False, predecessor="")
    return _set(connection, before, active=True, activated=now)


def retire(connection: Connection, catalog_id: str, name: str) -> Generation:
    """Take a generation out of service. Raises GenerationNotFound, GenerationActive."""
    queue_up(connection, catalog_id)
    generation = find(connection, catalog_id, name)
    if generation.state is GenerationState.DROPPED:
        return generation
    if generation.active:
        raise errors.GenerationActive(metadata={"name": name})
    return _set(connection, generation, state=GenerationState.DROPPED)


def save_verification(connection: Connection, generation: Generation, found: Verification) -> None:
    """Store the result of a verification."""
    values = {"verification": verification_text(found)}
    connection.execute(sa.update(generations).where(is_generation(generation)).values(values))


def mark(
    connection: Connection,
    generation: Generation,
    *,
    state: GenerationState | None = None,
    check_wanted: bool | None = None,
    collection: str | None = None,
) -> bool:
    """Change a generation. Return False and change nothing if it was dropped, or is gone."""
    queue_up(connection, generation.catalog_id)
    values = {"state": state, "check_wanted": check_wanted, "collection": collection}
    given = {name: value for name, value in values.items() if value is not None}
    live = is_generation(generation), generations.c.state != GenerationState.DROPPED
    return bool(connection.execute(sa.update(generations).where(*live).values(given)).rowcount)


def want_check(connection: Connection, generation: Generation) -> None:
    """Request a comparison of the generation with the record."""
    mark(connection, generation, check_wanted=True)


def read_statuses(
    connection: Connection, catalog_id: str, space: str = "", *, dropped: bool = False
) -> list[GenerationStatus]:
    """Return the generations of a space (empty: of all), oldest first."""
    read = all_generations if dropped else live_generations
    known = [each for each in read(connection, catalog_id) if space in ("", each.space)]
    targets = {(each.space, each.predecessor) for each in known if each.active}
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    found = []
    for each in known:
        key = each.space, each.space_version
        live = each.state is not GenerationState.DROPPED
        if live and key not in counts:
            counts[key] = _counts(connection, each)
        previous = live and (each.space, each.name) in targets
        found.append(GenerationStatus(each, previous, *(counts[key] if live else (0, 0, 0))))
    return found


def _counts(connection: Connection, generation: Generation) -> tuple[int, int, int]:
    """Return the numbers of embedded, pending and given-up photos or products."""
    table = product_vectors if generation.of_products else vectors
    held = held_by(generation, table)
    number, of = sa.func.count(), pending_of(generation)
    return (
        connection.execute(sa.select(number).select_from(table).where(held)).scalar_one(),
        connection.execute(sa.select(number).where(of, ~pending.c.failed)).scalar_one(),
        connection.execute(sa.select(number).where(of, pending.c.failed)).scalar_one(),
    )


def _active(connection: Connection, generation: Generation) -> Generation | None:
    live = live_generations(connection, generation.catalog_id)
    return next((each for each in live if each.space == generation.space and each.active), None)


def _set(connection: Connection, generation: Generation, **values: Any) -> Generation:
    statement = sa.update(generations).where(is_generation(generation)).values(values)
    connection.execute(statement)
    return replace(generation, **values)


# Versions that the embedder serves


def save_offers(connection: Connection, catalog_id: str, offered: Sequence[EmbeddingSpace]) -> None:
    """Store the spaces that the embedder serves now."""
    queue_up(connection, catalog_id)
    connection.execute(sa.delete(offers).where(offers.c.catalog_id == catalog_id))
    rows = [
        {
            "catalog_id": catalog_id,
            "space": each.space,
            "space_version": each.version,
            "dimension": each.dimension,
            "by_default": each.default,
        }
        for each in offered
    ]
    put(connection, offers, rows)


def read_offers(connection: Connection, catalog_id: str) -> list[EmbeddingSpace]:
    """Return the spaces that the embedder served when the worker last asked."""
    c = offers.c
    query = sa.select(offers).where(c.catalog_id == catalog_id).order_by(c.space, c.space_version)
    return [
        EmbeddingSpace(row.space, row.space_version, row.dimension, True, row.by_default)
        for row in connection.execute(query)
    ]


# Backfills


def enqueue_missing(
    connection: Connection,
    generation: Generation,
    after: str,
    limit: int,
    *,
    backfill: bool = True,
) -> str | None:
    """Enqueue those of the next `limit` photos or products that lack a vector. `backfill`: a
    backfill alone waits for them.

    Return the position to continue at; None at the end.
    """
    if generation.given:
        return None
    # A concurrent write may add or remove a product with one of the photos.
    queue_up(connection, generation.catalog_id)
    item = item_of(generation)
    page = (
        sa.select(item)
        .where(item.table.c.catalog_id == generation.catalog_id, item > after)
        .order_by(item)
        .distinct()
        .limit(limit)
    )
    ids = list(connection.execute(page).scalars())
    if not ids:
        return None
    want(connection, generation, after=after, up_to=ids[-1], backfill=backfill)
    return ids[-1] if len(ids) == limit else None


def retry_failed(connection: Connection, generation: Generation) -> None:
    """Enqueue items again that could not be embedded."""
    anew = {"failed": False, "attempts": 0, "next_attempt": 0, "retried": True}
    which = pending_of(generation), pending.c.failed
    connection.execute(sa.update(pending).where(*which).values(anew))


def read_backlog(connection: Connection, generation: Generation) -> Backlog:
    """Return the items that the backfill waits for."""
    of = sa.and_(pending_of(generation), sa.or_(pending.c.backfill, pending.c.retried))
    waits = sa.and_(~pending.c.failed, holds_up())
    number = sa.select(sa.func.count())
    return Backlog(
        connection.execute(number.where(of, waits)).scalar_one(),
        connection.execute(number.where(of, ~waits)).scalar_one(),
    )


def photos(connection: Connection, generation: Generation) -> int:
    """Return the number of photos of the catalog's products; of products, where their texts are
    embedded; of given vectors, where callers give them."""
    if generation.given:
        return count_rows(connection, generation)
    item = item_of(generation)
    query = sa.select(sa.func.count(item.distinct())).where(
        item.table.c.catalog_id == generation.catalog_id
    )
    return int(connection.execute(query).scalar_one())


def end_backfill(connection: Connection, generation: Generation) -> None:
    """Mark the generation as ready; failed photos are retried like any other."""
    queue_up(connection, generation.catalog_id)
    mine = sa.or_(pending.c.backfill, pending.c.retried)
    done = {"backfill": False, "retried": False}
    connection.execute(sa.update(pending).where(pending_of(generation), mine).values(done))
    ready = sa.update(generations).where(
        is_generation(generation), generations.c.state == GenerationState.BUILDING
    )
    connection.execute(ready.values(state=GenerationState.READY))


def take_back(connection: Connection, generation: Generation, limit: int) -> int:
    """Delete up to `limit` items that only the backfill waits for; return their number."""
    failed = {"failed": True, "retried": False}
    mine = pending_of(generation), pending.c.retried
    connection.execute(sa.update(pending).where(*mine).values(failed))
    return _delete(connection, pending, generation, limit, pending.c.backfill, ~pending.c.failed)


def discard(connection: Connection, generation: Generation, limit: int) -> int:
    """Delete up to `limit` vectors, or pending items, of a dropped generation's version.

    None while another live generation has the version.
    """
    queue_up(connection, generation.catalog_id)
    version = generation.space, generation.space_version
    live = live_generations(connection, generation.catalog_id)
    if any((each.space, each.space_version) == version for each in live):
        return 0
    return (
        _delete(connection, vectors, generation, limit)
        or _delete(connection, product_vectors, generation, limit, key="product_id")
        or _delete(connection, pending, generation, limit)
    )


def _delete(
    connection: Connection,
    table: sa.Table,
    generation: Generation,
    limit: int,
    *which: sa.ColumnElement[bool],
    key: str = "image_id",
) -> int:
    of, one = held_by(generation, table), table.c[key]
    some = sa.select(one).where(of, *which).limit(limit)
    return connection.execute(sa.delete(table).where(of, one.in_(some), *which)).rowcount
