"""The report of new films without and with `content`, from made figures."""

import numpy as np
import pytest

from bench.harness.model import GoalVerdict
from lab.cases import new_films
from lab.cases import new_films_report as report
from lab.cases.new_films import LEAST, WITH, WITHOUT
from lab.cases.quality import AUC, NDCG, SHOWN, SystemFigures

MET, MISSED, NOT_MEASURED = (GoalVerdict.MET, GoalVerdict.MISSED, GoalVerdict.NOT_MEASURED)


def _figures(auc: float, ndcg: float) -> SystemFigures:
    values = {**dict.fromkeys(SHOWN, 0.5), AUC: auc, NDCG: ndcg}
    return SystemFigures({name: np.full(50, value) for name, value in values.items()}, 1.0)


def _verdicts(found: report.Found) -> dict[str, GoalVerdict]:
    return {each.name: each.verdict for each in new_films._goals(found)}


def test_goals_are_levels_with_content_and_what_it_gains() -> None:
    low, high = _figures(0.72, 0.27), _figures(0.75, 0.30)

    assert set(_verdicts({WITH: (low, high), WITHOUT: (low, high)}).values()) == {MET}
    assert set(_verdicts({WITH: (high, low), WITHOUT: (high, low)}).values()) == {MISSED}


def test_a_level_is_decided_by_the_figure_of_its_own_films() -> None:
    low, middle = _figures(0.72, 0.27), _figures(0.74, 0.29)

    found = _verdicts({WITH: (low, middle), WITHOUT: (low, middle)})

    assert found[f"{AUC}, new films, {WITH}"] == MISSED
    assert found[f"{NDCG}, new films, {WITH}"] == MISSED
    assert found[f"{AUC}, new films, {WITHOUT}"] == MET
    assert found[f"{NDCG}, new films, {WITHOUT}"] == MET


def test_goals_with_posters_are_not_measured_without_posters() -> None:
    found = _verdicts({WITHOUT: (_figures(0.72, 0.27), _figures(0.75, 0.30))})

    assert len(found) == 2 * len(LEAST)
    assert {verdict for name, verdict in found.items() if WITH in name} == {NOT_MEASURED}
    assert {verdict for name, verdict in found.items() if WITHOUT in name} == {MET}


def test_gains_are_paired_by_shopper() -> None:
    shoppers = np.random.default_rng(0).random(200)
    pair = [SystemFigures(dict.fromkeys(SHOWN, shoppers + more), 1.0) for more in (0.0, 0.01)]

    found = report.gain((pair[0], pair[1]), NDCG)

    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert pair[1].interval(NDCG).low < pair[1].interval(NDCG).high - 0.01


def test_the_table_and_the_figures_have_both_metrics_of_each_set_of_films() -> None:
    found = {WITHOUT: (_figures(0.72, 0.27), _figures(0.75, 0.30))}

    table, figures = report.table("New films", found, "content"), report.figures(found)

    assert [row[:2] for row in table.rows] == [(WITHOUT, AUC), (WITHOUT, NDCG)]
    assert table.rows[1][2:] == (
        *("0.2700 (0.2700 to 0.2700)", "0.3000 (0.3000 to 0.3000)", "0.0300 (0.0300 to 0.0300)"),
    )
    assert set(figures) == {WITHOUT}


@pytest.mark.parametrize("given", ["", "/nowhere"])
def test_without_the_data_no_goal_is_measured(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_DATA", given)

    result = new_films.run(pytest.fail)

    assert {each.verdict for each in result.goals} == {NOT_MEASURED}
    assert any("$SIGHTLINE_DATA/ml100k" in warning for warning in result.warnings)
