import dataclasses

import pytest

from ranker.domain.errors import ModelNotFound, PromotionConflict
from ranker.domain.model import ModelMetric, ModelVerdict
from ranker.domain.report import (
    ProductionAs,
    Protocol,
    Report,
    SplitReport,
    SystemComparison,
)
from ranker.record.models import ModelRegistry
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, record


@pytest.fixture
def registry(db: Database) -> ModelRegistry:
    return ModelRegistry(db)


async def test_a_model_comes_back_whole(registry: ModelRegistry) -> None:
    given = dataclasses.replace(record("v1"), metrics=(ModelMetric("auc", 0.75, 12),))
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


async def test_files_written_again_have_another_hash(registry: ModelRegistry) -> None:
    for catalog_id in ("default", "other"):
        await registry.add(record("v1", catalog_id=catalog_id))
    assert await registry.rewritten(record("v1"), "1" * 64)
    asked = [("default", "v1"), ("other", "v1"), ("default", "gone")]
    assert await registry.manifests(asked) == {
        ("default", "v1"): "1" * 64,
        ("other", "v1"): "0" * 64,
    }


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


async def serve(registry: ModelRegistry, *versions: str) -> None:
    """Promote them, one after another."""
    for version in versions:
        await registry.add(record(version))
        await registry.promote("default", version, NOW)


async def back(registry: ModelRegistry) -> str:
    """Roll back; the version that serves then."""
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, NOW + 1)
    return (await registry.promoted(["default"]))["default"].version


async def test_each_rollback_goes_one_promotion_further_back(registry: ModelRegistry) -> None:
    await serve(registry, "v1", "v2", "v3")
    assert [await back(registry), await back(registry)] == ["v2", "v1"]
    with pytest.raises(ModelNotFound, match="before the current one"):
        await registry.before("default")


async def test_what_was_rolled_back_is_passed_over_after_the_next_promotion(
    registry: ModelRegistry,
) -> None:
    await serve(registry, "v1", "bad")
    await back(registry)
    await serve(registry, "v3")
    assert await back(registry) == "v1"


async def test_promoting_the_serving_model_again_is_no_step(registry: ModelRegistry) -> None:
    await serve(registry, "v1", "v2", "v2")
    assert await back(registry) == "v1"


async def test_of_two_rollbacks_at_once_one_is_refused(registry: ModelRegistry) -> None:
    await serve(registry, "v1", "v2", "v3")
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, NOW)
    with pytest.raises(PromotionConflict):
        await registry.roll_back("default", promotion, NOW)
    assert (await registry.promoted(["default"]))["default"].version == "v2"


async def test_a_rollback_says_when_the_model_was_promoted_last(registry: ModelRegistry) -> None:
    await serve(registry, "v1", "v2")
    await back(registry)
    found = await registry.get("default", "v1")
    assert (found.serving, found.promoted_micros) == (True, NOW + 1)


async def test_another_catalogs_promotions_are_no_way_back(registry: ModelRegistry) -> None:
    await serve(registry, "v1")
    await registry.add(record("v0", catalog_id="other"))
    await registry.promote("other", "v0", NOW)
    for catalog_id in ("default", "other", "none"):
        with pytest.raises(ModelNotFound):
            await registry.before(catalog_id)


async def test_the_former_model_is_the_one_that_served_last_also_after_a_rollback(
    registry: ModelRegistry,
) -> None:
    async def former() -> str:
        found = await registry.former(
            "default", (await registry.promoted(["default"]))["default"].version
        )
        return found.version if found else ""

    for place, version in enumerate(["v1", "v2", "v3"]):
        await registry.add(record(version))
        await registry.promote("default", version, NOW + place)
        assert await former() == ["", "v1", "v2"][place]
    await registry.add(record("never"))
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, NOW + 9)
    assert await former() == "v3"
    assert await registry.former("other", "v1") is None


async def test_a_promotion_that_was_decided_before_another_change_is_refused(
    registry: ModelRegistry,
) -> None:
    for version in ("v1", "v2", "v3"):
        await registry.add(record(version))
    await registry.promote("default", "v1", NOW, since=(0, 0))
    since = await registry.changes("default")
    await registry.promote("default", "v2", NOW + 1)
    with pytest.raises(PromotionConflict):
        await registry.promote("default", "v3", NOW + 2, since=since)
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, NOW + 3)
    with pytest.raises(PromotionConflict):
        await registry.promote("default", "v3", NOW + 4, since=since)
    await registry.promote("default", "v3", NOW + 5, since=await registry.changes("default"))
    assert (await registry.promoted(["default"]))["default"].version == "v3"


def shown(low: float, share: float = 0.2) -> Report:
    """Return an evaluation that shows such a margin over popularity."""
    against = SystemComparison(
        *("popularity", "ndcg@10", low + 0.01, low, low + 0.02, None, 0.0),
        verdict=ModelVerdict.PASSED,
        decides=True,
    )
    trial = SplitReport(Protocol.GLOBAL, share, None, 1, 1, 1, (), (against,))
    return Report(ModelVerdict.PASSED, "", (trial,), "", ProductionAs.NONE, 100, NOW)


async def margins(registry: ModelRegistry) -> list[tuple[str, float]]:
    return [(one.version, one.margin) for one in await registry.proven("default")]


async def test_what_promoted_models_had_shown_stays_until_one_is_forced_or_none_serves(
    registry: ModelRegistry,
) -> None:
    for version, low in (("m1", 0.1), ("m2", 0.05), ("m3", 0.02)):
        await registry.add(record(version))
        await registry.keep_report("default", version, shown(low))
    await registry.add(record("m4"))
    await registry.promote("default", "m1", NOW)
    await registry.keep_report("default", "m1", shown(0.0))
    await registry.promote("default", "m2", NOW + 1, forced=True)
    assert await margins(registry) == [("m2", 0.05), ("m1", 0.1)], "as it was when promoted"

    await registry.promote("default", "m3", NOW + 2, forced=True, anew=True)
    assert await margins(registry) == [("m3", 0.02)], "an operator began anew"
    await registry.promote("default", "m4", NOW + 3)
    assert await margins(registry) == [("m3", 0.02)], "m4 was never measured"
    await back(registry)
    await back(registry)
    assert await margins(registry) == [("m2", 0.05), ("m1", 0.1)], "with the promotion undone"

    await registry.demote("default", NOW + 9)
    assert await margins(registry) == []
