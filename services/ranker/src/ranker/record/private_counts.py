"""The ledger of a catalog's budget for counts in SQL, and what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.errors import BudgetSpent
from ranker.domain.private_counts import DELTA, BudgetLimit, CountsOrder, bounded
from ranker.record.encrypted_columns import unseal, value_of
from ranker.record.learnable import learnable
from ranker.record.merged_owners import gate
from ranker.record.rows import TableRecord
from ranker.record.selections import conditions
from ranker.record.tables import ATTRIBUTES, BUDGET, EVENTS
from servicekit.jobs.queue import Job

MOST_LISTED = 1_000
PAIRS = 10_000
"""Number of pairs of shopper and product in memory at a time."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Spending:
    """An expense of the budget."""

    spent_micros: int
    """Microseconds since 1970 (UTC)."""
    epsilon: float
    delta: float
    text: str


def spend(
    connection: Connection,
    job: Job,
    *,
    order: CountsOrder,
    limit: BudgetLimit,
    now_micros: int,
) -> None:
    """Note the expense of a new job, in the transaction that creates it: nothing is released
    without an expense, and a request that is repeated when its job is forgotten is a new one.
    Raise BudgetSpent if the expenses since `limit.since` would exceed the limit."""
    catalog_id, since, t = job.catalog_id, limit.since(now_micros), BUDGET.c
    gate(connection, catalog_id, alone=True)
    spent = sa.select(sa.func.sum(t.epsilon), sa.func.min(t.spent_micros)).where(
        t.catalog_id == catalog_id, t.spent_micros > since
    )
    total, oldest = connection.execute(spent).one()
    left = limit.epsilon - (total or 0.0)
    if order.epsilon > left + ROUNDING:
        raise BudgetSpent(max(left, 0.0), (oldest or now_micros) - since)
    row = {
        "catalog_id": catalog_id,
        "key": job.id,
        "spent_micros": now_micros,
        "epsilon": order.epsilon,
        "delta": DELTA,
        "text": order.text,
    }
    connection.execute(sa.insert(BUDGET), [row])


class BudgetRecord(TableRecord):
    async def expenses(self, catalog_id: str) -> list[dict[str, Any]]:
        """Return the newest rows of the ledger, at most MOST_LISTED, for a note beside the
        backups."""
        newest = _newest(sa.select(BUDGET), catalog_id)
        rows = await self._db.read(lambda connection: connection.execute(newest).mappings().all())
        return [dict(row) for row in rows]

    async def restore(self, catalog_id: str, expenses: Sequence[Mapping[str, Any]]) -> None:
        """Enter the expenses that the ledger lacks."""
        t = BUDGET.c

        def write(connection: Connection) -> None:
            gate(connection, catalog_id, alone=True)
            known = sa.select(t.key).where(t.catalog_id == catalog_id)
            keys = set(connection.execute(known).scalars())
            if new := [row for row in expenses if row["key"] not in keys]:
                connection.execute(sa.insert(BUDGET), new)

        await self._db.write(write)

    async def spendings(self, catalog_id: str, since_micros: int) -> Sequence[Spending]:
        """Return the expenses since then, newest first."""
        t = BUDGET.c
        columns = sa.select(t.spent_micros, t.epsilon, t.delta, t.text)
        newest = _newest(columns.where(t.spent_micros > since_micros), catalog_id)
        rows = await self._db.read(lambda connection: connection.execute(newest).all())
        return [Spending(*row) for row in rows]

    async def count(self, order: CountsOrder) -> Mapping[tuple[str, str], int]:
        """Count the shoppers of each product, without noise, of those from whom the suite may
        learn."""

        def read(connection: Connection) -> Mapping[tuple[str, str], int]:
            t, catalog_id = EVENTS.c, order.selection.catalog_id
            pairs = (
                sa.select(t.actor, t.product_id)
                .where(*conditions(order.selection), t.product_id != "")
                .where(learnable(connection, catalog_id, EVENTS))
                .distinct()
                .order_by(t.actor)
                .execution_options(yield_per=PAIRS)
            )
            found = connection.execute(pairs)
            values = _values(connection, catalog_id, order.attribute) if order.attribute else None
            return bounded(((row[0], row[1]) for row in found), values, order.most_products)

        return await self._db.read(read)


def _newest(query: sa.Select[Any], catalog_id: str) -> sa.Select[Any]:
    """Limit a query of the ledger to a catalog's newest expenses, newest first."""
    t = BUDGET.c
    newest = query.where(t.catalog_id == catalog_id).order_by(t.spent_micros.desc(), t.key)
    return newest.limit(MOST_LISTED)


def _values(connection: Connection, catalog_id: str, key: str) -> Mapping[str, str]:
    t = ATTRIBUTES.c
    given = sa.select(t.actor, t.value).where(t.catalog_id == catalog_id, t.key == key)
    about = value_of(catalog_id)
    return {actor: unseal(connection, about, value) for actor, value in connection.execute(given)}
