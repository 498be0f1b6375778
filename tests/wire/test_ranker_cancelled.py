"""Each call of the ranker, cancelled at each await and made again."""

from typing import Any

import pytest

from ranker.record.tables import JOBS
from servicekit.jobs.queue import Jobs
from sightline.common.v1 import audit_service_pb2
from tests.fakes.ranker import columns
from tests.wire.cancelled_calls import Offered, cancel_all
from tests.wire.ranker_suite import ANN, PRODUCTS, Suite, crowd, event, suite
from tests.wire.test_ranker_repeated import CALLS, experiment

pytestmark = pytest.mark.full

__all__ = ["suite"]

VALUES = {
    "answer_id": "a1",
    "candidates": columns(PRODUCTS),
    "days": 7,
    "entry": audit_service_pb2.AuditEntry(entry_id="e1"),
    "entries": audit_service_pb2.AuditEntry(entry_id="e2"),
    "name": "order",
    "number": 1,
    "product_id": "r1",
    "product_ids": "r1",
    "shopper": ANN,
}
REFUSED = {
    "AdminService/RollbackModel": "goes back one model with each call",
    "AdminService/DemoteModel": "the second finds no model that serves",
}
IN_MEMORY = {
    *("RankingService/Rank", "RankingService/Nominate", "RankingService/GiveReasons"),
    *("EventService/ListSearches", "AdminService/GetProductProfile"),
    "AdminService/ListSegments",
}
"""Calls that have no await of their own, as what they need was read."""


async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(suite: Suite) -> None:
    await suite.append(*crowd(), event("r1"))
    version = await suite.learn()
    await suite.promote(version)
    job = await Jobs(suite.database, JOBS).create("train", "default", {})
    rows: dict[str, Any] = {
        **CALLS,
        "ExperimentService/RegisterExperiments": {"experiments": [experiment()]},
        "AdminService/PromoteModel": {"model_version": version, "force": True},
    }
    awaits = await cancel_all(
        Offered(suite.offered, suite.settings),
        {**VALUES, "job_id": job.id},
        rows,
        refused=REFUSED,
    )
    assert {name for name, count in awaits.items() if not count} <= IN_MEMORY
