"""The settings of the bench of controls, experiments and the snapshot, and its result for given
measurements.
"""

import tomllib
from itertools import islice
from pathlib import Path

import pytest

from bench.cases.monolith.asking import PRODUCT, USER
from bench.cases.monolith.contenders import SUITE
from bench.cases.monolith.filled import FilledFacts
from bench.cases.monolith.load import LoadCell
from bench.harness.model import GoalVerdict
from gateway.state.experiments import read
from gateway.state.scenes import SceneFiles
from lab.cases import extras
from lab.cases.extras import CONTROLS, EXPERIMENTS, OFTEN, SNAPSHOT, WAYS
from sightline.gateway.v1 import recommendation_service_pb2 as rec


def cells(costs: dict[str, list[float]], rate: float = 100.0):
    return {
        (name, kind, extras.CALLERS): LoadCell(
            name, kind, extras.CALLERS, costs=values, rates=[rate] * len(values)
        )
        for name, values in costs.items()
        for kind in (PRODUCT, USER)
    }


def test_each_way_stands_beside_the_same_round_without_any() -> None:
    without = [10.0, 20.0, 40.0]
    costs = {way: [1.02 * each for each in without] for way in WAYS}
    costs[CONTROLS] = [12.0, 20.0, 48.0]
    found = extras.result(cells({SUITE: without, **costs}))
    assert [goal.verdict for goal in found.goals] == [
        GoalVerdict.MISSED,
        GoalVerdict.MET,
        GoalVerdict.MET,
    ]
    measured = [goal.measured.value for goal in found.goals if goal.measured]
    assert measured == pytest.approx([1.2, 1.02, 1.02])
    assert {goal.verdict for goal in extras.result({}).goals} == {GoalVerdict.NOT_MEASURED}


def test_an_answer_bears_its_share_of_reading_the_snapshot() -> None:
    costs = {name: [10.0] * 3 for name in (SUITE, *WAYS)}
    found = extras.result(cells(costs), reading=6_000.0)  # in a minute of 100 answers a second
    (_, _, snapshot) = (goal.measured for goal in found.goals)
    assert snapshot is not None
    assert snapshot.value == pytest.approx(1.1)


def test_every_question_is_a_shopper_s() -> None:
    questions = extras.OfShoppers(["a", "b"], ["ann", "bob"])
    for kind in (PRODUCT, USER):
        asked = [
            rec.RecommendRequest.FromString(each.message)
            for each in islice(questions.endless(kind), 4)
        ]
        assert {each.shopper.user_id for each in asked} == {"ann", "bob"}


def test_the_gateways_differ_in_what_is_measured_and_their_files_are_good(tmp_path: Path) -> None:
    filling = extras.Beside(
        "x", lambda _suite, _say: FilledFacts((), (), {}), ids=["a/b/1", "a/b/2"]
    )
    programs = {each.name: each for each in filling.programs(tmp_path)}
    gateways = {
        name: programs[name].environment
        for name in ("gateway", CONTROLS, EXPERIMENTS, SNAPSHOT, OFTEN)
    }
    seconds = [each["GATEWAY_SNAPSHOT_SECONDS"] for each in gateways.values()]
    assert seconds == ["0", "0", "0", "60.0", "1"]
    assert len({each["GATEWAY_PORT"] for each in gateways.values()}) == len(gateways)
    assert len({each["GATEWAY_SNAPSHOTS"] for each in gateways.values()}) == len(gateways)

    folder = Path(gateways[CONTROLS]["GATEWAY_SCENES_FOLDER"])
    controls = tomllib.loads((folder / "default.toml").read_text())["controls"]
    assert [each["kind"] for each in controls] == ["pin", "boost", "exclude"]
    scenes = SceneFiles(folder)
    assert len(scenes.get("", "default").controls) == 3
    folder = Path(gateways[EXPERIMENTS]["GATEWAY_EXPERIMENTS_FOLDER"])
    experiments = [*read(folder, scenes).values()]
    assert {each.layer for each in experiments} == {"default", "similar"}
