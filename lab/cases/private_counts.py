"""What differential privacy costs exported counts, on MovieLens-100k: shoppers of each film at
epsilon .1, 1 and 10, of its 943 people, and of a hundred times as many who watched the same.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.harness.model import BenchResult, BenchTable
from ranker.adapters.opendp import add_noise
from ranker.domain.private_counts import CountsOrder, Key, bounded
from ranker.domain.selection import Selection

Say: TypeAlias = Callable[[str], None]

EPSILONS: Final = (0.1, 1.0, 10.0)
BOUNDS: Final = (1, 8, 32)
TIMES: Final = (1, 100)
"""How many people each person of MovieLens stands for."""
DRAWS: Final = 5
"""Draws of the noise, whose medians are shown."""
FLOOR: Final = 20
TOP: Final = 20


@dataclass(frozen=True, slots=True)
class CountsFigures:
    """Figures of one setting, medians over draws."""

    people: int
    epsilon: float
    most_products: int
    films: int
    """Number of films with a count."""
    covered: float
    """Share of all (person, film) pairs that the counts stand for before noise, 0 to 1."""
    error: float
    """Median over these films: noise relative to the count that it was added to, 0 to 1."""
    overlap: float
    """Share of the 20 films with most people that are among the 20 highest counts, 0 to 1."""
    threshold: int


def run(say: Say) -> BenchResult:
    """Measure all settings; without the data nothing is measured."""
    path = movielens.folder()
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult(tables=(), figures={}, warnings=(missing,))
    pairs = _pairs(movielens.load(path))
    found: list[CountsFigures] = []
    for times in TIMES:
        say(f"{times} times its people")
        for most in BOUNDS:
            given = bounded(_repeated(pairs, times), None, most)
            found += [_measure(pairs, given, epsilon, most, times) for epsilon in EPSILONS]
    return BenchResult(
        tables=(_table(found),), figures={"settings": [_plain(one) for one in found]}
    )


def _pairs(data: movielens.MovieLens) -> Sequence[tuple[str, str]]:
    """Return distinct (person, film)."""
    log = data.log
    both = np.unique(np.stack([log.actor, log.item]), axis=1)
    return [(f"{actor}", f"{item}") for actor, item in both.T.tolist()]


def _repeated(pairs: Sequence[tuple[str, str]], times: int) -> Sequence[tuple[str, str]]:
    return [(f"{actor}-{copy}", item) for copy in range(times) for actor, item in pairs]


def _measure(
    pairs: Sequence[tuple[str, str]],
    given: Mapping[Key, int],
    epsilon: float,
    most: int,
    times: int,
) -> CountsFigures:
    order = CountsOrder(Selection("default"), epsilon, "", most)
    true: dict[str, int] = {}
    for _, item in pairs:
        true[item] = true.get(item, 0) + times
    best = _top(true)
    draws = [add_noise(given, order, FLOOR) for _ in range(DRAWS)]
    return CountsFigures(
        people=len({actor for actor, _ in pairs}) * times,
        epsilon=epsilon,
        most_products=most,
        films=int(statistics.median(len(one.counts) for one in draws)),
        covered=statistics.median(
            sum(given[key] for key in one.counts) / sum(true.values()) for one in draws
        ),
        error=statistics.median(
            statistics.median(abs(count - given[key]) / given[key] for key, count in made.items())
            if (made := one.counts)
            else 0.0
            for one in draws
        ),
        overlap=statistics.median(
            len(best & _top({key[1]: count for key, count in one.counts.items()})) / TOP
            for one in draws
        ),
        threshold=draws[0].threshold,
    )


def _top(counts: Mapping[str, int]) -> set[str]:
    return set(sorted(counts, key=lambda item: (-counts[item], item))[:TOP])


def _plain(one: CountsFigures) -> Mapping[str, float]:
    return {name: getattr(one, name) for name in CountsFigures.__slots__}


def _table(found: Sequence[CountsFigures]) -> BenchTable:
    headers = (
        *("people", "epsilon", "products a person", "threshold", "films with a count"),
        *("pairs covered", "noise", "of the top 20"),
    )
    rows = tuple(
        (
            f"{one.people:,}",
            f"{one.epsilon:g}",
            f"{one.most_products}",
            f"{one.threshold:,}",
            f"{one.films:,}",
            f"{one.covered:.0%}",
            f"{one.error:.1%}" if one.films else "",
            f"{one.overlap:.0%}",
        )
        for one in found
    )
    return BenchTable(
        title="Counts with differential privacy",
        headers=headers,
        rows=rows,
        caption=(
            "MovieLens-100k: 1,682 films; medians of five draws. *Pairs covered*: share of all"
            " (person, film) that the counts stand for. *Noise*: its size relative to a count, the"
            " median over films. *Of the top 20*: films with most people that are among the 20"
            " highest counts."
        ),
        section=None,
    )
