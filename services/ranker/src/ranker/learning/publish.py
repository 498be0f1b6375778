"""Publishes a model's products into the retriever's `collaborative` space: a job of the worker.

The space's version is the model's; serving/vectors.py says what a vector there holds.

The job creates a generation for the version, writes the vectors, waits until the index holds them,
has it verified, and makes it the active one if its model serves. The previous one stays for a
rollback. All steps are idempotent, so a killed job continues where it stopped. If the retriever
does not answer, the job waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import SPACE, CollaborativeIndex, Published
from ranker.domain.errors import PublishIncomplete
from ranker.domain.model import Model
from ranker.record.models import ModelRegistry
from ranker.serving.vectors import item_vectors
from servicekit.errors import AlreadyExists, DeadlineExceeded, Unavailable
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.worker import leave_on
from servicekit.telemetry import get_logger

PUBLISH = "publish"
BATCH = 1_000
"""Vectors per call: 124 KB at 30 dimensions."""
EXACT_UP_TO = 100_000
"""Number of products up to which every vector is compared; above, the engine uses a graph."""
PASSES = 3
"""Maximum number of passes: products change meanwhile, until the counts must agree."""
KEEP = 4
"""Number of live generations to keep: the active one, the previous one, and others in
preparation."""
RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5

P = ParamSpec("P")
T = TypeVar("T")

log = get_logger()


class PublishedModels:
    """Models that can be published, and the serving one."""

    def __init__(self, registry: ModelRegistry, store: ModelStore) -> None:
        self._registry = registry
        self._store = store

    async def load(self, catalog_id: str, version: str) -> Model:
        """Return the model; ModelNotFound, ModelCorrupt."""
        found = await self._registry.get(catalog_id, version)
        return await asyncio.to_thread(self._store.read, *found.key)

    async def serving(self, catalog_id: str) -> str:
        """Return the serving version; empty if none serves."""
        found = await self._registry.serving(catalog_id)
        return found.version if found else ""


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Parameters of a publication."""

    model_version: str
    rewrite: bool = False


@dataclass(slots=True)
class Publication:
    job: Job
    models: PublishedModels
    index: CollaborativeIndex
    jobs: Jobs
    stop: asyncio.Event
    done: int = 0
    total: int = 0

    async def run(self) -> dict[str, str]:
        """Execute the job. Return its result.

        Raises what `jobs.progress` does, JobLeft on `stop`, PublishIncomplete, ModelNotFound,
        ModelCorrupt, and errors of the retriever.
        """
        catalog_id, plan = self.job.catalog_id, self.job.given(PublishPlan)
        version = plan.model_version
        model = await self.models.load(catalog_id, version)
        self.done, self.total = self.job.done, len(model.item_ids)
        made = await self._generation(model)
        if plan.rewrite or not made.verified:
            await self._fill(model, made.name)
        active = await self._activate(version)
        await self._tidy_up(version)
        log.info("model published", model_version=version, generation=made.name, active=active)
        return {
            "model_version": version,
            "generation": made.name,
            "active": str(active).lower(),
            "vector_count": str((await self._find(version) or made).vector_count),
        }

    async def _find(self, version: str) -> Published | None:
        """Return the newest live generation of a version."""
        known = await self._ask(self.index.generations)
        live = [one for one in known if one.live and one.version == version]
        return live[-1] if live else None

    async def _generation(self, model: Model) -> Published:
        """Return the generation of the model's version, creating it if there is none."""
        dimension, graph = model.item_vectors.shape[1] + 1, len(model.item_ids) > EXACT_UP_TO
        while (found := await self._find(model.version)) is None:
            known = await self._ask(self.index.generations)
            # Names of dropped generations stay taken.
            number = 1 + sum(one.version == model.version for one in known)
            name = f"{SPACE}-{model.version}-{number}"
            try:
                await self._ask(self.index.create, name, model.version, dimension, graph=graph)
            except AlreadyExists:  # created by an earlier attempt or another worker
                log.info("generation exists already", generation=name)
        return found

    async def _fill(self, model: Model, name: str) -> None:
        """Write all vectors until the counts agree; verified when this returns, or it raises."""
        for _ in range(PASSES):
            expected = await self._write(model)
            await self._await_job(await self._ask(self.index.settle, name))
            found = await self._find(model.version)
            held = found.vector_count if found else 0
            if held == expected:
                break
            log.info("vectors are written again", generation=name, held=held, expected=expected)
            self.done = 0
        else:
            raise PublishIncomplete(
                f"the retriever holds {held:,} vectors of {expected:,} products of the model; "
                "the catalog changes too fast: publish it again later"
            )
        await self._await_job(await self._ask(self.index.verify, name))
        found = await self._find(model.version)
        if found is None or not found.verified:
            why = found.finding if found else "it was dropped"
            raise PublishIncomplete(f"the generation {name} did not pass its verification: {why}")

    async def _write(self, model: Model) -> int:
        """Write the vectors from the job's position on. Return how many the retriever should hold
        now."""
        vectors = item_vectors(model)
        # A product with a zero vector scores 0 for all shoppers, and an index can't hold a zero
        # vector.
        rows = np.flatnonzero(vectors.any(axis=1))
        first = int(np.searchsorted(rows, self.done))
        missing = 0
        for start in range(first, len(rows), BATCH):
            some = rows[start : start + BATCH]
            ids = [model.item_ids[row] for row in some]
            missing += await self._ask(self.index.write, model.version, ids, vectors[some])
            self.done = int(some[-1]) + 1
            await self._progress()
        self.done = self.total
        return len(rows) - missing

    async def _await_job(self, job_id: str) -> None:
        while not await self._ask(self.index.ended, job_id):
            await self._progress()
            await asyncio.sleep(LOOK_SECONDS)

    async def _activate(self, version: str) -> bool:
        """Make the serving model's generation the active one, if it is ready. Return whether it is
        this one.

        Another model may be promoted at any moment, and its publication may have ended before.
        """
        catalog_id = self.job.catalog_id
        while True:
            serving = await self.models.serving(catalog_id)
            found = await self._find(serving)
            if found is None or not found.verified:
                return False  # another model serves now; its own publication will activate it
            await self._ask(self.index.activate, found.name)
            if await self.models.serving(catalog_id) == serving:
                return serving == version

    async def _tidy_up(self, version: str) -> None:
        """Drop the oldest generations that are not needed; they can be published again."""
        serving = await self.models.serving(self.job.catalog_id)
        known = await self._ask(self.index.generations)
        live = [one for one in known if one.live]
        free = [
            one
            for one in live
            if not (one.active or one.previous or one.version in (version, serving))
        ]
        for one in free[: max(0, len(live) - KEEP)]:
            await self._ask(self.index.drop, one.name)

    async def _ask(
        self, call: Callable[Concatenate[str, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call the retriever on this catalog until it answers, and return the answer."""
        while True:
            leave_on(self.stop)
            try:
                return await call(self.job.catalog_id, *args, **kwargs)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("publication waits", job_id=self.job.id, reason=error.reason)
                await self._progress()
                await asyncio.sleep(RETRY_SECONDS)

    async def _progress(self) -> None:
        await self.jobs.progress(self.job, self.done, self.total)
