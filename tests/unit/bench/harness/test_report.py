"""Results are printed completely, and stored under a name with bench, date and commit."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.harness import report
from bench.harness.model import BenchResult, BenchTable, Goal, Interval, chosen_here

RESULT = BenchResult(
    tables=(
        BenchTable("End to end", ("request", "p50"), (("photo", "9.0"),), "as the caller sees it"),
    ),
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


def written(folder: Path, result: BenchResult = RESULT) -> Path:
    return report.write(
        folder / "results",
        "recommend",
        result,
        machine={"cores": 2},
        versions={"grpcio": "1"},
        commit="abc",
        now=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=61.25,
    )


def test_samples_are_named_by_date_and_commit_and_a_summary_by_its_bench(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path.name == "recommend.json"
    samples = path.parent / "raw" / "recommend-2026-01-02-abc.json"
    assert json.loads(samples.read_text()) == json.loads(path.read_text())
    content = json.loads(path.read_text())
    assert content["goals"][1]["verdict"] == "NOT MEASURED"
    assert (content["cases"], content["machine"]) == ([1], {"cores": 2})
    assert content["seconds"] == 61.2
    assert set(path.parent.rglob("*.*")) == {path, samples}


def test_a_summary_describes_what_has_many_samples(tmp_path: Path) -> None:
    figures = {"ms": [n / 7 for n in range(101)], "rounds": [1, 2.5], "names": ["a"] * 99}
    path = written(tmp_path, BenchResult((), {"cases": [figures]}))
    (case,) = json.loads(path.read_text())["cases"]
    assert case["ms"] == {
        **{"samples": 101, "least": 0.0, "p50": 7.14286, "p99": 14.1429},
        **{"most": 14.2857, "mean": 7.14286},
    }
    assert (case["rounds"], case["names"]) == (figures["rounds"], figures["names"])
    assert '"rounds": [1, 2.5]' in path.read_text()
    (samples,) = (path.parent / "raw").iterdir()
    assert json.loads(samples.read_text())["cases"] == [figures]


def test_a_lower_limit_and_large_figures_are_written_out() -> None:
    goal = Goal("events", None, "events/s", Interval(8123.4, 7900, 8300), at_least=5000)
    line = "MET: events (at least 5,000 events/s): 8,123 (7,900 to 8,300)"
    assert report.verdict(goal) == line


def test_a_line_says_that_its_settings_were_chosen_on_the_same_folds() -> None:
    goal = Goal("hits", None, "", Interval(0.8, 0.7, 0.9), at_least=0.6, note=chosen_here("+0.1"))
    line = "MET: hits (at least 0.6 ): 0.8 (0.7 to 0.9); chosen on these folds, +0.1"
    assert report.verdict(goal) == line
    assert chosen_here(None) == "chosen on these folds, not measured on others"
