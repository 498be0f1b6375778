"""Each call to the ranker that is declared idempotent has one effect when it is made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from ranker.domain.private_counts import COUNTS
from ranker.record.tables import BUDGET, JOBS, METADATA
from servicekit.jobs.queue import Jobs
from servicekit.sql.retention import forget_jobs
from sightline.common.v1 import audit_service_pb2
from sightline.ranker.v1 import (
    answer_service_pb2,
    experiment_service_pb2,
    privacy_service_pb2,
    profile_service_pb2,
)
from tests.wire.ranker_suite import ANN, Suite, crowd, event, suite
from tests.wire.repeated_calls import methods, repeat, rows
from tests.wire.test_ranker_events import COOKIE

pytestmark = pytest.mark.full

__all__ = ["suite"]

COUNTED = {"request_id": "monthly-report", "epsilon": 1.0, "most_products": 1}
CALLS: Mapping[str, Mapping[str, Any]] = {
    "AnswerService/RecordAnswers": {
        "answers": [answer_service_pb2.AnswerRecord(answer_id="a1", scene="home")]
    },
    "UserEventService/WriteEvents": {"events": [event("r1", event_id="e1"), event("r2")]},
    "UserEventService/MergeShopper": {"from": COOKIE, "to": ANN},
    "ExperimentService/RegisterExperiments": {"experiments": []},
    "AdminService/PromoteModel": {"force": True},
    "AdminService/EraseUser": {"shopper": ANN, "force": True},
    "AdminService/ExportCounts": COUNTED,
    "AdminService/SetConsent": {
        "shopper": ANN,
        "withdrawn": [privacy_service_pb2.PURPOSE_EXPERIMENT],
        "source": "banner",
    },
    "AdminService/SetShopperAttributes": {
        "shopper": ANN,
        "attributes": [profile_service_pb2.ShopperAttribute(key="size", text="42")],
        "consent": True,
    },
}


def experiment() -> experiment_service_pb2.Experiment:
    """Return an experiment that begins now."""
    arms = [experiment_service_pb2.ExperimentArm(name=arm, share=0.5) for arm in "ab"]
    begun = experiment_service_pb2.Experiment(
        name="order", layer="l", layer_end=1.0, seed="s", metric="click_rate", arms=arms
    )
    begun.outcome_window.FromSeconds(86_400)
    begun.planned_units = 1_000
    begun.start_time.GetCurrentTime()
    return begun


def test_every_call_that_is_made_again_is_made_twice_here() -> None:
    assert methods("ranker").keys() == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_made_again_has_one_effect(suite: Suite, name: str) -> None:
    await suite.append(*crowd(), event("r1"), event("w1", shopper=COOKIE))
    fields = dict(CALLS[name])
    if name == "AdminService/PromoteModel":
        fields["model_version"] = await suite.learn()
    elif name == "ExperimentService/RegisterExperiments":
        fields["experiments"] = [experiment()]
    async with grpc.aio.insecure_channel(suite.target) as channel:
        answer = await repeat(channel, suite.database, METADATA, methods("ranker")[name], fields)
    assert not answer.startswith(("INVALID", "INTERNAL", "UNIMPLEMENTED", "UNKNOWN")), answer


async def test_an_entry_of_the_audit_log_that_is_sent_again_is_stored_once(suite: Suite) -> None:
    entry = audit_service_pb2.AuditEntry(entry_id="e1", catalog_id="default", code="OK")
    async with grpc.aio.insecure_channel(suite.target) as channel:
        method, fields = methods("common")["AuditService/AppendAuditEntries"], {"entries": [entry]}
        await repeat(channel, suite.database, METADATA, method, fields)
    assert len(rows(suite.database, METADATA)["audit_entries"]) == 1


async def test_counts_whose_job_was_forgotten_are_paid_for_again(suite: Suite) -> None:
    jobs, method = Jobs(suite.database, JOBS), methods("ranker")["AdminService/ExportCounts"]
    answers = set[str]()
    async with grpc.aio.insecure_channel(suite.target) as channel:
        for _ in range(3):
            answers.add(await repeat(channel, suite.database, METADATA, method, COUNTED))
            job = await jobs.claim((COUNTS,), "worker", 30.0)
            if job is not None:
                await jobs.finish(job)
                forgotten = await forget_jobs(
                    suite.database, JOBS, 1.0, lambda job=job: job.created_time + 10**12
                )
                assert forgotten == 1
    with suite.database.engine.connect() as connection:
        spent = connection.execute(sa.select(BUDGET.c.key)).scalars().all()
    paid = [answer for answer in answers if "PRIVACY_BUDGET" not in answer and "job_id" in answer]
    assert len(spent) == len(paid), "each draw of noise has an expense"
