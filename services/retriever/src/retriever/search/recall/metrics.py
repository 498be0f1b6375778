"""Metrics of the recall watchdog."""

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retriever.domain.metrics import catalog_label
from retriever.search.recall.watchdog import RecallVerdict, Watchdog


class RecallCollector(Collector):
    """Collector of the watchdog's metrics, computed when they are read."""

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
    """Name, help, and field of a verdict. Of several generations or catalogs the worst value is
    exported: the lowest, or for `below_floor` the highest."""

    def __init__(self, watchdog: Watchdog, catalogs: Collection[str]) -> None:
        self._watchdog = watchdog
        self._catalogs = catalogs

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        groups: dict[tuple[str, ...], list[RecallVerdict]] = {}
        for verdict in self._watchdog.verdicts():
            kind = verdict.kind
            catalog = catalog_label(kind.catalog_id, self._catalogs)
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
            "Searches that the watchdog checked (outcome=looked) or had no time for (let_go).",
            labels=("outcome",),
        )
        watched.add_metric(("looked",), self._watchdog.looked)
        watched.add_metric(("let_go",), self._watchdog.let_go)
        yield watched
