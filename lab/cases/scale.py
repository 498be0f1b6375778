"""Search in growing catalogs: 10,000 and a million products of 80 dimensions on one server.

`full` adds cases that take hours: larger vectors, Milvus Lite at 100,000, faiss at all sizes.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.cases.search import measured
from bench.cases.search_report import LEAST_FILTERED, TOP, EngineFigures, SearchCase, result
from bench.datasets.corpus import clustered, photographed
from bench.harness.engines import LITE, SERVER
from bench.harness.model import BenchResult, Goal
from bench.harness.statistics import median_ratio
from lab.peers.faiss_search import Faiss

Say = Callable[[str], None]

FEW, MANY = 10_000, 1_000_000
MOST_PHOTOS = 5_000
MOST_GROWTH = 1.5
"""Maximum ratio of a plain search's p50 at a million to that at ten thousand."""


def run(say: Say) -> BenchResult:
    """Measure 80-d on the server, both sizes in one engine, in alternation; about seven minutes."""
    grown = measured(SERVER, [clustered(FEW, 80), clustered(MANY, 80)], say)
    return result([grown], [growth(grown.cases)])


def full(say: Say) -> BenchResult:
    """Measure all sizes, each beside faiss, in two to three hours on two idle cores."""
    shares = (0.5, 0.2, 0.15, 0.1, 0.08, 0.05, 0.005)
    done: list[EngineFigures] = []
    grown = measured(
        SERVER,
        [clustered(count, 80, shares=shares) for count in (FEW, 100_000, MANY)],
        say,
        peer=Faiss,
    )
    done.append(grown)
    for engine, count, dimension in (
        (SERVER, MANY, 256),
        (SERVER, 100_000, 1_280),
        (LITE, 100_000, 1_280),
    ):
        done.append(measured(engine, [clustered(count, dimension)], say, peer=Faiss))
    return result(done, [growth(grown.cases)])


def photos(say: Say) -> BenchResult:
    """Measure real photos in SIGHTLINE_DATA on both engines; five minutes on two idle cores."""
    place = os.environ.get("SIGHTLINE_DATA")
    say("photos are embedded")
    corpus = photographed(Path(place), MOST_PHOTOS) if place else None
    if corpus is None:
        missing = Goal(f"recall@{TOP}, photos of SIGHTLINE_DATA", None, "", None, LEAST_FILTERED)
        return result([], [missing])
    return result([measured(engine, [corpus], say, peer=Faiss) for engine in (LITE, SERVER)])


def growth(cases: Sequence[SearchCase]) -> Goal:
    """Return the goal for a plain search in the largest catalog relative to the smallest."""
    plain = sorted((case for case in cases if case.share == 1.0), key=lambda case: case.count)
    few, many = plain[0], plain[-1]
    return Goal(
        name=f"p50 at {many.count:,} ÷ p50 at {few.count:,}, {few.engine}, plain",
        at_most=MOST_GROWTH,
        unit="×",
        measured=median_ratio(many.ours.seconds, few.ours.seconds),
    )
