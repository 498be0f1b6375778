"""Metrics of recall and of the lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prometheus_client import CollectorRegistry

from retriever.domain.generation import Freshness, Generation, Outstanding
from retriever.indexing.lag import LAG, MISMATCHED, PENDING, forget_lag, measure_lag
from retriever.search.recall.metrics import RecallCollector
from retriever.search.recall.watchdog import LEAST_LOOKS
from servicekit.clock import now_micros
from tests.unit.retriever.search.recall.test_subset import MADE
from tests.unit.retriever.search.recall.test_watchdog import Watched


async def test_metrics_tell_the_worst_of_all_generations_and_of_many_catalogs() -> None:
    watched = await Watched().settled()
    await watched.search(LEAST_LOOKS)
    good = watched.dog.verdicts()[0].recall.value
    watched.generation, watched.lost = replace(MADE, collection="bad", catalog_id="b"), 0.3
    await (await watched.settled()).search(LEAST_LOOKS)
    few, many = CollectorRegistry(), CollectorRegistry()
    few.register(RecallCollector(watched.dog, ["default", "b"]))
    many.register(RecallCollector(watched.dog, [str(n) for n in range(21)]))
    labels = {"space": "visual", "plan": "graph", "filter": "none"}

    def value(registry: CollectorRegistry, name: str, catalog: str) -> float | None:
        return registry.get_sample_value(name, labels | {"catalog": catalog})

    assert value(few, "sightline_recall", "default") == good == 1.0
    assert value(few, "sightline_recall_below_floor", "default") == 0.0
    worst = value(few, "sightline_recall", "b")
    assert worst is not None
    assert worst < 0.8
    assert value(many, "sightline_recall", "several") == worst
    assert value(many, "sightline_recall_below_floor", "several") == 1.0
    assert many.get_sample_value(
        "sightline_watched_searches_total", {"outcome": "looked"}
    ) == float(watched.dog.looked)


async def test_the_lag_is_reported_for_each_catalog_or_the_worst_of_many() -> None:
    class Lagging:
        async def outstanding(self, catalogs: Sequence[str]) -> list[Outstanding]:
            behind = [
                Outstanding(replace(MADE, catalog_id=n), n == "1", n == "1") for n in catalogs
            ]
            return [*behind, Outstanding(replace(MADE, active=False), changes=True, pending=True)]

        async def freshness(self, generation: Generation) -> Freshness:
            assert generation.catalog_id == "1", "of the others it is known already"
            return Freshness(1, 2, 0, now_micros() - 7_000_000, 3)

        async def mismatch_counts(self, catalogs: Sequence[str]) -> dict[str, int]:
            return {name: int(name) for name in catalogs if name != "0"}

    def lag(catalog: str) -> float:
        return float(LAG.labels(catalog, "visual")._value.get())

    forget_lag()
    await measure_lag(["0", "1"], Lagging())
    assert (lag("0"), round(lag("1"))) == (0, 7)
    await measure_lag([str(number) for number in range(21)], Lagging())
    assert round(lag("several")) == 7
    assert PENDING.labels("several", "visual")._value.get() == 3
    assert MISMATCHED.labels("1")._value.get() == 1
    assert MISMATCHED.labels("several")._value.get() == sum(range(21))
    forget_lag()
    assert not next(iter(LAG.collect())).samples
