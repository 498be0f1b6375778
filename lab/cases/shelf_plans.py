"""Errors of comparisons of shelves with plans, and shares in which suggested stock lasts.

Comparisons: made shelves of 24 to 84 facings, on which known facings are taken, replaced or moved
to another row, seen in tilted photos with perspective, by detections that err at given rates. Only
rectangles and ids are made; the bench `detect` measures detections on photos.

Stock: demand is drawn for eight weeks from several processes; the stock that is suggested after
them is compared with the demand of the next week.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Final, TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photo_products import Detection
from vision.detection.plan import PlannedProduct, ShelfPlace, ShelfPlan, checked
from vision.detection.plan_comparison import FindingKind, compare
from vision.detection.stock import LEAST_SOLD, StockRequest, demand_quantile, quantity

Say: TypeAlias = Callable[[str], None]
Random: TypeAlias = np.random.Generator
Outcomes: TypeAlias = Counter[tuple[FindingKind, str]]
Demand: TypeAlias = Callable[[Random, float, int], Sequence[int]]
"""Draws the units of that many days at a mean rate."""

SEED: Final = 11
SHELVES: Final = 300
ERRORS: Final = (0.0, 0.02, 0.05, 0.1)
"""Shares of facings that are missed, of ids that are wrong, and of extra detections, each."""
CHANGED: Final = 0.08
"""Share of facings that are taken, replaced or moved."""
DEVIATIONS: Final = frozenset({FindingKind.MISSING, FindingKind.SURPLUS, FindingKind.MISPLACED})

SHOPS: Final = 4_000
DAYS: Final = 56
LEAD: Final = 7
LEVELS: Final = (0.9, 0.95)


@dataclass(frozen=True, slots=True)
class MadeShelf:
    """A plan and what stands on the shelf."""

    plan: ShelfPlan
    rows: Sequence[Sequence[str]]
    """Products by row; empty: a gap."""
    changes: Outcomes


@dataclass(frozen=True, slots=True)
class ComparedFigures:
    """Figures of comparisons at one rate of errors."""

    errors: float
    rows_right: float
    recall: Interval
    false: Interval
    """False deviations for each 100 facings."""
    compliance: Interval
    """Mean absolute error, in percentage points."""


@dataclass(frozen=True, slots=True)
class StockFigures:
    """Shares in which suggested stock lasted."""

    demand: str
    level: float
    lasted: Interval
    poisson: float
    """Shares with a Poisson distribution of the mean rate."""
    mean: float
    """Shares with the mean demand alone."""
    units: float
    """Suggested units for each unit of mean demand."""


def run(say: Say) -> BenchResult:
    """Measure both."""
    compared = []
    for errors in ERRORS:
        say(f"comparisons, {errors:.0%} errors")
        compared.append(_compared(errors))
    stock = []
    for name, demand in DEMANDS.items():
        say(f"stock, {name}")
        stock += [_stock(name, demand, level) for level in LEVELS]
    return BenchResult(
        tables=(_comparison_table(compared), _stock_table(stock)),
        figures={
            "comparisons": [_plain(each) for each in compared],
            "stock": [_plain(each) for each in stock],
        },
        goals=_goals(compared, stock),
    )


# Comparisons


def _compared(errors: float) -> ComparedFigures:
    draw = np.random.default_rng(SEED)
    found = np.array([_one(draw, errors) for _ in range(SHELVES)])
    rows, hits, made, false, facings, wrong = found.T
    return ComparedFigures(
        errors,
        float(rows.mean()),
        _ratio(draw, hits, made),
        _ratio(draw, 100 * false, facings),
        _ratio(draw, 100 * wrong, np.ones(len(wrong))),
    )


def _one(draw: Random, errors: float) -> tuple[float, ...]:
    """Return of one shelf: whether its rows are right, deviations found, made and false, facings,
    error of the compliance."""
    shelf = _shelf(draw)
    seen = _photographed(draw, shelf.rows, errors)
    found = compare(shelf.plan, seen)
    deviations: Outcomes = Counter(
        (each.kind, each.product_id) for each in found.findings if each.kind in DEVIATIONS
    )
    hits = (deviations & shelf.changes).total()
    true = (
        1
        - sum(
            count for (kind, _), count in shelf.changes.items() if kind is not FindingKind.SURPLUS
        )
        / shelf.plan.facings
    )
    return (
        float(found.row_count == len(shelf.rows)),
        float(hits),
        float(shelf.changes.total()),
        float(deviations.total() - hits),
        float(shelf.plan.facings),
        abs(found.compliance - true),
    )


def _shelf(draw: Random) -> MadeShelf:
    """Make a shelf. A changed facing is the last of its product, so that no order changes."""
    names = iter(range(1000))
    rows: list[list[str]] = []
    for _ in range(draw.integers(3, 7)):
        row: list[str] = []
        length = int(draw.integers(8, 15))
        while len(row) < length:
            row += [f"p{next(names)}"] * min(int(draw.integers(1, 5)), length - len(row))
        rows.append(row)
    planned = [
        PlannedProduct(name, row.count(name), ShelfPlace(number, position))
        for number, row in enumerate(rows, 1)
        for position, name in enumerate(dict.fromkeys(row), 1)
    ]
    changes: Outcomes = Counter()
    for number, row in enumerate(rows):
        for name in dict.fromkeys(row):
            if draw.random() < CHANGED * row.count(name):
                _change(draw, rows, (number, name), next(names), changes)
    return MadeShelf(checked(ShelfPlan(planned), 300), rows, changes)


def _change(
    draw: Random,
    rows: Sequence[list[str]],
    which: tuple[int, str],
    number: int,
    changes: Outcomes,
) -> None:
    """Take a facing, replace it by a product that is not planned, or move it to another row."""
    row, name = rows[which[0]], which[1]
    place = len(row) - 1 - row[::-1].index(name)
    kind = draw.integers(3)
    row[place] = f"x{number}" if kind == 1 else ""
    if kind == 2:
        rows[(which[0] + 1) % len(rows)].append(name)
        changes[FindingKind.MISPLACED, name] += 1
        return
    changes[FindingKind.MISSING, name] += 1
    if kind == 1:
        changes[FindingKind.SURPLUS, row[place]] += 1


def _photographed(
    draw: Random, rows: Sequence[Sequence[str]], errors: float
) -> Sequence[Detection]:
    """Return detections in a photo that is tilted by up to 6 degrees, with perspective."""
    tilt, lean = np.tan(np.radians(draw.uniform(-6, 6))), draw.uniform(-0.15, 0.15)
    board, wide = 0.8 / len(rows), 0.8 / max(map(len, rows))
    found = []
    for number, row in enumerate(rows):
        for place, name in enumerate(row):
            if not name or draw.random() < errors:
                continue
            left, bottom = 0.1 + place * wide, 0.1 + (number + 1) * board
            scale = 1 + lean * (left - 0.5)
            bottom = 0.5 + (bottom - 0.5) * scale + tilt * (left - 0.5)
            height = board * float(draw.uniform(0.5, 0.85)) * scale
            jitter = draw.normal(0, 0.03, 4) * (wide, height, wide, height)
            edges = np.array((left, bottom - height, left + 0.9 * wide, bottom)) + jitter
            shown = f"p{draw.integers(1000)}" if draw.random() < errors else name
            found.append(Detection(PhotoArea(*np.clip(edges, 0, 1).tolist()), 1.0, shown))
            if draw.random() < errors:
                found.append(found[-1])
    return found


# Stock


def _poisson(draw: Random, rate: float, days: int) -> Sequence[int]:
    return [int(each) for each in draw.poisson(rate, days)]


def _spread(draw: Random, rate: float, days: int) -> Sequence[int]:
    return [int(each) for each in draw.negative_binomial(rate / 2, 1 / 3, days)]


def _weekly(draw: Random, rate: float, days: int) -> Sequence[int]:
    share = np.resize((0.5, 0.5, 0.6, 0.8, 1.2, 1.9, 1.5), days)
    return [int(each) for each in draw.poisson(rate * share)]


def _growing(draw: Random, rate: float, days: int) -> Sequence[int]:
    growth = 1.01 ** (np.arange(days) - DAYS / 2)
    return [int(each) for each in draw.poisson(rate * growth)]


DEMANDS: Final[Mapping[str, Demand]] = {
    "Poisson": _poisson,
    "three times the variance": _spread,
    "weekly pattern": _weekly,
    "growing by 1% a day": _growing,
}


def _stock(name: str, demand: Demand, level: float) -> StockFigures:
    draw = np.random.default_rng(SEED)
    asked = StockRequest(float(LEAD), level, DAYS)
    lasted: list[tuple[float, ...]] = []
    while len(lasted) < SHOPS:
        rate = float(draw.choice((0.3, 1.0, 4.0)))
        units = demand(draw, rate, DAYS + LEAD)
        past, coming = units[:DAYS], sum(units[DAYS:])
        sold = sum(past)
        if sold < LEAST_SOLD:
            continue
        mean = sold / DAYS * LEAD
        spread = max(1.0, variance(past) / fmean(past))
        units_suggested = quantity(asked, 0, sold=sold, days=DAYS, spread=spread).units
        lasted.append(
            (
                coming <= units_suggested,
                coming <= demand_quantile(level, mean, 0.0),
                coming <= mean,
                units_suggested / mean,
            )
        )
    share, poisson, alone, worth = np.array(lasted, float).T
    return StockFigures(
        name,
        level,
        _ratio(draw, share, np.ones(len(share))),
        float(poisson.mean()),
        float(alone.mean()),
        float(worth.mean()),
    )


# The report


def _ratio(draw: Random, above: np.ndarray, below: np.ndarray) -> Interval:
    """Return the ratio of two sums, with its interval by the bootstrap over samples."""
    rows = draw.integers(0, len(above), (1000, len(above)))
    drawn = above[rows].sum(axis=1) / np.maximum(below[rows].sum(axis=1), 1e-9)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(above.sum() / max(below.sum(), 1e-9)), float(low), float(high))


def _goals(compared: Sequence[ComparedFigures], stock: Sequence[StockFigures]) -> Sequence[Goal]:
    right = compared[0]
    goals = [
        Goal("deviations found by faultless detections", None, "", right.recall, at_least=0.97),
        Goal("false deviations of 100 facings, faultless detections", 1.0, "", right.false),
    ]
    for each in stock[: 2 * len(LEVELS)]:
        name = f"stock lasts, {each.demand}, asked {each.level:g}"
        goals.append(Goal(name, None, "", each.lasted, at_least=each.level - 0.02))
    return goals


def _comparison_table(found: Sequence[ComparedFigures]) -> BenchTable:
    return BenchTable(
        title="Comparisons of made shelves with their plans",
        headers=(
            *("errors of detections", "rows right", "deviations found"),
            *("false ones of 100 facings", "error of the compliance, points"),
        ),
        rows=tuple(
            (
                f"{each.errors:.0%}",
                f"{each.rows_right:.1%}",
                _cell(each.recall),
                _cell(each.false, 1),
                _cell(each.compliance, 1),
            )
            for each in found
        ),
        caption=(
            f"{SHELVES} shelves, tilted up to 6°, with perspective; {CHANGED:.0%} of the facings"
            " are taken, replaced or moved. *Errors*: each of missed facings, wrong ids and double"
            " detections. 95% intervals by the bootstrap over shelves."
        ),
        section=None,
    )


def _stock_table(found: Sequence[StockFigures]) -> BenchTable:
    return BenchTable(
        title="How often suggested stock lasts",
        headers=(
            *("demand", "asked", "lasted", "Poisson of the mean", "mean alone"),
            "units for each unit of mean demand",
        ),
        rows=tuple(
            (
                each.demand,
                f"{each.level:g}",
                _cell(each.lasted),
                f"{each.poisson:.3f}",
                f"{each.mean:.3f}",
                f"{each.units:.2f}",
            )
            for each in found
        ),
        caption=(
            f"{SHOPS:,} draws each: {DAYS} days of sales at .3, 1 or 4 units a day, then a week's"
            " demand. *Poisson of the mean*: the quantile without the rate's uncertainty and"
            " without the variance of days. 95% intervals by the bootstrap."
        ),
    )


def _cell(found: Interval, digits: int = 3) -> str:
    value, low, high = (f"{each:.{digits}f}" for each in (found.value, found.low, found.high))
    return f"{value} ({low}-{high})"


def _plain(found: ComparedFigures | StockFigures) -> Mapping[str, object]:
    values = {name: getattr(found, name) for name in type(found).__slots__}
    return {
        name: [each.value, each.low, each.high] if isinstance(each, Interval) else each
        for name, each in values.items()
    }
