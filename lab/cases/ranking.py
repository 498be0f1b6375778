"""Speed of scoring and of generating candidates in the ranker, compared with LightFM's predict and
empty calls.

In this process: see races.py. Over gRPC: the servers of ranker_servers.py in their own process, and
one client that calls them in alternation.
"""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import grpc
import numpy as np

from bench.datasets import shelves
from bench.harness import hop
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import median_ratio
from lab.cases import races
from lab.cases.races import CANDIDATES, Say, micros
from ranker.domain.features import Product
from servicekit.processes.memory import keep_objects
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc
from tests.engines import free_port

if TYPE_CHECKING:
    from sightline.ranker.v1.ranking_service_pb2_grpc import RankingServiceAsyncStub

CALLS = 400
WARM_UP = 50
START_SECONDS = 60.0
CALL_NAMES = ("scoring", "whole", "empty", "bytes")


def run(say: Say) -> BenchResult:
    """Measure both."""
    products = shelves.products()
    raced = races.run(products, say)
    calls = asyncio.run(_calls(products, say))
    gains = {race.name: race.gain for race in raced}
    scoring = median_ratio(calls["scoring"], calls["empty"])
    return BenchResult(
        tables=(races.table(raced), _call_table(calls)),
        goals=(
            _faster(races.SCORE, gains[races.SCORE], 5.0),
            _faster(races.GENERATE, gains[races.GENERATE], 25.0),
            Goal(
                f"scoring {CANDIDATES} over gRPC ÷ an empty call of the same payload",
                1.3,
                "×",
                scoring,
            ),
        ),
        figures={
            "settings": {
                "seed": shelves.SEED,
                "products": shelves.SIZE,
                "dimension": shelves.DIMENSION,
                "candidates": CANDIDATES,
                "top_k": races.TOP_K,
                "rounds": races.ROUNDS,
                "a_round": races.A_ROUND,
                "calls": CALLS,
            },
            "races": races.figures(raced),
            "calls": {name: sorted(seconds) for name, seconds in calls.items()},
        },
        warnings=races.warnings(raced),
    )


def _faster(name: str, gain: Interval, at_least: float) -> Goal:
    return Goal(f"{name}, LightFM.predict ÷ ours", None, "×", gain, at_least)


async def _calls(products: Sequence[Product], say: Say) -> Mapping[str, list[float]]:
    """Return the seconds of each call by kind, called in turn."""
    say(f"ranking {CANDIDATES} candidates over gRPC, {CALLS} calls of each kind")
    rows = np.random.default_rng(shelves.SEED + 7).choice(shelves.SIZE, CANDIDATES, replace=False)
    shown = [products[row] for row in rows]
    scoring = shelves.request(shown, reason_top_k=0)
    diversity = pb.Diversity(diversity=0.3, brand_cap=3, exploration_places=[5])
    whole = shelves.request(shown, diversity=diversity, top_k=CANDIDATES)
    # Otherwise the client's garbage collector would scan the whole shop, the longest step of all.
    keep_objects()
    with tempfile.TemporaryDirectory() as folder, _servers(folder) as ports:
        targets = [f"127.0.0.1:{port}" for port in ports]
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(target))
                for target in targets
            ]
            scorer, ranker, empty = (_stub(channel) for channel in channels[:3])
            first = await _first(scorer, scoring)
            keep = channels[3].unary_unary(hop.KEEP, bytes, bytes)
            await keep(first.SerializeToString(), wait_for_ready=True)
            call = channels[3].unary_unary(
                hop.CALL, pb.RankRequest.SerializeToString, pb.RankResponse.FromString
            )
            asked = (
                (scorer.Rank, scoring),
                (ranker.Rank, whole),
                (empty.Rank, scoring),
                (call, scoring),
            )
            seconds: dict[str, list[float]] = {name: [] for name in CALL_NAMES}
            for number, (name, (method, request)) in itertools.product(
                range(WARM_UP + CALLS), zip(CALL_NAMES, asked, strict=True)
            ):
                began = time.perf_counter()
                await method(request)
                if number >= WARM_UP:
                    seconds[name].append(time.perf_counter() - began)
    return seconds


def _stub(channel: grpc.aio.Channel) -> "RankingServiceAsyncStub":
    return ranking_service_pb2_grpc.RankingServiceStub(channel)


async def _first(scorer: "RankingServiceAsyncStub", request: pb.RankRequest) -> pb.RankResponse:
    """Return the first answer, waiting for the server to start."""
    return await scorer.Rank(request, wait_for_ready=True, timeout=START_SECONDS)


@contextlib.contextmanager
def _servers(folder: str) -> Iterator[tuple[int, ...]]:
    """Start the three servers and the empty one. Yield their ports."""
    ports = tuple(free_port() for _ in CALL_NAMES)
    python = [sys.executable, "-m"]
    processes = [
        subprocess.Popen([*python, "bench.harness.ranker_servers", folder, *map(str, ports[:3])]),
        subprocess.Popen([*python, "bench.harness.hop", str(ports[3])]),
    ]
    try:
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _call_table(calls: Mapping[str, Sequence[float]]) -> BenchTable:
    words = {
        "scoring": "scoring alone (history loaded, no reasons)",
        "whole": "all of Rank (history from SQLite, diversity, reasons)",
        "empty": "an empty call of the same server and payload",
        "bytes": "bare gRPC with the same bytes, not parsed",
    }
    rows = []
    for name, seconds in calls.items():
        ratio = median_ratio(seconds, calls["empty"])
        rows.append(
            (
                words[name],
                micros(seconds),
                micros(seconds, 0.99),
                f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})",
            )
        )
    return BenchTable(
        title=f"Rank of {CANDIDATES} candidates over gRPC",
        headers=("call", "p50 µs", "p99 µs", "÷ empty call"),
        rows=tuple(rows),
        caption=f"One client, {CALLS} calls of each in alternation, two processes; 95% intervals.",
        section=None,
    )
