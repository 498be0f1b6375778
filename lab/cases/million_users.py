"""Recommendations for users among a million made products, apart and in one process.

The products are written into the record before the start, without photos: for a user they are found
by the trained model, and no vector is read. The model is trained on generated events. One caller
measures the latency, eight the processor time.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeAlias

import uvloop

from bench.cases import sizes
from bench.cases.monolith import cases, contenders, load, shoppers
from bench.cases.monolith.asking import USER, Questions
from bench.cases.monolith.filled import FilledFacts, Filling, another, filled, key
from bench.cases.monolith.goals import BUSY
from bench.cases.monolith.load import Cells, LoadPlan
from bench.cases.monolith.tables import figure, rounded
from bench.harness.model import BenchResult, BenchTable
from bench.harness.statistics import percentile
from lab.cases import listing_calls
from local_suite.programs import ALL, APART
from local_suite.suite import Suite

Say: TypeAlias = Callable[[str], None]

PRODUCTS = listing_calls.PRODUCTS
ACTIVE = 5_000
"""Products of each category that have events."""
ROUNDS, SECONDS = 8, 2.0
TRAIN_SECONDS = 3_600.0
ONE = "one process"


def run(say: Say) -> BenchResult:
    """Measure both shapes on one catalog and one model."""
    filling = Filling(
        key("million-users", PRODUCTS, ACTIVE, cases.EVENTS, cases.CROWD, shoppers.SEED),
        _fill,
        prepare=lambda data: listing_calls.write(data, PRODUCTS),
        spaces="visual",
    )
    in_one = partial(filling.programs, target=ALL)
    with filled(filling, say) as (apart, facts), another(filling, in_one) as one:
        suites = {APART: apart, ONE: one}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            cells = runner.run(_asked(suites, Questions(users=facts.users), say))
        gib = {name: sizes.memory(suite) for name, suite in suites.items()}
    return _result(cells, gib, facts)


def _fill(suite: Suite, say: Say) -> FilledFacts:
    """Write events and train a model."""
    kinds = {
        f"{kind:02}": [
            listing_calls.product_id(kind + listing_calls.CATEGORIES * number)
            for number in range(ACTIVE)
        ]
        for kind in range(listing_calls.CATEGORIES)
    }
    say("training")
    gateway = suite.addresses()["gateway"]
    users = shoppers.learned(gateway, kinds, cases.EVENTS, cases.CROWD, TRAIN_SECONDS)
    return FilledFacts((), users, {})


async def _asked(suites: dict[str, Suite], questions: Questions, say: Say) -> Cells:
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(contenders.suite(suite, name, questions))
            for name, suite in suites.items()
        ]
        plan = LoadPlan(questions, rounds=ROUNDS, seconds=SECONDS, kinds=(USER,))
        return await load.rounds(found, plan, say)


def table(cells: Cells, memory: dict[str, float]) -> BenchTable:
    """Return the table of both shapes. `memory`: GiB by shape."""
    rows = []
    for name, gib in memory.items():
        alone, busy = cells[name, USER, 1], cells[name, USER, BUSY]
        rows.append(
            (
                name,
                figure(percentile(alone.medians, 0.5)),
                figure(percentile(busy.costs, 0.5)),
                figure(percentile(busy.rates, 0.5)),
                f"{gib:.1f}",
            )
        )
    return BenchTable(
        f"Ten products for a user among {PRODUCTS:,}",
        ("services", "p50 ms, one caller", "processor ms", "requests/s", "GiB (PSS)"),
        tuple(rows),
        f"Medians of {ROUNDS} rounds with their 95% intervals; processor time of all processes, and"
        f" requests/s, with {BUSY} callers on the same machine. Milvus Lite, products without"
        f" photos, a model trained on {cases.EVENTS:,} events of {cases.CROWD:,} shoppers.",
    )


def _result(cells: Cells, memory: dict[str, float], facts: FilledFacts) -> BenchResult:
    return BenchResult(
        tables=(table(cells, memory),),
        figures={
            "filled_seconds": facts.seconds,
            "gib": memory,
            "cells": [
                {
                    "services": name,
                    "callers": callers,
                    "cpu_ms": rounded(cell.costs),
                    "p50_ms": rounded(cell.medians),
                    "requests_per_second": rounded(cell.rates),
                    "cpu_ms_by_process": {k: rounded(v) for k, v in cell.programs.items()},
                    "wrong": dict(cell.wrong),
                }
                for (name, _, callers), cell in cells.items()
            ],
        },
    )
