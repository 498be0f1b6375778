"""Speed and cost of converting a JPEG file to a vector, compared with other servers.

A closed loop on one machine: clients and servers share its processors. Every contender runs the
same graph and decodes by the same function; rounds are interleaved, so that a slow minute affects
all equally. Photos are unique, and the embedder's cache is off, except where the cache itself is
measured.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TypeAlias

from bench.datasets import unique
from bench.harness.load import closed_loop
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio, percentile, ratio
from bench.peers import environments
from lab.cases import engine_speed
from lab.peers import embedders
from lab.peers.embedders import BARE, OURS, RAW, EmbeddingContender
from servicekit.processes.memory import keep_memory

Say: TypeAlias = Callable[[str], None]

CLIENTS = (1, 8, 32)
ROUNDS, SHORTER = 4, 3
SIZES = {"0.3 MP": (unique.SMALL, 60, 2.0), "12 MP": (unique.LARGE, 10, 5.0)}
"""Width and height, number of different pictures, and grain (a file of 12 megapixels then has 1.5
MB).
"""
A_ROUND = {
    ("0.3 MP", 1): 30,
    ("0.3 MP", 8): 80,
    ("0.3 MP", 32): 256,
    ("12 MP", 1): 6,
    ("12 MP", 8): 24,
    ("12 MP", 32): 96,
}
"""Photos per round: at least three for each of 32 clients, so that filling and emptying the server
    has little weight."""
FEW = (1, 32)
"""Numbers of clients of the short form; the goals are for 32."""
REPEATS = 200
"""Number of calls of each kind in the measurement of the cache."""


@dataclass(slots=True)
class EmbeddingCell:
    """Measurements of one contender, photo size and number of clients."""

    contender: str
    size: str
    clients: int
    rates: list[float] = field(default_factory=list)
    """Images per second, by round."""
    costs: list[float] = field(default_factory=list)
    """Milliseconds of processor time per image, by round."""
    latencies: list[float] = field(default_factory=list)
    """Latency of every image, in milliseconds."""
    tails: list[float] = field(default_factory=list)
    """99th percentile of the latency, by round."""


Asked: TypeAlias = Mapping[tuple[str, int], int]
"""Photos per round, by size and number of clients."""
Cells: TypeAlias = Mapping[tuple[str, str, int], EmbeddingCell]


def run(say: Say) -> BenchResult:
    """Start all servers, measure them in interleaved rounds, and stop them."""
    return _run({at: count for at, count in A_ROUND.items() if at[1] in FEW}, SHORTER, say)


def full(say: Say) -> BenchResult:
    """Measure with 8 clients too, in more rounds."""
    return _run(A_ROUND, ROUNDS, say)


def _run(asked: Asked, rounds: int, say: Say) -> BenchResult:
    keep_memory()  # like the embedder, so that the raw loop is comparable
    missing = _environment(say)
    say("creating photos that are in no cache")
    files = {name: unique.photos(*made) for name, made in SIZES.items()}
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder, ExitStack() as running:
        measuring = _measure(
            Path(folder), running, files, missing=missing, plan=(asked, rounds), say=say
        )
        cells, hits = asyncio.run(measuring)
    say("decoding alone, and engines alone")
    return _result(cells, hits, files, missing, rounds)


def _environment(say: Say) -> str:
    """Install the other servers' environment. Return the error; empty = installed."""
    say("the other servers' environment (lab/peers/servers; 0.5 GB when it is not there yet)")
    return environments.made(embedders.SERVERS)


async def _measure(
    folder: Path,
    running: ExitStack,
    files: Mapping[str, list[bytes]],
    *,
    missing: str,
    plan: tuple[Asked, int],
    say: Say,
) -> tuple[Cells, dict[str, list[float]]]:
    say("starting Triton, the embedder and the others")
    enter = running.enter_context
    triton, triton_port = await asyncio.to_thread(enter, embedders.triton_server(folder))
    names = () if missing else tuple(embedders.PEERS)
    servers = (
        embedders.embedder_server(folder, triton_port, EMBEDDER_CACHE_BYTES="0"),
        embedders.embedder_server(folder, triton_port),
        *(embedders.peer_server(name, folder) for name in names),
    )
    starting = (asyncio.to_thread(enter, server) for server in servers)
    (ours, port), (cached, cached_port), *others = await asyncio.gather(*starting)
    async with AsyncExitStack() as stack:
        ways = [
            embedders.raw(),
            embedders.bare_triton(triton, triton_port),
            embedders.sightline(OURS, port, (triton, ours)),
        ]
        ways += [embedders.http(name, *at) for name, at in zip(names, others, strict=True)]
        contenders = [await stack.enter_async_context(way) for way in ways]
        cells = await _rounds(contenders, files, *plan, say)
        say("the cache")
        other = embedders.sightline("cache", cached_port, (triton, cached))
        hits = await _hits(await stack.enter_async_context(other), files["0.3 MP"])
    return cells, hits


async def _rounds(
    contenders: Sequence[EmbeddingContender],
    files: Mapping[str, list[bytes]],
    asked: Asked,
    rounds: int,
    say: Say,
) -> Cells:
    cells = {
        (each.name, size, clients): EmbeddingCell(each.name, size, clients)
        for (size, clients) in asked
        for each in contenders
    }
    sources = {size: unique.unique(made) for size, made in files.items()}
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}" if number else "warming up")
        for (size, clients), whole in asked.items():
            count = whole if number else max(clients, whole // 4)
            for each in contenders:
                await _round(each, cells[each.name, size, clients], sources[size], count, number)
    return cells


async def _round(
    contender: EmbeddingContender,
    cell: EmbeddingCell,
    source: Iterator[bytes],
    count: int,
    number: int,
) -> None:
    photos = list(islice(source, count))
    before = contender.seconds()
    done, seconds = await closed_loop(photos, cell.clients, contender.call)
    if number:
        latencies = [1000 * each.seconds for each in done]
        cell.rates.append(count / seconds)
        cell.costs.append(1000 * (contender.seconds() - before) / count)
        cell.latencies += latencies
        cell.tails.append(percentile(latencies, 0.99).value)


async def _hits(contender: EmbeddingContender, files: list[bytes]) -> dict[str, list[float]]:
    """Return the milliseconds of new photos and of a cached one, measured in alternation."""
    found: dict[str, list[float]] = {"new": [], "known": []}
    source = unique.unique(files)
    for photo in islice(source, REPEATS):
        for taken in found.values():
            began = time.perf_counter()
            await contender.call(photo)
            taken.append(1000 * (time.perf_counter() - began))
    return found


def _result(
    cells: Cells,
    hits: dict[str, list[float]],
    files: Mapping[str, list[bytes]],
    missing: str,
    rounds: int,
) -> BenchResult:
    decoding = engine_speed.decoding()
    engines = engine_speed.engines(files["0.3 MP"])
    warnings = [f"the other servers could not be installed: {missing}"] if missing else []
    sizes = {name: round(sum(map(len, made)) / len(made)) for name, made in files.items()}
    return BenchResult(
        tables=(
            *(_table(cells, size, sizes[size]) for size in SIZES),
            engine_speed.decoding_table(decoding),
            *engine_speed.engine_tables(engines),
            _hit_table(hits),
        ),
        goals=(*_goals(cells), *engine_speed.goals(decoding, engines)),
        figures={
            "settings": {"rounds": rounds, "bytes": sizes, "workers": embedders.WORKERS},
            "cells": [
                {
                    "contender": cell.contender,
                    "size": cell.size,
                    "clients": cell.clients,
                    "images_per_second": cell.rates,
                    "cpu_ms_per_image": cell.costs,
                    "p99_ms": cell.tails,
                    "latency_ms": sorted(round(each, 2) for each in cell.latencies),
                }
                for cell in cells.values()
            ],
            "cache_ms": {kind: sorted(each) for kind, each in hits.items()},
            **engine_speed.figures(decoding, engines),
        },
        warnings=tuple(warnings),
    )


def _goals(cells: Cells) -> list[Goal]:
    """Return the goals at 32 clients, where the machine is saturated, for each size."""
    goals = []
    for size in SIZES:
        ours, bare, raw = (cells[name, size, 32] for name in (OURS, BARE, RAW))
        goals += [
            Goal(
                f"{size}, 32 clients: images/s ÷ bare Triton's with the same decoding",
                None,
                "×",
                median_ratio(ours.rates, bare.rates),
                0.95,
            ),
            Goal(
                f"{size}, 32 clients: processor time ÷ decode + raw onnxruntime",
                1.25,
                "×",
                ratio(list(zip(ours.costs, raw.costs, strict=True))),
            ),
        ]
        best = _best(cells, size)
        name = best.contender if best else "the best Python server"
        rates = median_ratio(ours.rates, best.rates) if best else None
        tails = median_ratio(ours.tails, best.tails) if best else None
        goals += [
            Goal(f"{size}, 32 clients: images/s ÷ {name}'s", None, "×", rates, 1.0),
            Goal(f"{size}, 32 clients: p99 ÷ {name}'s", 1.0, "×", tails),
        ]
    return goals


def _best(cells: Cells, size: str) -> EmbeddingCell | None:
    """Return the other Python server with the most images a second, or None."""
    found = [cells[name, size, 32] for name in embedders.PEERS if (name, size, 32) in cells]
    return max(found, key=lambda cell: median(cell.rates), default=None)


def _table(cells: Cells, size: str, mean_bytes: int) -> BenchTable:
    rows = []
    for (_, of, clients), cell in cells.items():
        if of != size:
            continue
        raw = cells[RAW, size, clients]
        rows.append(
            (
                str(clients),
                cell.contender,
                f"{median(cell.rates):.0f}",
                _times(median_ratio(cell.rates, raw.rates)),
                f"{percentile(cell.latencies, 0.5).value:.1f}",
                f"{percentile(cell.latencies, 0.99).value:.0f}",
                f"{median(cell.costs):.1f}",
                _times(ratio(list(zip(cell.costs, raw.costs, strict=True)))),
            )
        )
    return BenchTable(
        title=f"JPEG files of {size} ({mean_bytes / 1e6:.2f} MB) to vectors",
        headers=("clients", "", "images/s", "÷ raw", "p50 ms", "p99 ms", "CPU ms", "÷ raw"),
        rows=tuple(rows),
        caption=(
            "Unique photos, interleaved rounds, medians, 95% intervals. CPU: of all processes of "
            "the contender; the client's counts only where the client decodes."
        ),
    )


def _times(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def _hit_table(hits: Mapping[str, Sequence[float]]) -> BenchTable:
    words = {"new": "a new photo", "known": "a cached photo"}
    rows = []
    for kind, found in hits.items():
        p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
        rows.append(
            (
                words[kind],
                f"{p50.value:.1f}",
                f"{p99.value:.1f}",
                _times(median_ratio(found, hits["new"])),
            )
        )
    return BenchTable(
        title="The embedder's cache, 0.3 MP",
        headers=("", "p50 ms", "p99 ms", "÷ new"),
        rows=tuple(rows),
        caption=f"One client, {REPEATS} of each in alternation.",
        section=None,
    )
