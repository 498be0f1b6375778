"""Verification of a generation's quality: a job of the worker.

- Photos of a sample are embedded again from the stored bytes: their vectors must agree.
- The index is searched for neighbours, without and with a filter; a pass over the record's vectors
  finds the exact ones. A hit counts by its exact similarity, so that equal rows are
  interchangeable.
- The same pass counts rows and finds invalid vectors.

Row ids are hashes, so the rows behind any id are a random sample.
"""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

from retriever.domain.errors import CollectionAbsent, CollectionReleased, IndexUnavailable
from retriever.domain.generation import Generation, Verification
from retriever.domain.index_values import IndexRow
from retriever.domain.product import MAX_PHOTOS
from retriever.indexing.generations import Demand, VerifyPlan
from retriever.indexing.verification.agreement import Agreement, embed_again
from retriever.indexing.verification.case import Case, Tools
from retriever.indexing.verification.photo_neighbours import PhotoNeighbours
from retriever.indexing.verification.trials import (
    Trial,
    exact_pass,
    filters_for,
    is_sound,
    newest_commit,
    queries_between,
    run_searches,
)
from retriever.record import Record
from retriever.search.recall.subset import pages
from servicekit.clock import now_micros
from servicekit.jobs.queue import Job
from servicekit.telemetry import get_logger
from sightline_rules.filters import All

log = get_logger()
LEAST_AGREEMENT = 0.999
"""Cosine of a stored vector and the same photo's new one: batches and builds differ by less."""
SETTLE_LOOKS = 20
SETTLE_SECONDS = 0.25
MOST_UNDER_WAY = 100
"""Maximum number of pending changes by which the rows of record and engine may differ."""


async def verify(job: Job, tools: Tools) -> dict[str, Any]:
    """Run a job of this kind, store its findings and return whether it passed.

    Raises GenerationNotFound, EmbedderUnavailable, IndexUnavailable, JobCancelled, JobClaimLost.
    """
    demand = job.given(VerifyPlan)
    generation = await tools.record.find_generation(job.catalog_id, demand.generation)
    case = Case(job, generation, demand, tools, await tools.record.row_count(generation))
    sample = await draw_sample(case)
    case.total += len(sample)
    agreement = await embed_again(case, sample)
    queries = queries_between(sample)
    newest = await newest_commit(case)
    trials = [
        Trial(condition, queries, demand.k, newest) for condition in [All(), *filters_for(sample)]
    ]
    for trial in trials:
        await run_searches(case, trial)
    sound = [row for row in sample if is_sound(row.vector)]
    neighbours = PhotoNeighbours(sound, generation.parameters.metric)
    unsound = await exact_pass(case, trials, neighbours)
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
        nearest_cosines=neighbours.cosines(),
    )
    findings = _findings(found, agreement, demand, slack, _noun(generation))
    findings += await _coverage(case, expected)
    return await _keep(generation, replace(found, findings=tuple(findings)), tools.record)


async def _keep(generation: Generation, found: Verification, record: Record) -> dict[str, Any]:
    """Store the findings in the registry. Return the job's result."""
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


async def draw_sample(case: Case) -> list[IndexRow]:
    """Draw rows of different photos at random, the same ones for the same job."""
    start = hashlib.sha256(case.job.id.encode()).hexdigest()[:32]
    size = case.demand.sample_size
    rows: dict[str, IndexRow] = {}
    async for page in pages(case.generation, start, case.total, case.tools.record):
        for row in page:
            rows.setdefault(row.image_id or row.row_id, row)
        if len(rows) >= size:
            break
    return list(rows.values())[:size]


# Findings


async def _settled(case: Case) -> tuple[int, int, int]:
    """Return the row counts of engine and record, and the difference that writes in progress
    allow."""
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
    """Return the noun for what a generation embeds."""
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
    """Return a finding if `rows` are fewer than those of the space's active generation.

    Rows of pending photos, as after live writes, do not count; activation checks how long they
    wait.
    """
    record, made = case.tools.record, case.generation
    if made.given:  # a version covers the products that its supplier knew
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
