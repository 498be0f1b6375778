"""Shared parts of the gateway's scripted peers: a script, a few products, jobs."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from servicekit.errors import ServiceError
from sightline.common.v1 import (
    answer_pb2,
    candidate_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    photo_pb2,
)

PRODUCTS = ["p1", "p2", "p3", "p4", "p5"]

NEAREST = {"p1": 0.8, "p2": 0.5, "p3": 0.9, "p4": 0.7}
"""Nearest products of every photo: p3, p1, p4, p2."""

ALLOWED_URI = "https://photos.test/a.jpg"
"""The one address that the embedder fetches from."""

SPACE = answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1")


@dataclass
class Seen:
    """One call that arrived at a peer."""

    method: str
    request: Any
    seconds_left: float | None
    metadata: dict[str, str]


@dataclass
class Script:
    """Behaviour of the peers of one process, shared by all their servicers."""

    errors: dict[str, ServiceError] = field(default_factory=dict)
    """Raised by a method."""
    late_error: ServiceError | None = None
    """Raised by a stream after its last answer."""
    hang: set[str] = field(default_factory=set)
    """Methods that never answer."""
    parents: dict[str, str] = field(default_factory=dict)
    """Parents of variants."""
    collapsed: dict[str, list[str]] = field(default_factory=dict)
    """Near-duplicates in searches, by the product into which they collapse."""
    degradations: list[answer_pb2.Degradation] = field(default_factory=list)
    """Degradations of a search."""
    rejected: dict[str | None, str] = field(default_factory=dict)
    """Path of the condition that matches no product, by the kind of the filter."""
    times_valid: bool = False
    """True if the time of every event is valid; else that of the last event of a call is not."""
    scans: int = 0
    """Products that one page of a list looks at; 0 = all of them."""
    seen: list[Seen] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, method: str, request: Any, context: Any) -> None:
        """Record the call and follow the script."""
        metadata = dict(context.invocation_metadata())
        self.seen.append(Seen(method, request, context.time_remaining(), metadata))
        self.arrived.set()
        if method in self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if method in self.errors:
            raise self.errors[method]

    def requests(self, method: str) -> list[Any]:
        """Return the requests of a method."""
        return [item.request for item in self.seen if item.method == method]


PART = photo_pb2.Box(left=0.25, top=0.25, right=0.75, bottom=0.75)
"""Part of a photo."""


KIND = "train"
"""The kind of every job."""


class Jobs(job_service_pb2_grpc.JobServiceServicer):
    """Fake job service: finds every requested job; lists those of `created`, newest first."""

    def __init__(self, script: Script, owner: str, created: dict[str, int]) -> None:
        self.script = script
        self.owner = owner
        self.created = created
        """Creation time of each job, in seconds since 1970, by its id without owner."""

    async def GetJob(self, request, context):
        await self.script.take("GetJob", request, context)
        return job_pb2.Job(job_id=request.job_id, kind=KIND, catalog_id=request.catalog_id)

    async def ListJobs(self, request, context):
        await self.script.take("ListJobs", request, context)
        ids = sorted(self.created, reverse=True)
        left = [item for item in ids if not request.page_token or item < request.page_token]
        shown = left[: request.page_size or 50]
        answer = job_service_pb2.ListJobsResponse(
            next_page_token=shown[-1] if len(shown) < len(left) else ""
        )
        for item in shown:
            job = answer.jobs.add(job_id=f"{self.owner}/{item}", kind=KIND)
            job.create_time.seconds = self.created[item]
        return answer

    async def CancelJob(self, request, context):
        await self.script.take("CancelJob", request, context)
        return job_pb2.Job(job_id=request.job_id, kind=KIND, state=job_pb2.Job.STATE_CANCELLED)

    async def WatchJob(self, request, context):
        await self.script.take("WatchJob", request, context)
        for done, state in ((1, job_pb2.Job.STATE_RUNNING), (2, job_pb2.Job.STATE_SUCCEEDED)):
            yield job_pb2.Job(job_id=request.job_id, kind=KIND, done=done, state=state)


def columns(ids: list[str], parents: dict[str, str]) -> candidate_pb2.CandidateColumns:
    """Return columns of which only some are filled, as the contract allows."""
    return candidate_pb2.CandidateColumns(
        product_ids=ids,
        brands=[f"brand {item}" for item in ids],
        parent_ids=[parents.get(item, "") for item in ids] if parents else [],
        category_paths=["Wine > Red > Merlot"] * len(ids),
    )


def stage_timing(stage: str, start: int, total: int) -> answer_pb2.StageTiming:
    timing = answer_pb2.StageTiming(stage=stage)
    timing.start.FromNanoseconds(start)
    timing.total.FromNanoseconds(total)
    return timing
