"""Each kind of job names in the contract who may see and cancel it."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from gateway.callers.job_access import RULES
from ranker.learning.publish import PUBLISH
from ranker.wiring.worker import jobs_of
from retriever.workers import jobs as retriever_jobs
from servicekit.admission.access import POOL, Role, rule
from servicekit.jobs.worker import Do
from servicekit.processes.background import Priority
from sightline.common.v1 import job_kind_pb2

FORMER = "refine_space"
"""Kind that only jobs of releases before 0.40 have, which are listed until they are forgotten."""
SERVICE = "sightline.common.v1.JobService"


def ranker_jobs() -> dict[str, Do]:
    stand_in = cast(
        Any,
        SimpleNamespace(
            jobs=None,
            export_store="",
            backups="",
            database=None,
            least_shoppers=20,
            training_priority=Priority.IDLE,
        ),
    )
    return jobs_of(stand_in, stand_in, stand_in, asyncio.Event())


def test_the_kinds_that_workers_do_are_those_of_the_contract() -> None:
    assert {*retriever_jobs.KINDS} | {PUBLISH, *ranker_jobs()} == {*RULES} - {FORMER}


def test_each_kind_has_a_rule_and_a_name_like_its_value() -> None:
    values = [value for value in job_kind_pb2.JobKind.DESCRIPTOR.values if value.number]
    kinds = [value.GetOptions().Extensions[job_kind_pb2.job_access].kind for value in values]
    assert [f"JOB_KIND_{kind.upper()}" for kind in kinds] == [value.name for value in values]


def test_each_kind_but_an_erasure_is_cancelled_by_callers_who_may_see_it() -> None:
    """Half an erasure helps nobody."""
    for kind, found in RULES.items():
        assert bool(found.cancel) == (kind != "erase_user"), kind
        assert found.cancel <= found.see, kind


def test_a_caller_that_may_see_a_kind_may_call_the_job_service() -> None:
    for method in POOL.FindServiceByName(SERVICE).methods:
        roles = rule(f"{SERVICE}/{method.name}").roles
        assert {role for each in RULES.values() for role in each.see} <= roles


def test_data_about_shoppers_is_for_privacy_alone() -> None:
    for kind in ("export_events", "purge_events", "erase_user"):
        assert RULES[kind].see == {Role.PRIVACY}
        assert RULES[kind].cancel <= {Role.PRIVACY}
