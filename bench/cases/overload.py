"""Answers while several times as many requests arrive as the suite can answer: how many are
answered, how fast the others are rejected, and what remains of it afterwards.

The example wines; requests by product, sent on schedule by bench.open_load on the same machine.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from bench.harness.load import closed_loop, lasting
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio, percentile, ratio
from bench.open_load.__main__ import loaded
from bench.open_load.findings import LoadFindings
from bench.open_load.schedule import Curve
from bench.open_load.sending import DEGRADED, WHOLE, Sent, Where
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import own_suite
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]

TIMES = 4.0
"""Rate of the flood ÷ the rate that the suite can answer."""
USUAL = 0.4
"""Rate before and after it, of the same."""
BEFORE, FLOOD, AFTER = (0.0, 10.0), (10.0, 35.0), (40.0, 50.0)
"""Seconds of each phase. The last begins when answers to the flood have ended."""
LEARNING = 5.0
"""Seconds of the flood until the limits of concurrent calls are learned."""
CALLERS, BEST_SECONDS, WARM = 8, 8.0, 300
DEADLINE = 2.0
REJECTED = "RESOURCE_EXHAUSTED"
PHASES: Mapping[str, tuple[float, float]] = {
    "before": BEFORE,
    "the flood": (FLOOD[0] + LEARNING, FLOOD[1]),
    "after": AFTER,
}
LEAST_ANSWERED, MOST_FAILED, MOST_REJECTING_MS, MOST_AFTER = 0.85, 0.01, 20.0, 1.3


def run(say: Say) -> BenchResult:
    """Find the suite's best rate on the wines, then send several times as many."""
    with own_suite(say) as suite:
        target = suite.addresses()["gateway"]
        best = asyncio.run(_best(target))
        say(f"{best:,.0f} answers a second to {CALLERS} callers; {TIMES:g} times as many are sent")
        sent = loaded(Where(target, DEADLINE), curve(best), _requests(), 2, 1, fresh=False)
    return result(best, sent)


async def _best(target: str) -> float:
    """Load the wines. Return the answers a second to several callers."""
    products = [wine.id for wine in load_wines()]
    async with SightlineClient(target, timeout=30) as client:
        await loading.load_all(client)

        async def ask(product: str) -> None:
            await client.recommend(products=product, page_size=10)

        await closed_loop((products * WARM)[:WARM], CALLERS, ask)
        endless = (products[place % len(products)] for place in range(10**6))
        done, seconds = await closed_loop(lasting(endless, BEST_SECONDS), CALLERS, ask)
    return len(done) / seconds


def _requests() -> list[rec.RecommendRequest]:
    return [
        rec.RecommendRequest(
            catalog_id="default", signals=[rec.QuerySignal(product_id=wine.id)], page_size=10
        )
        for wine in load_wines()
    ]


def curve(best: float) -> Curve:
    """Return the rates, given the suite's best one."""
    usual, flood = USUAL * best, TIMES * best
    begin, end = FLOOD
    return Curve(
        [
            *((0.0, usual), (begin, usual), (begin + 0.1, flood), (end, flood)),
            *((end + 0.1, usual), (AFTER[1], usual)),
        ]
    )


def result(best: float, sent: Sent) -> BenchResult:
    """Return the table, figures and goals of what was sent."""
    load = LoadFindings(curve(best), sent)
    return BenchResult(
        tables=(
            BenchTable(
                f"Answers while {TIMES:g} times as many requests arrive as can be answered",
                (
                    *("", "requests/s", "answers/s", "p50 ms", "p99 ms"),
                    *("rejected", "p50 ms", "failed"),
                ),
                tuple(_row(name, sent) for name in PHASES),
                f"The example wines, by product; the best rate of {CALLERS} callers is {best:,.0f}"
                f" answers a second. The flood without its first {LEARNING:g} s.",
            ),
        ),
        figures={"best": best, "load": load.figures()},
        goals=tuple(_goals(best, sent)),
        warnings=() if load.kept else (load.verdict(),),
    )


def _of(name: str, sent: Sent) -> list[tuple[float, float, str]]:
    """Return the scheduled time, seconds and end of the requests of a phase."""
    begin, end = PHASES[name]
    all_of_them = zip(sent.due, sent.seconds, sent.ends, strict=True)
    return [each for each in all_of_them if begin <= each[0] < end]


def _seconds(name: str, sent: Sent) -> tuple[list[float], list[float], int]:
    """Return the seconds of answers and of rejections, and the number of failures."""
    found = _of(name, sent)
    answered = [seconds for _, seconds, end in found if end in (WHOLE, DEGRADED)]
    rejected = [seconds for _, seconds, end in found if end.startswith(REJECTED)]
    return answered, rejected, len(found) - len(answered) - len(rejected)


def _row(name: str, sent: Sent) -> tuple[str, ...]:
    begin, end = PHASES[name]
    answered, rejected, failed = _seconds(name, sent)
    total = len(answered) + len(rejected) + failed
    rates = (f"{count / (end - begin):,.0f}" for count in (total, len(answered)))
    shares = (0.5, 0.99)
    return (
        *(name, *rates, *(_milliseconds(answered, share) for share in shares)),
        *(f"{len(rejected):,}", _milliseconds(rejected, 0.5), f"{failed:,}"),
    )


def _milliseconds(seconds: list[float], share: float) -> str:
    return f"{1e3 * percentile(seconds, share).value:,.0f}" if seconds else "–"


def _goals(best: float, sent: Sent) -> list[Goal]:
    flood, (_, rejected, failed) = _of("the flood", sent), _seconds("the flood", sent)
    first = int(PHASES["the flood"][0])
    by_second = dict.fromkeys(range(first, int(FLOOD[1])), 0)
    for due, _, end in flood:
        by_second[int(due)] += end in (WHOLE, DEGRADED)
    rate = ratio([(count, best) for count in by_second.values()])
    share = failed / len(flood) if flood else 1.0
    before, after = (_seconds(name, sent)[0] for name in ("before", "after"))
    size = min(len(before), len(after))
    rejecting = percentile([1e3 * each for each in rejected], 0.5) if rejected else None
    return [
        Goal("answers a second in the flood ÷ the best", None, "×", rate, LEAST_ANSWERED),
        Goal(
            "requests of the flood that are neither answered nor rejected",
            MOST_FAILED,
            "",
            Interval(share, share, share),
        ),
        Goal(
            "time of a rejection, p50",
            MOST_REJECTING_MS,
            "ms",
            rejecting,
            missing="no request was rejected",
        ),
        Goal(
            "p50 after the flood ÷ before",
            MOST_AFTER,
            "×",
            median_ratio(after[:size], before[:size]) if size else None,
            missing="a phase has no answers",
        ),
    ]
