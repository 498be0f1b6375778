"""Index generations: roll-out of a new version of a space beside the old one, and rollback. The
registry is in the record, so each operation is a transaction there; longer work is a job of the
worker. The worker also makes a new generation's collection, within a second or so.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from retriever.domain.collection_names import new_collection
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import GenerationExists, SpaceUnavailable
from retriever.domain.generation import (
    EXACT,
    MAX_DIMENSION,
    TEXT_SPACE,
    Generation,
    GenerationState,
    GenerationStatus,
    IndexParameters,
    check_parameters,
)
from retriever.domain.jobs import OPEN, request_key
from retriever.record import Record
from servicekit.errors import FieldViolation
from servicekit.jobs.queue import Decide, Job, Jobs
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import get_logger

BACKFILL = "backfill"
VERIFY = "verify"
DROP = "drop_generation"
DEFAULT_SAMPLE = 200
MAX_SAMPLE = 10_000
DEFAULT_K = 100
MAX_K = 1_000
DEFAULT_RECALL = 0.98
EMBEDDED = ("visual", TEXT_SPACE)
"""Spaces that are the embedder's, whether it serves them now or not."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_SPACE = re.compile(r"[a-z0-9_]{1,32}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRIES = 5
log = get_logger()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A generation that a caller wants, unchecked."""

    space: str
    name: str = ""
    """Name of the generation. If empty, one is generated."""
    space_version: str = ""
    """Version of the space. If empty, the embedder's default version."""
    parameters: IndexParameters = EXACT
    dimension: int = 0
    """Given for a space with vectors from callers, one per product; 0: the embedder's."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a generation is verified by."""

    sample_size: int = DEFAULT_SAMPLE
    k: int = DEFAULT_K
    min_recall: float = DEFAULT_RECALL


@dataclass(frozen=True)
class GenerationPlan:
    """Parameters of a job of one generation."""

    generation: str


@dataclass(frozen=True)
class VerifyPlan(Demand, GenerationPlan):
    """Parameters of a verification."""


async def create(
    catalog_id: str, order: GenerationRequest, prefix: str, record: Record
) -> GenerationStatus:
    """Register a generation; from now on every write reaches it.

    Raises GenerationExists, GenerationsFull, SpaceUnavailable, IndexParametersInvalid.
    """
    if order.name and not _NAME.fullmatch(order.name):
        raise RequestInvalid.at("name", "must be 1 to 64 of a-z, 0-9 and -")
    check_parameters(order.parameters)
    offers = await record.offers(catalog_id)
    offered = _given(order, offers) if order.dimension else _offered(order, offers)
    made = await _register(catalog_id, order, offered, prefix, record)
    log.info(
        "generation created",
        generation=made.name,
        space_version=made.space_version,
        dimension=made.dimension,
        metric=str(made.parameters.metric),
        kind=str(made.parameters.kind),
    )
    return await _status(made, record)


async def _register(
    catalog_id: str,
    order: GenerationRequest,
    offered: EmbeddingSpace,
    prefix: str,
    record: Record,
) -> Generation:
    """Register it under its name, or under the next free one."""
    for _ in range(_TRIES):
        name = order.name or await _free_name(catalog_id, offered, record)
        generation = Generation(
            catalog_id=catalog_id,
            name=name,
            space=offered.space,
            space_version=offered.version,
            dimension=offered.dimension,
            collection=new_collection(prefix, offered.space),
            state=GenerationState.BUILDING,
            active=False,
            parameters=order.parameters,
            of_products=bool(order.dimension) or offered.space == TEXT_SPACE,
        )
        try:
            return await record.register(generation)
        except GenerationExists:
            if order.name:
                raise
    raise GenerationExists(metadata={"name": name})  # other callers took all these names meanwhile


async def _free_name(catalog_id: str, offered: EmbeddingSpace, record: Record) -> str:
    known = {each.name for each in await record.history(catalog_id)}
    stem = re.sub("[^a-z0-9-]", "-", f"{offered.space}-{offered.version[:12]}".lower())
    number = 1
    while f"{stem}-{number}" in known:
        number += 1
    return f"{stem}-{number}"


def _offered(order: GenerationRequest, offers: Sequence[EmbeddingSpace]) -> EmbeddingSpace:
    """Return the requested version, as the embedder serves it."""
    served = [each for each in offers if each.space == order.space]
    for each in served:
        if each.version == order.space_version or (not order.space_version and each.default):
            return each
    versions = ", ".join(each.version for each in served) or "none"
    raise SpaceUnavailable(
        order.space, f"the embedder does not serve this version of the space; it serves {versions}"
    )


def _given(order: GenerationRequest, offers: Sequence[EmbeddingSpace]) -> EmbeddingSpace:
    """Return the version of a space whose vectors callers give. Raises RequestInvalid."""
    wrong = []
    if not 1 <= order.dimension <= MAX_DIMENSION:
        wrong.append(FieldViolation("dimension", f"must be 1 to {MAX_DIMENSION:,}, or 0"))
    if order.space in EMBEDDED or any(each.space == order.space for each in offers):
        wrong.append(FieldViolation("dimension", "must be 0: the embedder serves this space"))
    if not _SPACE.fullmatch(order.space):
        wrong.append(FieldViolation("space", "must be 1 to 32 of a-z, 0-9 and _"))
    if not _VERSION.fullmatch(order.space_version):
        wrong.append(
            FieldViolation("space_version", "must be 1 to 128 of A-Z, a-z, 0-9, ., _ and -")
        )
    if wrong:
        raise RequestInvalid(*wrong)
    return EmbeddingSpace(order.space, order.space_version, order.dimension, True, False)


async def backfill(
    catalog_id: str, name: str, record: Record, jobs: Jobs, *, request_id: str
) -> Job:
    """Request a job that embeds the generation's missing items, or return the running one.

    Raises GenerationNotFound.
    """
    generation = await record.find_generation(catalog_id, name)
    return await _ask(BACKFILL, generation, GenerationPlan(generation.name), jobs, request_id)


async def verify(
    catalog_id: str,
    name: str,
    demand: Demand,
    record: Record,
    jobs: Jobs,
    *,
    request_id: str,
) -> Job:
    """Request a job that verifies the generation, or return the running one.

    Raises GenerationNotFound, RequestInvalid.
    """
    wrong = []
    if not 1 <= demand.sample_size <= MAX_SAMPLE:
        wrong.append(FieldViolation("sample_size", f"must be from 1 to {MAX_SAMPLE:,}, or 0"))
    if not 1 <= demand.k <= MAX_K:
        wrong.append(FieldViolation("k", f"must be from 1 to {MAX_K:,}, or 0"))
    if not 0 <= demand.min_recall <= 1:
        wrong.append(FieldViolation("min_recall", "must be from 0 to 1"))
    if wrong:
        raise RequestInvalid(*wrong)
    generation = await record.find_generation(catalog_id, name)
    plan = VerifyPlan(generation.name, **asdict(demand))
    return await _ask(VERIFY, generation, plan, jobs, request_id)


async def _ask(
    kind: str,
    generation: Generation,
    plan: GenerationPlan,
    jobs: Jobs,
    request_id: str,
) -> Job:
    name = generation.name
    same = request_key(request_id, name)
    return await jobs.create(kind, generation.catalog_id, plan, same, decide=_of(name))


def _of(name: str) -> Decide:
    """Choose the open job of a generation, if there is one."""

    def decide(found: Sequence[Job]) -> Job | None:
        return next((job for job in found if job.given(GenerationPlan).generation == name), None)

    return decide


async def open_jobs(catalog_id: str, kind: str, jobs: Jobs) -> tuple[Job, ...]:
    """Return the jobs of this kind that have not ended."""
    return await jobs.list(catalog_id=catalog_id, kinds=(kind,), states=OPEN, limit=1_000)


async def activate(catalog_id: str, name: str, record: Record, *, force: bool) -> GenerationStatus:
    """Make it the active one of its space. Raises GenerationNotFound, GenerationNotVerified."""
    made = await record.activate(catalog_id, name, force=force)
    level = log.warning if made.forced else log.info
    level(
        "generation activated",
        generation=made.name,
        space_version=made.space_version,
        instead_of=made.predecessor,
        forced=made.forced,
    )
    return await _status(made, record)


async def rollback(catalog_id: str, space: str, record: Record) -> GenerationStatus:
    """Activate the generation that was active before the current one. Raises
    RollbackUnavailable."""
    made = await record.rollback(catalog_id, space)
    log.warning("generation rolled back to", generation=made.name)
    return await _status(made, record)


async def drop(catalog_id: str, name: str, record: Record, jobs: Jobs) -> GenerationStatus:
    """Drop a generation; a job deletes its data. A repeated call requests the job again, in case
    the first call was interrupted. Raise GenerationNotFound, GenerationActive.
    """
    made = await record.retire(catalog_id, name)
    await jobs.create(DROP, catalog_id, GenerationPlan(made.name), decide=_of(made.name))
    log.info("generation dropped", generation=made.name)
    return await _status(made, record)


async def _status(generation: Generation, record: Record) -> GenerationStatus:
    found = await record.statuses(generation.catalog_id, generation.space, dropped=True)
    return next(each for each in found if each.generation.name == generation.name)
