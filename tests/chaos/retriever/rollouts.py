"""Two generations take turns 50 times while 16 clients search and 4 write.

The two have spaces of their own: other dimensions, other vectors. So an answer's similarities say
which of the two they come from, whatever name it carries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
import numpy as np

from local_suite.suite import Suite
from sightline.common.v1 import filter_pb2
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.chaos.model import ENGINES, Report
from tests.chaos.retriever.calls import CALL_SECONDS, Retriever, outcome_of, said
from tests.chaos.retriever.comparing import compare
from tests.chaos.retriever.ledger import SPACE, Floats, Ledger, values, vector
from tests.chaos.retriever.writers import team
from tests.chaos.stage import channel_to, stage

CATALOG = "rollouts"
VERSIONS = {"one": 16, "two": 24}
SEARCHERS, WRITERS = 16, 4
STEADY = 200
NAMES = tuple(f"steady-{n:03}" for n in range(STEADY))
"""Products that never change: the nearest ones to each are known beforehand."""
STEADY_BRAND = "steady"
TOP = 10
TOLERANCE = 1e-4
SWITCH_SECONDS = 0.05


class Truth:
    """Expected answers of each generation about the steady products."""

    def __init__(self) -> None:
        self.vectors: Mapping[str, Floats] = {
            version: np.stack([values(name, 1, dimension) for name in NAMES])
            for version, dimension in VERSIONS.items()
        }
        """Version → vectors of all, (STEADY, dimension) float32, of length 1."""

    def nearest(self, version: str, asked: int) -> tuple[list[str], Floats]:
        """Return the ids of the TOP products nearest to a product, itself included, and their
        cosines."""
        held = self.vectors[version]
        cosines = held @ held[asked]
        order = np.argsort(-cosines)[:TOP]
        return [NAMES[n] for n in order], cosines[order]


@dataclass(slots=True)
class Seen:
    """Answers that the searching clients got."""

    answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERSIONS, 0))
    """Number of answers by the generation that they name."""
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    """Answers that are not, in all their parts, those of the generation that they name."""


def rollouts(engine: str, rounds: int, seed: int, report: Report) -> None:
    """Roll out and back `rounds` times on one engine. Raise SuiteError or NotMeasured."""
    with stage(engine, [CATALOG]) as suite:
        asyncio.run(_rollouts(suite, engine, rounds, seed, report))


async def _rollouts(suite: Suite, engine: str, rounds: int, seed: int, report: Report) -> None:
    ledger, seen, stop = Ledger(), Seen(), asyncio.Event()
    async with channel_to(suite, "retriever") as channel:
        retriever = Retriever(channel, CATALOG)
        truth = await _open(retriever)
        writers = team(WRITERS, retriever, ledger, VERSIONS, seed)
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.run(stop))
            for number in range(SEARCHERS):
                chance = random.Random(f"{seed}/{number}")
                group.create_task(_search(retriever, truth, chance, seen, stop, number % 4 == 3))
            failed = await _switch(retriever, rounds, report)
            stop.set()
        for name in NAMES:
            ledger.put(name, name, 0)
            ledger.change(name, vector=1)
        outcome = await compare(suite, retriever, ledger, VERSIONS)
    kind, total = ENGINES[engine], sum(seen.answers.values())
    answers = ", ".join(f"{count} by {name}" for name, count in seen.answers.items())
    errors = [*seen.errors, *failed, *map(str, retriever.met)]
    report.add(
        f"{kind}: {rounds} × activate and rollback, no error",
        not errors and all(seen.answers.values()),
        f"{total} answers ({answers}), {retriever.acknowledged} writes: {len(errors)} errors"
        f" {'; '.join(errors[:3])}",
    )
    measured = f"{total} compared with exact search: {len(seen.mixed)} mixed {seen.mixed[:2]}"
    report.add(f"{kind}: no answer mixes generations", not seen.mixed, measured)
    report.add(
        f"{kind}: no acknowledged write misses in either",
        not outcome.lost and not outcome.index,
        f"{outcome.rows} rows of both: record {outcome.record}; vectors {outcome.vectors}; "
        f"index {outcome.index}",
    )


async def _open(retriever: Retriever) -> Truth:
    """Open two generations that hold the steady products; "one" is active."""
    await retriever.open_generation("one", VERSIONS["one"])
    await retriever.open_generation("two", VERSIONS["two"], activate=False)
    await retriever.stock(NAMES, VERSIONS, STEADY_BRAND)
    return Truth()


async def _switch(retriever: Retriever, rounds: int, report: Report) -> list[str]:
    """Switch back and forth. Return the errors."""
    to = index_pb.ActivateGenerationRequest(catalog_id=CATALOG, name="two", force=True)
    back = index_pb.RollbackGenerationRequest(catalog_id=CATALOG, space=SPACE)
    outcomes = []
    for number in range(1, rounds + 1):
        activated = retriever.index.ActivateGeneration(to, timeout=CALL_SECONDS)
        outcomes.append(await outcome_of(activated))
        await asyncio.sleep(SWITCH_SECONDS)
        rolled_back = retriever.index.RollbackGeneration(back, timeout=CALL_SECONDS)
        outcomes.append(await outcome_of(rolled_back))
        await asyncio.sleep(SWITCH_SECONDS)
        if number % 10 == 0:
            report.say(f"{number} × activated and rolled back")
    return [each for each in outcomes if each != "OK"]


async def _search(
    retriever: Retriever,
    truth: Truth,
    chance: random.Random,
    seen: Seen,
    stop: asyncio.Event,
    by_vector: bool,
) -> None:
    """Search as one client, and compare each answer with that of the generation that it names.
    `by_vector`: search by a vector of one version, which fixes the generation."""
    while not stop.is_set():
        asked = chance.randrange(STEADY)
        request = _query(asked)
        if by_vector:
            version = chance.choice(list(VERSIONS))
            request.generation = version
            request.vector.CopyFrom(vector(version, truth.vectors[version][asked]))
        try:
            answer = await retriever.vectors.Search(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            seen.errors.append(said(error))
            continue
        _compare(answer, request.generation, asked, truth, seen)


def _query(asked: int) -> vectors_pb.SearchRequest:
    """Return a search for the steady products nearest to one of them."""
    request = vectors_pb.SearchRequest(
        catalog_id=CATALOG,
        product_id=NAMES[asked],
        space=SPACE,
        top_k=TOP,
        include_query_product=True,
    )
    request.filter.comparison.field = "brand"
    request.filter.comparison.operator = filter_pb2.Comparison.OPERATOR_EQUAL
    request.filter.comparison.value.text = STEADY_BRAND
    return request


def _compare(
    answer: vectors_pb.SearchResponse, wanted: str, asked: int, truth: Truth, seen: Seen
) -> None:
    named = answer.space.generation
    seen.answers[named] = seen.answers.get(named, 0) + 1
    if named != answer.space.version or named not in VERSIONS or (wanted and named != wanted):
        seen.mixed.append(f"{answer.space} instead of {wanted or 'its version'}")
        return
    names, cosines = truth.nearest(named, asked)
    got, near = list(answer.candidates.product_ids), np.array(answer.similarities)
    if sorted(got) != sorted(names) or not np.allclose(near, cosines, atol=TOLERANCE):
        seen.mixed.append(f"{NAMES[asked]} by {named}: {got[:3]} {near[:3]}")
