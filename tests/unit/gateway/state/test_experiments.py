"""Experiments as files, and their registration with the ranker."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model.query import RequestQuery
from gateway.recommend.recommend import recommend
from gateway.state.experiments import (
    AGAIN_SECONDS,
    CONSENT_AGE_SECONDS,
    ExperimentsInvalid,
    RunningExperiments,
    read,
)
from gateway.state.tokens import read_attribution_token
from servicekit.catalogs.known import CatalogChange
from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.keys.keyring import open_keys
from sightline_core.shoppers import Identity, Shopper
from tests.fakes.experiments import Keeper
from tests.fakes.gateway_peers import FakeScenes, shop_with_photo
from tests.fakes.gateway_values import ANN, DEFAULT, by_photo
from tests.fakes.kit_clock import Seconds as Clock
from tests.unit.gateway.state.test_scenes import put

GOOD = """
scenes = ["default"]
start = 2026-01-01T00:00:00Z
metric = "click_rate"
[[arms]]
name = "control"
share = 0.5
[[arms]]
name = "b"
share = 0.5
scene = "new"
"""
NOW = 1_790_000_000_000_000
SCENES = FakeScenes({"default": DEFAULT, "new": replace(DEFAULT, name="new")})
UNITS = [RequestQuery(shopper=Shopper(Identity.USER, f"u{n}")) for n in range(50)]


def opened(folder: Path, keeper: Keeper, clock: Clock, text: str = GOOD) -> RunningExperiments:
    put(folder / "order.toml", text)
    return RunningExperiments(folder, ("default",), SCENES, keeper, clock)


async def arms(experiments: RunningExperiments) -> list[tuple[str, tuple[str, ...]]]:
    """Return the arms of each unit, once background tasks have ended."""
    experiments.answering(UNITS[0], NOW)
    if experiments._task is not None:
        await experiments._task
    return [experiments.answering(unit, NOW) for unit in UNITS]


CHANGED = FailedPrecondition("b: share is changed", reason="EXPERIMENT_CHANGED")


async def test_units_get_the_scenes_of_their_arms_once_the_ranker_keeps_them(tmp_path):
    keeper = Keeper()
    found = opened(tmp_path, keeper, Clock())

    assert found.answering(UNITS[0], NOW) == ("", ())
    assert set(await arms(found)) == {("", ("order/control",)), ("new", ("order/b",))}
    assert await arms(found) == await arms(opened(tmp_path, Keeper(), Clock()))
    assert (keeper.calls, found.problem) == (1, "")
    assert found.answering(RequestQuery(session_id="s"), NOW) == ("", ())
    assert found.answering(replace(UNITS[0], scene="new"), NOW) == ("new", ())
    assert found.answering(UNITS[0], 0) == ("", ()), "not yet"
    ended = opened(tmp_path, Keeper(), Clock(), "end = 2026-02-01T00:00:00Z\n" + GOOD)
    assert set(await arms(ended)) == {("", ())}


async def test_without_a_ranker_there_is_none_and_it_is_asked_again(tmp_path):
    keeper, clock = Keeper(Unavailable("gone", reason="RANKER_UNAVAILABLE")), Clock()
    found = opened(tmp_path, keeper, clock)

    assert set(await arms(found)) == {("", ())}
    assert found.problem == "gone"
    keeper.fails = None
    assert set(await arms(found)) == {("", ())}, "not at each request"
    clock.now += AGAIN_SECONDS
    assert ("new", ("order/b",)) in await arms(found)


async def test_files_that_change_what_is_under_way_are_not_taken_up(tmp_path):
    keeper, clock = Keeper(), Clock()
    found = opened(tmp_path, keeper, clock)
    before = await arms(found)
    keeper.fails = CHANGED
    put(tmp_path / "order.toml", GOOD.replace("0.5", "0.3"))
    clock.now += AGAIN_SECONDS

    assert await arms(found) == before
    assert found.problem == CHANGED.message
    restarted = RunningExperiments(tmp_path, ("default",), SCENES, keeper, Clock())
    assert await arms(restarted) == before, "the ranker has it as it was"


async def test_bad_files_are_refused_and_those_before_them_go_on(tmp_path):
    clock = Clock()
    found = opened(tmp_path, Keeper(), clock)
    before = await arms(found)
    put(tmp_path / "order.toml", GOOD.replace("0.5", "0.9"))
    clock.now += AGAIN_SECONDS

    assert await arms(found) == before
    assert (
        "order.toml: together: Value error, arms: their shares add up to more than 1"
        in found.problem
    )


async def test_an_experiment_of_a_catalog_that_is_created_later_begins_then(tmp_path):
    clock, keeper = Clock(), Keeper()
    catalogs = {"default"}
    put(tmp_path / "order.toml", 'catalog = "x"' + GOOD)
    found = RunningExperiments(tmp_path, catalogs, SCENES, keeper, clock)
    await found.refresh()
    assert found.problem == "catalog: there is no x"

    catalogs.add("x")
    found.follow(CatalogChange(added=frozenset({"x"})))
    await found.refresh()
    assert found.problem == ""


async def test_an_arm_whose_scene_is_gone_is_answered_as_if_there_were_none(tmp_path):
    scenes = FakeScenes(dict(SCENES.scenes))
    put(tmp_path / "order.toml", GOOD)
    found = RunningExperiments(tmp_path, ("default",), scenes, Keeper(), Clock())
    await arms(found)
    del scenes.scenes["new"]

    assert set(await arms(found)) == {("", ("order/control",)), ("", ())}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "scenes: Field required"),
        (GOOD.replace('"new"', '"nope"'), "arms.b.scene: there is no scene 'nope'"),
        (GOOD.replace('["default"]', '["nope"]'), "scenes: there is no scene 'nope'"),
        (GOOD.replace("0.5", '"half"', 1), "arms.0.share"),
        ("joy = 1" + GOOD, "joy"),
        ("= 1", "order.toml"),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path, text, problem):
    put(tmp_path / "order.toml", text)

    with pytest.raises(ExperimentsInvalid, match=problem):
        read(tmp_path, SCENES)


async def test_a_bad_file_at_the_start_blocks_only_itself(tmp_path):
    put(tmp_path / "bad.toml", "= 1")
    found = opened(tmp_path, Keeper(), Clock())

    assert ("new", ("order/b",)) in await arms(found)
    assert "bad.toml" in found.problem


@pytest.mark.parametrize("fault", ["file", "scene"])
async def test_a_fault_at_a_restart_ends_no_experiment(tmp_path, fault):
    keeper, clock = Keeper(), Clock()
    before = await arms(opened(tmp_path, keeper, clock))
    scenes = FakeScenes({"default": DEFAULT} if fault == "scene" else dict(SCENES.scenes))
    put(tmp_path / "order.toml", GOOD if fault == "scene" else "= 1")
    restarted = RunningExperiments(tmp_path, ("default",), scenes, keeper, clock)
    scenes.scenes = SCENES.scenes

    assert await arms(restarted) == before
    put(tmp_path / "other.toml", 'layer = "two"' + GOOD.replace('["default"]', '["new"]'))
    clock.now += AGAIN_SECONDS
    assert await arms(restarted) == before
    assert "order" in [one.name for one in keeper.kept["default"]]
    put(tmp_path / "order.toml", GOOD)
    clock.now += AGAIN_SECONDS
    assert await arms(restarted) == before
    assert [one.name for one in keeper.kept["default"]] == ["order", "other"]


def test_two_files_that_can_not_both_be_are_refused(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / f"{name}.toml", GOOD)

    with pytest.raises(ExperimentsInvalid, match=r"one.toml: layer_part: overlaps"):
        read(tmp_path, SCENES)


async def test_the_arm_is_in_answer_record_and_token(tmp_path):
    found, shop = opened(tmp_path, Keeper(), Clock()), shop_with_photo()
    await arms(found)
    deps = replace(shop.deps, experiments=found, scenes=SCENES)

    answers = [
        await recommend(by_photo(shopper=shopper), deps)
        for shopper in (ANN, *(unit.shopper for unit in UNITS[:9]))
    ]

    assert {answer.arms for answer in answers} == {("order/control",), ("order/b",)}
    orders = [what for name, what in shop.ranker.calls if name == "rank"]
    for answer, order in zip(answers, orders, strict=True):
        token = read_attribution_token(answer.attribution_token, open_keys(), 0)
        scene = "new" if answer.arms == ("order/b",) else "default"
        assert token.arms == order.record.arms == answer.arms
        assert token.scene == answer.versions.scene == scene


async def test_later_pages_name_the_arm_too(tmp_path):
    found, shop = opened(tmp_path, Keeper(), Clock()), shop_with_photo()
    await arms(found)
    deps = replace(shop.deps, experiments=found, scenes=SCENES)

    first = await recommend(by_photo(shopper=ANN, page_size=2), deps)
    token = first.next_page_token
    second = await recommend(by_photo(shopper=ANN, page_size=2, page_token=token), deps)

    assert first.arms == second.arms != ()


async def test_refreshing_by_several_at_once_asks_once(tmp_path):
    keeper = Keeper()
    found = opened(tmp_path, keeper, Clock())

    await asyncio.gather(*(found.refresh() for _ in range(5)))

    assert keeper.calls == 1


async def test_a_shopper_leaves_memory_after_a_while_and_at_once_when_erased(tmp_path):
    keeper, clock = Keeper(), Clock()
    found = opened(tmp_path, keeper, clock)
    await arms(found)
    asked = replace(UNITS[0], shopper=ANN)
    for _ in range(2):
        assert await found.permitted(asked, NOW)
    assert (keeper.asked, len(found._consents)) == (1, 1)
    found.forget("default", ANN)
    assert len(found._consents) == 0
    assert await found.permitted(asked, NOW)
    assert keeper.asked == 2


async def test_who_refuses_experiments_gets_no_arm_and_is_asked_about_once_in_a_while(tmp_path):
    keeper, clock = Keeper(), Clock()
    found = opened(tmp_path, keeper, clock)
    await arms(found)
    shop = shop_with_photo()
    scenes = {"default": DEFAULT, "new": replace(DEFAULT, name="new")}
    deps = replace(shop.deps, experiments=found, scenes=FakeScenes(scenes))

    assert (await recommend(by_photo(shopper=ANN), deps)).arms
    keeper.refusing.add(ANN)
    assert (await recommend(by_photo(shopper=ANN), deps)).arms, "still cached"
    assert keeper.asked == 1
    clock.now += CONSENT_AGE_SECONDS
    assert (await recommend(by_photo(shopper=ANN), deps)).arms == ()
    await recommend(by_photo(session_id="s"), deps)
    await recommend(by_photo(shopper=ANN, scene="new"), deps)
    assert keeper.asked == 2, "without an arm nobody is asked about"

    clock.now += CONSENT_AGE_SECONDS
    keeper.refusing.clear()
    keeper.fails = Unavailable("gone", reason="RANKER_UNAVAILABLE")
    assert (await recommend(by_photo(shopper=ANN), deps)).arms == (), "it can't be known"
