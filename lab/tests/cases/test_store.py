"""The bench of the ranker's store, on a small store."""

import pytest

from bench.harness.model import GoalVerdict
from lab.cases import store
from tests.postgres import NoPostgreSQL


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {"STORED": 200, "FILLING": 100, "BATCH": 20, "BATCHES": 3, "READS": 5}
    for name, value in {**changed, "SMALL": {1: 16}, "SHOPPERS": (5, 9)}.items():
        monkeypatch.setattr(store, name, value)


@pytest.mark.slow
def test_both_engines_are_measured_beside_bare_writes(small: None) -> None:
    found = store.run(lambda line: None)
    writes, reads = found.tables
    assert {len(row) for row in writes.rows} == {len(writes.headers)}
    assert [row[:2] for row in reads.rows[:2]] == [("SQLite", "5"), ("SQLite", "9")]
    assert len(found.goals) == 6


def test_an_engine_that_is_not_here_is_not_measured(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise NoPostgreSQL

    monkeypatch.setattr(store, "postgresql", absent)
    said: list[str] = []
    found = store.run(said.append)
    assert [goal.verdict for goal in found.goals[3:]] == [GoalVerdict.NOT_MEASURED] * 3
    assert any(line.startswith("NOT MEASURED") for line in said)
