"""The tables and goals of the bench of latency for given measurements."""

import pytest

from lab.cases import latency
from lab.cases.latency import LatencyCase, Throughput
from sightline.common.v1 import filter_pb2


def case(name: str = "plain", *, suite: float = 0.012, hydration: float = 0.0015) -> LatencyCase:
    number = 20
    return LatencyCase(
        "Milvus Lite",
        "80-d FLAT",
        name,
        None if name == "plain" else filter_pb2.Filter(),
        plan="flat, 1 round, 400 rows",
        suite=[suite] * number,
        hydration=[hydration] * number,
        unread=[0.004] * number,
        bare=[0.009] * number,
        hop=[0.001] * number,
    )


def test_reading_the_record_is_not_counted_twice() -> None:
    assert case(suite=0.0125, hydration=0.0015).ratios == pytest.approx([1.1] * 20)


def test_each_case_has_a_ratio_to_keep_and_hydration_counts_where_nothing_is_filtered() -> None:
    slow = case("1% by brand", suite=0.02, hydration=0.004)
    result = latency.result(
        [case(), slow], [Throughput("Milvus Lite", "80-d FLAT", {1: 70, 8: 90})]
    )
    assert [goal.verdict for goal in result.goals] == ["MET", "MET", "MISSED"]
    assert [goal.unit for goal in result.goals] == ["", "ms", ""]
    missed = latency.result([case(hydration=0.0021)], [])
    assert [goal.verdict for goal in missed.goals] == ["MET", "MISSED"]
    left_out = latency.result(
        [], [], [LatencyCase("Milvus Lite", "80-d HNSW", "plain", None)]
    ).goals
    assert [goal.verdict for goal in left_out] == ["NOT MEASURED"] * 2


@pytest.mark.parametrize(
    ("plan", "route", "ef", "made_up", "rows"),
    [
        ("flat, 1 round, 400 rows", "flat", None, None, "400"),
        ("graph ef 1600, 1 round, 400 rows, about 100% pass", "graph", "1600", None, "400"),
        (
            "graph ef 6400, then exact over 50 matches, 1 round, 50 rows",
            "graph",
            "6400",
            ", then exact",
            "50",
        ),
        ("in memory, 10000 rows compared", "in memory", None, None, None),
        ("exact over 100 matches, 1 round, 100 rows, by brand", "exact", None, None, "100"),
    ],
)
def test_the_peer_does_what_the_plan_says(
    plan: str, route: str, ef: str | None, made_up: str | None, rows: str | None
) -> None:
    found, counted = latency._PLAN.match(plan), latency._ROWS.search(plan)
    assert found is not None
    assert (found["route"], found["ef"], found["made_up"]) == (route, ef, made_up)
    assert (counted and counted["rows"]) == rows
