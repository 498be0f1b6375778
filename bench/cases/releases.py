"""The request path compared with the last release's: two suites with the same shop, in alternation.

The last release runs from its own commit, in its own environment and with its own engines, below
.cache/releases. RELEASE= names another commit. Both import clothing's photos and train on the same
events the first time, and keep that for the next run.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import uvloop

from bench.cases.monolith import clothing, contenders, load
from bench.cases.monolith.asking import WORDS, Questions
from bench.cases.monolith.contenders import AnswerContender
from bench.cases.monolith.load import Cells, LoadPlan, over
from bench.cases.monolith.tables import figure, times
from bench.harness import processes
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import percentile
from bench.peers import release as peer
from local_suite.processes import marked
from tests.mixed.releases import Release, last, made

Say: TypeAlias = Callable[[str], None]

MOST = 1.05
"""Maximum ratio of an answer's processor time to the last release's."""
ROUNDS = 5
THIS = "this checkout"


@dataclass(frozen=True, slots=True)
class ServedSuite:
    """A suite that another process serves, see bench.peers.release."""

    gateway: str
    """Address."""
    data: Path
    programs: Mapping[int, str]
    """Names by process id."""
    questions: Questions


def run(say: Say) -> BenchResult:
    """Measure both suites in alternation."""
    before = last(named=os.environ.get("RELEASE", ""))
    _, files = clothing.here()
    if not files:
        return _result({}, before, "there are no photos in $SIGHTLINE_DATA/clothing")
    say(f"{before}: environment and engines")
    folder = made(before, target="setup")
    photos = clothing.asked(files)
    with ExitStack() as running:
        suites = {
            name: running.enter_context(_served(at, photos, say))
            for name, at in ((THIS, ROOT), (before.version, folder))
        }
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return _result(runner.run(_measured(suites, say)), before)


@contextmanager
def _served(folder: Path, photos: Sequence[bytes], say: Say) -> Iterator[ServedSuite]:
    """Run the suite of a checkout. Raise OSError when it does not start."""
    with told(folder, Path(peer.__file__), say) as facts:
        yield ServedSuite(
            facts["gateway"],
            Path(facts["data"]),
            {pid: name for name, pid in facts["programs"].items()},
            Questions(facts["products"], facts["users"], photos, anchors=facts["products"]),
        )


@contextmanager
def told(folder: Path, script: Path, say: Say) -> Iterator[Mapping[str, Any]]:
    """Run a script by the Python of a checkout, in its folder, while the block runs.

    Yield its first line of JSON. Raise OSError when it ends without one.
    """
    say(f"{folder.name}: starting")
    environment = os.environ | {"PYTHONPATH": "deploy/local"}
    command = [str(folder / ".venv/bin/python"), "-c", script.read_text()]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=sys.stderr, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OSError(f"the suite of {folder} did not start")
        try:
            yield json.loads(line)
        finally:
            process.stdin.close()


async def _measured(suites: Mapping[str, ServedSuite], say: Say) -> Cells:
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(_contender(name, suite))
            for name, suite in suites.items()
        ]
        plan = LoadPlan(suites[THIS].questions, rounds=ROUNDS)
        return await load.rounds(found, plan, say)


@asynccontextmanager
async def _contender(name: str, suite: ServedSuite) -> AsyncIterator[AnswerContender]:
    async with grpc.aio.insecure_channel(suite.gateway) as channel:
        spent = partial(processes.spent, suite.programs, marked(suite.data))
        yield AnswerContender(name, contenders.by_channel(channel), spent, contenders.wrong_message)


def _result(cells: Cells, before: Release, missing: str = "") -> BenchResult:
    keys = sorted({(kind, callers) for _, kind, callers in cells}) or [("", 0)]
    rows, goals = [], []
    for kind, callers in keys:
        mine, theirs = (THIS, kind, callers), (before.version, kind, callers)
        ratio = over(cells, mine, theirs, "costs")
        asked = f"{WORDS[kind]}, {callers} caller{'s' * (callers > 1)}" if kind else "an answer"
        goals.append(
            Goal(f"{asked}: processor time ÷ {before.version}", MOST, "×", ratio, missing=missing)
        )
        if ratio is None:
            continue
        new, old = cells[mine], cells[theirs]
        rows.append(
            (
                *(WORDS[kind], str(callers), figure(new.cost()), figure(old.cost()), times(ratio)),
                figure(percentile(new.latencies, 0.5)),
                figure(percentile(old.latencies, 0.5)),
                times(over(cells, mine, theirs, "medians") or ratio),
            )
        )
    wrong = {" ".join(map(str, key)): dict(cell.wrong) for key, cell in cells.items() if cell.wrong}
    return BenchResult(
        tables=(
            BenchTable(
                title=f"An answer of this checkout beside {before}",
                headers=(
                    *("request", "callers", "processor ms", before.version, "÷"),
                    *("p50 ms", before.version, "÷"),
                ),
                rows=tuple(rows),
                caption="Processor time (user and system) of all processes of a suite for"
                f" an answer: medians of {ROUNDS} alternating rounds, ratios with 95% intervals.",
            ),
        )
        if rows
        else (),
        goals=goals,
        figures={
            "release": str(before),
            "cells": [
                {"suite": name, "kind": kind, "callers": callers, "costs": cell.costs,
                 "medians": cell.medians, "rates": cell.rates}
                for (name, kind, callers), cell in cells.items()
            ],
        },
        warnings=tuple(f"{name}: {what}" for name, what in wrong.items()),
    )  # fmt: skip
