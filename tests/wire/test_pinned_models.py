"""A model that a scene pins: a real ranker on each engine, and a real gateway before it."""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from ranker.adapters.model_store import ModelStore
from ranker.record.models import ModelRegistry
from servicekit.clock import now_micros
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.gateway.v1 import admin_service_pb2, user_event_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.ranker.v1 import model_service_pb2, online_report_pb2
from sightline_client.cli import app
from tests.fakes.gateway_wire import Suite as Front
from tests.fakes.gateway_wire import running
from tests.waiting import SECONDS, until
from tests.wire.ranker_suite import HOUR, Suite, crowd, event, suite
from tests.wire.test_replay import answered, assert_equal

__all__ = ["suite"]  # fixtures

NOT_READY = answer_pb2.Degradation.CAUSE_MODEL_NOT_READY
MEMBER = event_pb2.Shopper(user_id="r-1")
PAGE = (Path(__file__).parents[2] / "docs/merchandise/experiments.md").read_text("utf-8")
SECTION = PAGE.partition("## A ranking model for a share of shoppers")[2].partition("\n## ")[0]
SCENE, EXPERIMENT = re.findall(r"^```toml\n(.*?)^```", SECTION, re.M | re.S)
COMMANDS = re.findall(r"^\$ (sightline .+)$", SECTION, re.M)
NAMED = "lfm-6f1c0a5b2d3e4f70"


async def by(version: str, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Return the answer once the model of this version is loaded."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await ask()
            if getattr(answer, "versions", answer).model_version == version:
                return answer
            assert {one.cause for one in answer.degradations} == {NOT_READY}
            await asyncio.sleep(0.02)


async def learned(suite: Suite) -> tuple[str, str]:
    """Train two models, the first of which serves. Return their versions."""
    await suite.append(*crowd())
    first, second = await suite.learn(), await suite.learn(seed=1)
    await suite.promote(first)
    return first, second


async def test_a_request_is_scored_by_the_model_that_it_names_and_others_as_before(
    suite: Suite,
) -> None:
    first, second = await learned(suite)
    await suite.append(event("r1", ago=HOUR), event("w2", "PURCHASE", ago=60))
    plain = await suite.rank(shopper=MEMBER)
    pinned = await by(second, lambda: suite.rank(shopper=MEMBER, model_version=second))
    named = await suite.generate(shopper=MEMBER, model_version=second)
    assert (plain.model_version, named.model_version) == (first, second)
    assert not [*pinned.degradations, *named.degradations]
    assert list(pinned.raw_scores) != list(plain.raw_scores)
    again = await suite.rank(shopper=MEMBER)
    assert (again.model_version, again.raw_scores) == (first, plain.raw_scores)

    order = await answered(suite, "pinned", shopper=MEMBER, model_version=second)
    await assert_equal(suite, "pinned", order)
    registry, since = ModelRegistry(suite.database), now_micros()
    assert await registry.answering("default", since - HOUR * 10**6) == {second}
    assert await registry.answering("default", since) == set()
    await suite.promote(second)
    promoted = await suite.rank(shopper=MEMBER)
    assert promoted.model_version == second
    assert (promoted.product_ids, promoted.raw_scores) == (pinned.product_ids, pinned.raw_scores)
    await suite.models.DemoteModel(model_service_pb2.DemoteModelRequest())
    await assert_equal(suite, "pinned", order)


async def test_files_that_were_changed_and_versions_that_never_were_are_not_scored_by(
    suite: Suite,
) -> None:
    first, second = await learned(suite)
    folder = suite.folder / "models"
    another = (folder / "default" / first / "model.npz").read_bytes()
    ModelStore(str(folder)).put("default", second, "model.npz", another)
    plain = await suite.rank(shopper=MEMBER)
    for version in (second, "lfm-0000000000000000", second):
        for _ in range(3):
            answer = await suite.rank(shopper=MEMBER, model_version=version)
            assert (answer.model_version, answer.raw_scores) == (first, plain.raw_scores)
            (lost,) = answer.degradations
            assert (lost.stage, lost.cause) == ("rank", NOT_READY)
            assert lost.substitute == "the promoted model"
            await asyncio.sleep(0.02)


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


async def recommended(front: Front, user: str, scene: str = "") -> rec.RecommendResponse:
    asked = rec.RecommendRequest(shopper=event_pb2.Shopper(user_id=user), scene=scene)
    return await front.recommendation.Recommend(asked)


async def in_experiment(front: Front) -> bool:
    """Return whether the gateway has read the experiment."""
    return bool((await recommended(front, "ann")).experiment_arms)


async def in_arm(front: Front, user: str) -> Any:
    """Return a whole answer in an arm: a consent that is read too late means none."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await recommended(front, user)
            if answer.experiment_arms and not answer.degradations:
                return answer
            await asyncio.sleep(0.02)


async def test_two_models_are_compared_on_the_last_requests(suite: Suite) -> None:
    first, second = await learned(suite)
    async with running(ranker_target=suite.target) as front:
        served = await by(first, lambda: recommended(front, "r-1"))
        asked = admin_service_pb2.DiffSceneRequest(
            current_model_version=first, model_version=second
        )
        found = await front.admin.DiffScene(asked)
        gone = admin_service_pb2.DiffSceneRequest(model_version="lfm-0000000000000000")
        with pytest.raises(grpc.aio.AioRpcError, match="list the models"):
            await front.admin.DiffScene(gone)
        asked.shopper.CopyFrom(MEMBER)
        asked.scene = "similar"
        own = await front.admin.DiffScene(asked)
    assert (found.answer_count, found.anew_count) == (1, 1)
    assert found.skipped_count == 0, "the second model was loaded for it"
    assert [(each.before, each.after) for each in found.changes] == [(first, second)]
    assert served.versions.model_version == first
    assert (own.answer_count, own.skipped_count) == (1, 0), "no request to that scene is needed"


@pytest.mark.full
async def test_an_arm_is_answered_by_its_model_as_the_page_says(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await learned(suite)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "next-model.toml", SCENE.replace(NAMED, second))
    scenes, experiments = tmp_path / "scenes", tmp_path / "experiments"
    write(scenes, "next-model.toml", SCENE.replace(NAMED, second))
    write(scenes, "lost.toml", SCENE.replace(NAMED, "lfm-0"))
    half = re.sub("0[.][90]5", "0.5", EXPERIMENT)
    write(experiments, "next-model.toml", half)
    where = {
        "ranker_target": suite.target,
        "scenes_folder": scenes,
        "experiments_folder": experiments,
    }
    async with running(**where) as front:
        users = [f"u{n}" for n in range(8)]
        await by(second, lambda: recommended(front, "ann", "next-model"))
        await until(partial(in_experiment, front))
        answers = [await in_arm(front, user) for user in users]
        lost = await recommended(front, "ann", "lost")
        for user, answer in zip(users, answers, strict=True):
            shown = event(
                answer.results[0].product.product_id,
                "IMPRESSION",
                shopper=event_pb2.Shopper(user_id=user),
                attribution_token=answer.attribution_token,
            )
            request = user_event_service_pb2.WriteEventsRequest(events=[shown])
            await front.events.WriteEvents(request)
        await suite.stored()
        report = await front.admin.GetOnlineReport(online_report_pb2.GetOnlineReportRequest())
        lost_file = admin_service_pb2.CheckSceneRequest(toml=(scenes / "lost.toml").read_text())
        checked = await front.admin.CheckScene(lost_file)
        typed = await type_all(front, second)

    arms = [(one.experiment_arms[0], one.versions.model_version) for one in answers]
    both = {("next-model/control", first), ("next-model/next", second)}
    assert set(arms) == both
    counted = {(one.arm, one.model_version): one.shown_answer_count for one in report.groups}
    assert {key: counted[key] for key in both} == {key: arms.count(key) for key in both}
    assert lost.versions.model_version == first
    assert [one.cause for one in lost.degradations] == [NOT_READY] * 2  # of candidates and order
    assert "rank" in {one.stage for one in lost.degradations}
    assert second[:12] in typed["sightline models list"]
    assert "would be accepted" in typed["sightline scenes check next-model.toml"]
    assert "ranking.model" not in typed["sightline scenes check next-model.toml"]
    assert [one.path for one in checked.warnings] == ["ranking.model"]
    shown = typed["sightline recommend --user alice --scene next-model --verbose"]
    assert f"ranking model: {second}" in shown
    assert "MODEL_UNPROVEN" in typed[f"sightline models promote {NAMED}"]


async def type_all(front: Front, version: str) -> dict[str, str]:
    """Return the output of the page's commands, except the training, which has already run."""
    said = {}
    for line in COMMANDS:
        if line == "sightline models train":
            continue
        words = [*shlex.split(line.replace(NAMED, version))[1:], "--target"]
        command = [*words, f"127.0.0.1:{front.port}"]
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
        said[line] = done.output
    return said


async def test_a_ranker_that_knows_no_pinned_models_is_found_out(tmp_path: Path) -> None:
    """Check against the scripted ranker, which always ranks by m1 without naming another
    version."""
    for name, version in (("other", "m2"), ("same", "m1")):
        write(tmp_path / "scenes", f"{name}.toml", SCENE.replace(NAMED, version))
    async with running(scenes_folder=tmp_path / "scenes") as front:
        front.ranker.servicer("RankingService").reasoned = 0
        for name, version, count in (("other", "m2", 2), ("same", "m1", 0)):
            front.ranker.script.seen.clear()
            answer = await recommended(front, "ann", name)
            assert answer.versions.model_version == "m1"
            lost = [one.stage for one in answer.degradations if one.cause == NOT_READY]
            assert (len(lost), "rank" in lost) == (count, count > 0)
            asked = [one.request for one in front.ranker.script.seen]
            pinned = [one.model_version for one in asked if hasattr(one, "model_version")]
            assert pinned == [version] * 3  # for candidates, an order and reasons
