"""Rebuilding an index that lost its data from the record, at an operator's request."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retriever.domain.errors import SpaceUnavailable
from retriever.domain.generation import DEFAULT_SPACE
from retriever.domain.jobs import request_key
from retriever.record import Record
from servicekit.jobs.queue import Job, Jobs

REBUILD = "rebuild_index"
KINDS = (REBUILD,)
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RebuildPlan:
    """Parameters of a rebuilding."""

    space: str


async def ask(catalog_id: str, space: str, record: Record, jobs: Jobs, *, request_id: str) -> Job:
    """Ask the worker to rebuild a space's index. Raises SpaceUnavailable."""
    space = space or DEFAULT_SPACE
    if await record.generation(catalog_id, space) is None:
        raise SpaceUnavailable(space)
    key = request_key(request_id, space)
    return await jobs.create(REBUILD, catalog_id, RebuildPlan(space), key)


async def rebuild(
    job: Job, record: Record, jobs: Jobs, want: Callable[[str], Callable[[], int | None]]
) -> Mapping[str, Any]:
    """Do such a job. Return its results. Raises JobCancelled, JobClaimLost. `want`: that of the
    worker's IndexLoop, which alone compares index and record.

    Comparisons that fail, because the engine is away, are made again by the worker's loop: the job
    waits for them.
    """
    space = job.given(RebuildPlan).space
    live = await record.generations(job.catalog_id)
    wanted = [want(each.collection) for each in live if each.space == space]
    while True:
        done = [found for found in (done() for done in wanted) if found is not None]
        await jobs.progress(job, len(done), len(wanted))
        if len(done) == len(wanted):
            return {"generation_count": len(done), "mended_row_count": sum(done)}
        await asyncio.sleep(LOOK_SECONDS)
