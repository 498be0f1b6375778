"""Cost of an answer as the catalog grows: made products of 80 dimensions, with the services apart
and in one process.

3,000 and 100,000 products are asked in alternation. `full` adds 100,000 on the Milvus server and a
million. docs/operate/sizing.md names the size up to which one process is used.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import TypeAlias

import uvloop

from bench.cases.monolith import cases, contenders, load
from bench.cases.monolith.asking import PRODUCT, USER, WORDS, Questions
from bench.cases.monolith.filled import another, filled, wait
from bench.cases.monolith.goals import BUSY, GROWTH, MeasuredShop
from bench.cases.monolith.load import Cells, LoadPlan
from bench.cases.monolith.made import MadeCatalog
from bench.cases.monolith.tables import figure, rounded, warnings
from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from local_suite.processes import marked
from local_suite.programs import ALL, TARGETS
from local_suite.suite import Suite
from retriever.domain.generation import IndexKind, IndexParameters

Say: TypeAlias = Callable[[str], None]

DIMENSION = 80
FEW, MANY, MILLION = 3_000, 100_000, 1_000_000
KINDS = (PRODUCT, USER)
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class CatalogSize:
    """A catalog to fill."""

    count: int
    engine: str
    crowd: int = cases.CROWD
    """Number of shoppers with events; 0: none, and no model is trained."""

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.count:,}, {'Milvus server' if self.engine == 'server' else 'Milvus Lite'}"

    def made(self) -> MadeCatalog:
        """Return its products."""
        kind = IndexKind.HNSW if self.engine == "server" else IndexKind.FLAT
        return MadeCatalog("default", self.count, DIMENSION, parameters=IndexParameters(kind=kind))


GROWN = (CatalogSize(FEW, "lite"), CatalogSize(MANY, "lite"))
ALONE = (CatalogSize(MANY, "server"), CatalogSize(MILLION, "server", crowd=0))
"""Measured one after the other. No model is trained on a million products: this takes more memory
than the other processes together."""


@dataclass(slots=True)
class SizeFigures:
    """Cells of suites by `title`, and their memory."""

    cells: Cells = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    """GiB (PSS) of all processes after the requests."""


def run(say: Say) -> BenchResult:
    """Measure 3,000 and 100,000 products on Milvus Lite."""
    return result(_measured(GROWN, say))


def full(say: Say) -> BenchResult:
    """Measure also the Milvus server, and a million products; filling these takes a while."""
    found = _measured(GROWN, say)
    for size in ALONE:
        more = _measured([size], say)
        found = SizeFigures({**found.cells, **more.cells}, found.memory | more.memory)
    return result(found)


def _measured(sizes: Sequence[CatalogSize], say: Say) -> SizeFigures:
    """Start each catalog in both shapes, and ask all in alternation."""
    with ExitStack() as running:
        suites, questions = dict[str, Suite](), dict[str, Questions]()
        for size in sizes:
            filling = cases.filling("large", [size.made()], size.crowd, size.engine)
            suite, facts = running.enter_context(filled(filling, say))
            in_one = partial(filling.programs, target=ALL)
            one = running.enter_context(another(filling, in_one))
            wait(one, facts.photos)
            for target, started in zip(TARGETS, (suite, one), strict=True):
                suites[title(size, target)] = started
                questions[title(size, target)] = Questions(facts.products, facts.users)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            cells = runner.run(_asked(suites, questions, say))
        return SizeFigures(cells, {name: memory(each) for name, each in suites.items()})


async def _asked(
    suites: Mapping[str, Suite], questions: Mapping[str, Questions], say: Say
) -> Cells:
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(contenders.suite(suite, name, questions[name]))
            for name, suite in suites.items()
        ]
        first = next(iter(questions.values()))
        kinds = [kind for kind in KINDS if kind in first.kinds()]
        return await load.rounds(found, LoadPlan(first, rounds=ROUNDS, kinds=kinds), say)


def memory(suite: Suite) -> float:
    """Return the GiB (PSS) of all processes of a suite."""
    return sum(map(processes.proportional, marked(suite.layout.data))) / 2**30


def title(size: CatalogSize, target: str) -> str:
    """Return the name of a catalog in one shape."""
    return f"{size.name}, {'one process' if target == ALL else 'apart'}"


def result(found: SizeFigures) -> BenchResult:
    """Return the table, figures and goals of the measurements."""
    return BenchResult(
        tables=(_table(found),),
        figures={
            "cells": [
                {
                    "catalog": name,
                    "kind": kind,
                    "callers": callers,
                    "cpu_ms": rounded(cell.costs),
                    "p50_ms": rounded(cell.medians),
                    "requests_per_second": rounded(cell.rates),
                    "cpu_ms_by_process": {k: rounded(v) for k, v in cell.programs.items()},
                }
                for (name, kind, callers), cell in found.cells.items()
            ],
            "gib": found.memory,
        },
        goals=tuple(_goals(found.cells)),
        warnings=tuple(warnings([MeasuredShop("made products", found.cells)])),
    )


def _table(found: SizeFigures) -> BenchTable:
    rows = []
    for name, kind in product(found.memory, KINDS):
        if (name, kind, BUSY) not in found.cells:
            continue
        alone, busy = (found.cells[name, kind, callers] for callers in (1, BUSY))
        catalog, _, services = name.rpartition(", ")
        rows.append(
            (
                *(catalog, services, WORDS[kind]),
                figure(percentile(alone.medians, 0.5)),
                figure(percentile(busy.costs, 0.5)),
                figure(percentile(busy.rates, 0.5)),
                f"{found.memory[name]:.1f}",
            )
        )
    return BenchTable(
        title=f"An answer of ten products by size of the catalog, {DIMENSION} dimensions",
        headers=(
            *("products", "services", "request"),
            *("p50 ms, one caller", "processor ms", "requests/s", "GiB (PSS)"),
        ),
        rows=tuple(rows),
        caption=f"Medians of {ROUNDS} rounds with their 95% intervals; processor time of all"
        f" processes, and requests/s, with {BUSY} callers on the same machine.",
    )


def _goals(cells: Cells) -> Iterator[Goal]:
    """Yield the goals of growth, by shape and kind of request."""
    for target in TARGETS:
        few, many = (title(size, target) for size in GROWN)
        for kind in KINDS:
            for callers, of, words in (
                (1, "medians", "p50, one caller"),
                (BUSY, "costs", f"processor time, {BUSY} callers"),
            ):
                measured = None
                if {(few, kind, callers), (many, kind, callers)} <= cells.keys():
                    ours, theirs = (getattr(cells[at, kind, callers], of) for at in (many, few))
                    measured = median_ratio(ours, theirs)
                yield Goal(
                    f"{MANY:,} ÷ {FEW:,} products, {few.rpartition(', ')[2]}, {WORDS[kind]}: "
                    f"{words}",
                    GROWTH,
                    "×",
                    measured,
                    missing="these catalogs were not measured in this shape",
                )
