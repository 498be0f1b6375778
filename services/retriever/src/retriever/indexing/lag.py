"""Metrics of the index's lag.

Measured by the server too, because the lag grows when the worker, which measures it as well, is
down.
"""

from collections import Counter
from collections.abc import Collection

from prometheus_client import Gauge

from retriever.domain.generation import Outstanding
from retriever.domain.metrics import catalog_label
from retriever.record import Record
from servicekit.clock import now_micros
from servicekit.tasks.supervision import Backoff, pause, supervised

GAUGE_SECONDS, LATEST_SECONDS = 2.0, 30.0
"""Least and most seconds between two measurements. They follow the commits, if those are reported
and the index lacks nothing."""
LAG = Gauge(
    "sightline_index_lag_seconds",
    "Age of the oldest write that the index does not hold.",
    ("catalog", "space"),
)
PENDING = Gauge("sightline_index_pending", "Photos without vector.", ("catalog", "space"))
MISMATCHED = Gauge(
    "sightline_doubted_products", "Products whose photo contradicts their category.", ("catalog",)
)


async def keep_measuring(catalogs: Collection[str], record: Record) -> None:
    """Measure the lag until cancelled: after commits, and periodically while it grows."""
    commits = record.commits()

    async def measure() -> None:
        lags = await measure_lag(catalogs, record)
        await pause(GAUGE_SECONDS, None if lags else commits, LATEST_SECONDS)

    await supervised("lag", measure, Backoff(GAUGE_SECONDS, LATEST_SECONDS))


async def measure_lag(catalogs: Collection[str], record: Record) -> bool:
    """Measure the lag of active generations; with many catalogs, report the worst under one label.
    Return whether one lags.

    Generations that are being built are ignored: no search uses them.
    """
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for outstanding in await record.outstanding(list(catalogs)):
        generation = outstanding.generation
        if not generation.active:
            continue
        lag, pending = await _lag(outstanding, record)
        key = (catalog_label(generation.catalog_id, catalogs), generation.space)
        before = worst.get(key, (0.0, 0))
        worst[key] = (max(before[0], lag), max(before[1], pending))
    for key, (lag, pending) in worst.items():
        LAG.labels(*key).set(lag)
        PENDING.labels(*key).set(pending)
    counts = await record.mismatch_counts(list(catalogs))
    mismatched: Counter[str] = Counter()
    for catalog in catalogs:
        mismatched[catalog_label(catalog, catalogs)] += counts.get(catalog, 0)
    for name, count in mismatched.items():
        MISMATCHED.labels(name).set(count)
    return any(lag or pending for lag, pending in worst.values())


async def _lag(outstanding: Outstanding, record: Record) -> tuple[float, int]:
    """Return how many seconds a generation is behind, and what it waits for."""
    if not (outstanding.changes or outstanding.pending):
        return 0.0, 0
    fresh = await record.freshness(outstanding.generation)
    lag = (now_micros() - fresh.oldest_open) / 1e6 if fresh.oldest_open else 0.0
    return lag, fresh.pending


def forget_lag() -> None:
    """Remove its metrics, which would be outdated."""
    LAG.clear()
    PENDING.clear()
    MISMATCHED.clear()
