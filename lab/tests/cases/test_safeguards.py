"""The settings of the bench of safeguards, and its result for given measurements."""

from pathlib import Path

import pytest

from bench.cases.monolith.asking import PRODUCT, USER
from bench.cases.monolith.contenders import SUITE
from bench.cases.monolith.load import LoadCell
from bench.harness.model import GoalVerdict
from lab.cases import safeguards
from local_suite.programs import sightline
from servicekit.admission.quotas import QuotaKind


def cell(name: str, costs: list[float]) -> LoadCell:
    return LoadCell(name, PRODUCT, 8, costs=costs)


def test_processor_time_with_safeguards_stands_beside_that_without() -> None:
    plain, guarded = cell(SUITE, [10.0, 10.0, 10.0]), cell(safeguards.GUARDED, [11.0, 11.0, 11.0])
    found = safeguards.result({(each.contender, PRODUCT, 8): each for each in (plain, guarded)})
    verdicts = {goal.name.partition(":")[0]: goal.verdict for goal in found.goals}
    assert verdicts["sum of one answer of each kind"] is GoalVerdict.MET
    assert verdicts["recommend by product, 8 callers"] is GoalVerdict.MET
    assert verdicts["recommend by product, 1 callers"] is GoalVerdict.NOT_MEASURED
    assert [row[2:4] for row in found.tables[0].rows] == [
        (SUITE, "10.0 (10.0–10.0)"),
        (safeguards.GUARDED, "11.0 (11.0–11.0)"),
    ]


def test_answers_of_all_kinds_are_added_up_round_by_round() -> None:
    measured = {
        (SUITE, PRODUCT): [10.0, 20.0, 10.0],
        (safeguards.GUARDED, PRODUCT): [12.0, 24.0, 12.0],
        (SUITE, USER): [30.0, 30.0, 30.0],
        (safeguards.GUARDED, USER): [30.0, 30.0, 30.0],
    }
    cells = {(*key, 8): cell(key[0], costs) for key, costs in measured.items()}
    together = safeguards.result(cells).goals[0].measured
    assert together is not None
    assert together.value == pytest.approx(42 / 40)
    assert safeguards.result({}).goals[0].verdict is GoalVerdict.NOT_MEASURED


def test_an_answer_is_compared_with_the_last_release_s() -> None:
    kinds = (PRODUCT, USER)

    def found(now: float) -> GoalVerdict:
        costs = {safeguards.GUARDED: now, safeguards.BEFORE: 10.0, SUITE: 10.0}
        cells = {
            (name, kind, 8): cell(name, [cost] * 3)
            for kind in kinds
            for name, cost in costs.items()
        }
        goal = safeguards.result(cells, (8,)).goals[1]
        assert "last release" in goal.name
        return goal.verdict

    assert found(10.3) is GoalVerdict.MET
    assert found(10.31) is GoalVerdict.MISSED


def test_without_the_last_release_its_goal_says_why() -> None:
    plain, guarded = cell(SUITE, [10.0]), cell(safeguards.GUARDED, [11.0])
    cells = {(each.contender, PRODUCT, 8): each for each in (plain, guarded)}
    goal = safeguards.result(cells, (8,), "this clone is shallow").goals[1]
    assert (goal.verdict, goal.missing) == (GoalVerdict.NOT_MEASURED, "this clone is shallow")


def test_every_quota_is_counted(tmp_path: Path) -> None:
    safe = safeguards.Safe.made(tmp_path)
    (gateway,) = (
        each for each in safe.programs(list(sightline(tmp_path, 8600))) if each.name == "gateway"
    )
    for kind in QuotaKind:
        assert gateway.environment[f"GATEWAY_QUOTA_{kind.upper()}"] == safeguards.PLENTY


def test_every_service_and_worker_is_guarded_and_engines_are_left_alone(tmp_path: Path) -> None:
    safe = safeguards.Safe.made(tmp_path)
    programs = sightline(tmp_path / "data", 8600)
    for before, after in zip(programs, safe.programs(list(programs)), strict=True):
        added = set(after.environment) - set(before.environment)
        ours = before.name.removesuffix("-worker") in safeguards.SERVICES
        assert bool(added) == ours
        assert not ours or any(name.endswith("_PEER_TLS_FOLDER") for name in added)
