"""Search planning: pure rules from facts about the catalog to a plan.

A FLAT generation compares every row and needs no plan. In an HNSW one the engine walks a graph, and
a filter hides most of what it walks past: with `ef` at 200, recall@100 under a filter that passes
1% is .31 (Milvus Lite, 10,000 rows) or .11 (50,000). So

- wide filters go through the graph with `ef` raised to EF_FACTOR × limit ÷ share that passes;
- where the engine compares what passes a narrow filter one by one of itself, up to MAX_SLICES of
  the index's slices are searched side by side, so many that few rows pass in each: its graph misses
  some there, whatever `ef` is;
- narrow ones are answered exactly: the products that pass are read from the record, by its indexes
  on category, brand and price, and their vectors compared here;
- narrow ones that no index of the record helps with go through the graph too, and are answered
  exactly where `ef` would have to be greater than MAX_EF, by ids that the engine returns.

The share that passes is estimated from a sample of the catalog, see `Sample`. A wrong estimate
costs time or recall; what comes back short because of it is made up for, see `nearest`. What was
measured for the thresholds stands in lab/research/engines.md.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from retriever.domain.filter_parts import MAX_TRIED, Part, indexed_parts, top_categories
from retriever.domain.generation import IndexKind, IndexParameters
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import Facts
from sightline_rules.filter_checks import looks
from sightline_rules.filters import All, Filter, Membership

MAX_LIMIT = 16_384
"""Maximum number of rows in an engine's answer."""
LEAST_LIMIT = 50
"""Minimum number of rows requested."""
EF_FACTOR = 6
"""4 finds .990 to 1.000 of 1,280-d neighbours on a server of 10,000 rows without a filter: the
graphs that it builds of the same rows differ."""
MAX_EF = 16_384
"""Engines take 32,768, but from about here reading the matches is quicker."""
EXACT_ROWS = 500
"""MatchingRows, at most by the estimate, that are read from the record rather than searched for."""
MOST_MATCHES = 2_000
"""MatchingRows, at most, that are read at all: 10 MB of vectors of 1,280 dimensions."""
SLICE_SHARE = 0.05
"""Rows of a slice that pass, at most: engines that compare one by one do so from 7% on down."""
MAX_SLICES = 8
"""Slices, at most: an engine's graph finds enough where more than 40% pass."""
FEW_SLICES = 2
"""Slices that are worth it however many rows pass: .956 is found of a million of which 8% pass, and
of 7% the engine would compare as many of itself."""
MOST_COMPARED = 100_000
"""Rows that pass, at most by the estimate, that more slices leave to the engine to compare. Of more
its graph finds enough (.996 at a million rows of which 15% pass), in a fifth of the time."""
LOOK_SECONDS = 0.0005
"""Longest time of one evaluation of a sample, in seconds."""
LOOK_STEP = 32
"""Texts and values examined between two reads of the clock; at least one product."""


class Route(StrEnum):
    """Method of finding rows."""

    FLAT = "flat"
    GRAPH = "graph"
    SLICES = "slices"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a catalog, in random order."""

    facts: tuple[Facts, ...]
    """Facts of the product of each row."""
    rows: int
    """Estimated number of rows."""
    head: int = 0
    """The record's newest write when it was drawn."""

    def share(self, condition: Filter, clock: Callable[[], float] = time.perf_counter) -> float:
        """Return the share of rows that pass, 0 to 1, from as many rows as time allows.

        Of 1,000 rows the standard error is 1.6% at 50%, 0.7% at 5% and 0.2% at 0.5%. If none
        passes, the share is that of half a row: a filter that rows may pass has no share of 0.
        """
        if not self.facts:
            return 1.0
        end, seen, passed = clock() + LOOK_SECONDS, 0, 0
        step = max(1, LOOK_STEP // max(1, looks(condition)))
        while seen < len(self.facts) and (not seen or clock() < end):
            some = self.facts[seen : seen + step]
            passed += int(finish(judged(condition, some)).sum())
            seen += len(some)
        return max(passed, 0.5) / seen


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A part of a filter that the record has an index for."""

    part: Part
    rows: float
    """Approximate number of rows that pass it."""


@dataclass(frozen=True, slots=True)
class FilterEstimate:
    """Estimates about a filter in a catalog."""

    rows: int
    """Approximate number of rows of the catalog."""
    share: float = 1.0
    """The share of them that passes."""
    narrowing: Narrowing | None = None
    """The narrowest part that the record has an index for."""
    reach: float = 1.0
    """The share of all rows in the partitions that the engine can't leave out."""

    @property
    def matches(self) -> float:
        """Approximate number of rows that pass."""
        return self.rows * self.share

    @property
    def density(self) -> float:
        """The share that passes of the rows that the engine walks past."""
        return min(1.0, self.share / self.reach)

    @property
    def reached(self) -> float:
        """Approximate number of rows that the engine walks past."""
        return self.rows * self.reach


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a search."""

    route: Route
    limit: int
    """Rows that the first round asks for."""
    ef: int = 0
    """GRAPH, SLICES: candidates that a walk keeps; nothing to an engine that compares instead."""
    slices: int = 1
    """SLICES: ranges of row ids that are searched side by side."""
    narrowing: Part | None = None
    """EXACT: the part to query the record by; None: the engine returns the matches."""
    reason: str = ""

    def words(self, rounds: int, rows: int, matches: int | None = None) -> str:
        """Describe the plan in one line.

        `matches`: rows compared, if the last round did so.
        """
        counted = f"{rounds} {'round' if rounds == 1 else 'rounds'}, {rows} rows"
        match self.route, matches:
            case Route.FLAT, _:
                return f"flat, {counted}"
            case Route.EXACT, int(number):
                return f"exact over {number} matches, {counted}, {self.reason}"
            case Route.GRAPH, int(number):
                return f"{self._walk}, then exact over {number} matches, {counted}"
            case _:
                return f"{self._walk}, {counted}, {self.reason}"

    @property
    def _walk(self) -> str:
        if self.route is Route.SLICES:
            parts = "slice" if self.slices == 1 else "slices"
            return f"compared by the engine in {self.slices} {parts}"
        return f"graph ef {self.ef}"

    def deeper(self, limit: int) -> "Plan":
        """Return the plan for a round that asks for more rows."""
        grown = min(MAX_EF, math.ceil(self.ef * limit / self.limit))
        return replace(self, limit=limit, ef=max(limit, grown))


def first_limit(top_k: int, excluded: int, overfetch: int) -> int:
    """Return the number of rows of the first round."""
    return min(MAX_LIMIT, max(top_k * overfetch + excluded, LEAST_LIMIT))


def estimate(condition: Filter, sample: Sample, partitions: int = 0) -> FilterEstimate:
    """Estimate a filter's share of rows from a sample. `partitions`: those of the index."""
    if condition == All():
        return FilterEstimate(sample.rows)
    return replace(_estimate(condition, sample), reach=_reach(condition, sample, partitions))


def _reach(condition: Filter, sample: Sample, partitions: int) -> float:
    """Return the expected share of rows in the partitions of the top categories that a filter
    names.

    The engine does not tell which categories share a partition.
    """
    named = top_categories(condition) if partitions else None
    if not named:
        return 1.0
    share = sample.share(Membership("category", tuple(sorted(named))))
    return share + (1 - share) * min(1.0, len(named) / partitions)


def _estimate(condition: Filter, sample: Sample) -> FilterEstimate:
    parts = indexed_parts(condition)[:MAX_TRIED]
    known = [Narrowing(part, sample.rows * sample.share(part)) for part in parts]
    narrowest = min(known, key=lambda each: each.rows, default=None)
    if narrowest is not None and narrowest.part == condition:
        return FilterEstimate(sample.rows, narrowest.rows / max(1, sample.rows), narrowest)
    return FilterEstimate(sample.rows, sample.share(condition), narrowest)


def choose(
    parameters: IndexParameters,
    guess: FilterEstimate,
    top_k: int,
    excluded: int,
    overfetch: int,
    *,
    compares: bool = False,
) -> Plan:
    """Return the plan of a search.

    `overfetch`: rows requested for each product wanted. `compares`: whether the engine compares one
    by one where few pass, see `VectorIndex.compares`.
    """
    limit = first_limit(top_k, excluded, overfetch)
    if parameters.kind is IndexKind.FLAT:
        return Plan(Route.FLAT, limit)
    narrow = guess.narrowing
    if narrow is not None and narrow.rows <= MOST_MATCHES and guess.matches <= EXACT_ROWS:
        reason = f"by {narrow.part.field}"
        return Plan(Route.EXACT, limit, narrowing=narrow.part, reason=reason)
    wanted = EF_FACTOR * limit / guess.density
    bound = max(parameters.ef, limit, min(MAX_EF, int(guess.reached) // 2))
    ef = min(bound, max(parameters.ef, limit, math.ceil(wanted)))
    reason = f"{_percent(guess.share)} pass"
    slices = math.ceil(guess.density / SLICE_SHARE)
    most = MAX_SLICES if guess.matches <= MOST_COMPARED else FEW_SLICES
    if compares and slices <= most:
        return Plan(Route.SLICES, limit, ef, slices, reason=reason)
    if wanted > MAX_EF and bound == MAX_EF and guess.matches <= EXACT_ROWS:
        return Plan(Route.EXACT, limit, reason="by the engine's ids")
    return Plan(Route.GRAPH, limit, ef, reason=reason)


def graph(parameters: IndexParameters, guess: FilterEstimate, limit: int) -> Plan:
    """Return the plan for more passing rows than estimated."""
    share = max(guess.share, min(1.0, MOST_MATCHES / max(1, guess.rows)))
    ef = max(parameters.ef, limit, min(MAX_EF, math.ceil(EF_FACTOR * limit / share)))
    return Plan(Route.GRAPH, limit, ef, reason=f"{_percent(share)} pass")


def _percent(share: float) -> str:
    return f"about {share:.0%}" if share >= 0.1 else f"about {share * 100:.1g}%"
