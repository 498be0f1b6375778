import dataclasses
import json
from typing import Any

import pytest
import sqlalchemy as sa

from ranker.domain.errors import EvaluationMissing, ModelNotFound
from ranker.domain.model import ModelVerdict
from ranker.domain.report import ProductionAs, Report
from ranker.record.models import HOUR_MICROS, ModelRegistry
from ranker.record.tables import PROMOTION_LOG
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, record

REPORT = Report(
    verdict=ModelVerdict.INCONCLUSIVE,
    summary="too few",
    trials=(),
    production="v0",
    production_as=ProductionAs.ARTIFACT,
    shopper_count=7,
    evaluated_micros=NOW,
)


def stored(report: Report) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(report)))


@pytest.fixture
def registry(db: Database) -> ModelRegistry:
    return ModelRegistry(db)


async def test_an_evaluation_comes_back_whole_and_its_verdict_with_the_model(
    db: Database, registry: ModelRegistry
) -> None:
    await registry.add(record("v1"))
    await ModelRegistry(db).keep_report("default", "v1", REPORT)
    assert await ModelRegistry(db).report("default", "v1") == stored(REPORT)
    found = await registry.get("default", "v1")
    assert (found.verdict, found.verdict_summary) == (ModelVerdict.INCONCLUSIVE, "too few")
    assert found.compared_with == "v0"


async def test_a_later_evaluation_takes_the_place_of_the_first(
    db: Database, registry: ModelRegistry
) -> None:
    await registry.add(record("v1"))
    later = dataclasses.replace(REPORT, verdict=ModelVerdict.PASSED)
    for report in (REPORT, later):
        await ModelRegistry(db).keep_report("default", "v1", report)
    assert await ModelRegistry(db).report("default", "v1") == stored(later)


async def test_a_model_without_an_evaluation_says_so(db: Database, registry: ModelRegistry) -> None:
    await registry.add(record("v1"))
    assert (await registry.get("default", "v1")).verdict is None
    with pytest.raises(EvaluationMissing):
        await ModelRegistry(db).report("default", "v1")


async def test_a_promotion_is_logged_with_what_it_went_by(
    db: Database, registry: ModelRegistry
) -> None:
    for version, forced, verdict in (("v1", True, None), ("v2", False, ModelVerdict.PASSED)):
        await registry.add(record(version))
        await registry.promote("default", version, NOW, forced=forced, verdict=verdict)
        assert (await registry.get("default", version)).forced is forced
    with db.engine.connect() as connection:
        rows = connection.execute(sa.select(PROMOTION_LOG).order_by(PROMOTION_LOG.c.sequence))
        assert [(row.version, row.forced, row.verdict) for row in rows] == [
            ("v1", True, ""),
            ("v2", False, "PASSED"),
        ]


async def test_the_newest_the_rollback_line_and_the_spared_are_kept(
    registry: ModelRegistry,
) -> None:
    for n in range(8):
        await registry.add(record(f"v{n}", trained=NOW + n))
    for at, version in enumerate(("v0", "v1", "v2")):
        await registry.promote("default", version, NOW + at)
    later = NOW + 2 * HOUR_MICROS
    assert await registry.prune("default", 2, ("v4",), later) == ("v0", "v3", "v5")
    assert await registry.prune("default", 2, (), later) == ("v0", "v3", "v4", "v5")
    assert (await registry.get("default", "v3")).pruned_micros == later
    assert (await registry.get("default", "v1")).pruned_micros is None


async def test_what_was_promoted_lately_is_not_pruned(registry: ModelRegistry) -> None:
    for n in range(3):
        await registry.add(record(f"v{n}", trained=NOW + n))
        await registry.promote("default", f"v{n}", NOW)
    assert await registry.prune("default", 1, (), NOW + 1) == ()


async def test_a_pruned_model_serves_no_more_until_it_is_trained_again(
    registry: ModelRegistry,
) -> None:
    await registry.add(record("v0", trained=NOW - 1))
    await registry.add(record("v1"))
    await registry.prune("default", 1, (), NOW)
    with pytest.raises(ModelNotFound):
        await registry.promote("default", "v0", NOW)
    await registry.add(record("v0", trained=NOW + 1))
    await registry.promote("default", "v0", NOW)


async def test_a_rollback_past_the_models_that_are_kept_says_so(registry: ModelRegistry) -> None:
    for n in range(3):
        await registry.add(record(f"v{n}", trained=NOW + n))
        await registry.promote("default", f"v{n}", NOW + n)
    await registry.prune("default", 2, (), NOW + 2 * HOUR_MICROS)
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, NOW + 3)
    with pytest.raises(ModelNotFound, match="pruned"):
        await registry.before("default")
