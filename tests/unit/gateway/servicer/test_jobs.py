"""Jobs are seen, followed and cancelled by the roles of their kind."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from gateway.callers.job_access import RULES
from gateway.model.causes import Peer
from gateway.servicer.jobs import JobProxyServicer
from servicekit.admission import access
from servicekit.admission.access import Caller, Role, RoleMissing
from servicekit.keys.keyring import open_keys
from sightline.common.v1 import job_pb2
from sightline.common.v1 import job_service_pb2 as pb

ALL = {f"ranker/{kind}": job_pb2.Job(job_id=f"ranker/{kind}", kind=kind) for kind in RULES}


class Owner:
    """The ranker, with a job of each kind."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def GetJob(self, request: pb.GetJobRequest) -> job_pb2.Job:
        return ALL[request.job_id]

    async def CancelJob(self, request: pb.CancelJobRequest) -> job_pb2.Job:
        self.cancelled.append(request.job_id)
        return ALL[request.job_id]

    async def ListJobs(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:
        """List more than was asked for."""
        return pb.ListJobsResponse(jobs=sorted(ALL.values(), key=lambda job: job.job_id)[::-1])

    async def WatchJob(self, request: pb.WatchJobRequest) -> AsyncIterator[job_pb2.Job]:
        yield ALL[request.job_id]


class Calls:
    """Caller that calls a stub's method at once."""

    async def call(self, method: Any, request: Any) -> Any:
        return await method(request)

    def stream(self, method: Any, request: Any) -> Any:
        return method(request)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def jobs(owner: Owner) -> JobProxyServicer:
    connections = {peer: (cast(Any, _Channel()), cast(Any, Calls())) for peer in Peer}
    made = JobProxyServicer(["default"], connections, open_keys)
    made._owners = {"ranker": (cast(Any, Calls()), cast(Any, owner))}
    return made


class _Channel:
    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def calling_with(*roles: Role) -> None:
    access.caller.set(Caller("shop", frozenset(roles)))


@pytest.mark.parametrize("role", [*Role])
@pytest.mark.parametrize("kind", [*RULES])
async def test_a_job_is_for_the_roles_of_its_kind(
    jobs: JobProxyServicer, owner: Owner, kind: str, role: Role
) -> None:
    calling_with(role)
    rule, job_id = RULES[kind], f"ranker/{kind}"
    got = await allowed(jobs.GetJob(pb.GetJobRequest(job_id=job_id), cast(Any, None)))
    assert got == (role in rule.see)
    watched = await allowed(first(jobs.WatchJob(pb.WatchJobRequest(job_id=job_id), cast(Any, 0))))
    assert watched == (role in rule.see)
    cancelled = await allowed(jobs.CancelJob(pb.CancelJobRequest(job_id=job_id), cast(Any, None)))
    assert cancelled == (role in rule.cancel)
    assert owner.cancelled == [job_id] * cancelled


@pytest.mark.parametrize("role", [Role.CATALOG, Role.MODELS, Role.PRIVACY, Role.OPERATE])
async def test_a_list_has_the_jobs_that_the_caller_may_see(
    jobs: JobProxyServicer, role: Role
) -> None:
    calling_with(role)
    listed = await jobs.ListJobs(pb.ListJobsRequest(), cast(Any, None))
    expected = {kind for kind, rule in RULES.items() if role in rule.see}
    assert {job.kind for job in listed.jobs} == expected


async def test_a_kind_that_the_caller_may_not_see_is_not_listed(jobs: JobProxyServicer) -> None:
    calling_with(Role.CATALOG)
    with pytest.raises(RoleMissing, match="privacy"):
        await jobs.ListJobs(pb.ListJobsRequest(kind="export_events"), cast(Any, None))


async def test_a_job_of_an_unknown_kind_is_denied(jobs: JobProxyServicer) -> None:
    calling_with(*Role)
    ALL["ranker/new"] = job_pb2.Job(job_id="ranker/new", kind="new")
    try:
        with pytest.raises(RoleMissing):
            await jobs.GetJob(pb.GetJobRequest(job_id="ranker/new"), cast(Any, None))
    finally:
        del ALL["ranker/new"]


async def allowed(call: Any) -> bool:
    try:
        await call
    except RoleMissing:
        return False
    return True


async def first(stream: AsyncIterator[job_pb2.Job]) -> job_pb2.Job:
    return await anext(stream)
