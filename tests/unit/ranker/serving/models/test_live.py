import asyncio
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import REGISTRY

from ranker.domain.errors import ModelCorrupt
from ranker.domain.model import ModelMetric
from ranker.serving.models import live as models_live
from ranker.serving.models.live import COLUMNS_FROM, LiveModels
from tests.fakes.ranker import FakePromotions, GatedLoad, model, record
from tests.waiting import until

QUIET_SECONDS = 0.2
ONE = model({"p": [1.0]}, version="v1")
TWO = model({"p": [2.0]}, version="v2")


@pytest.fixture
def promotions() -> FakePromotions:
    return FakePromotions()


@pytest.fixture
def load() -> GatedLoad:
    return GatedLoad({"v1": ONE, "v2": TWO, "bad": ModelCorrupt("has another hash")})


@pytest.fixture
def live(promotions: FakePromotions, load: GatedLoad) -> LiveModels:
    return LiveModels(("default",), promotions, load, in_memory_items=0)


async def test_before_a_promotion_nothing_serves(live: LiveModels) -> None:
    await live.refresh()
    assert live.serving("default") is None


async def test_a_promotion_is_served_and_loaded_once(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    promotions.now["default"] = record("v1")
    await live.refresh()
    await live.refresh()
    assert live.serving("default") is ONE
    assert load.calls == ["v1"]


async def test_what_the_serving_models_training_measured_is_exported_as_metrics(
    live: LiveModels, promotions: FakePromotions
) -> None:
    covered, labels = ModelMetric("coverage@10", 0.4, 9), {"catalog": "default"}
    for version, metrics, reported in (
        ("v1", (ModelMetric("robots", 3.0, 9), covered), 3.0),
        ("v2", (), 0.0),
    ):
        promotions.now["default"] = replace(record(version), metrics=metrics)
        await live.refresh()
        found = REGISTRY.get_sample_value("sightline_robot_shoppers", labels)
        assert found == reported
    labels["figure"] = "coverage@10"
    assert REGISTRY.get_sample_value("sightline_model_figure", labels) == 0.4


async def test_while_the_next_model_loads_the_former_serves(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    promotions.now["default"] = record("v1")
    await live.refresh()
    promotions.now["default"] = record("v2")
    load.gate.clear()
    swap = asyncio.create_task(live.refresh())
    await asyncio.sleep(0.05)
    assert live.serving("default") is ONE
    load.gate.set()
    await swap
    assert live.serving("default") is TWO


async def test_a_bad_model_leaves_the_former_serving_and_a_good_one_is_taken_after_it(
    live: LiveModels, promotions: FakePromotions
) -> None:
    for version, expected in (("v1", ONE), ("bad", ONE), ("v2", TWO)):
        promotions.now["default"] = record(version)
        await live.refresh()
        assert live.serving("default") is expected


async def test_a_model_that_is_demoted_serves_no_more(
    live: LiveModels, promotions: FakePromotions
) -> None:
    promotions.now["default"] = record("v1")
    await live.refresh()
    promotions.now.clear()
    await live.refresh()
    assert live.serving("default") is None
    assert live.former("default") is None
    assert not live.refused("default")


async def test_only_a_promoted_model_that_cant_be_loaded_is_refused(
    live: LiveModels, promotions: FakePromotions
) -> None:
    for version, expected in (("bad", True), ("v1", False), ("bad", True)):
        promotions.now["default"] = record(version)
        await live.refresh()
        assert live.refused("default") is expected
    promotions.now.clear()
    await live.refresh()
    assert not live.refused("default")


async def test_a_slow_look_never_puts_an_older_model_back(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    load.gate.clear()
    promotions.now["default"] = record("v1")
    slow = asyncio.create_task(live.refresh())
    await asyncio.sleep(0.02)
    promotions.now["default"] = record("v2")
    fast = asyncio.create_task(live.refresh())
    load.gate.set()
    await asyncio.gather(slow, fast)
    assert live.serving("default") is TWO


async def test_the_watch_notices_a_promotion(live: LiveModels, promotions: FakePromotions) -> None:
    await live.start()
    promotions.now["default"] = record("v1")
    await until(lambda: live.serving("default") is ONE)
    await live.stop()


async def test_where_commits_are_reported_the_record_is_read_after_a_commit_alone(
    promotions: FakePromotions, load: GatedLoad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_live, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(models_live, "LATEST_SECONDS", 3_600.0)
    commits = asyncio.Event()
    live = LiveModels(("default",), promotions, load, 0, commits=lambda: commits)
    await live.start()
    await asyncio.sleep(QUIET_SECONDS)
    promotions.now["default"] = record("v1")
    await asyncio.sleep(QUIET_SECONDS)
    assert live.serving("default") is None
    commits.set()
    await until(lambda: live.serving("default") is ONE)
    promotions.broken = True
    commits.set()
    await asyncio.sleep(QUIET_SECONDS)
    promotions.now["default"] = record("v2")
    promotions.broken = False
    await until(lambda: live.serving("default") is TWO)
    await live.stop()


async def test_the_watch_outlives_a_store_that_is_away(
    live: LiveModels, promotions: FakePromotions
) -> None:
    promotions.broken = True
    await live.start()
    promotions.now["default"] = record("v1")
    promotions.broken = False
    await until(lambda: live.serving("default") is ONE)
    await live.stop()


# The overlap of two models


async def test_the_model_before_stays_until_a_third_one_serves(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    assert live.former("default") is None
    for version, former in (("v1", None), ("v2", ONE), ("v1", TWO)):
        promotions.promote(record(version))
        await live.refresh()
        assert live.former("default") is former
    assert load.calls == ["v1", "v2", "v1"]


async def test_a_replica_that_starts_in_the_overlap_loads_both(
    live: LiveModels, promotions: FakePromotions
) -> None:
    promotions.promote(record("v1"))
    promotions.promote(record("v2"))
    await live.refresh()
    assert (live.serving("default"), live.former("default")) == (TWO, ONE)


async def test_a_former_model_that_is_bad_costs_the_overlap_alone(
    live: LiveModels, promotions: FakePromotions
) -> None:
    promotions.promote(record("bad"))
    promotions.promote(record("v2"))
    await live.refresh()
    assert (live.serving("default"), live.former("default")) == (TWO, None)


async def test_a_former_model_is_loaded_anew_when_a_shopper_was_erased_from_its_files(
    live: LiveModels, promotions: FakePromotions, load: GatedLoad
) -> None:
    for one in (ONE, TWO):
        load.models[one.version] = replace(one, manifest_sha256="0" * 64)
        promotions.promote(record(one.version))
    await live.refresh()
    before = live.former("default")
    await live.refresh()
    assert live.former("default") is before
    promotions.digests["v1"] = "1" * 64
    promotions.before["default"] = replace(record("v1"), manifest_sha256="1" * 64)
    load.models["v1"] = replace(ONE, manifest_sha256="1" * 64)
    await live.refresh()
    assert live.former("default") is load.models["v1"]
    assert live.serving("default") is load.models["v2"], "its files have none of the shopper"


async def test_of_a_small_catalog_no_former_model_is_kept(
    promotions: FakePromotions, load: GatedLoad
) -> None:
    live = LiveModels(("default",), promotions, load, in_memory_items=1)
    for version in ("v1", "v2"):
        promotions.promote(record(version))
        await live.refresh()
    assert live.former("default") is None


async def test_a_model_of_many_products_has_its_vectors_by_component_too() -> None:
    many = model({f"p{n:04}": [float(n), 1.0] for n in range(COLUMNS_FROM)}, version="v1")
    for in_memory_items, turned in ((COLUMNS_FROM, True), (COLUMNS_FROM - 1, False)):
        promotions = FakePromotions()
        promotions.promote(record("v1"))
        live = LiveModels(("default",), promotions, GatedLoad({"v1": many}), in_memory_items)
        await live.refresh()
        found = live.serving("default")
        assert found is not None
        assert (found.item_columns is not None) == turned
        if found.item_columns is not None:
            np.testing.assert_array_equal(found.item_columns[:-1], many.item_vectors.T)
            np.testing.assert_array_equal(found.item_columns[-1], many.item_biases)
            assert found.item_columns.flags.c_contiguous
