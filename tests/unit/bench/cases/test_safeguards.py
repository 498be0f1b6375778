"""What the bench of safeguards turns on, and what it makes of what it measured."""

from pathlib import Path

from bench.cases import safeguards
from bench.cases.monolith.asking import PRODUCT
from bench.cases.monolith.contenders import SUITE
from bench.cases.monolith.load import Cell
from bench.harness.model import Verdict
from local_suite.programs import sightline


def cell(name: str, costs: list[float]) -> Cell:
    return Cell(name, PRODUCT, 8, costs=costs)


def test_processor_time_with_safeguards_stands_beside_that_without() -> None:
    plain, guarded = cell(SUITE, [10.0, 10.0, 10.0]), cell(safeguards.GUARDED, [11.0, 11.0, 11.0])
    found = safeguards.result({(each.contender, PRODUCT, 8): each for each in (plain, guarded)})
    verdicts = {goal.name.partition(":")[0]: goal.verdict for goal in found.goals}
    assert verdicts["recommend by product, 8 callers"] is Verdict.MET
    assert verdicts["recommend by product, 1 callers"] is Verdict.NOT_MEASURED
    assert [row[2:4] for row in found.tables[0].rows] == [
        (SUITE, "10.0 (10.0–10.0)"),
        (safeguards.GUARDED, "11.0 (11.0–11.0)"),
    ]


def test_every_service_and_worker_is_guarded_and_engines_are_left_alone(tmp_path: Path) -> None:
    safe = safeguards.Safe.made(tmp_path)
    programs = sightline(tmp_path / "data", 8600)
    for before, after in zip(programs, safe.programs(list(programs)), strict=True):
        added = set(after.environment) - set(before.environment)
        ours = before.name.removesuffix("-worker") in safeguards.SERVICES
        assert bool(added) == ours
        assert not ours or any(name.endswith("_PEER_TLS_FOLDER") for name in added)
