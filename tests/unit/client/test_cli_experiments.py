"""``sightline experiments``: requests and output."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline.ranker.v1 import experiment_service_pb2 as pb
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_reports import ORDER, VERDICT, experiment_report


def typed(gateway: FakeGateway, *words: str) -> Result:
    return CliRunner().invoke(app, ["experiments", *words, "--target", gateway.target])


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_list_shows_what_runs_and_what_is_wrong_with_the_files(gateway: FakeGateway) -> None:
    assert "No experiments." in typed(gateway, "list").stdout
    ended = pb.Experiment()
    ended.CopyFrom(ORDER)
    ended.end_time.seconds = 1_769_904_000
    later = pb.Experiment()
    later.CopyFrom(ORDER)
    later.start_time.seconds = 4_102_444_800
    gateway.experiments = pb.ListExperimentsResponse(
        experiments=[ORDER, ended, later], problem="arms[1].share: order: is changed"
    )

    printed = flat(typed(gateway, "list").stdout)

    row = "order {} home control 50%, b 50% home 0–0.5 click_rate"
    for state in ("since 2026-01-01", "ended 2026-02-01", "begins 2100-01-01"):
        assert row.format(state) in printed
    assert "the previous ones stay in use: arms[1].share: order: is changed" in printed


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("BETTER", "b is better than control: click_rate changes by +0.0500 (+25.0%)."),
        ("WORSE", "b is worse than control: click_rate changes by +0.0500 (+25.0%)."),
        ("UNDECIDED", "Undecided between b and control: click_rate by +0.0500 (+25.0%); 210 units"),
        ("TOO_FEW", "Too few counted units of b or control"),
        ("GUARDRAIL_BROKEN", "Stop b: hide_rate is worse than in control beyond the margin."),
        ("SAMPLE_RATIO_MISMATCH", "No conclusion on b: the arms' numbers of units contradict"),
    ],
)
def test_the_report_begins_with_what_follows(
    gateway: FakeGateway, verdict: str, sentence: str
) -> None:
    gateway.experiment_report = experiment_report(
        VERDICT.Value(f"VERDICT_{verdict}"), mixed_unit_count=3
    )

    printed = flat(typed(gateway, "show", "order").stdout)

    assert printed.startswith(sentence)
    assert gateway.requests["GetExperimentReport"][-1].name == "order"
    assert "b 50.0% 490 390" in printed
    assert "click_rate (decides) control 0.2000 – –" in printed
    assert "b 0.2500 +0.0500 +0.0100 to +0.0900" in printed
    assert "hide_rate (guardrail 0.01) control" in printed
    assert "counted: exposed at least 24 hours ago" in printed
    assert "Saw several arms, and count in the first one: 3 units." in printed
    shown = json.loads(typed(gateway, "show", "order", "--json").stdout)
    assert shown["arms"][1]["verdict"] == f"VERDICT_{verdict}"


def test_a_spreadsheet_runs_no_cell_of_the_table(gateway: FakeGateway, tmp_path: Path) -> None:
    unit = pb.ExperimentUnit(unit="=1+2", arm="@b", revenue=-1.5)
    gateway.experiment_units = iter([pb.ListExperimentUnitsResponse(units=[unit])])
    typed(gateway, "export", "order", str(tmp_path / "units.csv"))
    with (tmp_path / "units.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["unit"], row["arm"], row["revenue"]) == ("'=1+2", "'@b", "-1.5")


def test_units_of_all_pages_become_a_table(gateway: FakeGateway, tmp_path: Path) -> None:
    unit = pb.ExperimentUnit(unit="ab", arm="b", click_count=2, revenue=1.5)
    unit.exposure_time.seconds = 1_767_225_600
    gateway.experiment_units = iter(
        [
            pb.ListExperimentUnitsResponse(units=[unit], next_page_token="t"),
            pb.ListExperimentUnitsResponse(units=[unit]),
        ]
    )

    done = typed(gateway, "export", "order", str(tmp_path / "units.csv"))

    assert "2 units written" in flat(done.stdout)
    with (tmp_path / "units.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert rows[0] == {
        "unit": "ab",
        "arm": "b",
        "exposure_time": "2026-01-01T00:00:00+00:00",
        "click_count": "2",
        "purchase_count": "0",
        "revenue": "1.5",
        "hide_count": "0",
    }
