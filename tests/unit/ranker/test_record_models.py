import dataclasses

import pytest

from ranker.model import Metric, ModelNotFound
from ranker.record.models import ModelRegistry
from servicekit.sql import Database
from tests.fakes.ranker import NOW, record


@pytest.fixture
def registry(db: Database) -> ModelRegistry:
    return ModelRegistry(db)


async def test_a_model_comes_back_whole(registry: ModelRegistry) -> None:
    given = dataclasses.replace(record("v1"), metrics=(Metric("auc", 0.75, 12),))
    await registry.add(given)
    assert await registry.get("default", "v1") == given


async def test_trained_again_it_stays_one_model_and_stays_promoted(
    registry: ModelRegistry,
) -> None:
    await registry.add(record("v1"))
    await registry.promote("default", "v1", NOW)
    await registry.add(record("v1", trained=NOW + 1))
    found = await registry.list("default", limit=10, before=None)
    assert [(one.trained_micros, one.serving) for one in found] == [(NOW + 1, True)]


async def test_promoting_another_one_takes_the_place_of_the_first(registry: ModelRegistry) -> None:
    for version in ("v1", "v2"):
        await registry.add(record(version))
        await registry.promote("default", version, NOW)
    assert (await registry.promoted(["default"]))["default"].version == "v2"
    assert not (await registry.get("default", "v1")).serving


async def test_what_does_not_exist_is_not_promoted(registry: ModelRegistry) -> None:
    await registry.add(record("v1"))
    await registry.promote("default", "v1", NOW)
    for catalog_id, version in (("default", "v2"), ("other", "v1")):
        with pytest.raises(ModelNotFound):
            await registry.promote(catalog_id, version, NOW)
    assert (await registry.promoted(["default"]))["default"].version == "v1"


async def test_catalogs_promote_apart(registry: ModelRegistry) -> None:
    await registry.add(record("v1"))
    await registry.add(record("v1", catalog_id="other"))
    await registry.promote("other", "v1", NOW)
    assert set(await registry.promoted(["default", "other"])) == {"other"}
    assert await registry.promoted(["default"]) == {}


async def test_pages_of_models_are_newest_first(registry: ModelRegistry) -> None:
    for n in range(5):
        await registry.add(record(f"v{n}", trained=NOW + n // 2))
    found, before = [], None
    while page := await registry.list("default", limit=2, before=before):
        found += [one.version for one in page]
        before = (page[-1].trained_micros, page[-1].version)
    assert found == ["v4", "v3", "v2", "v1", "v0"]
