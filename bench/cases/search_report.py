"""Tables, figures and goals of the benches of search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from bench.peers.bare_search import recall
from sightline_rules.filters import Filter

TOP = 100
"""Number of requested products."""
LEAST_PLAIN, LEAST_FILTERED = 0.99, 0.98


@dataclass(slots=True)
class SearchSamples:
    """Recalls and seconds of one way to search, by query."""

    recalls: list[float] = field(default_factory=list)
    """Recall of the first 100."""
    near: list[float] = field(default_factory=list)
    """Recall of the first 10."""
    seconds: list[float] = field(default_factory=list)
    rate: float = 0.0
    """Answers a second with 8 clients; 0 if not measured."""

    @property
    def alone(self) -> float:
        """Answers a second with one client."""
        return len(self.seconds) / sum(self.seconds)

    def note(self, found: Sequence[object], expected: Sequence[object], seconds: float) -> None:
        """Record one answer, best first."""
        self.recalls.append(recall(found, expected, TOP))
        self.near.append(recall(found, expected, 10))
        self.seconds.append(seconds)


@dataclass(slots=True)
class SearchCase:
    """One filter on one collection."""

    engine: str
    count: int
    dimension: int
    name: str
    share: float
    condition: Filter
    ours: SearchSamples = field(default_factory=SearchSamples)
    bare: SearchSamples = field(default_factory=SearchSamples)
    graph: SearchSamples = field(default_factory=SearchSamples)
    """Samples of faiss; empty if not measured."""
    flat: SearchSamples = field(default_factory=SearchSamples)
    hydrating: list[float] = field(default_factory=list)
    """Seconds that reading the record took."""
    plan: str = ""
    """Plan of the last query."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of building a collection."""

    engine: str
    count: int
    dimension: int
    insert_seconds: float
    build_seconds: float
    """Seconds of building this and the other collections in parallel."""
    record_seconds: float
    faiss_seconds: float
    """Seconds of building faiss's graph with two threads; 0 if it was not built."""
    engine_bytes: int
    """Proportional memory (PSS) of the engine's processes with all its collections so far."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """Figures of one engine."""

    cases: list[SearchCase]
    costs: list[Costs]


def result(done: Sequence[EngineFigures], goals: Sequence[Goal] = ()) -> BenchResult:
    """Return tables, figures and goals of the measurements, followed by the `other` goals."""
    cases = [case for each in done for case in each.cases]
    costs = [cost for each in done for cost in each.costs]
    return BenchResult(
        tables=(_recalls(cases), _latencies(cases), _rates(cases), _costs(costs)),
        figures={
            "cases": [_figures(case) for case in cases],
            "costs": [_cost_figures(cost) for cost in costs],
        },
        goals=[*(_goal(case) for case in cases), *goals],
    )


def _place(case: SearchCase) -> tuple[str, str]:
    return _size(case), case.name


def _size(of: SearchCase | Costs) -> str:
    return f"{of.engine.removeprefix('Milvus ')} {of.count:,} × {of.dimension:,}"


def _recalls(cases: Sequence[SearchCase]) -> BenchTable:
    def shown(seen: SearchSamples) -> Iterator[str]:
        yield f"{np.mean(seen.recalls):.3f}" if seen.recalls else "–"

    return BenchTable(
        title=f"Recall of the nearest {TOP} and 10: mean and lowest decile",
        headers=(
            *("engine", "filter", f"@{TOP}", "decile", "@10", "decile"),
            *("bare", "faiss", "plan"),
        ),
        rows=tuple(
            (
                *_place(case),
                f"{np.mean(case.ours.recalls):.3f}",
                f"{np.percentile(case.ours.recalls, 10):.2f}",
                f"{np.mean(case.ours.near):.3f}",
                f"{np.percentile(case.ours.near, 10):.2f}",
                *shown(case.bare),
                *shown(case.graph),
                case.plan,
            )
            for case in cases
        ),
        caption=(
            f"Bare: pymilvus alone, the same collection and filter, limit {TOP}, the generation's "
            "own ef. faiss: HNSW in-process with the same m, ef_construction and ef. The plan is "
            "that of the last query."
        ),
    )


def _latencies(cases: Sequence[SearchCase]) -> BenchTable:
    def shown(seen: SearchSamples, share: float = 0.5) -> str:
        return f"{1e3 * percentile(seen.seconds, share).value:.1f}" if seen.seconds else "–"

    return BenchTable(
        title="Milliseconds of a search, one client",
        headers=(
            *("engine", "filter", "p50", "p99", "of it record", "bare p50", "bare p99"),
            *("faiss p50", "faiss flat p50"),
        ),
        rows=tuple(
            (
                *_place(case),
                shown(case.ours),
                shown(case.ours, 0.99),
                f"{1e3 * percentile(case.hydrating, 0.5).value:.1f}",
                shown(case.bare),
                shown(case.bare, 0.99),
                shown(case.graph),
                shown(case.flat),
            )
            for case in cases
        ),
        caption=(
            "Ours: record, planner and engine, without the suite's own gRPC. faiss runs on one "
            "core and gets the matching products beforehand."
        ),
    )


def _rates(cases: Sequence[SearchCase]) -> BenchTable:
    return BenchTable(
        title="Searches a second",
        headers=("engine", "filter", "1 client", "8 clients", "bare 1", "bare 8"),
        rows=tuple(
            (
                *_place(case),
                f"{case.ours.alone:.0f}",
                f"{case.ours.rate:.0f}",
                f"{case.bare.alone:.0f}",
                f"{case.bare.rate:.0f}",
            )
            for case in cases
        ),
        caption="Ours in one event loop, as in the service; bare pymilvus in as many threads.",
    )


def _costs(costs: Sequence[Costs]) -> BenchTable:
    return BenchTable(
        title="Cost of building the collections",
        headers=("engine", "insert s", "graph s", "record s", "faiss graph s", "engine GiB"),
        rows=tuple(
            (
                _size(cost),
                f"{cost.insert_seconds:.0f}",
                f"{cost.build_seconds:.0f}",
                f"{cost.record_seconds:.0f}",
                f"{cost.faiss_seconds:.0f}" if cost.faiss_seconds else "–",
                f"{cost.engine_bytes / 2**30:.2f}",
            )
            for cost in costs
        ),
        caption=(
            "Rows are inserted in bulk; the record is filled while the graph is built. Memory is "
            "proportional (PSS), of all collections that the engine holds by then. Milvus Lite "
            "builds its graph at the first search."
        ),
    )


def _figures(case: SearchCase) -> dict[str, object]:
    ways = {"ours": case.ours, "bare": case.bare, "faiss": case.graph, "faiss_flat": case.flat}
    return {
        "engine": case.engine,
        "products": case.count,
        "dimension": case.dimension,
        "filter": case.name,
        "plan": case.plan,
        "hydrate_p50_seconds": percentile(case.hydrating, 0.5).value,
        **{name: _seen_figures(seen) for name, seen in ways.items() if seen.seconds},
    }


def _seen_figures(seen: SearchSamples) -> dict[str, float]:
    return {
        "recall": float(np.mean(seen.recalls)),
        "recall_lowest_decile": float(np.percentile(seen.recalls, 10)),
        "recall_at_10": float(np.mean(seen.near)),
        "recall_at_10_lowest_decile": float(np.percentile(seen.near, 10)),
        "p50_seconds": percentile(seen.seconds, 0.5).value,
        "p99_seconds": percentile(seen.seconds, 0.99).value,
        "rate_1_client": seen.alone,
        "rate_8_clients": seen.rate,
    }


def _cost_figures(cost: Costs) -> dict[str, object]:
    return {name: getattr(cost, name) for name in Costs.__slots__}


def _goal(case: SearchCase) -> Goal:
    """Return the goal of mean recall with its 95% interval by the normal approximation."""
    mean = float(np.mean(case.ours.recalls))
    spread = 1.96 * float(np.std(case.ours.recalls)) / len(case.ours.recalls) ** 0.5
    return Goal(
        name=f"recall@{TOP}, {', '.join(_place(case))}",
        at_most=None,
        unit="",
        measured=Interval(mean, mean - spread, min(1.0, mean + spread)),
        at_least=LEAST_PLAIN if case.share == 1.0 else LEAST_FILTERED,
    )
