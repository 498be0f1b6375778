"""A verification under way, and its collaborators."""

from dataclasses import dataclass, field

from retriever.domain.generation import Generation
from retriever.indexing.generations import Demand
from retriever.ports.embedder import Embedder
from retriever.ports.engine import VectorIndex
from retriever.ports.photos import Photos
from retriever.record import Record
from retriever.search.sampling import Samples
from servicekit.jobs.queue import Job, Jobs


@dataclass(frozen=True, slots=True)
class Tools:
    """Collaborators of a verification."""

    record: Record
    photos: Photos
    index: VectorIndex
    embedder: Embedder
    jobs: Jobs


@dataclass(slots=True)
class Case:
    """A verification under way."""

    job: Job
    generation: Generation
    demand: Demand
    tools: Tools
    total: int
    """Rows that are looked at, and photos that are embedded."""
    done: int = 0
    samples: Samples = field(default_factory=Samples)

    async def advance(self, count: int = 0) -> None:
        """Report progress after `count` more items. Raise JobCancelled, JobClaimLost."""
        self.done += count
        await self.tools.jobs.progress(self.job, min(self.done, self.total), self.total)
