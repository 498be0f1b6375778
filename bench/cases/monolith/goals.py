"""Goals of the comparison with the monolith, and their outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.cases.monolith.asking import ANCHORED, PHOTO, PRODUCT, TEXT, USER, WORDS
from bench.cases.monolith.contenders import CHAIN, ONE, SUITE, monolith
from bench.cases.monolith.load import Cells, Key, over
from bench.harness.model import Goal, Interval
from bench.harness.statistics import median_ratio, percentile

BUSY = 8
"""Callers at which processor time and answers a second are compared."""
PEERS: Mapping[str, str] = {ANCHORED: PRODUCT}
"""Kinds for which the monolith gets another kind of request."""
BEFORE: Mapping[str, float] = {PRODUCT: 17.0, USER: 37.0}
"""Answers a second of 8 callers before the fast path (lab/research/performance.md)."""
FASTER = 10.0
WITH_VARIANTS = 1.3
CHAIN_TIMES = 1.5
GROWTH = 1.5
TEXT_MS = 30.0
COLUMN_BYTES = 300.0


@dataclass(frozen=True, slots=True)
class MonolithLimits:
    """Limits relative to the monolith, by kind of request."""

    cost: Mapping[str, float]
    """Maximum ratio of processor time."""
    median: Mapping[str, float]
    """Maximum ratio of p50 at one caller."""
    rate: Mapping[str, float]
    """Minimum ratio of answers a second on two cores to those of two processes."""


SMALL = MonolithLimits(
    cost={PRODUCT: 3.0, USER: 4.0, PHOTO: 1.35, ANCHORED: 3.0},
    median={PRODUCT: 3.0, USER: 4.0, PHOTO: 1.5, ANCHORED: 3.0},
    rate={PRODUCT: 0.35, USER: 0.25, PHOTO: 0.75, ANCHORED: 0.35},
)
ONE_COST: Mapping[str, float] = {PRODUCT: 3.0, USER: 8.0, PHOTO: 1.4}
"""Maximum processor time of the suite in one process relative to the monolith's."""
ONE_RATE = 0.3
"""Its answers a second relative to those of one process of the monolith, at least."""
APART_COST: Mapping[str, float] = {PRODUCT: 9.0, USER: 7.0, PHOTO: 27.0}
APART_MEDIAN: Mapping[str, float] = {PRODUCT: 11.0, USER: 9.0, PHOTO: 28.0}
"""Maximum milliseconds of the four services: processor time with BUSY callers, p50 with one."""
LARGE = MonolithLimits(
    cost={PRODUCT: 2.0, USER: 1.0, PHOTO: 1.35},
    median={PRODUCT: 2.0, USER: 1.0, PHOTO: 1.5},
    rate={PRODUCT: 0.5, USER: 1.0, PHOTO: 0.75},
)


@dataclass(frozen=True, slots=True)
class MeasuredShop:
    """A catalog, as goals name it, and its measurements; no cells: nothing was measured."""

    name: str
    cells: Cells
    missing: str = ""
    """Reason why something, or everything, was not measured."""

    def why(self, kind: str) -> str:
        """Return why a kind of request was not measured."""
        return self.missing or f"this catalog has no requests of the kind: {WORDS[kind]}"


def beside_monolith(shop: MeasuredShop, limits: MonolithLimits) -> list[Goal]:
    """Return the goals of processor time, latency and throughput by kind of request."""
    goals = []
    for kind, most in limits.cost.items():
        cheapest = best(shop.cells, kind)
        goals.append(
            Goal(
                f"{shop.name}, {WORDS[kind]}: processor time ÷ the monolith's, {BUSY} callers",
                most,
                "×",
                over(shop.cells, (SUITE, kind, BUSY), cheapest, "costs"),
                missing=shop.why(kind),
            )
        )
    for kind, most in limits.median.items():
        alone: Key = (monolith(1), PEERS.get(kind, kind), 1)
        goals.append(
            Goal(
                f"{shop.name}, {WORDS[kind]}: p50 ÷ the monolith's, one caller",
                most,
                "×",
                over(shop.cells, (SUITE, kind, 1), alone, "medians"),
                missing=shop.why(kind),
            )
        )
    for kind, least in limits.rate.items():
        two: Key = (monolith(2), PEERS.get(kind, kind), BUSY)
        goals.append(
            Goal(
                f"{shop.name}, {WORDS[kind]}: requests/s ÷ the monolith's with two processes,"
                f" {BUSY} callers",
                None,
                "×",
                over(shop.cells, (SUITE, kind, BUSY), two, "rates"),
                at_least=least,
                missing=shop.why(kind),
            )
        )
    return goals


def one_process(shop: MeasuredShop) -> list[Goal]:
    """Return the goals of the suite in one process."""
    costs = [
        Goal(
            f"{shop.name}, {WORDS[kind]}: one process ÷ the monolith's processor time,"
            f" {BUSY} callers",
            most,
            "×",
            over(shop.cells, (ONE, kind, BUSY), best(shop.cells, kind), "costs"),
            missing=shop.why(kind),
        )
        for kind, most in ONE_COST.items()
    ]
    rates = [
        Goal(
            f"{shop.name}, {WORDS[kind]}: requests/s of one process ÷ the monolith's with one,"
            f" {BUSY} callers",
            None,
            "×",
            over(shop.cells, (ONE, kind, BUSY), (monolith(1), kind, BUSY), "rates"),
            at_least=ONE_RATE,
            missing=shop.why(kind),
        )
        for kind in ONE_COST
    ]
    return costs + rates


def apart(shop: MeasuredShop) -> list[Goal]:
    """Return the goals of four services in milliseconds."""
    return [
        Goal(
            f"{shop.name}, {WORDS[kind]}: four services, {what}",
            most,
            "ms",
            percentile(getattr(shop.cells[cell], figures), 0.5) if cell in shop.cells else None,
            missing=shop.why(kind),
        )
        for limits, callers, figures, what in (
            (APART_COST, BUSY, "costs", f"processor time, {BUSY} callers"),
            (APART_MEDIAN, 1, "medians", "p50, one caller"),
        )
        for kind, most in limits.items()
        for cell in [(SUITE, kind, callers)]
    ]


def best(cells: Cells, kind: str, callers: int = BUSY) -> Key:
    """Return the monolith with the number of processes that takes the least processor time at PEERS
    callers.
    """
    kind = PEERS.get(kind, kind)
    found = [
        cell
        for (name, of, at), cell in cells.items()
        if of == kind and at == callers and name in (monolith(1), monolith(2)) and cell.costs
    ]
    cheapest = min(found, key=lambda cell: median(cell.costs), default=None)
    return (cheapest.contender if cheapest else monolith(1), kind, callers)


def faster(shop: MeasuredShop) -> list[Goal]:
    """Return the goals of answers a second relative to earlier figures."""
    goals = []
    for kind, before in BEFORE.items():
        cell = shop.cells.get((SUITE, kind, BUSY))
        goals.append(
            Goal(
                f"{shop.name}, {WORDS[kind]}: requests/s, {BUSY} callers ({FASTER:g} × {before:g})",
                None,
                "requests/s",
                percentile(cell.rates, 0.5) if cell and cell.rates else None,
                at_least=FASTER * before,
                missing=shop.why(kind),
            )
        )
    return goals


def gateway(shop: MeasuredShop) -> list[Goal]:
    """Return the goals of the gateway's processor time relative to a chain of empty hops."""
    goals = []
    for kind in (PRODUCT, USER):
        ours, chain = (shop.cells.get((name, kind, BUSY)) for name in (SUITE, CHAIN))
        measured = None
        if ours and chain and ours.programs.get("gateway") and chain.costs:
            measured = median_ratio(ours.programs["gateway"], chain.costs)
        goals.append(
            Goal(
                f"{shop.name}, {WORDS[kind]}: gateway's own processor time ÷ a bare chain of three"
                f" hops with the same bytes, {BUSY} callers",
                CHAIN_TIMES,
                "×",
                measured,
                missing=shop.missing or "the bytes of the hops are not known",
            )
        )
    return goals


def variants(
    plain: MeasuredShop, others: Sequence[MeasuredShop], kinds: Sequence[str] = (PRODUCT,)
) -> list[Goal]:
    """Return goals for p50 at one caller in catalogs with variants relative to one without."""
    goals = []
    for shop in others:
        for kind in kinds:
            goals.append(
                Goal(
                    f"{shop.name} ÷ {plain.name}: {WORDS[kind]}, processor time, one caller",
                    WITH_VARIANTS,
                    "×",
                    between(shop.cells, plain.cells, (SUITE, kind, 1), "costs"),
                    missing=shop.missing,
                )
            )
            goals.append(
                Goal(
                    f"{shop.name} ÷ {plain.name}: {WORDS[kind]}, p50, one caller",
                    WITH_VARIANTS,
                    "×",
                    between(shop.cells, plain.cells, (SUITE, kind, 1), "medians"),
                    missing=shop.missing,
                )
            )
    return goals


def growth(small: MeasuredShop, large: MeasuredShop) -> Goal:
    """Return the goal for p50 by product in a large catalog relative to a small one."""
    return Goal(
        f"{large.name} ÷ {small.name}: {WORDS[PRODUCT]}, p50, one caller",
        GROWTH,
        "×",
        between(large.cells, small.cells, (SUITE, PRODUCT, 1), "medians"),
        missing=small.missing or large.missing,
    )


def text(shop: MeasuredShop) -> Goal:
    """Return the goal of a search by text."""
    cell = shop.cells.get((SUITE, TEXT, 1))
    return Goal(
        f"{shop.name}: search by text, p50, one caller",
        TEXT_MS,
        "ms",
        percentile(cell.latencies, 0.5) if cell and cell.latencies else None,
        missing=shop.missing,
    )


def between(first: Cells, second: Cells, key: Key, of: str) -> Interval | None:
    """Return the ratio of a figure of one cell in two catalogs that were measured in alternation;
    None if either lacks it.
    """
    if key not in first or key not in second:
        return None
    mine, theirs = getattr(first[key], of), getattr(second[key], of)
    count = min(len(mine), len(theirs))
    return median_ratio(mine[:count], theirs[:count]) if count else None


def columns(name: str, least: float | None, missing: str = "") -> Goal:
    """Return the goal for memory of the retriever's columns per product, without ids and tags."""
    return Goal(
        f"{name}: memory of the columns a product, without ids and tags",
        COLUMN_BYTES,
        "bytes",
        None if least is None else Interval(least, least, least),
        missing=missing or "the retriever reports no columns",
    )
