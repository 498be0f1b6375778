from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servicekit.jobs.queue import JobNotFound, Jobs
from servicekit.rpc.job_service import JobServicer
from servicekit.rpc.requests import PageTokenInvalid
from servicekit.sql.database import Database
from sightline.common.v1 import job_service_pb2 as pb
from tests.fakes.kit_store import JOBS, MIGRATIONS

CONTEXT: Any = None


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    db = Database(f"sqlite:///{tmp_path}/store.db", migrations=MIGRATIONS)
    db.migrate()
    yield Jobs(db, JOBS)
    db.close()


@pytest.fixture
def servicer(jobs: Jobs) -> JobServicer:
    return JobServicer("shop/", ["default", "other"], jobs)


async def listed(servicer: JobServicer, **asked: Any) -> pb.ListJobsResponse:
    return await servicer.ListJobs(pb.ListJobsRequest(page_size=1, **asked), CONTEXT)


async def test_a_list_goes_on_where_its_page_ended(jobs: Jobs, servicer: JobServicer) -> None:
    made = [await jobs.create("train", "default", {}) for _ in range(2)]
    first = await listed(servicer, kind="train")
    second = await listed(servicer, kind="train", page_token=first.next_page_token)
    assert [page.jobs[0].job_id for page in (first, second)] == [
        f"shop/{job.id}" for job in reversed(made)
    ]
    assert not second.next_page_token


async def test_a_list_shows_no_parameters(jobs: Jobs, servicer: JobServicer) -> None:
    await jobs.create("export", "default", {"uri": "https://somebody:password@shop.example"})
    assert "somebody" not in str(await listed(servicer, kind="export"))


async def test_a_page_token_is_good_for_its_own_kind_and_catalog_alone(
    jobs: Jobs, servicer: JobServicer
) -> None:
    for kind in ("train", "purge") * 2:
        await jobs.create(kind, "default", {})
    token = (await listed(servicer, kind="train")).next_page_token
    assert (await listed(servicer, kind="train", page_token=token)).jobs
    others: list[dict[str, str]] = [{"kind": "purge"}, {}, {"kind": "train", "catalog_id": "other"}]
    for other in others:
        with pytest.raises(PageTokenInvalid):
            await listed(servicer, page_token=token, **other)


async def test_a_job_of_another_catalog_is_not_found(jobs: Jobs, servicer: JobServicer) -> None:
    job = await jobs.create("train", "other", {})
    with pytest.raises(JobNotFound):
        await servicer.GetJob(pb.GetJobRequest(job_id=f"shop/{job.id}"), CONTEXT)
