"""Figures of shoppers without a model: the metric, the counts of films, and the goals."""

import tomllib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from lab.cases import personal
from lab.cases.personal import OURS, PersonalFigures, result
from lab.cases.personal_films import Untrained
from lab.cases.personal_shops import DAYS, Phase, ndcg, recent, scene_alone
from ranker.domain.counting import ALL, VIEWED
from ranker.domain.recommenders import Near
from ranker.learning.evaluation.histories import Histories
from sightline_client import Event, EventType


def test_ndcg_is_1_for_all_wanted_products_first_and_falls_with_their_places() -> None:
    assert ndcg(["a", "b", "c"], {"a", "b"}) == pytest.approx(1.0)
    assert ndcg(["c", "a", "b"], {"a", "b"}) < 1.0
    assert ndcg(["c"], {"a"}) == 0.0


def test_films_that_were_viewed_with_the_last_ones_come_first() -> None:
    pairs = {"a": [("a", 8, 8), ("b", 7, 9), ("c", 1, 9)], ALL: [(ALL, 40, 40)]}
    near = {
        film: [Near(VIEWED, film, other, count, others) for other, count, others in each]
        for film, each in pairs.items()
    }
    weights = {"co_view": 1.0, "popularity": 0.1}
    made = Untrained(near, np.array([1.0, 0.2, 0.9]), ("a", "b", "c"), weights)
    ann = Histories(
        ("ann",), np.array([0, 1]), np.array([0]), np.zeros(1, dtype=bool), np.zeros(1, np.int64)
    )
    (scores,) = made.scores(ann)
    assert scores[1] > scores[2]


def test_events_of_ten_years_become_those_of_the_last_weeks_in_their_order() -> None:
    years = {"b": 2019, "a": 2012, "c": 2021}
    given = [
        Event(item, EventType.CLICK, item, user="ann", time=datetime(year, 1, 1, tzinfo=UTC))
        for item, year in years.items()
    ]
    made = recent(given)
    assert [one.product_id for one in made] == ["a", "b", "c"]
    times = [one.time for one in made if one.time]
    assert times == sorted(times)
    assert datetime.now(UTC) - times[0] < timedelta(days=DAYS, minutes=1)


def test_the_model_alone_answers_by_the_same_scene_without_last_products() -> None:
    scene = tomllib.loads(scene_alone())
    assert "parts_with_history" not in scene
    assert {"branches", "parts_without_signals", "diversity"} <= scene.keys()


def test_goals_compare_with_popularity_and_with_item_knn_where_there_are_events() -> None:
    draw = np.random.default_rng(1)
    ours = draw.uniform(0.2, 0.4, 50)
    columns = {OURS: ours, personal.POPULARITY: ours - 0.1, personal.ITEM_KNN: ours * 2}
    figures = PersonalFigures(
        {("wines: no events of others", 1): columns, (f"wines: {Phase.EVENTS}", 1): columns}
    )
    found = {goal.name: goal.verdict for goal in result(figures).goals}
    for phase in (Phase.EMPTY, Phase.EVENTS):
        name = f"nDCG@10 ahead of popularity, wines: {phase}, events: 1"
        assert found[name] is GoalVerdict.MET
    share = "share of item-kNN's nDCG@10, wines: {}, events: 1"
    assert found[share.format(Phase.EVENTS)] is GoalVerdict.MISSED
    assert share.format(Phase.EMPTY) not in found
    assert found["nDCG@10 ahead of popularity, films, events: 1"] is GoalVerdict.NOT_MEASURED
