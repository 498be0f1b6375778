"""The bench of quality reads MovieLens as it is published, and measures nothing without it."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from bench.datasets import movielens
from bench.harness.model import GoalVerdict
from lab.cases import quality
from lab.cases.quality import SystemFigures
from ranker.domain.events import EventType

ITEMS = """1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0
2|Café (1931)|01-Jan-1931||http://x|0|0|0|0|0|0|0|0|1|0|0|0|0|0|1|0|0|0|0
267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0
"""
DATA = "7\t2\t1\t881250949\n12\t1\t5\t881250950\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "ml100k"
    folder.mkdir()
    (folder / "u.item").write_text(ITEMS, encoding="latin-1")
    with gzip.open(folder / "u.data.gz", "wt") as file:
        file.write(DATA)
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path))
    return folder


def test_films_are_products_and_ratings_are_events(data: Path) -> None:
    assert movielens.folder() == data
    found = movielens.load(data)
    toys, cafe, unknown = found.products
    assert toys.product_id == "film-0001"
    assert toys.tags == ("Animation", "Children's", "Comedy")
    assert cafe.attributes == (("decade", "1930s"),)
    assert (unknown.tags, unknown.attributes) == (("unknown",), ())
    assert found.titles == ("Toy Story", "Café", "unknown")
    log = found.log
    assert (log.actors, log.items) == (("user-0007", "user-0012"), ("film-0001", "film-0002"))
    assert log.time.tolist() == [881250949 * 10**6, 881250950 * 10**6]
    assert log.is_type(EventType.RATING).all()


def test_every_rating_is_a_liking_of_the_same_weight(data: Path) -> None:
    from ranker.domain.signals import interests

    found = interests(movielens.load(data).log, movielens.SIGNALS)
    assert found.weight.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("given", ["", "/nowhere"])
def test_without_the_data_every_goal_is_not_measured(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_DATA", given)
    result = quality.run(pytest.fail)
    assert result.goals
    assert {goal.verdict for goal in result.goals} == {GoalVerdict.NOT_MEASURED}
    assert any("$SIGHTLINE_DATA/ml100k" in warning for warning in result.warnings)


def test_being_ahead_is_decided_by_pairs() -> None:
    draw = np.random.default_rng(0)
    theirs = draw.random(200)
    each = {
        name: SystemFigures(dict.fromkeys(quality.SHOWN, values), 0.5)
        for name, values in ((quality.OURS, theirs + 0.01), ("EASE", theirs))
    }
    ahead = quality._ahead(each, "EASE")
    assert ahead.value == pytest.approx(0.01)
    assert ahead.low == pytest.approx(0.01)
    both = quality.joined(list(each.values()))
    assert len(both.by_shopper[quality.NDCG]) == 400


def test_the_page_has_each_figure_of_each_system_and_what_we_are_ahead_by() -> None:
    def figures(value: float) -> SystemFigures:
        return SystemFigures({name: np.full(30, value) for name in quality.SHOWN}, value)

    tests = {
        "known": {quality.OURS: figures(0.5), "EASE": figures(0.25)},
        "new": {quality.OURS: figures(0.75)},
    }
    table = quality.page_table(tests)
    assert table.headers == ("asked", "figure", quality.OURS, "EASE")
    sure = "0.500 (0.500 to 0.500)"
    assert table.rows[:4] == (
        ("known", quality.NDCG, sure, "0.250"),
        ("known", quality.AUC, sure, "0.250"),
        ("known", quality.COVERAGE, "0.500", "0.250"),
        ("known", "ndcg@10: ahead by", "", "0.250 (0.250 to 0.250)"),
    )
    assert [row[0] for row in table.rows[4:]] == ["new"] * 3
