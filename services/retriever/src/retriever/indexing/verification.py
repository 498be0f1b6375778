"""Whether a generation is as good as it should be: a job of the worker.

- Photos of a sample are embedded again from the stored bytes: their vectors must agree.
- The index is asked for neighbours, plain and under a filter; a pass over the record's vectors says
  which are the exact ones. A hit counts by its exact similarity, so that of several equal ones any
  will do.
- The same pass counts rows and looks for vectors that can't be compared.

Row ids are hashes, so the rows behind any id are a random sample.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from retriever.domain.model import (
    CollectionAbsent,
    CollectionReleased,
    EmbedderUnavailable,
    Floats,
    Generation,
    GivenVector,
    ImageDamaged,
    ImageNotFound,
    IndexRow,
    IndexUnavailable,
    Metric,
    Verification,
    VersionMismatch,
)
from retriever.indexing.generations import Demand
from retriever.ports.all import (
    Embedder,
    Photos,
    VectorIndex,
    VerificationRecord,
)
from retriever.search.nearest import Scores, exact_scores
from retriever.search.recall.subset import pages
from retriever.search.sampling import Samples
from retriever.search.search import Query, begin
from servicekit.errors import ServiceError
from servicekit.jobs import Job, Jobs, now_micros
from servicekit.telemetry import get_logger
from sightline_rules.filters import All, Comparison, Filter, Operator, passes

PAGE = 500
"""Rows read at a time: 2.5 MB of vectors at 1,280 dimensions."""
QUERIES = 100
"""Searches, at most, plain and under a filter each."""
EMBED = 16
"""Photos of one call to the embedder."""
LEAST_AGREEMENT = 0.999
"""Cosine of a stored vector and the same photo's new one: batches and builds differ by less."""
EQUAL = 1e-5
"""Similarities that differ by less are equal."""
PASSING = (0.01, 0.6)
"""What part of the sample a filter has to pass to be tried."""
SETTLE_LOOKS = 20
SETTLE_SECONDS = 0.25
MOST_UNDER_WAY = 100
"""Changes, at most, for which rows of record and engine may differ."""
MAX_PHOTOS = 20
"""Rows that one change concerns, at most."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Tools:
    """What a verification leans on."""

    record: VerificationRecord
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
        """Say how far it is. Raises JobCancelled, JobClaimLost."""
        self.done += count
        await self.tools.jobs.progress(self.job.id, min(self.done, self.total), self.total)


@dataclass(slots=True)
class Agreement:
    """How the stored vectors agree with those embedded again."""

    count: int = 0
    least: float = 1.0
    lost: int = 0
    """Photos that could not be read or embedded."""


class Trial:
    """Searches under one condition, and what the pass over the record says of them."""

    def __init__(self, condition: Filter, queries: Floats, k: int, newest: int) -> None:
        """`newest`: rows of later commits may be missing, as the index did not hold them then."""
        self.condition = condition
        self.queries = queries
        self.hits: list[dict[str, float]] = []
        """For each query: the row ids that the index found, with their exact scores once known."""
        self._k = k
        self.newest = newest
        self._best: Scores = np.empty((len(queries), 0))
        """For each query: the scores of the exact nearest rows, in no order."""
        self._passing = 0

    def look(self, rows: Sequence[IndexRow], scores: Scores) -> None:
        """Take rows of the record into account; `scores`: of each for each query."""
        kept = [place for place, row in enumerate(rows) if passes(self.condition, row.facts)]
        due = [place for place in kept if rows[place].seq <= self.newest]
        self._passing += len(due)
        best = np.concatenate([self._best, scores[:, due]], axis=1)
        if best.shape[1] > self._k:
            best = np.partition(best, -self._k, axis=1)[:, -self._k :]
        self._best = best
        places = {rows[place].row_id: place for place in kept}
        for number, hits in enumerate(self.hits):
            for row_id in hits.keys() & places.keys():
                hits[row_id] = float(scores[number, places[row_id]])

    def recall(self) -> float:
        """The share of the exact nearest that were found; 1 when there are none."""
        wanted = min(self._k, self._passing)
        if not wanted or not self.hits:
            return 1.0
        found = [
            min(wanted, sum(score >= least - EQUAL for score in hits.values()))
            for hits, least in zip(self.hits, self._best.min(axis=1), strict=True)
        ]
        return float(np.mean(found)) / wanted


async def verify(job: Job, tools: Tools) -> dict[str, Any]:
    """Do a job of this kind: keep what was found, and say whether it passed.

    Raises GenerationNotFound, EmbedderUnavailable, IndexUnavailable, JobCancelled, JobClaimLost.
    """
    given = job.params
    demand = Demand(int(given["sample_size"]), int(given["k"]), float(given["min_recall"]))
    generation = await tools.record.find_generation(job.catalog_id, given["generation"])
    case = Case(job, generation, demand, tools, await tools.record.row_count(generation))
    sample = await _sample(case)
    case.total += len(sample)
    agreement = await _embed_again(case, sample)
    queries = _queries(sample)
    newest = await _newest(case)
    trials = [
        Trial(condition, queries, demand.k, newest) for condition in [All(), *_filters(sample)]
    ]
    for trial in trials:
        await _search(case, trial)
    unsound = await _pass(case, trials)
    recalls = [trial.recall() for trial in trials]
    indexed, expected, slack = await _settled(case)
    found = Verification(
        findings=(),
        sample_count=agreement.count,
        least_agreement=agreement.least,
        recall=recalls[0],
        filtered_recall=min(recalls[1:], default=None),
        k=demand.k,
        record_count=expected,
        index_count=indexed,
        unsound_count=unsound,
        end_time=now_micros(),
    )
    findings = _findings(found, agreement, demand, slack, _noun(generation))
    findings += await _coverage(case, expected)
    return await _keep(generation, replace(found, findings=tuple(findings)), tools.record)


async def _keep(
    generation: Generation, found: Verification, record: VerificationRecord
) -> dict[str, Any]:
    """Put the findings into the registry; the job's result."""
    await record.save_verification(generation, found)
    log.info(
        "generation verified",
        generation=generation.name,
        passed=found.passed,
        recall=found.recall,
        filtered_recall=found.filtered_recall,
        least_agreement=found.least_agreement,
        findings=list(found.findings),
    )
    return {"passed": str(found.passed).lower(), "finding_count": len(found.findings)}


# The sample


async def _sample(case: Case) -> list[IndexRow]:
    """Rows of different photos, at random but always the same ones for a job."""
    start = hashlib.sha256(case.job.id.encode()).hexdigest()[:32]
    size = case.demand.sample_size
    rows: dict[str, IndexRow] = {}
    async for page in pages(case.generation, start, case.total, case.tools.record):
        for row in page:
            rows.setdefault(row.image_id or row.row_id, row)
        if len(rows) >= size:
            break
    return list(rows.values())[:size]


async def _embed_again(case: Case, sample: Sequence[IndexRow]) -> Agreement:
    """Compare stored vectors with those of the photos, or texts, as they are embedded now."""
    found, made, tools = Agreement(), case.generation, case.tools
    if made.given:  # only who gave them could make them again
        await case.advance(len(sample))
        return found
    for start in range(0, len(sample), EMBED):
        some = sample[start : start + EMBED]
        sources = await (_texts(case, some) if made.of_texts else _photos(case, some, found))
        if sources:
            contents = [content for content, _ in sources]
            given = await tools.embedder.embed(
                made.catalog_id, made.space, made.space_version, contents
            )
            for (_, vector), result in zip(sources, given, strict=True):
                _compare(vector, result, found)
        await case.advance(len(some))
    return found


async def _photos(
    case: Case, rows: Sequence[IndexRow], found: Agreement
) -> list[tuple[bytes | str, Floats]]:
    """The rows' photos with their stored vectors; those that can't be read are noted."""
    read: list[tuple[bytes | str, Floats]] = []
    for row in rows:
        try:
            data = await case.tools.photos.get(case.generation.catalog_id, row.image_id)
            read.append((data, row.vector))
        except (ImageNotFound, ImageDamaged):
            found.lost += 1
    return read


async def _texts(case: Case, rows: Sequence[IndexRow]) -> list[tuple[bytes | str, Floats]]:
    """The rows' texts with their stored vectors, those left out that wait for a new one."""
    product_ids = [row.product_id for row in rows]
    found = await case.tools.record.embedded_texts(case.generation, product_ids)
    return [*found.values()]


def _compare(stored: Floats, result: GivenVector | ServiceError, found: Agreement) -> None:
    """Raises EmbedderUnavailable, VersionMismatch: they say nothing about photo or text."""
    if isinstance(result, EmbedderUnavailable | VersionMismatch):
        raise result
    if not isinstance(result, GivenVector):
        found.lost += 1
        return
    vector = np.frombuffer(result.data, dtype="<f4")
    found.count += 1
    found.least = min(found.least, _cosine(stored, vector))


def _cosine(left: Floats, right: Floats) -> float:
    """−1 when the two can't be compared."""
    if left.shape != right.shape:
        return -1.0
    lengths = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    value = float(left @ right) / lengths if lengths else -1.0
    return value if np.isfinite(value) else -1.0


def _queries(sample: Sequence[IndexRow]) -> Floats:
    """What to ask for: points between two sampled photos, as a shopper's photo is near to some."""
    sound = [row.vector for row in sample if _is_sound(row.vector)][: QUERIES + 1]
    if not sound:
        return np.empty((0, 0), dtype=np.float32)
    units = np.array([vector / np.linalg.norm(vector) for vector in sound])
    mixed = units + 0.5 * np.roll(units, 1, axis=0)
    return np.asarray(mixed[:QUERIES], dtype=np.float32)


def _is_sound(vector: Floats) -> bool:
    return bool(np.isfinite(vector).all() and vector.any())


def _filters(sample: Sequence[IndexRow]) -> list[Filter]:
    """The condition on a brand or a category that passes about a tenth of the sample."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in sample:
        if row.facts.brand:
            counts["brand", row.facts.brand] += 1
        if row.facts.category:
            counts["category", row.facts.category] += 1
    low, high = (share * len(sample) for share in PASSING)
    fitting = [item for item, count in counts.items() if low <= count <= high]
    if not fitting:
        return []
    name, value = min(fitting, key=lambda item: (abs(counts[item] - 0.1 * len(sample)), item))
    return [Comparison(name, Operator.EQUAL, value)]


# Searches and the exact pass


async def _newest(case: Case) -> int:
    """The newest commit that the index holds, with all before it."""
    made, record = case.generation, case.tools.record
    present = await record.find_generation(made.catalog_id, made.name)
    head = (await record.freshness(present)).head
    missing = await record.changes(present, 1)
    return missing[0].seq - 1 if missing else head


async def _search(case: Case, trial: Trial) -> None:
    """Ask for each query's nearest, by the plan that a search would have."""
    catalog = case.generation.catalog_id
    for vector in trial.queries:
        nearest = await begin(
            Query(catalog, condition=trial.condition, top_k=case.demand.k),
            case.generation,
            trial.newest,
            vectors=[vector],
            excluded=0,
            latest=not trial.hits,
            record=case.tools.record,
            index=case.tools.index,
            samples=case.samples,
        )
        haul = await nearest.look(nearest.plan.limit, None)
        trial.hits.append({hit.row_id: -np.inf for hit in haul.hits})
    await case.advance()


async def _pass(case: Case, trials: Sequence[Trial]) -> int:
    """Look at every row of the record once; how many vectors are unsound."""
    unsound, after = 0, ""
    while page := await case.tools.record.row_page(case.generation, after, PAGE):
        after = page[-1].row_id
        unsound += await asyncio.to_thread(_look, page, case.generation.parameters.metric, trials)
        await case.advance(len(page))
    return unsound


def _look(page: Sequence[IndexRow], metric: Metric, trials: Sequence[Trial]) -> int:
    """Take a page's rows into account; how many of them are unsound."""
    sound = [row for row in page if _is_sound(row.vector)]
    queries = trials[0].queries
    if sound and len(queries):
        scores = exact_scores(queries, np.array([row.vector for row in sound]), metric)
        for trial in trials:
            trial.look(sound, scores)
    return len(page) - len(sound)


# What is wrong


async def _settled(case: Case) -> tuple[int, int, int]:
    """Rows of the engine, of the record, and how many may differ for what is being written."""
    made, tools = case.generation, case.tools
    for look in range(SETTLE_LOOKS):
        present = await tools.record.find_generation(made.catalog_id, made.name)
        try:
            indexed = await tools.index.count(made.collection)
        except (CollectionAbsent, CollectionReleased) as error:
            raise IndexUnavailable from error
        expected = await tools.record.row_count(made)
        under_way = len(await tools.record.changes(present, MOST_UNDER_WAY))
        if indexed == expected or look == SETTLE_LOOKS - 1:
            break
        await asyncio.sleep(SETTLE_SECONDS)
        await case.advance()
    return indexed, expected, under_way * MAX_PHOTOS


def _noun(made: Generation) -> str:
    """What is embedded for a generation."""
    return "text" if made.of_texts else "photo"


def _findings(
    found: Verification, agreement: Agreement, demand: Demand, slack: int, noun: str
) -> list[str]:
    wrong = []
    if found.unsound_count:
        wrong.append(f"{found.unsound_count:,} vectors are not finite or all zero")
    if agreement.lost:
        wrong.append(f"{agreement.lost:,} {noun}s of the sample could not be read or embedded")
    if found.least_agreement < LEAST_AGREEMENT:
        wrong.append(
            f"a {noun} that was embedded again agrees only "
            f"{found.least_agreement:.4f} with its stored vector; {LEAST_AGREEMENT} is asked for"
        )
    for kind, recall in (("plain", found.recall), ("filtered", found.filtered_recall)):
        if recall is not None and recall < demand.min_recall:
            wrong.append(
                f"{kind} recall at {found.k:,} is {recall:.3f}; "
                f"{demand.min_recall:.4g} is asked for"
            )
    if abs(found.index_count - found.record_count) > slack:
        wrong.append(
            f"the index holds {found.index_count:,} rows; the record has {found.record_count:,}"
        )
    return wrong


async def _coverage(case: Case, rows: int) -> list[str]:
    """Whether its `rows` are fewer than those of the active one of its space.

    Not for photos that wait, as those of live writes do; activation looks how long.
    """
    record, made = case.tools.record, case.generation
    if made.given:  # a version is of the products that its maker knew
        return []
    active = await record.generation(made.catalog_id, made.space)
    if active is None or active.name == made.name:
        return []
    held = await record.row_count(active)
    waiting = (await record.freshness(made)).pending
    if rows + waiting * MAX_PHOTOS >= held:
        return []
    noun = _noun(made)
    return [f"{rows:,} {noun}s have its vector, {held:,} that of the active one: backfill it"]
