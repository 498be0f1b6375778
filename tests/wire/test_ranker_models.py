"""Real trainings, their models and jobs, over real gRPC, on each engine."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ranker.record.tables import JOBS
from servicekit.jobs.queue import Jobs
from servicekit.status import from_status
from sightline.common.v1 import event_pb2, job_pb2, job_service_pb2
from sightline.ranker.v1 import model_service_pb2, ranking_service_pb2
from tests.waiting import SECONDS
from tests.wire.ranker_suite import Suite, crowd, event, refusal, suite, working

__all__ = ["suite", "working"]  # fixtures


async def test_a_trained_and_promoted_model_moves_what_was_viewed_up(working: Suite) -> None:
    await working.append(*crowd())
    job = await working.train(request_id="first")
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    assert job.done == job.total > 0
    version = job.results[0].value
    assert working.retriever.catalogs == ["default"] * 3

    listed = await working.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [one.model_version for one in listed.models] == [version]
    assert listed.models[0].state == model_service_pb2.Model.STATE_READY
    assert listed.models[0].event_count == 64
    promoted = await working.promote(version)
    assert promoted.state == model_service_pb2.Model.STATE_PROMOTED
    assert promoted.HasField("promote_time")

    new = event_pb2.Shopper(visitor_id="new")
    before = await working.rank(shopper=new)
    assert before.model_version == version
    assert [part.name for part in before.parts] == ["popularity"]
    for _ in range(3):
        await working.append(event("w5", shopper=new))
    after = await working.rank(shopper=new)
    assert [part.name for part in after.parts] == ["session", "popularity"]
    assert list(after.degradations) == []
    whites = [f"w{n}" for n in range(6)]
    assert _mean_rank(after, whites) < _mean_rank(before, whites)
    for place in range(12):
        parts = [part.values[place] for part in after.parts]
        assert abs(after.raw_scores[place] - sum(parts)) <= 1e-6 * sum(map(abs, parts))

    known = await working.generate(shopper=event_pb2.Shopper(user_id="w-0"), top_k=3)
    assert known.basis == ranking_service_pb2.NominateResponse.BASIS_LONG_TERM
    assert {item[0] for item in known.product_ids} == {"w"}
    await working.append(event("w4", shopper=new))
    fresh = await working.generate(shopper=new, top_k=3, exclude_product_ids=["w4", "w5"])
    assert fresh.basis == ranking_service_pb2.NominateResponse.BASIS_SESSION
    assert {item[0] for item in fresh.product_ids} == {"w"}
    taste = await working.rank(shopper=event_pb2.Shopper(user_id="w-0"))
    codes = {reason.code for one in taste.reasons for reason in one.reasons}
    assert codes & {"MATCHES_TASTE", "SIMILAR_TO_VIEWED"}


async def test_the_same_request_starts_one_job_and_jobs_are_listed_newest_first(
    suite: Suite,
) -> None:
    request = model_service_pb2.TrainModelRequest(request_id="again")
    one = await suite.models.TrainModel(request)
    same = await suite.models.TrainModel(request)
    other = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    assert one.job_id == same.job_id != other.job_id
    assert one.state == job_pb2.Job.STATE_PENDING
    jobs = await suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(kind="train", page_size=1))
    assert [job.job_id for job in jobs.jobs] == [other.job_id]
    rest = job_service_pb2.ListJobsRequest(kind="train", page_token=jobs.next_page_token)
    assert [job.job_id for job in (await suite.jobs.ListJobs(rest)).jobs] == [one.job_id]
    rest.kind = "evaluate"
    assert (await refusal(suite.jobs.ListJobs(rest))).reason == "PAGE_TOKEN_INVALID"


async def test_a_publication_is_asked_for_once_and_of_a_model_that_is_there(
    suite: Suite,
) -> None:
    ask, request = suite.models.PublishModel, model_service_pb2.PublishModelRequest
    assert (await refusal(ask(request()))).reason == "MODEL_NOT_FOUND"  # none serves
    assert (await refusal(ask(request(model_version="m9")))).reason == "MODEL_NOT_FOUND"
    assert (await refusal(ask(request(request_id="i" * 129)))).reason == "REQUEST_INVALID"
    await suite.append(*crowd())
    version = await suite.learn()
    named = await ask(request(model_version=version, request_id="once"))
    again = await ask(request(model_version=version, request_id="once"))
    assert (named.kind, named.state) == ("publish", job_pb2.Job.STATE_PENDING)
    assert named.job_id == again.job_id
    await suite.models.PromoteModel(
        model_service_pb2.PromoteModelRequest(model_version=version, force=True)
    )
    assert (await ask(request())).job_id != named.job_id
    other = await refusal(ask(request(catalog_id="other", model_version=version)))
    assert other.reason == "MODEL_NOT_FOUND"


async def test_trained_again_on_the_same_data_it_is_the_same_model(suite: Suite) -> None:
    await suite.append(*crowd())
    assert await suite.learn() == await suite.learn()
    listed = await suite.models.ListModels(model_service_pb2.ListModelsRequest())
    assert len(listed.models) == 1


@pytest.mark.full
async def test_without_anything_to_learn_from_a_training_fails_and_says_why(
    working: Suite,
) -> None:
    job = await working.train()
    assert job.state == job_pb2.Job.STATE_FAILED
    assert from_status(job.error).reason == "TRAINING_DATA_INSUFFICIENT"


async def test_a_waiting_job_can_be_cancelled_and_one_of_another_catalog_not_be_seen(
    suite: Suite,
) -> None:
    job = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    elsewhere = {"catalog_id": "other", "job_id": job.job_id}
    for call in (
        suite.jobs.GetJob(job_service_pb2.GetJobRequest(**elsewhere)),
        suite.jobs.CancelJob(job_service_pb2.CancelJobRequest(**elsewhere)),
        suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id="ranker/none")),
    ):
        assert (await refusal(call)).reason == "JOB_NOT_FOUND"
    cancel = job_service_pb2.CancelJobRequest(job_id=job.job_id)
    assert (await suite.jobs.CancelJob(cancel)).state == job_pb2.Job.STATE_CANCELLED


@pytest.mark.when("kit", "services/ranker")
async def test_promoting_while_ranking_loses_no_request_and_the_next_one_is_served_by_it(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    versions = [await suite.learn(seed) for seed in range(2)]
    assert versions[0] != versions[1]
    await suite.promote(versions[0])
    seen: list[str] = []
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            answer = await suite.rank(shopper=event_pb2.Shopper(user_id="r-1"))
            assert len(answer.product_ids) == 12
            seen.append(answer.model_version)

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    for turn in range(10):
        await suite.promote(versions[(turn + 1) % 2])
        now = await suite.rank()
        assert now.model_version == versions[(turn + 1) % 2]
    back = await suite.models.RollbackModel(model_service_pb2.RollbackModelRequest())
    assert (await suite.rank()).model_version == back.model_version == versions[1]
    stop.set()
    await asyncio.gather(*asking)
    assert set(seen) == set(versions)


async def test_a_tampered_model_is_not_promoted_and_the_former_one_goes_on(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    good, bad = [await suite.learn(seed) for seed in range(2)]
    await suite.promote(good)
    arrays = suite.folder / "models" / "default" / bad / "model.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    assert (await refusal(suite.promote(bad))).reason == "MODEL_CORRUPT"
    assert (await refusal(suite.promote("lfm-none"))).reason == "MODEL_NOT_FOUND"
    assert (await suite.rank()).model_version == good


@asynccontextmanager
async def worker_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker process with claims of five seconds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ranker.worker"),
        env=os.environ | {"RANKER_LEASE_SECONDS": "5", "RANKER_POLL_SECONDS": "0.1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def children(pid: int) -> list[int]:
    """Return the ids of the process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == pid and stat[0] != "Z":
                    found.append(int(entry.name))
    return found


@pytest.mark.full
async def test_a_killed_worker_takes_its_training_along_and_another_one_finishes_the_job(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    suite.retriever.gate = asyncio.Event()
    asked = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    async with worker_process() as first:
        await asyncio.wait_for(suite.retriever.asked.wait(), SECONDS)
        (training,) = children(first.pid)
        first.kill()
        await first.wait()
        async with asyncio.timeout(SECONDS):
            while _state(training) != "Z":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    suite.retriever.gate.set()
    async with worker_process():
        watch = job_service_pb2.WatchJobRequest(job_id=asked.job_id)
        job = [state async for state in suite.jobs.WatchJob(watch)][-1]
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    kept = await Jobs(suite.database, JOBS).get(asked.job_id.removeprefix("ranker/"))
    assert kept.attempts == 2
    listed = await suite.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [one.model_version for one in listed.models] == [job.results[0].value]


async def test_what_one_catalog_did_and_learned_is_unknown_in_another(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    other = await suite.rank(catalog_id="other", shopper=event_pb2.Shopper(user_id="r-1"))
    assert other.model_version == ""
    assert set(other.raw_scores) == {0.0}
    assert list((await suite.generate(catalog_id="other")).product_ids) == []


def _state(pid: int) -> str:
    """Return the process's state, "Z" once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _mean_rank(answer: ranking_service_pb2.RankResponse, ids: list[str]) -> float:
    return sum(list(answer.product_ids).index(item) for item in ids) / len(ids)
