"""Metrics of the index's lag.

Measured by the server too, because the lag grows when the worker, which measures it as well, is
down.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence

from prometheus_client import Gauge

from retriever.domain.generation import Outstanding
from retriever.domain.metrics import catalog_label
from retriever.ports.indexing import LagRecord
from servicekit.clock import now_micros
from servicekit.errors import ServiceError

GAUGE_SECONDS = 2.0
LAG = Gauge(
    "sightline_index_lag_seconds",
    "Age of the oldest write that the index does not hold.",
    ("catalog", "space"),
)
PENDING = Gauge("sightline_index_pending", "Photos without vector.", ("catalog", "space"))
MISMATCHED = Gauge(
    "sightline_doubted_products", "Products whose photo contradicts their category.", ("catalog",)
)


async def keep_measuring(catalogs: Sequence[str], record: LagRecord) -> None:
    """Measure the lag periodically until cancelled."""
    while True:
        with contextlib.suppress(ServiceError):
            await measure_lag(catalogs, record)
        await asyncio.sleep(GAUGE_SECONDS)


async def measure_lag(catalogs: Sequence[str], record: LagRecord) -> None:
    """Measure the lag of active generations; with many catalogs, report the worst under one label.

    Generations that are being built are ignored: no search uses them.
    """
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for outstanding in await record.outstanding(catalogs):
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
    counts = await record.mismatch_counts(catalogs)
    mismatched: Counter[str] = Counter()
    for catalog in catalogs:
        mismatched[catalog_label(catalog, catalogs)] += counts.get(catalog, 0)
    for name, count in mismatched.items():
        MISMATCHED.labels(name).set(count)


async def _lag(outstanding: Outstanding, record: LagRecord) -> tuple[float, int]:
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
