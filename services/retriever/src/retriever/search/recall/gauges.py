"""What Prometheus is told by both processes, the server and the worker, or by the watchdog.

How far the index is behind is told by both: the worker's word ends with the worker, and the lag
grows just then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retriever.ports.all import LagRecord
from retriever.search.recall.watchdog import Verdict, Watchdog
from servicekit.errors import ServiceError
from servicekit.jobs import now_micros

GAUGE_SECONDS = 2.0
MAX_CATALOG_LABELS = 20

LAG = Gauge(
    "sightline_index_lag_seconds",
    "Age of the oldest write that the index does not hold.",
    ("catalog", "space"),
)
PENDING = Gauge("sightline_index_pending", "Photos without vector.", ("catalog", "space"))
DOUBTED = Gauge(
    "sightline_doubted_products", "Products whose photo contradicts their category.", ("catalog",)
)


def label(catalog: str, catalogs: Sequence[str]) -> str:
    """The catalog's name in metrics: where catalogs are many, one for all."""
    return catalog if len(catalogs) <= MAX_CATALOG_LABELS else "several"


async def keep_measuring(catalogs: Sequence[str], record: LagRecord) -> None:
    """Measure the lag again and again; for ever."""
    while True:
        with contextlib.suppress(ServiceError):
            await measure_lag(catalogs, record)
        await asyncio.sleep(GAUGE_SECONDS)


async def measure_lag(catalogs: Sequence[str], record: LagRecord) -> None:
    """Of the active generations; where catalogs are many, the worst under one label.

    One that is being built lags, and nobody searches it.
    """
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for catalog in catalogs:
        for generation in await record.generations(catalog):
            if not generation.active:
                continue
            fresh = await record.freshness(generation)
            lag = (now_micros() - fresh.oldest_open) / 1e6 if fresh.oldest_open else 0.0
            key = (label(catalog, catalogs), generation.space)
            before = worst.get(key, (0.0, 0))
            worst[key] = (max(before[0], lag), max(before[1], fresh.pending))
    for key, (lag, pending) in worst.items():
        LAG.labels(*key).set(lag)
        PENDING.labels(*key).set(pending)
    doubted: Counter[str] = Counter()
    for catalog in catalogs:
        doubted[label(catalog, catalogs)] += await record.doubted(catalog)
    for name, count in doubted.items():
        DOUBTED.labels(name).set(count)


def forget_lag() -> None:
    """Say nothing more of it: who measures no longer would tell of the past."""
    LAG.clear()
    PENDING.clear()
    DOUBTED.clear()


class RecallCollector(Collector):
    """What the watchdog knows, as metrics, at the moment they are read."""

    _GAUGES: Sequence[tuple[str, str, str]] = (
        (
            "sightline_recall",
            "Share of the exact nearest rows that live searches found, estimated.",
            "recall.value",
        ),
        ("sightline_recall_lower", "Lower end of the estimate's 95% interval.", "recall.lower"),
        ("sightline_recall_upper", "Upper end of the estimate's 95% interval.", "recall.upper"),
        (
            "sightline_recall_below_floor",
            "1 while even the upper end is below the floor.",
            "below_floor",
        ),
        ("sightline_recall_searches", "Searches behind the estimate.", "recall.looks"),
    )
    """Name, help, and what of a verdict it is. Of several generations or catalogs the worst one is
    told: the least, or of `below_floor` the greatest."""

    def __init__(self, watchdog: Watchdog, catalogs: Sequence[str]) -> None:
        self._watchdog = watchdog
        self._catalogs = catalogs

    def collect(self) -> Iterable[Metric]:
        """The present values."""
        groups: dict[tuple[str, ...], list[Verdict]] = {}
        for verdict in self._watchdog.verdicts():
            kind = verdict.kind
            catalog = label(kind.catalog_id, self._catalogs)
            key = (catalog, kind.space, kind.route.value, kind.filters.value)
            groups.setdefault(key, []).append(verdict)
        for name, text, what in self._GAUGES:
            family = GaugeMetricFamily(name, text, labels=("catalog", "space", "plan", "filter"))
            worst = max if what == "below_floor" else min
            for labels, verdicts in groups.items():
                family.add_metric(labels, float(worst(map(attrgetter(what), verdicts))))
            yield family
        watched = CounterMetricFamily(
            "sightline_watched_searches",
            "Searches that the watchdog looked at (outcome=looked) or had no time for (let_go).",
            labels=("outcome",),
        )
        watched.add_metric(("looked",), self._watchdog.looked)
        watched.add_metric(("let_go",), self._watchdog.let_go)
        yield watched
