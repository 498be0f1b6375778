"""The generated events, and the figures of the bench."""

import csv
from pathlib import Path

import pytest

from bench.cases import events
from bench.cases.events import EventFigures, FileImport

MIB = 2**20


def found(long_mib: int, rows: int = events.LONG, ranker_mib: int = 500) -> EventFigures:
    small = [FileImport(100_000, 10, size * MIB, 5 * size * MIB) for size in (98, 100, 102)]
    rates = [6000.0, 7000, 8000, 7000, 7000, 7100, 7200, 7300, 6900, 6800]
    return EventFigures(rates, small, FileImport(rows, 100, long_mib * MIB, ranker_mib * MIB))


def test_ids_differ_between_files_and_within_one() -> None:
    ids = [event.event_id for name in ("a", "b") for event in events.make(name, 500)]
    assert len(set(ids)) == 1000


def test_the_same_name_makes_the_same_events() -> None:
    assert list(events.make("a", 50)) == list(events.make("a", 50))


def test_a_file_holds_a_row_for_every_event(tmp_path: Path) -> None:
    events.write(tmp_path / "events.csv", "a", 20)
    with (tmp_path / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["event_id"] for row in rows] == [f"a-{number}" for number in range(20)]
    assert {row["type"] for row in rows} <= {"VIEW", "CLICK", "ADD_TO_CART", "PURCHASE"}


@pytest.mark.parametrize(("mib", "verdict"), [(104, "MET"), (109, "MISSED"), (300, "MISSED")])
def test_memory_is_flat_only_beside_the_smallest_of_the_short_imports(
    mib: int, verdict: str
) -> None:
    assert events.goals(found(mib))[1].verdict == verdict
    assert events.goals(found(100, ranker_mib=5 * mib))[1].verdict == verdict


def test_the_goal_is_on_the_program_that_grew_more_and_both_are_printed() -> None:
    measured = found(105, ranker_mib=800)
    goal = events.goals(measured)[1]
    assert goal.measured == events.ranker_growth(measured)
    caption = events.table(measured).caption
    assert "×1.05" in caption
    assert "×1.60" in caption


def test_the_rate_is_the_median_of_the_chunks() -> None:
    rate = events.goals(found(100))[0]
    assert rate.measured is not None
    assert (rate.measured.value, rate.verdict) == (7000, "MET")
