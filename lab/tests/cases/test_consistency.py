"""The tables and goals of the bench of consistency for given measurements."""

from lab.cases import consistency
from lab.cases.consistency import ConsistencyFigures


def found(lag: float = 0.4, offers: float = 8_000, late: float = 0.0) -> ConsistencyFigures:
    number = 100
    return ConsistencyFigures(
        "Milvus Lite",
        "80-d FLAT",
        lags=[lag] * number,
        gauges=[0.1],
        late=[late] * number,
        acknowledged=[0.01] * number,
        upserts_per_second=499.0,
        offers_per_second=[offers] * number,
    )


def test_lag_and_offers_are_goals() -> None:
    verdicts = [goal.verdict for goal in consistency.result([found()]).goals]
    assert verdicts == ["MET", "MET"]
    slow = consistency.result([found(lag=1.1, offers=4_900)])
    assert [goal.verdict for goal in slow.goals] == ["MISSED", "MISSED"]


def test_a_bench_that_fell_behind_says_so() -> None:
    """Check the warning: late writes come more slowly than the goal assumes."""
    assert consistency.result([found()]).warnings == ()
    (warning,) = consistency.result([found(late=0.8)]).warnings
    assert "0.8 s late" in warning
