"""Results are printed whole and kept under a name that says when and of what."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.harness import report
from bench.harness.model import Goal, Interval, Result, Table

RESULT = Result(
    tables=(Table("End to end", ("request", "p50"), (("photo", "9.0"),), "as the caller sees it"),),
    figures={"cases": [1]},
    goals=(
        Goal("p99", 10, "ms", Interval(9, 8, 9.5)),
        Goal("gpu", 5, "ms", None, missing="no GPU"),
    ),
    warnings=("degraded answers",),
)


def test_everything_is_printed() -> None:
    out = io.StringIO()
    report.show(Console(file=out, width=120), RESULT, {"cores": 2})
    for text in (
        *("End to end", "photo", "9.0", "as the caller sees it", "Beware: degraded answers"),
        *("MET: p99 (at most 10 ms): 9 (8 to 9.5)", "NOT MEASURED: gpu (at most 5 ms): no GPU"),
        "cores 2",
    ):
        assert text in out.getvalue()


def test_the_file_is_named_by_date_and_commit(tmp_path: Path) -> None:
    path = report.write(
        tmp_path / "results",
        "recommend",
        RESULT,
        machine={"cores": 2},
        versions={"grpcio": "1"},
        commit="abc",
        now=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=61.25,
    )
    assert path.name == "recommend-2026-01-02-abc.json"
    content = json.loads(path.read_text())
    assert content["goals"][1]["verdict"] == "NOT MEASURED"
    assert (content["cases"], content["machine"]) == ([1], {"cores": 2})
    assert content["seconds"] == 61.2
    assert list(path.parent.iterdir()) == [path]


def test_a_lower_limit_and_large_figures_are_written_out() -> None:
    goal = Goal("events", None, "events/s", Interval(8123.4, 7900, 8300), at_least=5000)
    line = "MET: events (at least 5,000 events/s): 8,123 (7,900 to 8,300)"
    assert report.verdict(goal) == line
