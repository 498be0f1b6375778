"""What the search bench makes of what it measured."""

import numpy as np

from bench import search
from sightline_rules.filters import All


def case(name: str, share: float, recalls: list[float]) -> search.Case:
    return search.Case(
        "Milvus Lite",
        name,
        share,
        All(),
        recalls=recalls,
        seconds=[0.01] * len(recalls),
        hydrating=[0.002] * len(recalls),
        bare_recalls=[0.5] * len(recalls),
        bare_seconds=[0.005] * len(recalls),
        plan="graph ef 600",
    )


def test_goals_are_higher_without_a_filter() -> None:
    result = search.result([case("plain", 1.0, [0.985] * 9), case("5%", 0.05, [0.985] * 9)])
    assert [goal.verdict for goal in result.goals] == ["MISSED", "MET"]
    assert len(result.tables[0].rows) == 2


def test_a_goal_is_missed_when_its_interval_reaches_below_it() -> None:
    result = search.result([case("5%", 0.05, [1.0, 1.0, 1.0, 0.94])])
    assert [goal.verdict for goal in result.goals] == ["MISSED"]


def test_the_data_are_the_same_each_time_and_filters_pass_their_share() -> None:
    first, second = search.data(400, 8), search.data(400, 8)
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.queries, second.queries)
    assert sorted(first.ranks) == list(range(400))
    assert [each.name for each in search.cases("x", 400)][:3] == [
        "plain",
        "50.0% by price",
        "50.0% by tag",
    ]
