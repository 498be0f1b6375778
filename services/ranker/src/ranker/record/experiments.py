"""Experiments in SQL, and the counts of their units.

A unit is the current owner of an event: merges and purges affect the next reading. It counts in the
arm of its first exposure, whatever it saw later (intention to treat): leaving out units that saw
several arms would leave out shoppers who log in, and those mostly from the smaller arms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.events import EventType
from ranker.domain.experiment_money import ArmMoney, KnownOffer, UnitPurchase, money_by_arm
from ranker.domain.experiments import (
    CLICK_RATE,
    CLICKS,
    CONVERSION_RATE,
    HIDE_RATE,
    ArmCounts,
    MetricSample,
)
from ranker.domain.online import Moments
from ranker.record.merged_owners import gate
from ranker.record.rows import TableRecord, upsert
from ranker.record.tables import EVENTS, EXPERIMENTS

MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """A registered experiment; its content is opaque here."""

    name: str
    start_micros: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """Events by which an experiment is counted; times in microseconds since 1970 (UTC)."""

    catalog_id: str
    arms: Sequence[str]
    """Names of the arms as in events, the control first."""
    start_micros: int
    end_micros: int
    """Only exposures before this time count."""
    window_micros: int
    """Outcome window after a unit's first exposure, in microseconds."""
    counted_micros: int
    """Only units whose outcome window ended before this time are counted."""
    currency: str
    """Currency of revenue; empty: revenue is not counted."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Counts of one unit."""

    actor: str
    arm: str
    first_micros: int
    click_count: int
    purchase_count: int
    revenue: float
    hide_count: int


class ExperimentRecord(TableRecord):
    async def keep(
        self, catalog_id: str, decide: Callable[[Sequence[Kept]], Sequence[Kept]]
    ) -> int:
        """Upsert, by name, the experiments that `decide` returns for the stored ones, and return
        their number. If `decide` raises, nothing changes. Calls run one at a time: if two gateways
        send different experiments, the first one's are stored."""

        def write(connection: Connection) -> int:
            gate(connection, catalog_id, alone=True)
            given = decide(_all(connection, catalog_id))
            if rows := [{"catalog_id": catalog_id, **asdict(one)} for one in given]:
                upsert(connection, EXPERIMENTS, rows)
            return len(rows)

        return await self._db.write(write)

    async def all(self, catalog_id: str) -> tuple[Kept, ...]:
        """Return all experiments, most recently started first."""
        return await self._db.read(lambda connection: _all(connection, catalog_id))

    async def get(self, catalog_id: str, name: str) -> bytes | None:
        """Return the content of an experiment; None if there is none."""
        t = EXPERIMENTS.c
        statement = sa.select(t.content).where(t.catalog_id == catalog_id, t.name == name)
        return await self._db.read(lambda connection: connection.execute(statement).scalar())

    async def counts(
        self, extent: Extent, offers: Mapping[str, KnownOffer]
    ) -> tuple[tuple[ArmCounts, ...], int]:
        """Return the outcome counts of each arm, and the number of units that saw several arms,
        which count in their first one. `offers`: prices and costs in the extent's currency, by
        product."""
        return await self._db.read(lambda connection: _counts(connection, extent, offers))

    async def bought(self, extent: Extent, limit: int) -> list[str]:
        """Return the products that counted units bought, most bought first."""
        statement = _bought(extent, limit)
        return [*await self._db.read(lambda connection: connection.execute(statement).scalars())]

    async def units(self, extent: Extent, *, after: str, limit: int) -> tuple[Unit, ...]:
        """Return units whose outcome window has ended, sorted by pseudonym, from after `after`."""
        x = _exposed(extent)
        statement = (
            _units(extent, x)
            .where(_counted(extent, x), x.c.actor > after)
            .order_by(x.c.actor)
            .limit(limit)
        )
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        return tuple(
            Unit(row[0], row[1], row[2], int(row[3]), int(row[4]), float(row[5]), int(row[6]))
            for row in rows
        )


def _all(connection: Connection, catalog_id: str) -> tuple[Kept, ...]:
    t = EXPERIMENTS.c
    statement = (
        sa.select(t.name, t.start_micros, t.content)
        .where(t.catalog_id == catalog_id)
        .order_by(t.start_micros.desc(), t.name)
        .limit(MOST_LISTED)
    )
    return tuple(Kept(*row) for row in connection.execute(statement))


def _counts(
    connection: Connection, extent: Extent, offers: Mapping[str, KnownOffer]
) -> tuple[tuple[ArmCounts, ...], int]:
    x = _exposed(extent)
    several = sa.func.sum(_flag(x.c.arms > 1))
    exposed = sa.select(x.c.arm, sa.func.count(), several).group_by(x.c.arm)
    found = {arm: (int(units), int(mixed)) for arm, units, mixed in connection.execute(exposed)}
    u = _units(extent, x).where(_counted(extent, x)).subquery().c
    sums: list[sa.ColumnElement[Any]] = [sa.func.count()]
    values = {
        CLICK_RATE: _flag(u.clicks > 0),
        CLICKS: u.clicks,
        CONVERSION_RATE: _flag(u.purchases > 0),
        HIDE_RATE: _flag(u.hides > 0),
        _IMPRESSIONS: u.impressions,
    }
    for each in values.values():
        value = sa.cast(each, sa.Double)
        sums += [sa.func.sum(value), sa.func.sum(value * value)]
    rows = {row[0]: row[1:] for row in connection.execute(sa.select(u.arm, *sums).group_by(u.arm))}
    moments = {arm: _moments(values, rows.get(arm)) for arm in extent.arms}
    money = _money(connection, extent, moments, offers) if extent.currency else {}
    arms = tuple(
        replace(
            money.get(arm, ArmCounts(arm, 0, {})),
            exposed=found.get(arm, (0, 0))[0],
            samples={**_rates(moments[arm]), **(money[arm].samples if arm in money else {})},
        )
        for arm in extent.arms
    )
    return arms, sum(mixed for _, mixed in found.values())


_IMPRESSIONS = "impressions"


def _moments(names: Iterable[str], row: Sequence[Any] | None) -> dict[str, Moments]:
    names = list(names)
    count, *sums = row or [0] * (1 + 2 * len(names))
    return {
        name: Moments(int(count), float(sums[2 * at]), float(sums[2 * at + 1]))
        for at, name in enumerate(names)
    }


def _rates(moments: Mapping[str, Moments]) -> dict[str, MetricSample]:
    return {name: sample for name, sample in moments.items() if name != _IMPRESSIONS}


def _money(
    connection: Connection,
    extent: Extent,
    moments: Mapping[str, Mapping[str, Moments]],
    offers: Mapping[str, KnownOffer],
) -> Mapping[str, ArmCounts]:
    """Return the arms' metrics of money alone, also of arms without purchases."""
    found = money_by_arm(_purchases(connection, extent), offers)
    costed = any(offer.cost is not None for offer in offers.values())
    made = {}
    for arm in extent.arms:
        own = found.get(arm, ArmMoney())
        samples = own.samples(moments[arm][_IMPRESSIONS], costed=costed)
        made[arm] = ArmCounts(arm, 0, samples, own.unpriced, own.uncosted)
    return made


def _purchases(connection: Connection, extent: Extent) -> Iterable[UnitPurchase]:
    """Yield what counted units bought in their outcome windows."""
    x = _exposed(extent)
    u = _units(extent, x).where(_counted(extent, x)).subquery().c
    e = EVENTS.c
    price, currency = e.unit_price_micros, e.unit_price_currency
    statement = (
        sa.select(
            *(u.actor, u.arm, u.impressions, e.product_id, price, currency),
            sa.func.sum(_pieces(e)),
        )
        .where(u.purchases > 0, *_in_window(extent, u, e), e.type == EventType.PURCHASE)
        .group_by(u.actor, u.arm, u.impressions, e.product_id, price, currency)
    )
    for actor, arm, shown, product_id, micros, code, pieces in connection.execute(statement):
        own = micros is not None and code == extent.currency
        yield UnitPurchase(
            *(actor, arm, int(shown), product_id),
            price=micros / 1e6 if own else None,
            priced=micros is not None,
            pieces=int(pieces),
        )


def _bought(extent: Extent, limit: int) -> sa.Select[Any]:
    x = _exposed(extent)
    e, pieces = EVENTS.c, sa.func.sum(_pieces(EVENTS.c))
    window = _in_window(extent, x.c, e)
    return (
        sa.select(e.product_id)
        .where(_counted(extent, x), *window, e.type == EventType.PURCHASE)
        .group_by(e.product_id)
        .order_by(pieces.desc(), e.product_id)
        .limit(limit)
    )


def _pieces(e: Any) -> sa.ColumnElement[int]:
    return sa.case((e.quantity > 0, e.quantity), else_=1)


def _in_window(extent: Extent, unit: Any, e: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """Select the events of a unit in its outcome window."""
    return (
        e.catalog_id == extent.catalog_id,
        e.actor == unit.actor,
        e.time_micros >= unit.first,
        e.time_micros < unit.first + extent.window_micros,
    )


def _flag(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.case((condition, 1), else_=0)


def _exposed(extent: Extent) -> sa.Subquery:
    """Select the units that saw an answer of an arm: the first arm, the time, and the number of
    arms. A click without an impression is not an exposure: otherwise an arm's effect would decide
    which units are counted."""
    e = EVENTS.c
    first, order = sa.func.min(e.time_micros), sa.func.min(e.sequence)
    seen = (
        sa.select(e.actor, e.arm, first.label("first"), order.label("order"))
        .where(
            e.catalog_id == extent.catalog_id,
            e.arm.in_(extent.arms),
            e.arm != "",
            e.type == EventType.IMPRESSION,
            e.time_micros >= extent.start_micros,
            e.time_micros < extent.end_micros,
        )
        .group_by(e.actor, e.arm)
        .subquery()
        .c
    )
    place = sa.func.row_number().over(partition_by=seen.actor, order_by=(seen.first, seen.order))
    arms = sa.func.count().over(partition_by=seen.actor)
    ranked = sa.select(
        seen.actor, seen.arm, seen.first, arms.label("arms"), place.label("place")
    ).subquery()
    r = ranked.c
    return sa.select(r.actor, r.arm, r.first, r.arms).where(r.place == 1).subquery()


def _counted(extent: Extent, x: sa.Subquery) -> sa.ColumnElement[bool]:
    return x.c.first <= extent.counted_micros - extent.window_micros


def _units(extent: Extent, x: sa.Subquery) -> sa.Select[Any]:
    """Select the outcomes of each unit within its window, of answers of all arms."""
    events = EVENTS.alias()
    e = events.c
    paid = sa.cast(e.unit_price_micros, sa.Double) / 1e6
    counted = _pieces(e)
    bought = e.type == EventType.PURCHASE
    in_currency = sa.and_(bought, e.unit_price_currency == extent.currency, paid.is_not(None))

    def total(condition: sa.ColumnElement[bool], value: Any = 1, none: Any = 0) -> Any:
        return sa.func.sum(sa.case((condition, value), else_=none))

    answered = e.arm.in_(extent.arms)
    seen = sa.and_(e.type == EventType.IMPRESSION, answered)
    did = sa.and_(
        *_in_window(extent, x.c, e),
        e.type.in_([EventType.CLICK, EventType.PURCHASE, EventType.HIDE, EventType.IMPRESSION]),
    )
    return (
        sa.select(
            x.c.actor,
            x.c.arm,
            x.c.first,
            total(sa.and_(e.type == EventType.CLICK, answered)).label("clicks"),
            total(bought, counted).label("purchases"),
            total(in_currency, paid * counted, 0.0).label("revenue"),
            total(e.type == EventType.HIDE).label("hides"),
            total(seen).label(_IMPRESSIONS),
        )
        .select_from(x.outerjoin(events, did))
        .group_by(x.c.actor, x.c.arm, x.c.first)
    )
